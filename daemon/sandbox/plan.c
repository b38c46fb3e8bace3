#include "sandbox/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan_network.h"
#include "sandbox/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"

enum {
    TMP_MIN_BYTES = 16 << 20,
    TMP_DEFAULT_BYTES = 256 << 20, /* where memory isn't limited */
};

static const char *const profile_names[] = {
    [PLAN_STRICT] = "strict",
    [PLAN_AGENT] = "agent",
    [PLAN_HOST] = "host",
};
_Static_assert(ARRAY_SIZE(profile_names) == PLAN_PROFILE_COUNT, "a name for each profile");

const char *plan_profile_name(enum plan_profile profile)
{
    return profile_names[profile];
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->step_count; i++) {
        free(p->steps[i].target);
        free(p->steps[i].text);
    }
    free(p->steps);
    for (size_t i = 0; i < p->rule_count; i++)
        free(p->rules[i].path);
    free(p->rules);
    for (size_t i = 0; i < p->host_count; i++) {
        free(p->hosts[i].text);
        free(p->hosts[i].origin);
    }
    free(p->hosts);
    broker_done_all(&p->brokers);
    free(p->ca_file);
    if (p->proxy)
        secret_wipe(p->proxy, strlen(p->proxy)); /* a password may be in it */
    free(p->proxy);
    strv_done(&p->programs);
    strv_done(&p->argv);
    for (size_t i = 0; i < p->env.len; i++)
        secret_wipe(p->env.items[i], strlen(p->env.items[i])); /* the runner's secrets */
    strv_done(&p->env);
    free(p);
}

/* Whether path is beneath dir, or is it. */
static bool is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool plan_path_is_plain(const char *path)
{
    const char *part = path;

    if (path[0] != '/' || path[1] == '\0' || strlen(path) >= PLAN_PATH_MAX)
        return false;
    while (*part == '/') {
        size_t len = strcspn(++part, "/");

        if (len == 0 || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += len;
    }
    return true;
}

enum plan_place plan_place_of(const struct plan *p, const char *path)
{
    enum plan_place place = PLAN_PLACE_NONE;

    for (size_t i = 0; i < p->step_count; i++) { /* the last one that holds it counts */
        const struct plan_step *s = &p->steps[i];

        if (s->type == PLAN_STEP_DIR || !is_within(path, s->target))
            continue;
        place = s->type == PLAN_STEP_BIND && strcmp(s->text, s->target) == 0 ? PLAN_PLACE_HOST
                                                                             : PLAN_PLACE_OWN;
    }
    return place;
}

/* ---- steps and rules ---- */

static void add_step(struct plan *p, const struct profile_row *row)
{
    p->steps = mem_realloc(p->steps, (p->step_count + 1) * sizeof p->steps[0]);
    p->steps[p->step_count++] = (struct plan_step){
        .type = row->type,
        .flags = row->flags,
        .mode = row->mode,
        .size_bytes = row->size_bytes,
        .target = mem_strdup(row->target),
        .text = mem_strdup(row->text ? row->text : ""),
    };
}

static void add_rule(struct plan *p, const char *path, uint32_t rights)
{
    p->rules = mem_realloc(p->rules, (p->rule_count + 1) * sizeof p->rules[0]);
    p->rules[p->rule_count++] = (struct plan_rule){ .rights = rights, .path = mem_strdup(path) };
}

/* Whether some step so far makes path, or shows a tree of the host in which it lies. */
static bool is_made(const struct plan *p, const char *path)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        if (strcmp(s->target, path) == 0)
            return true;
        if (s->type == PLAN_STEP_BIND && is_within(path, s->target))
            return true;
    }
    return false;
}

/* The directories above target that aren't there yet, then the step itself. */
static void add_step_with_parents(struct plan *p, const struct profile_row *step)
{
    for (const char *end = strchr(step->target + 1, '/'); end; end = strchr(end + 1, '/')) {
        AUTO_FREE char *parent = mem_strndup(step->target, (size_t)(end - step->target));

        if (!is_made(p, parent))
            add_step(
                p, &(struct profile_row){ .type = PLAN_STEP_DIR, .mode = 0755, .target = parent });
    }
    add_step(p, step);
}

static uint64_t share_of_memory(const struct plan *p, uint64_t divisor)
{
    uint64_t bytes = p->memory_bytes ? p->memory_bytes / divisor : TMP_DEFAULT_BYTES;

    return bytes < TMP_MIN_BYTES ? TMP_MIN_BYTES : bytes;
}

static void add_profile(struct plan *p)
{
    size_t count;
    const struct profile_row *rows = profile_rows(&count);

    for (size_t i = 0; i < count; i++) {
        struct profile_row step = rows[i];

        if (!(rows[i].profiles & profile_bit(p->profile)))
            continue;
        if (p->network == PLAN_NETWORK_HOST && strcmp(step.target, "/etc/hosts") == 0) {
            /* the host's network has the host's names */
            step.type = PLAN_STEP_BIND;
            step.text = step.target;
            step.flags = PLAN_OPTIONAL;
        }
        add_step_with_parents(p, &step);
        if (step.type == PLAN_STEP_BIND && !(step.flags & PLAN_DEVICE) &&
            !is_within(step.target, "/etc"))
            add_rule(p, step.target, PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_EXECUTE);
    }
    add_rule(p, "/", PLAN_MAY_LIST);
    add_rule(p, "/etc", PLAN_MAY_LIST | PLAN_MAY_READ);
    add_rule(p, "/proc", PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_WRITE);
    add_rule(p, "/dev", PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_WRITE);
}

