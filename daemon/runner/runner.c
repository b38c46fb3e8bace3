#include "runner/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude.h"
#include "runner/codex.h"
#include "runner/command.h"
#include "runner/opencode.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"

static const struct runner *const runners[] = { &runner_claude, &runner_codex, &runner_opencode,
                                                &runner_command };

const struct runner *runner_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
        if (str_eq(runners[i]->name, name))
            return runners[i];
    return NULL;
}

/* The settings' runner, if it works with a model. */
static const struct runner *agent_of(const struct settings *settings)
{
    const struct runner *runner = runner_find(settings->runner_name);

    return runner && runner->providers ? runner : NULL;
}

static bool is_model_name(const char *s)
{
    if (s[0] == '-')
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

static int check_agent(const struct runner *runner, const struct settings *settings,
                       struct err *err)
{
    const char *model = settings->runner_model, *named = runner->program(settings);
    char place[SETTINGS_PLACE_MAX];

    if (settings->runner_argv.len > 0)
        return err_set(err, -EINVAL,
                       "%srunner.argv has no meaning for the runner %s, which makes its own "
                       "arguments; remove it, and name another program in runner.program",
                       settings_place(settings, "runner.argv", place), runner->name);
    if (model && !is_model_name(model))
        return err_set(err, -EINVAL,
                       "%srunner.model '%s' can't be the name of a model: want one word, such as "
                       "%s",
                       settings_place(settings, "runner.model", place), model, runner->models);
    if (strchr(named, '/') && named[0] != '/')
        return err_set(err, -EINVAL,
                       "%srunner.program '%s' is neither a name nor an absolute path: it would be "
                       "looked for in each job's workspace",
                       settings_place(settings, "runner.program", place), named);
    return provider_check(runner->providers, settings, err);
}

int runner_check(const struct settings *settings, struct err *err)
{
    const struct runner *runner = runner_find(settings->runner_name);
    char place[SETTINGS_PLACE_MAX];
    int r;

    if (!runner)
        return err_set(
            err, -EINVAL,
            "%srunner.name %s is not available in this version; set it to claude, codex or "
            "opencode, or to command with the program to run in runner.argv",
            settings_place(settings, "runner.name", place), settings->runner_name);
    r = runner->providers ? check_agent(runner, settings, err) : 0;
    return r == 0 && runner->check ? runner->check(settings, err) : r;
}

const char *runner_advice(const struct settings *settings)
{
    const struct runner *runner = agent_of(settings);
    bool has_key = !runner || (runner->has_key ? runner->has_key(settings)
                                               : provider_has_any(runner->providers, settings));

    return has_key ? NULL : runner->no_key;
}

void runner_hosts(const struct settings *settings, struct strv *hosts)
{
    const struct runner *runner = agent_of(settings);

    if (runner)
        provider_add_hosts(runner->providers, settings, hosts);
}

void runner_brokers(const struct settings *settings, struct broker_list *list)
{
    const struct runner *runner = agent_of(settings);

    broker_copy_all(list, &settings->broker);
    if (runner)
        provider_add_brokers(runner->providers, settings, list);
}

bool runner_keeps(const struct settings *settings, const char *variable)
{
    const struct runner *runner = agent_of(settings);

    return runner && provider_keeps(runner->providers, settings, variable);
}

const char *runner_exposed(const struct settings *settings)
{
    const struct runner *runner = agent_of(settings);

    return runner ? provider_exposed(runner->providers, settings) : NULL;
}

static void add_pairs(const struct settings *settings, const struct settings_pairs *pairs,
                      struct strv *env)
{
    for (size_t i = 0; i < pairs->len; i++) {
        const struct settings_pair *p = &pairs->items[i];
        AUTO_FREE char *pair = mem_printf("%s=%s", p->name, p->value);

        if (!runner_keeps(settings, p->name))
            strv_add(env, pair);
        secret_wipe(pair, strlen(pair));
    }
}

/* The last setting of a name counts. */
void runner_add_env(const struct settings *settings, struct strv *env)
{
    add_pairs(settings, &settings->runner_provided, env);
    add_pairs(settings, &settings->runner_env, env);
}

bool runner_is_session(const char *id)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    return !str_is_empty(id) && strlen(id) <= RUNNER_SESSION_MAX && id[strspn(id, letters)] == '\0';
}

void runner_start_done(struct runner_start *s)
{
    strv_done(&s->argv);
    strv_done(&s->env);
    strv_done(&s->read);
    free(s->input);
    free(s->brief);
    *s = (struct runner_start){ 0 };
}

void runner_result_done(struct runner_result *r)
{
    free(r->text);
    free(r->error);
    *r = (struct runner_result){ 0 };
}
