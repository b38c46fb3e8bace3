#include "main/explain.h"

#include <errno.h>
#include <string.h>

#include "main/policy.h"
#include "runner/runner.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "task/task.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"
#include "workspace/workspace.h"

static bool is_of(const struct settings_pairs *pairs, const char *variable)
{
    for (size_t i = 0; i < pairs->len; i++) {
        size_t len = strlen(pairs->items[i].name);

        if (strncmp(variable, pairs->items[i].name, len) == 0 && variable[len] == '=')
            return true;
    }
    return false;
}

static void add_origin(const struct settings *s, const char *key, struct strv *origins)
{
    AUTO_FREE char *text = NULL;
    size_t index = 0;

    (void)table_find(key, &index); /* a row of ours: always there */
    text = mem_printf("%s, %s", key, s->origin && s->origin[index] ? s->origin[index] : "default");
    strv_add(origins, text);
}

/* The runner's variables and the operator's, and the names of the secrets. */
static void add_env(const struct settings *s, const struct strv *runner_env, struct strv *env,
                    struct strv *origins)
{
    for (size_t i = 0; i < runner_env->len; i++) {
        strv_add(env, runner_env->items[i]);
        if (is_of(&s->runner_env, runner_env->items[i])) {
            add_origin(s, "runner.env", origins);
        } else {
            AUTO_FREE char *runner = mem_printf("the runner %s", s->runner_name);

            strv_add(origins, runner);
        }
    }
    for (size_t i = 0; i < s->runner_secrets.len; i++) {
        AUTO_FREE char *pair = mem_printf("%s=", s->runner_secrets.items[i].name);

        if (runner_keeps(s, s->runner_secrets.items[i].name))
            continue;
        strv_add(env, pair);
        add_origin(s, "runner.secrets", origins);
    }
}

static int make_plan(const struct settings *s, const struct plan_ground *ground,
                     struct runner_start *start, struct plan **ret_plan, struct err *err)
{
    CLEANUP(strv_done) struct strv needs = { 0 }, read = { 0 }, env = { 0 }, origins = { 0 };
    AUTO_FREE char *workspace = mem_printf("%s/JOB/workspace", s->workspace_root);
    AUTO_FREE char *home = mem_printf("%s/JOB/home", s->workspace_root);
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    struct plan_policy policy = policy_of(s, ground, &needs);
    int r = policy_read(s, &start->argv.items[0], &start->read, &read, err);

    if (r < 0)
        return r;
    add_env(s, &start->env, &env, &origins);
    runner_brokers(s, &brokers);
    policy.brokers = &brokers;
    policy.runner_read = &read;
    policy.task_uid = policy.uid == 0 ? PLAN_JOB_UID_MIN : policy.uid;
    policy.tree_bytes = policy.disk_bytes;
    policy.workspace = workspace;
    policy.home = home;
    policy.brief = start->brief;
    policy.stdout_file = start->stdout_file;
    policy.argv = &start->argv;
    policy.env = &env;
    policy.env_origins = &origins;
    return plan_make(&policy, ret_plan, err);
}

int explain_task(const struct settings *s, const struct plan_ground *ground, struct buf *b,
                 struct err *err)
{
    const struct runner *runner = runner_find(s->runner_name);
    CLEANUP(runner_start_done) struct runner_start start = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct task *task = task_new();
    const struct runner_turn turn = { .task = task };
    int r;

    task->mode = TASK_MODE_EXECUTE;
    task->prompt = mem_strdup("a message");
    r = runner ? runner->prepare(s, &turn, &start, err)
               : err_set(err, -EINVAL, "there is no runner '%s'", s->runner_name);
    if (r == 0)
        r = make_plan(s, ground, &start, &plan, err);
    if (r == 0)
        plan_explain(plan, b);
    task_free(task);
    return r;
}
