#include "sandbox/plan_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/plan_origin.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum {
    TMP_MIN_BYTES = 16 << 20,
    TMP_DEFAULT_BYTES = 256 << 20, /* where memory isn't limited */
};

bool plan_paths_is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* ---- steps and rules ---- */

/* A struct plan_step of strings that are the caller's; text may be NULL. */
struct part {
    enum plan_step_type type;
    uint32_t flags;
    uint32_t mode;
    uint64_t size_bytes;
    const char *target;
    const char *text;
    uint32_t origin;
};

static void add_step(struct plan *p, const struct part *part)
{
    p->steps = mem_realloc(p->steps, (p->step_count + 1) * sizeof p->steps[0]);
    p->steps[p->step_count++] = (struct plan_step){
        .type = part->type,
        .flags = part->flags,
        .mode = part->mode,
        .size_bytes = part->size_bytes,
        .target = mem_strdup(part->target),
        .text = mem_strdup(part->text ? part->text : ""),
        .origin = part->origin,
    };
}

uint32_t plan_paths_rights(const struct plan *p, const char *path)
{
    uint32_t rights = 0;

    for (size_t i = 0; i < p->rule_count; i++)
        if (strcmp(p->rules[i].path, "/") == 0 || plan_paths_is_within(path, p->rules[i].path))
            rights |= p->rules[i].rights;
    return rights;
}

void plan_paths_allow(struct plan *p, const char *path, uint32_t rights, uint32_t origin)
{
    if ((plan_paths_rights(p, path) & rights) == rights)
        return;
    p->rules = mem_realloc(p->rules, (p->rule_count + 1) * sizeof p->rules[0]);
    p->rules[p->rule_count++] =
        (struct plan_rule){ .rights = rights, .path = mem_strdup(path), .origin = origin };
}

/* Whether some step so far makes path, or shows a tree of the host in which it lies. */
static bool is_made(const struct plan *p, const char *path)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];

        if (strcmp(s->target, path) == 0)
            return true;
        if (s->type == PLAN_STEP_BIND && plan_paths_is_within(path, s->target))
            return true;
    }
    return false;
}

/* The directories above target that aren't there yet, then the step itself. */
static void add_step_with_parents(struct plan *p, const struct part *step)
{
    for (const char *end = strchr(step->target + 1, '/'); end; end = strchr(end + 1, '/')) {
        AUTO_FREE char *parent = mem_strndup(step->target, (size_t)(end - step->target));

        if (!is_made(p, parent))
            add_step(p, &(struct part){ .type = PLAN_STEP_DIR,
                                        .mode = 0755,
                                        .target = parent,
                                        .origin = step->origin });
    }
    add_step(p, step);
}

static uint64_t share_of_memory(const struct plan *p, uint64_t divisor)
{
    uint64_t bytes = p->memory_bytes ? p->memory_bytes / divisor : TMP_DEFAULT_BYTES;

    return bytes < TMP_MIN_BYTES ? TMP_MIN_BYTES : bytes;
}

/* ---- the profile's ---- */

static void add_path(struct plan *p, const struct profile_entry *entry, uint32_t origin)
{
    uint32_t rights = PLAN_MAY_LIST | PLAN_MAY_READ, flags = 0;

    if (entry->words & PROFILE_EXECUTE)
        rights |= PLAN_MAY_EXECUTE;
    if (entry->words & PROFILE_OPTIONAL)
        flags |= PLAN_OPTIONAL;
    if (entry->words & PROFILE_MIRROR)
        flags |= PLAN_MIRROR;
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_BIND,
                                             .flags = flags,
                                             .target = entry->name,
                                             .text = entry->name,
                                             .origin = origin });
    plan_paths_allow(p, entry->name, rights, origin);
}

static void add_device(struct plan *p, const struct profile_entry *entry, uint32_t origin)
{
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_BIND,
                                             .flags = PLAN_DEVICE | PLAN_WRITABLE | PLAN_NOEXEC,
                                             .target = entry->name,
                                             .text = entry->name,
                                             .origin = origin });
}

