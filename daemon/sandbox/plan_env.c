#include "sandbox/plan_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan_network.h"
#include "sandbox/plan_origin.h"
#include "settings/profile.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

static bool has_same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* The last setting of a name wins. */
static void set_env(struct plan *p, const char *pair, uint32_t origin)
{
    for (size_t i = 0; i < p->env.len; i++) {
        if (has_same_name(pair, p->env.items[i])) {
            free(p->env.items[i]);
            p->env.items[i] = mem_strdup(pair);
            p->env_origins[i] = origin;
            return;
        }
    }
    strv_add(&p->env, pair);
    p->env_origins = mem_realloc(p->env_origins, p->env.len * sizeof p->env_origins[0]);
    p->env_origins[p->env.len - 1] = origin;
}

static void add_profile_env(struct plan *p, const struct plan_policy *policy)
{
    const struct profile_list *env = &policy->profile->env;

    for (size_t i = 0; i < env->len; i++) {
        AUTO_FREE char *pair = mem_printf("%s=%s", env->items[i].name, env->items[i].text);

        set_env(p, pair, plan_origin_profile(p, policy, env->items[i].line));
    }
}

static void add_proxy_env(struct plan *p)
{
    CLEANUP(strv_done) struct strv proxy = { 0 };

    plan_network_env(p, &proxy);
    for (size_t i = 0; i < proxy.len; i++)
        set_env(p, proxy.items[i], p->word_origins[PLAN_WORD_NETWORK]);
}

static int add_env(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    const struct strv *env = policy->env, *origins = policy->env_origins;
    uint32_t runner = plan_origin_add(p, "the runner %s", policy->runner ? policy->runner : "");

    add_profile_env(p, policy);
    add_proxy_env(p);
    if (env && env->len > PLAN_STRINGS_MAX / 2)
        return err_set(err, -EINVAL, "the environment has %zu variables, at most %d are possible",
                       env->len, PLAN_STRINGS_MAX / 2);
    for (size_t i = 0; env && i < env->len; i++) {
        const char *equals = strchr(env->items[i], '=');
        bool is_told = origins && i < origins->len;

        if (!equals || equals == env->items[i])
            return err_set(err, -EINVAL, "environment: entry %zu isn't of the form NAME=value", i);
        set_env(p, env->items[i], is_told ? plan_origin_add(p, "%s", origins->items[i]) : runner);
    }
    return 0;
}

static void add_programs(struct plan *p)
{
    const char *name = p->argv.items[0], *path = "";

    if (strchr(name, '/')) {
        strv_add(&p->programs, name);
        return;
    }
    for (size_t i = 0; i < p->env.len; i++)
        if (str_starts_with(p->env.items[i], "PATH="))
            path = p->env.items[i] + strlen("PATH=");
    while (*path) {
        size_t len = strcspn(path, ":");

        if (len > 0 && path[0] == '/' && p->programs.len < PLAN_STRINGS_MAX) {
            AUTO_FREE char *program = mem_printf("%.*s/%s", (int)len, path, name);

            strv_add(&p->programs, program);
        }
        path += len;
        path += strspn(path, ":");
    }
    if (p->programs.len == 0) /* PATH is empty: execve(2) will say that it isn't there */
        strv_add(&p->programs, name);
}

static int add_argv(struct plan *p, const struct strv *argv, struct err *err)
{
    size_t bytes = 0;

    if (!argv || argv->len == 0 || argv->items[0][0] == '\0')
        return err_set(err, -EINVAL, "no program is named; set runner.argv or runner.program");
    if (argv->len > PLAN_STRINGS_MAX)
        return err_set(err, -EINVAL, "the command has %zu arguments, at most %d are possible",
                       argv->len, PLAN_STRINGS_MAX);
    strv_copy(&p->argv, argv);
    for (size_t i = 0; i < p->argv.len + p->env.len; i++) {
        const char *s = i < p->argv.len ? p->argv.items[i] : p->env.items[i - p->argv.len];
        size_t len = strlen(s) + 1;

        bytes += len;
        if (len > PLAN_STRING_MAX || bytes > PLAN_BYTES_MAX / 2)
            return err_set(err, -EINVAL,
                           "the command's arguments and environment are too large: at most %d KiB "
                           "each and %d KiB together; pass large input on standard input",
                           PLAN_STRING_MAX / 1024, PLAN_BYTES_MAX / 2 / 1024);
    }
    add_programs(p);
    return 0;
}

int plan_env_add(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    int r = add_env(p, policy, err);

    return r < 0 ? r : add_argv(p, policy->argv, err);
}
