#include "main/reload.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "main/daemon.h"
#include "main/keyring.h"
#include "main/policy.h"
#include "main/provisions.h"
#include "main/pushes.h"
#include "main/wire.h"
#include "runner/runner.h"
#include "settings/envfile.h"
#include "settings/pairs.h"
#include "spawner/spawner.h"
#include "upstream/upstream.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"

/* Everything that depends on the settings and is replaced with them. */
struct fresh {
    struct settings settings;
    struct agentkey key; /* no key: the old one stays */
};

static enum log_level level_of(const struct settings *s)
{
    static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

    static_assert(ARRAY_SIZE(names) == LOG_LEVEL_COUNT, "every level has a name");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(names[i], s->log_level))
            return (enum log_level)i;
    return LOG_INFO;
}

static enum log_format format_of(const struct settings *s)
{
    if (str_eq(s->log_format, "json"))
        return LOG_FORMAT_JSON;
    if (str_eq(s->log_format, "journal"))
        return LOG_FORMAT_JOURNAL;
    return str_eq(s->log_format, "text") ? LOG_FORMAT_TEXT : LOG_FORMAT_AUTO;
}

static int add_key(struct mask *mask, const struct agentkey *key, struct err *err)
{
    int r;

    if (!key->key)
        return 0;
    r = mask_add(mask, secret_text(key->key), secret_len(key->key));
    if (r < 0)
        return err_set(err, r,
                       "the key from %s is shorter than %d characters, so it is no agent key "
                       "('nairi-hub key create --agent SLUG' makes one)",
                       key->source, MASK_MIN);
    return 0;
}

int reload_secret(const struct daemon *d, const struct settings_pair *pair,
                  struct secret **ret_secret, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    int r = secret_load(pair->value, &secret, err);

    if (r < 0)
        return err_prefix(err, "runner.secrets.%s", pair->name);
    r = mask_add(d->mask, secret_text(secret), secret_len(secret));
    if (r < 0)
        return err_set(err, r,
                       "runner.secrets.%s: '%s' holds fewer than %d characters; a value that "
                       "short can't be kept out of replies, so it is not taken as a secret",
                       pair->name, pair->value, MASK_MIN);
    *ret_secret = TAKE_PTR(secret);
    return 0;
}

/* Names whose values are no secrets, in the environment of whoever wrote the file. */
static bool is_plain(const char *name)
{
    static const char *const plain[] = { "PATH",
                                         "HOME",
                                         "USER",
                                         "LOGNAME",
                                         "SHELL",
                                         "LANG",
                                         "TERM",
                                         "TZ",
                                         "EDITOR",
                                         "PAGER",
                                         "PWD",
                                         "TMPDIR",
                                         "ANTHROPIC_BASE_URL",
                                         "ANTHROPIC_MODEL",
                                         "OPENAI_BASE_URL" };

    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (str_eq(plain[i], name))
            return true;
    return str_starts_with(name, "LC_") || str_starts_with(name, "XDG_");
}

/* What is too short to be masked can't be told from ordinary words. */
static void mask_environment(const struct daemon *d, const struct settings *s,
                             const struct strv *names)
{
    for (size_t i = 0; i < names->len; i++) {
        const char *value = pairs_find(&s->runner_env, names->items[i]);

        if (value && !is_plain(names->items[i]))
            (void)mask_add(d->mask, value, strlen(value)); /* as above */
    }
}

/* What is new goes in beside the old, for good: what an earlier task has seen may still come. */
static int extend_mask(const struct daemon *d, const struct fresh *f, struct err *err)
{
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    int r = add_key(d->mask, &f->key, err);

    for (size_t i = 0; r == 0 && i < f->settings.runner_secrets.len; i++) {
        CLEANUP_PTR(secret_free) struct secret *secret = NULL;

        r = reload_secret(d, &f->settings.runner_secrets.items[i], &secret, err);
    }
    mask_environment(d, &f->settings, &f->settings.env_names);
    mask_environment(d, &f->settings, &f->settings.env_inherited);
    runner_brokers(&f->settings, &brokers);
    for (size_t i = 0; r == 0 && i < brokers.len; i++) {
        CLEANUP_PTR(secret_free) struct secret *key = NULL;

        r = keyring_load(&f->settings, &brokers.items[i], d->mask, &key, err);
    }
    return r;
}