static void add_link(struct plan *p, const struct profile_entry *entry, uint32_t origin)
{
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_LINK,
                                             .target = entry->name,
                                             .text = entry->text,
                                             .origin = origin });
}

/* Without a user namespace the task is inside who it is outside. */
static char *name_user(const char *accounts, uid_t uid)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    const char *inner = "1000", *found;

    while ((found = strstr(accounts, inner))) {
        buf_append(&b, accounts, (size_t)(found - accounts));
        buf_printf(&b, "%u", (unsigned)uid);
        accounts = found + strlen(inner);
    }
    buf_append_str(&b, accounts);
    return buf_steal(&b);
}

static bool names_users(const char *path)
{
    return strcmp(path, "/etc/passwd") == 0 || strcmp(path, "/etc/group") == 0;
}

static void add_file(struct plan *p, const struct profile_entry *entry, uint32_t origin)
{
    struct part step = { .type = PLAN_STEP_FILE,
                         .mode = 0444,
                         .target = entry->name,
                         .text = entry->text,
                         .origin = origin };

    AUTO_FREE char *accounts = NULL;

    if (p->ground.rung == PLAN_RUNG_ROOT && names_users(entry->name))
        step.text = accounts = name_user(entry->text, p->outer_uid);
    if (p->network == PLAN_NETWORK_HOST && strcmp(entry->name, "/etc/hosts") == 0) {
        /* the host's network has the host's names */
        step.type = PLAN_STEP_BIND;
        step.text = step.target;
        step.flags = PLAN_OPTIONAL;
        step.origin = p->word_origins[PLAN_WORD_NETWORK];
    }
    add_step_with_parents(p, &step);
}

static void
add_list(struct plan *p, const struct plan_policy *policy, const struct profile_list *list,
         void (*add)(struct plan *p, const struct profile_entry *entry, uint32_t origin))
{
    for (size_t i = 0; i < list->len; i++)
        add(p, &list->items[i], plan_origin_profile(p, policy, list->items[i].line));
}

static void add_terminals(struct plan *p, const struct plan_policy *policy)
{
    uint32_t origin;

    if (!policy->profile->terminals)
        return;
    origin = plan_origin_profile(p, policy, policy->profile->terminals_line);
    add_step_with_parents(
        p, &(struct part){ .type = PLAN_STEP_DEVPTS, .target = "/dev/pts", .origin = origin });
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_LINK,
                                             .target = "/dev/ptmx",
                                             .text = "pts/ptmx",
                                             .origin = origin });
}

static void add_proc(struct plan *p)
{
    bool is_host = p->ground.host_proc;

    add_step_with_parents(p, &(struct part){ .type = is_host ? PLAN_STEP_BIND : PLAN_STEP_PROC,
                                             .flags = is_host ? PLAN_NOEXEC : 0,
                                             .target = "/proc",
                                             .text = is_host ? "/proc" : NULL,
                                             .origin = PLAN_ORIGIN_EVERY_TASK });
}

static void add_profile(struct plan *p, const struct plan_policy *policy)
{
    const uint32_t origin = PLAN_ORIGIN_EVERY_TASK;

    plan_paths_allow(p, "/", PLAN_MAY_LIST, origin);
    plan_paths_allow(p, "/etc", PLAN_MAY_LIST | PLAN_MAY_READ, origin);
    /* Not written: oom_score_adj would let a task outlive the daemon when memory is short. */
    plan_paths_allow(p, "/proc", PLAN_MAY_LIST | PLAN_MAY_READ, origin);
    plan_paths_allow(p, "/dev", PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_WRITE, origin);
    add_list(p, policy, &policy->profile->paths, add_path);
    add_list(p, policy, &policy->profile->files, add_file);
    add_proc(p);
    add_list(p, policy, &policy->profile->devices, add_device);
    add_list(p, policy, &policy->profile->links, add_link);
    add_terminals(p, policy);
}

/* ---- every task's ---- */