/* Before the operator's paths, which may lie in /tmp. */
static void add_private_places(struct plan *p)
{
    add_step_with_parents(p, &(struct profile_row){ .type = PLAN_STEP_TMPFS,
                                                    .target = "/tmp",
                                                    .mode = 01777,
                                                    .size_bytes = share_of_memory(p, 4) });
    add_step_with_parents(p, &(struct profile_row){ .type = PLAN_STEP_TMPFS,
                                                    .target = "/dev/shm",
                                                    .mode = 01777,
                                                    .flags = PLAN_NOEXEC,
                                                    .size_bytes = share_of_memory(p, 8) });
    add_step_with_parents(
        p, &(struct profile_row){ .type = PLAN_STEP_LINK, .target = "/var/tmp", .text = "/tmp" });
    add_rule(p, "/tmp", PLAN_RIGHTS_ALL);
    add_rule(p, "/dev/shm", PLAN_RIGHTS_ALL & ~(uint32_t)PLAN_MAY_EXECUTE);
}

static void add_job_places(struct plan *p, const struct plan_policy *policy)
{
    const uint32_t all = PLAN_RIGHTS_ALL;

    add_step_with_parents(
        p, &(struct profile_row){ .type = policy->home ? PLAN_STEP_BIND : PLAN_STEP_TMPFS,
                                  .target = PLAN_HOME,
                                  .text = policy->home,
                                  .flags = policy->home ? PLAN_WRITABLE : 0,
                                  .mode = 0700,
                                  .size_bytes = policy->home ? 0 : share_of_memory(p, 4) });
    add_step_with_parents(
        p, &(struct profile_row){ .type = PLAN_STEP_BIND,
                                  .target = PLAN_WORKSPACE,
                                  .text = policy->workspace,
                                  .flags = policy->workspace_read_only ? 0 : PLAN_WRITABLE });
    add_rule(p, PLAN_HOME, all);
    add_rule(p, PLAN_WORKSPACE,
             policy->workspace_read_only ? PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_EXECUTE : all);
}

static int add_brief(struct plan *p, const char *brief, struct err *err)
{
    if (!brief)
        return 0;
    if (strlen(brief) > PLAN_BRIEF_MAX)
        return err_set(err, -E2BIG,
                       "the instructions for the program (system prompt) are %zu KiB long, at most "
                       "%d KiB are possible; shorten the agent's system prompt",
                       strlen(brief) / 1024, PLAN_BRIEF_MAX / 1024);
    add_step_with_parents(
        p, &(struct profile_row){
               .type = PLAN_STEP_FILE, .target = PLAN_BRIEF, .text = brief, .mode = 0444 });
    add_rule(p, PLAN_BRIEF, PLAN_MAY_READ);
    return 0;
}

/* ---- the operator's further paths ---- */

struct extra {
    const char *path;
    bool writable;
};

static int by_path(const void *a, const void *b)
{
    const struct extra *x = a, *y = b;
    int r = strcmp(x->path, y->path);

    return r != 0 ? r : (int)x->writable - (int)y->writable;
}

static int check_extra(const char *path, bool writable, struct err *err)
{
    /* Ours to fill; a host path there would replace a wall, or lie in what a task can change. Only
     * in the last one, which is empty when we begin, there may be some. */
    static const char *const ours[] = { "/proc",   "/dev",     "/sys",     PLAN_WORKSPACE,
                                        PLAN_HOME, PLAN_BRIEF, "/var/tmp", "/tmp" };
    const size_t ours_count = ARRAY_SIZE(ours);
    static const char *const system[] = { "/usr",   "/bin",    "/sbin", "/lib", "/lib32",
                                          "/lib64", "/libx32", "/etc",  "/boot" };
    const char *key = writable ? "sandbox.write" : "sandbox.read";

    if (!plan_path_is_plain(path))
        return err_set(err, -EINVAL,
                       "%s: '%s' can't be shown: want an absolute path without '.', '..' and '//', "
                       "and not the whole of '/'",
                       key, path);
    for (size_t i = 0; i < ours_count; i++)
        if (is_within(ours[i], path) || (i + 1 < ours_count && is_within(path, ours[i])))
            return err_set(err, -EINVAL,
                           "%s: '%s' can't be shown: the sandbox has its own '%s'; name another "
                           "directory",
                           key, path, ours[i]);
    for (size_t i = 0; writable && i < ARRAY_SIZE(system); i++)
        if (strcmp(path, system[i]) == 0)
            return err_set(err, -EINVAL,
                           "sandbox.write: '%s' is the host's system, which no task may write; "
                           "name the directory below it that is meant",
                           path);
    return 0;
}

