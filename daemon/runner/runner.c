#include "runner/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude.h"
#include "runner/command.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"

static const struct runner *const runners[] = { &runner_claude, &runner_command };

const struct runner *runner_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
        if (str_eq(runners[i]->name, name))
            return runners[i];
    return NULL;
}

int runner_check(const struct settings *settings, struct err *err)
{
    const struct runner *runner = runner_find(settings->runner_name);
    char place[SETTINGS_PLACE_MAX];

    if (!runner)
        return err_set(err, -EINVAL,
                       "%srunner.name %s is not available in this version; set it to claude, or to "
                       "command with the program to run in runner.argv",
                       settings_place(settings, "runner.name", place), settings->runner_name);
    return runner->check(settings, err);
}

const char *runner_advice(const struct settings *settings)
{
    const struct runner *runner = runner_find(settings->runner_name);

    return runner ? runner->advice(settings) : NULL;
}

void runner_brokers(const struct settings *settings, struct broker_list *list)
{
    const struct runner *runner = runner_find(settings->runner_name);
    struct broker own = { 0 };

    broker_copy_all(list, &settings->broker);
    if (runner && runner->broker && runner->broker(settings, &own))
        broker_add(list, &own);
}

bool runner_keeps(const struct settings *settings, const char *variable)
{
    const struct runner *runner = runner_find(settings->runner_name);

    return runner && runner->keeps && runner->keeps(settings, variable);
}

const char *runner_exposed(const struct settings *settings)
{
    const struct runner *runner = runner_find(settings->runner_name);

    return runner && runner->exposed ? runner->exposed(settings) : NULL;
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