/* Before the operator's paths, which may lie in /tmp. */
static void add_private_places(struct plan *p)
{
    uint32_t origin =
        plan_origin_add(p, "every task; the size is a share of sandbox.limits.memory");

    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_TMPFS,
                                             .target = "/tmp",
                                             .mode = 01777,
                                             .size_bytes = share_of_memory(p, 4),
                                             .origin = origin });
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_TMPFS,
                                             .target = "/dev/shm",
                                             .mode = 01777,
                                             .flags = PLAN_NOEXEC,
                                             .size_bytes = share_of_memory(p, 8),
                                             .origin = origin });
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_LINK,
                                             .target = "/var/tmp",
                                             .text = "/tmp",
                                             .origin = PLAN_ORIGIN_EVERY_TASK });
    plan_paths_allow(p, "/tmp", PLAN_RIGHTS_ALL, origin);
    plan_paths_allow(p, "/dev/shm", PLAN_RIGHTS_ALL & ~(uint32_t)PLAN_MAY_EXECUTE, origin);
}

static void add_job_places(struct plan *p, const struct plan_policy *policy)
{
    const uint32_t all = PLAN_RIGHTS_ALL, job = plan_origin_add(p, "the job");
    const uint32_t shown = PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_EXECUTE;

    add_step_with_parents(p,
                          &(struct part){ .type = policy->home ? PLAN_STEP_BIND : PLAN_STEP_TMPFS,
                                          .target = PLAN_HOME,
                                          .text = policy->home,
                                          .flags = policy->home ? PLAN_WRITABLE : 0,
                                          .mode = 0700,
                                          .size_bytes = policy->home ? 0 : share_of_memory(p, 4),
                                          .origin = job });
    add_step_with_parents(p,
                          &(struct part){ .type = PLAN_STEP_BIND,
                                          .target = PLAN_WORKSPACE,
                                          .text = policy->workspace,
                                          .flags = policy->workspace_read_only ? 0 : PLAN_WRITABLE,
                                          .origin = job });
    if (policy->attachments) {
        add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_BIND,
                                                 .target = PLAN_ATTACHMENTS,
                                                 .text = policy->attachments,
                                                 .flags = PLAN_NOEXEC,
                                                 .origin = job });
        plan_paths_allow(p, PLAN_ATTACHMENTS, PLAN_MAY_LIST | PLAN_MAY_READ, job);
    }
    plan_paths_allow(p, PLAN_HOME, all, job);
    plan_paths_allow(p, PLAN_WORKSPACE, policy->workspace_read_only ? shown : all, job);
}

static int add_brief(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    uint32_t origin;

    if (!policy->brief)
        return 0;
    if (strlen(policy->brief) > PLAN_BRIEF_MAX)
        return err_set(err, -E2BIG,
                       "the instructions for the program (system prompt) are %zu KiB long, at most "
                       "%d KiB are possible; shorten the agent's system prompt",
                       strlen(policy->brief) / 1024, PLAN_BRIEF_MAX / 1024);
    origin = plan_origin_add(p, "the agent's instructions");
    add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_FILE,
                                             .target = PLAN_BRIEF,
                                             .text = policy->brief,
                                             .mode = 0444,
                                             .origin = origin });
    plan_paths_allow(p, PLAN_BRIEF, PLAN_MAY_READ, origin);
    return 0;
}

static int add_shown(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    uint32_t origin = plan_origin_add(p, "the control plane's artifacts");

    for (size_t i = 0; i < policy->shown_count; i++) {
        const struct plan_shown *s = &policy->shown[i];
        struct part part = { .type = PLAN_STEP_BIND,
                             .flags = PLAN_AMID,
                             .target = s->inside,
                             .text = s->outside,
                             .origin = origin };

        if (!s->outside)
            continue;
        if (!plan_path_is_plain(s->outside) || !plan_path_is_plain(s->inside))
            return err_set(err, -EINVAL, "'%s' can't be shown at '%s'", s->outside, s->inside);
        if (plan_paths_is_within(s->inside, PLAN_HOME)) {
            add_step(p, &part);
            continue;
        }
        part.flags = PLAN_NOEXEC;
        add_step_with_parents(p, &part);
        plan_paths_allow(p, s->inside, PLAN_MAY_LIST | PLAN_MAY_READ, origin);
    }
    return 0;
}

