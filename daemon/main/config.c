#include <stdio.h>

#include "main/args.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/manifest.h"
#include "runner/runner.h"
#include "settings/agentkey.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

struct config_args {
    struct args common; /* first: args_parse() reads it */
};

static const struct options_spec spec = {
    .verb = "config",
    .usage = "[-c FILE] [--set KEY=VALUE]",
    .summary =
        "Prints the settings in force, each with the place it comes from. Secrets are masked.",
    .base = &args_spec,
};

/* Where the key comes from, or why there is none; never the key. */
static void print_key(const struct settings *s)
{
    struct agentkey from_env = { 0 }, key = { 0 };
    struct err err = { 0 };
    int r = agentkey_take_env(&from_env, &err);

    if (r == 0)
        r = agentkey_load(s, &from_env, &key, &err);
    printf("# agent key: %s%s\n", r == 0 ? "from " : "", r == 0 ? key.source : err.text);
    agentkey_done(&key);
}

/* No setting, but it is in what tasks see. */
static void print_provided(const struct settings *s)
{
    CLEANUP(manifest_done) struct manifest manifest = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };

    if (manifest_read(s, &manifest) < 0)
        return;
    manifest_describe(&manifest, &b);
    printf("# provided by the server: %s; variables: see nairid status\n", buf_str(&b));
}

static void print_all(const struct settings *s)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };

    print_key(s);
    print_provided(s);
    settings_print(s, &b);
    fputs(buf_str(&b), stdout);
    for (size_t i = 0; i < s->warnings.len; i++)
        fprintf(stderr, "nairid: %s\n", s->warnings.items[i]);
    if (settings_check(s, &err) < 0 || runner_check(s, &err) < 0)
        fprintf(stderr, "nairid: the daemon would not start with these settings: %s\n", err.text);
}

int cmd_config(int argc, char **argv)
{
    struct config_args args = { .common.as_before = true };
    struct options options;
    struct settings settings;
    int code;

    if (!args_parse(&spec, argc, argv, &args.common, &options, &code))
        return code;
    code = args_load(&args.common, &options, &settings);
    if (code == EX_OK) {
        print_all(&settings);
        settings_done(&settings);
    }
    options_done(&options);
    return code;
}