static int collect_extra(const struct strv *paths, bool writable, struct extra *extra,
                         size_t *count, struct err *err)
{
    for (size_t i = 0; paths && i < paths->len; i++) {
        int r = check_extra(paths->items[i], writable, err);

        if (r < 0)
            return r;
        extra[(*count)++] = (struct extra){ paths->items[i], writable };
    }
    return 0;
}

static int add_extra(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    size_t most = (policy->read ? policy->read->len : 0) + (policy->write ? policy->write->len : 0),
           count = 0;
    AUTO_FREE struct extra *extra = mem_calloc(most + 1, sizeof extra[0]);
    int r;

    if (most > PLAN_EXTRA_MAX)
        return err_set(err, -EINVAL,
                       "sandbox.read and sandbox.write name %zu paths, at most %d are possible; "
                       "name directories above them",
                       most, PLAN_EXTRA_MAX);
    r = collect_extra(policy->read, false, extra, &count, err);
    if (r == 0)
        r = collect_extra(policy->write, true, extra, &count, err);
    if (r < 0)
        return r;
    qsort(extra, count, sizeof extra[0], by_path); /* what lies above comes first */
    for (size_t i = 0; i < count; i++) {
        uint32_t rights = PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_EXECUTE;

        if (i + 1 < count && strcmp(extra[i].path, extra[i + 1].path) == 0)
            continue; /* twice: the writable one, which comes last, says all */
        if (extra[i].writable)
            rights |= PLAN_MAY_CHANGE | PLAN_MAY_WRITE;
        add_step_with_parents(
            p, &(struct profile_row){ .type = PLAN_STEP_BIND,
                                      .target = extra[i].path,
                                      .text = extra[i].path,
                                      .flags = extra[i].writable ? PLAN_WRITABLE : 0 });
        add_rule(p, extra[i].path, rights);
    }
    return 0;
}

/* ---- the program ---- */

static const char *const base_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ("HOME=" PLAN_HOME),
    "USER=agent",
    "LOGNAME=agent",
    "SHELL=/bin/sh",
    "LANG=C.UTF-8",
    "TMPDIR=/tmp",
    "TERM=dumb",
};

static bool has_same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* The last setting of a name wins. */
static void set_env(struct strv *env, const char *pair)
{
    for (size_t i = 0; i < env->len; i++) {
        if (has_same_name(pair, env->items[i])) {
            free(env->items[i]);
            env->items[i] = mem_strdup(pair);
            return;
        }
    }
    strv_add(env, pair);
}

static int add_env(struct plan *p, const struct strv *env, struct err *err)
{
    CLEANUP(strv_done) struct strv proxy = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(base_env); i++)
        set_env(&p->env, base_env[i]);
    plan_network_env(p, &proxy);
    for (size_t i = 0; i < proxy.len; i++)
        set_env(&p->env, proxy.items[i]);
    if (env && env->len > PLAN_STRINGS_MAX / 2)
        return err_set(err, -EINVAL, "the environment has %zu variables, at most %d are possible",
                       env->len, PLAN_STRINGS_MAX / 2);
    for (size_t i = 0; env && i < env->len; i++) {
        const char *equals = strchr(env->items[i], '=');

        if (!equals || equals == env->items[i])
            return err_set(err, -EINVAL, "environment: entry %zu isn't of the form NAME=value", i);
        set_env(&p->env, env->items[i]);
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

/* ---- the whole ---- */

static int find_profile(const char *name, enum plan_profile *ret_profile, struct err *err)
{
    for (size_t i = 0; name && i < PLAN_PROFILE_COUNT; i++) {
        if (strcmp(profile_names[i], name) == 0) {
            *ret_profile = (enum plan_profile)i;
            return 0;
        }
    }
    return err_set(err, -EINVAL, "sandbox.profile: '%s' is none of strict, agent, host",
                   name ? name : "");
}

static int check_directory(const char *what, const char *path, struct err *err)
{
    if (!path || !plan_path_is_plain(path) || is_within(path, "/proc") || is_within(path, "/sys") ||
        is_within(path, "/dev"))
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
    return 0;
}

static int fill(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    int r = find_profile(policy->profile, &p->profile, err);

    if (r == 0)
        r = check_ids(policy, err);
    if (r == 0)
        r = check_directory("workspace", policy->workspace, err);
    if (r == 0 && policy->home)
        r = check_directory("home", policy->home, err);
    if (r < 0)
        return r;
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
    if (r < 0)
        return r;
    add_profile(p);
    add_private_places(p);
    r = add_extra(p, policy, err);
    if (r < 0)
        return r;
    add_job_places(p, policy);
    r = add_brief(p, policy->brief, err);
    if (r < 0)
        return r;
    if (p->step_count > PLAN_STEPS_MAX || p->rule_count > PLAN_RULES_MAX)
        return err_set(
            err, -EINVAL,
            "sandbox.read and sandbox.write need %zu steps, at most %d are possible; name "
            "fewer and less deep paths",
            p->step_count, PLAN_STEPS_MAX);
    r = add_env(p, policy->env, err);
    return r < 0 ? r : add_argv(p, policy->argv, err);
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