static char *program_of(const struct settings *s)
{
    const struct runner *runner = runner_find(s->runner_name);
    const char *program = runner ? runner->program(s) : NULL;
    AUTO_FREE char *path = mem_strdup(program ? program : "?");

    return mem_strdup(basename(path));
}

static void swap_in(struct daemon *d, struct fresh *f)
{
    f->settings.runner_provided = d->settings.runner_provided; /* until it is asked for anew */
    d->settings.runner_provided = (struct settings_pairs){ 0 };
    settings_done(&d->settings);
    d->settings = f->settings;
    if (f->key.key) {
        if (d->upstream)
            upstream_set_key(d->upstream, f->key.key);
        agentkey_done(&d->key);
        d->key = f->key;
        if (d->pushes)
            pushes_key_changed(d->pushes);
    }
    log_setup(level_of(&d->settings), format_of(&d->settings), d->mask);
    free(d->program);
    d->program = program_of(&d->settings);
    for (size_t i = 0; i < d->settings.warnings.len; i++)
        log_warning("settings", "text", d->settings.warnings.items[i]);
    if (runner_advice(&d->settings))
        log_warning("settings", "text", runner_advice(&d->settings));
}

int reload_first(struct daemon *d, struct settings *settings, struct err *err)
{
    struct fresh f = { .settings = *settings };
    int r = agentkey_load(settings, &d->key_from_env, &f.key, err);

    d->mask = mask_new();
    if (r == 0)
        r = envfile_show(&f.settings, err);
    if (r == 0)
        r = extend_mask(d, &f, err);
    if (r < 0) {
        agentkey_done(&f.key);
        return r;
    }
    *settings = (struct settings){ 0 };
    swap_in(d, &f);
    return 0;
}

/* Whole or not at all: a change that needs a restart holds the others back too. */
static int check_fixed(const struct daemon *d, const struct settings *fresh, struct err *err)
{
    CLEANUP(strv_done) struct strv fixed = { 0 };

    settings_unreloadable(&d->settings, fresh, &fixed);
    if (fixed.len == 0)
        return 0;
    return err_set(err, -EINVAL, "%s changed%s, which takes effect by a restart only",
                   fixed.items[0], fixed.len > 1 ? " (and others)" : "");
}

static int prepare(struct daemon *d, struct fresh *f, struct err *err)
{
    int r = settings_check(&f->settings, err);

    if (r == 0)
        r = runner_check(&f->settings, err);
    if (r == 0)
        r = policy_check(&f->settings, err);
    if (r == 0)
        r = policy_find_paths(&f->settings, err);
    if (r == 0)
        r = policy_find_program(&f->settings, err);
    if (r == 0)
        r = check_fixed(d, &f->settings, err);
    if (r == 0)
        r = agentkey_load(&f->settings, NULL, &f->key, err);
    if (r == -ENOKEY) /* it came from the environment, which can't change */
        r = 0;
    return r == 0 ? extend_mask(d, f, err) : r;
}

void reload(struct daemon *d)
{
    struct fresh f = { 0 };
    struct core_options options;
    struct err err = { 0 };

    if (args_settings(&d->args, &d->options, &f.settings, &err) < 0) {
        log_error("reload_failed", "error", err.text, "text", "the settings stay as they were");
        return;
    }
    if (prepare(d, &f, &err) < 0) {
        log_error("reload_failed", "error", err.text, "text", "the settings stay as they were");
        settings_done(&f.settings);
        agentkey_done(&f.key);
        return;
    }
    swap_in(d, &f);
    options = wire_options(d);
    core_set_options(d->core, &options);
    wire_run(d, &(const struct core_event){ .type = CORE_EV_TICK }); /* more slots: use them now */
    spawner_warm(d->spawner, d->settings.sandbox_warm);
    provisions_ask_again(d->provisions);
    log_notice("reloaded", "file", d->settings.file);
}
