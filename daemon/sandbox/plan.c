#include "sandbox/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan_bare.h"
#include "sandbox/plan_env.h"
#include "sandbox/plan_network.h"
#include "sandbox/plan_origin.h"
#include "sandbox/plan_paths.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"

/* Of one that was made here. */
static void free_texts(struct plan *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        free(p->steps[i].target);
        free(p->steps[i].text);
    }
    for (size_t i = 0; i < p->rule_count; i++)
        free(p->rules[i].path);
    for (size_t i = 0; i < p->host_count; i++)
        free(p->hosts[i].text);
    free(p->directory);
    free(p->scratch);
    free(p->brief);
    free(p->ca_file);
    if (p->proxy)
        secret_wipe(p->proxy, strlen(p->proxy)); /* a password may be in it */
    free(p->proxy);
    for (size_t i = 0; i < p->env.len; i++)
        secret_wipe(p->env.items[i], strlen(p->env.items[i])); /* the runner's secrets */
    strv_done(&p->links);
    strv_done(&p->programs);
    strv_done(&p->argv);
    strv_done(&p->env);
}

/* Of one that was read: they lie in its bytes. */
static void free_bytes(struct plan *p)
{
    secret_wipe(p->bytes, p->bytes_len);
    free(p->bytes);
    free(p->links.items);
    free(p->programs.items);
    free(p->argv.items);
    free(p->env.items);
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    if (p->bytes)
        free_bytes(p);
    else
        free_texts(p);
    free(p->steps);
    free(p->rules);
    free(p->hosts);
    broker_done_all(&p->brokers);
    free(p->profile);
    strv_done(&p->origins);
    free(p->env_origins);
    free(p);
}

bool plan_path_is_plain(const char *path)
{
    return profile_path_is_plain(path);
}

uid_t plan_lone_uid(pid_t pid)
{
    /* no machine has pids beyond its kernel's most, 4194304 */
    return (uid_t)(PLAN_LONE_UID_MIN + (uid_t)pid % (PLAN_LONE_UID_MAX - PLAN_LONE_UID_MIN + 1));
}

enum plan_place plan_place_of(const struct plan *p, const char *path)
{
    enum plan_place place = PLAN_PLACE_NONE;

    for (size_t i = 0; i < p->step_count; i++) { /* the last one that holds it counts */
        const struct plan_step *s = &p->steps[i];

        if (s->type == PLAN_STEP_DIR || !plan_paths_is_within(path, s->target))
            continue;
        place = s->type == PLAN_STEP_BIND && strcmp(s->text, s->target) == 0 ? PLAN_PLACE_HOST
                                                                             : PLAN_PLACE_OWN;
    }
    return place;
}

/* ---- the whole ---- */

static int check_directory(const char *what, const char *path, struct err *err)
{
    if (!path || !plan_path_is_plain(path) || plan_paths_is_within(path, "/proc") ||
        plan_paths_is_within(path, "/sys") || plan_paths_is_within(path, "/dev"))
        return err_set(err, -EINVAL,
                       "the %s '%s' can't be a task's: want the absolute path of a directory, "
                       "without '.', '..' and '//', and not '/', /proc, /sys or /dev",
                       what, path ? path : "");
    return 0;
}

static int check_ids(const struct plan_policy *policy, struct err *err)
{
    if (policy->uid == 0 && (policy->task_uid == 0 || policy->task_uid == (uid_t)-1))
        return err_set(
            err, -EINVAL,
            "as root a task needs a user id of its own, which is never 0; none was given");
    if (policy->uid != 0 && policy->ground.rung == PLAN_RUNG_ROOT)
        return err_set(err, -EINVAL, "only root has namespaces without one of users");
    return 0;
}

static int fill(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    int r = check_ids(policy, err);

    if (r == 0)
        r = check_directory("workspace", policy->workspace, err);
    if (r == 0 && policy->home)
        r = check_directory("home", policy->home, err);
    if (r == 0 && policy->attachments)
        r = check_directory("attachments", policy->attachments, err);
    if (r < 0)
        return r;
    p->profile = mem_strdup(policy->profile->name);
    plan_origin_begin(p, policy);
    p->ground = policy->ground;
    p->directory = mem_strdup(PLAN_WORKSPACE);
    p->scratch = mem_strdup("");
    p->brief = mem_strdup("");
    p->calls = policy->profile->calls;
    p->calls_origin = plan_origin_profile(p, policy, policy->profile->calls_line);
    p->stdout_file = policy->stdout_file;
    p->as_root = policy->uid == 0;
    p->outer_uid = p->as_root ? policy->task_uid : policy->uid;
    p->memory_bytes = policy->memory_bytes;
    p->disk_bytes = policy->disk_bytes;
    p->pids = policy->pids;
    p->files = policy->files;
    p->cpu_percent = policy->cpu_percent;
    p->tree_bytes = policy->tree_bytes;
    p->cpu_time_ms = policy->cpu_time_ms;
    r = plan_network_add(p, policy, err);
    if (r == 0)
        r = plan_paths_add(p, policy, err);
    if (r == 0)
        r = plan_env_add(p, policy, err);
    return r == 0 && p->ground.rung == PLAN_RUNG_BARE ? plan_bare_convert(p, policy, err) : r;
}

int plan_make(const struct plan_policy *policy, struct plan **ret_plan, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *p = mem_new(struct plan);
    int r = fill(p, policy, err);

    if (r < 0)
        return r;
    *ret_plan = TAKE_PTR(p);
    return 0;
}