/* ---- the operator's further paths ---- */

struct extra {
    const char *path;
    bool writable;
    uint32_t origin;
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
    static const char *const ours[] = { "/proc",        "/dev",           "/sys",
                                        PLAN_WORKSPACE, PLAN_HOME,        PLAN_BRIEF,
                                        "/var/tmp",     PLAN_ATTACHMENTS, "/tmp" };
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
        if (plan_paths_is_within(ours[i], path) ||
            (i + 1 < ours_count && plan_paths_is_within(path, ours[i])))
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

/* Those that come from one place. */
static int collect_extra(const struct strv *paths, const struct extra *like, struct extra *extra,
                         size_t *count, struct err *err)
{
    for (size_t i = 0; paths && i < paths->len; i++) {
        int r = check_extra(paths->items[i], like->writable, err);

        if (r < 0)
            return r;
        extra[*count] = *like;
        extra[(*count)++].path = paths->items[i];
    }
    return 0;
}

static void add_sorted(struct plan *p, const struct extra *extra, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t rights = PLAN_MAY_LIST | PLAN_MAY_READ | PLAN_MAY_EXECUTE;

        if (i + 1 < count && strcmp(extra[i].path, extra[i + 1].path) == 0)
            continue; /* twice: the writable one, which comes last, says all */
        if (extra[i].writable)
            rights |= PLAN_MAY_CHANGE | PLAN_MAY_WRITE;
        add_step_with_parents(p, &(struct part){ .type = PLAN_STEP_BIND,
                                                 .target = extra[i].path,
                                                 .text = extra[i].path,
                                                 .flags = extra[i].writable ? PLAN_WRITABLE : 0,
                                                 .origin = extra[i].origin });
        plan_paths_allow(p, extra[i].path, rights, extra[i].origin);
    }
}

static size_t count_of(const struct strv *paths)
{
    return paths ? paths->len : 0;
}

static int add_extra(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    size_t most = count_of(policy->read) + count_of(policy->write) + count_of(policy->runner_read),
           count = 0;
    AUTO_FREE struct extra *extra = mem_calloc(most + 1, sizeof extra[0]);
    const struct extra runner = { .origin = plan_origin_add(p, "the runner %s",
                                                            policy->runner ? policy->runner : "") };
    const struct extra read = { .origin = p->word_origins[PLAN_WORD_READ] };
    const struct extra write = { .origin = p->word_origins[PLAN_WORD_WRITE], .writable = true };
    int r;

    if (most > PLAN_EXTRA_MAX)
        return err_set(err, -EINVAL,
                       "sandbox.read and sandbox.write name %zu paths, at most %d are possible; "
                       "name directories above them",
                       most, PLAN_EXTRA_MAX);
    r = collect_extra(policy->runner_read, &runner, extra, &count, err);
    if (r == 0)
        r = collect_extra(policy->read, &read, extra, &count, err);
    if (r == 0)
        r = collect_extra(policy->write, &write, extra, &count, err);
    if (r < 0)
        return r;
    qsort(extra, count, sizeof extra[0], by_path); /* what lies above comes first */
    add_sorted(p, extra, count);
    return 0;
}

int plan_paths_add(struct plan *p, const struct plan_policy *policy, struct err *err)
{
    int r;

    add_profile(p, policy);
    add_private_places(p);
    r = add_extra(p, policy, err);
    if (r < 0)
        return r;
    add_job_places(p, policy);
    r = add_brief(p, policy, err);
    if (r == 0)
        r = add_shown(p, policy, err);
    if (r == 0 && (p->step_count > PLAN_STEPS_MAX || p->rule_count > PLAN_RULES_MAX))
        r = err_set(err, -EINVAL,
                    "sandbox.read and sandbox.write need %zu steps, at most %d are possible; name "
                    "fewer and less deep paths",
                    p->step_count, PLAN_STEPS_MAX);
    return r;
}
