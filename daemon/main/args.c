#include "main/args.h"

#include <stdio.h>
#include <unistd.h>

#include "main/cmd.h"
#include "main/exitcode.h"
#include "util/cleanup.h"
#include "util/err.h"

/* clang-format off */
static const struct options_row rows[] = {
    { .name = "config", .letter = 'c', .type = OPTIONS_TEXT, .argument = "FILE",
      .offset = offsetof(struct args, file), .help = "settings file, in YAML" },
    { .name = "state", .type = OPTIONS_TEXT, .argument = "DIR",
      .offset = offsetof(struct args, state), .help = "state directory: journal, jobs, admin socket" },
    { .name = "set", .type = OPTIONS_PAIR, .argument = "KEY=VALUE",
      .help = "one setting, over file and environment; may be repeated" },
    { .name = "agent", .type = OPTIONS_SETTING, .argument = "RUNNER", .key = "runner.name",
      .help = "the program that does the work: claude, codex, opencode, cursor, command" },
    { .name = "model", .type = OPTIONS_SETTING, .argument = "MODEL", .key = "runner.model",
      .help = "the model it uses" },
    { .name = "repo", .type = OPTIONS_SETTING, .argument = "PATH", .key = "workspace.repo",
      .help = "a git checkout to work in" },
    { .name = "claude-bypass-permissions", .type = OPTIONS_SETTING, .key = "runner.permissions",
      .value = "bypass", .help = "let the program act without asking; the sandbox still holds" },
    { .name = "version", .letter = 'v', .type = OPTIONS_SWITCH,
      .offset = offsetof(struct args, version), .help = "print the version and exit" },
};
/* clang-format on */

const struct options_spec args_spec = { .rows = rows, .row_count = ARRAY_SIZE(rows) };

bool args_parse(const struct options_spec *spec, int argc, char **argv, struct args *values,
                struct options *ret_options, int *ret_exit)
{
    if (!options_parse(spec, argc, argv, values, ret_options, ret_exit))
        return false;
    if (values->version) {
        options_done(ret_options);
        *ret_exit = cmd_version(1, (char *[]){ argv[0], NULL });
        return false;
    }
    return true;
}

int args_settings(const struct args *a, const struct options *o, struct settings *ret_settings,
                  struct err *err)
{
    const struct settings_input input = {
        .file = a->file,
        .environ = (const char *const *)environ,
        .flags = o->flags,
        .flag_count = o->flag_count,
        .state_dir = a->state,
        .as_before = a->as_before,
        .repo = a->repo,
        .uid = geteuid(),
    };

    return settings_load(&input, ret_settings, err);
}

int args_load(const struct args *a, const struct options *o, struct settings *ret_settings)
{
    struct err err = { 0 };

    int r = args_settings(a, o, ret_settings, &err);

    if (r == 0)
        return EX_OK;
    fprintf(stderr, "nairid: %s\n", err.text);
    return exitcode_from_setting(r);
}
