#include "sandbox/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/birth.h"
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/handover.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "sandbox/plan_shared.h"
#include "sandbox/tree.h"
#include "settings/profile.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

/* One for each set of calls that a profile names. */
struct task_filter {
    uint32_t calls;
    struct filter *filter;
    struct filter *first; /* of filter_first_part(); NULL where there is not all that it takes */
};

struct apply {
    struct task_filter *filters;
    size_t filter_count;
    struct filter *egress, *survey, *bare, *offline, *second;
    struct plan_ground ground;
    int landlock_abi;
    int watch; /* of apply_watch(), or -1 */
};

/* NULL: no profile has these calls. */
static const struct task_filter *find_pair(const struct apply *a, uint32_t calls)
{
    for (size_t i = 0; i < a->filter_count; i++)
        if (a->filters[i].calls == calls)
            return &a->filters[i];
    return NULL;
}

static const struct filter *find_filter(const struct apply *a, uint32_t calls)
{
    const struct task_filter *found = find_pair(a, calls);

    return found ? found->filter : NULL;
}

/* What is done with the first part of a filter loaded, besides that part's own. */
static bool can_begin_with(uint32_t calls)
{
    const uint32_t needed = PROFILE_FILES | PROFILE_MEMORY | PROFILE_SELF | PROFILE_SIGNALS |
                            PROFILE_SOCKETS | PROFILE_PROGRAMS;

    return (calls & needed) == needed;
}

static int add_filter(struct apply *a, const char *profile_name, struct err *err)
{
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    struct filter *filter = NULL;
    int r = profile_load(profile_name, &profile, err);

    if (r < 0 || find_filter(a, profile->calls))
        return r;
    r = filter_new(FILTER_TASK, profile->calls, &filter, err);
    if (r < 0)
        return r;
    a->filters = mem_realloc(a->filters, (a->filter_count + 1) * sizeof a->filters[0]);
    a->filters[a->filter_count++] =
        (struct task_filter){ profile->calls, filter,
                              can_begin_with(profile->calls) ? filter_first_part(filter) : NULL };
    return 0;
}

int apply_new(const struct plan_ground *ground, struct apply **ret_apply, struct err *err)
{
    CLEANUP_PTR(apply_free) struct apply *a = mem_new(struct apply);
    const char *name;
    int r;

    a->watch = -1;
    a->ground = ground ? *ground : (struct plan_ground){ 0 };
    a->landlock_abi = landlock_abi();
    if (a->landlock_abi < LANDLOCK_ABI_NEEDED && !a->ground.without_landlock)
        return err_set(
            err, a->landlock_abi < 0 ? a->landlock_abi : -EOPNOTSUPP,
            "the kernel offers no Landlock of version %d or later (it has %d): boot with "
            "'landlock' in the lsm= list, or use Linux 5.19 or later",
            LANDLOCK_ABI_NEEDED, a->landlock_abi < 0 ? 0 : a->landlock_abi);
    for (size_t i = 0; (name = profile_name(i)); i++) {
        r = add_filter(a, name, err);
        if (r < 0)
            return r;
    }
    r = filter_new(FILTER_EGRESS, 0, &a->egress, err);
    if (r == 0 && a->ground.rung == PLAN_RUNG_BARE)
        r = filter_new(FILTER_BARE, 0, &a->bare, err);
    if (r == 0 && a->ground.rung == PLAN_RUNG_BARE)
        r = filter_new(FILTER_OFFLINE, 0, &a->offline, err);
    if (r == 0)
        r = filter_new(FILTER_SURVEY, 0, &a->survey, err);
    a->second = filter_second_part();
    if (r == 0)
        *ret_apply = TAKE_PTR(a);
    return r;
}

void apply_free(struct apply *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->filter_count; i++) {
        filter_free(a->filters[i].filter);
        filter_free(a->filters[i].first);
    }
    free(a->filters);
    filter_free(a->egress);
    filter_free(a->survey);
    filter_free(a->bare);
    filter_free(a->offline);
    filter_free(a->second);
    free(a);
}

const struct plan_ground *apply_ground(const struct apply *a)
{
    return &a->ground;
}

void apply_watch(struct apply *a, int sock)
{
    a->watch = sock;
}

const struct filter *apply_egress_filter(const struct apply *a)
{
    return a->egress;
}

/* ---- the caller ---- */

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void keep(struct birth *b, int fd)
{
    if (fd >= 0)
        b->keep[b->keep_count++] = fd;
}

static void list_keep(struct birth *b)
{
    b->keep = mem_calloc(b->plan->step_count + 5 + CGROUP_TASKS, sizeof b->keep[0]);
    for (int i = 0; b->stdio && i < 3; i++)
        keep(b, b->stdio[i]);
    keep(b, b->control);
    keep(b, b->watch);
    for (size_t i = 0; b->doors && i < CGROUP_TASKS; i++)
        keep(b, b->doors->tasks[i]);
    for (size_t i = 0; i < b->plan->step_count; i++)
        keep(b, b->trees[i]);
    qsort(b->keep, b->keep_count, sizeof b->keep[0], by_number);
}

static const struct filter *filter_of(const struct apply *a, const struct plan *plan)
{
    return plan_is_ours(plan) ? a->survey : find_filter(a, plan->calls);
}

/* In the new process. */
static int adopt(struct birth *b, const void *ctx)
{
    uint32_t calls = b->plan->calls;
    struct handover h;
    int r = handover_recv(b->control, &h);

    if (r < 0)
        return r;
    if (b->prepared && (h.plan->calls != calls || plan_is_ours(h.plan)))
        return -EINVAL; /* its filter is another's */
    if (!plan_shared_fits(b->plan, h.plan))
        return -EINVAL;
    /* With steps of its own it is some user's already. */
    if (b->plan->step_count > 0 && b->plan->outer_uid != h.plan->outer_uid)
        return -EINVAL;
    b->shared = b->plan;
    b->plan = h.plan;
    b->plan_fd = h.plan_fd;
    b->filter = filter_of(ctx, h.plan);
    memcpy(b->places, h.stdio, sizeof b->places);
    b->stdio = b->places;
    b->trees = h.trees;
    b->opens = h.opens;
    b->limited = h.limited;
    return b->filter ? 0 : -EINVAL;
}

/* adopter: NULL where the plan is the task's own. */
static int clone_task(struct birth *b, const struct apply *adopter, pid_t *ret_pid, int *ret_pidfd)
{
    int pidfd = -1, cgroup = b->doors ? b->doors->clone : -1;
    struct clone_args args = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                 CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    long pid;

    if (b->plan->ground.rung == PLAN_RUNG_TOP)
        args.flags |= CLONE_NEWUSER;
    if (b->plan->network != PLAN_NETWORK_HOST)
        args.flags |= CLONE_NEWNET;
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)cgroup;
    }
    pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return -errno;
    if (pid == 0 && adopter)
        birth_wait(b, adopt, adopter);
    if (pid == 0)
        birth_run(b);
    *ret_pid = (pid_t)pid;
    *ret_pidfd = pidfd;
    return 0;
}

/* What a cgroup's descriptor is good for without clone3(2), which some containers refuse. */
static int join_cgroup(int cgroup, pid_t pid)
{
    AUTO_CLOSE int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    char text[24];
    int len = snprintf(text, sizeof text, "%d", (int)pid);

    return fd < 0 ? -errno : fd_write_all(fd, text, (size_t)len);
}

/* Without namespaces. It does nothing before our word, so it makes nothing outside its cgroup. */
static int fork_task(struct birth *b, pid_t *ret_pid, int *ret_pidfd)
{
    int r = 0, cgroup = b->doors ? b->doors->clone : -1;
    pid_t pid = _Fork();

    if (pid < 0)
        return -errno;
    if (pid == 0)
        birth_run(b);
    *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (*ret_pidfd < 0)
        r = -errno;
    else if (cgroup >= 0)
        r = join_cgroup(cgroup, pid);
    if (r < 0) {
        (void)kill(pid, SIGKILL); /* ours, and not reaped yet */
        (void)waitpid(pid, NULL, 0);
        if (*ret_pidfd >= 0)
            (void)close(*ret_pidfd); /* of nobody now */
        return r;
    }
    *ret_pid = pid;
    return 0;
}

/* As root the host's paths are opened by us: the task's user may have no way to them. */
static int prepare(struct birth *b, struct apply_report *ret_report)
{
    size_t index = 0;
    int r = 0;

    b->trees = mem_calloc(b->plan->step_count + 1, sizeof b->trees[0]);
    for (size_t i = 0; i < b->plan->step_count; i++)
        b->trees[i] = -1;
    b->opens = !b->plan->as_root;
    if (!b->opens)
        r = tree_open(b->plan, 0, -1, b->trees, &index);
    if (r == -EPERM && b->plan->ground.rung == PLAN_RUNG_TOP) {
        b->opens = true; /* a container's root without SYS_ADMIN: inside, the task has it */
        r = 0;
    }
    if (r < 0)
        *ret_report = (struct apply_report){
            .kind = APPLY_FAILED, .stage = APPLY_SOURCES, .index = (uint32_t)index, .error = r
        };
    list_keep(b);
    return r;
}

static void birth_done(struct birth *b)
{
    for (size_t i = 0; b->trees && i < b->plan->step_count; i++)
        if (b->trees[i] >= 0)
            (void)close(b->trees[i]); /* the task has its own */
    free(b->trees);
    free(b->keep);
    free(b->allowed);
}

int apply_start(const struct apply *a, const struct plan *plan, const int stdio[3],
                struct apply_cgroup cgroup, struct apply_task *ret_task,
                struct apply_report *ret_report)
{
    CLEANUP(birth_done)
    struct birth b = { .landlock_abi = a->landlock_abi,
                       .bare = a->bare,
                       .offline = a->offline,
                       .watch = a->watch,
                       .plan = plan,
                       .filter = filter_of(a, plan),
                       .host = -1,
                       .ruleset = -1,
                       .plan_fd = -1,
                       .sure = true,
                       .stdio = stdio,
                       .doors = cgroup.doors,
                       .limited = cgroup.limited };
    AUTO_CLOSE int ours = -1, theirs = -1;
    int pair[2], pidfd = -1, r;
    pid_t pid = -1;

    *ret_report = (struct apply_report){ .kind = APPLY_FAILED, .stage = APPLY_FILTER };
    if (!b.filter)
        return ret_report->error = -EINVAL;
    ret_report->stage = APPLY_CLONE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return ret_report->error = -errno;
    ours = pair[0];
    theirs = pair[1];
    b.control = theirs;
    r = fd_set_nonblock(ours);
    if (r == 0)
        r = prepare(&b, ret_report);
    if (r == 0)
        r = plan->ground.rung == PLAN_RUNG_BARE ? fork_task(&b, &pid, &pidfd)
                                                : clone_task(&b, NULL, &pid, &pidfd);
    if (r < 0)
        return ret_report->error = r;
    *ret_task = APPLY_NO_TASK;
    ret_task->pid = pid;
    ret_task->pidfd = pidfd;
    ret_task->control = TAKE_FD(ours);
    return 0;
}

int apply_prepare(const struct apply *a, const struct plan *shared,
                  const struct cgroup_doors *doors, struct apply_task *ret_task)
{
    CLEANUP(birth_done)
    struct birth b = { .landlock_abi = a->landlock_abi,
                       .watch = -1,
                       .host = -1,
                       .ruleset = -1,
                       .plan_fd = -1,
                       .plan = shared,
                       .second = a->second,
                       .doors = doors };
    const struct task_filter *parts = shared->step_count > 0 ? find_pair(a, shared->calls) : NULL;
    struct apply_report report;
    AUTO_CLOSE int ours = -1, theirs = -1;
    int pair[2], pidfd = -1, r;
    pid_t pid = -1;

    if (a->watch >= 0 || shared->ground.rung == PLAN_RUNG_BARE)
        return -EOPNOTSUPP;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    theirs = pair[1];
    b.control = theirs;
    b.first = parts ? parts->first : NULL;
    b.allowed = mem_calloc(shared->rule_count + 1, sizeof b.allowed[0]);
    r = fd_set_nonblock(ours);
    if (r == 0)
        r = prepare(&b, &report);
    if (r == 0)
        r = clone_task(&b, a, &pid, &pidfd);
    if (r < 0)
        return r;
    *ret_task = APPLY_NO_TASK;
    ret_task->pid = pid;
    ret_task->pidfd = pidfd;
    ret_task->control = TAKE_FD(ours);
    return 0;
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* the task has its own */
}

int apply_hand_over(const struct apply_task *task, const struct plan *shared,
                    const struct plan *plan, int plan_fd, const int stdio[3], bool limited)
{
    AUTO_FREE int *trees = mem_calloc(plan->step_count + 1, sizeof trees[0]);
    struct handover h = { .plan_fd = plan_fd,
                          .stdio = { stdio[0], stdio[1], stdio[2] },
                          .limited = limited,
                          .opens = !plan->as_root,
                          .trees = trees };
    size_t index = 0;
    int r = 0;

    for (size_t i = 0; i < plan->step_count; i++)
        trees[i] = -1;
    if (!h.opens)
        r = tree_open(plan, shared->step_count, -1, trees, &index);
    if (r == 0)
        r = handover_send(task->control, &h, plan->step_count);
    close_all(trees, plan->step_count);
    return r;
}

bool apply_has_begun(int plan_fd)
{
    return lseek(plan_fd, 0, SEEK_CUR) != 0;
}

static int write_proc(pid_t pid, const char *name, const char *text)
{
    char path[64];
    AUTO_CLOSE int fd = -1;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

static int map_failed(const struct plan *plan, const char *name, int error, struct err *err)
{
    return err_set(err, error, "write the task's %s (%u on the host): %s: %s", name,
                   (unsigned)plan->outer_uid, strerror(-error),
                   plan->as_root ? "does the container have that id, and the rights to SETUID and "
                                   "SETGID? If not, run it as an ordinary user there"
                                 : "is /proc mounted, and are user namespaces allowed?");
}

void apply_let_loose(struct apply_task *task)
{
    close_all(task->held, APPLY_HELD_COUNT);
    task->held[APPLY_NAMESPACE] = task->held[APPLY_HOST] = -1;
}

/* Only now, as it is dumpable. Where it can't be held, its end takes a little longer. */
static void hold_namespace(struct apply_task *task)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)task->pid);
    if (task->held[APPLY_NAMESPACE] < 0)
        task->held[APPLY_NAMESPACE] = open(path, O_RDONLY | O_CLOEXEC);
}

int apply_map_ids(const struct plan *plan, struct apply_task *task, struct err *err)
{
    char uid_map[64], gid_map[64];
    pid_t pid = task->pid;
    int r;

    (void)snprintf(uid_map, sizeof uid_map, "%d %u 1\n", PLAN_INNER_ID, (unsigned)plan->outer_uid);
    (void)snprintf(gid_map, sizeof gid_map, "%d %u 1\n", PLAN_INNER_ID,
                   (unsigned)(plan->as_root ? plan->outer_uid : getegid()));
    (void)write_proc(pid, "oom_score_adj", "1000"); /* a wish; the limits are what counts */
    if (plan->ground.rung != PLAN_RUNG_TOP)
        return 0;
    hold_namespace(task);
    r = plan->as_root ? 0 : write_proc(pid, "setgroups", "deny");
    if (r < 0)
        return map_failed(plan, "setgroups", r, err);
    r = write_proc(pid, "uid_map", uid_map);
    if (r < 0)
        return map_failed(plan, "uid_map", r, err);
    r = write_proc(pid, "gid_map", gid_map);
    return r < 0 ? map_failed(plan, "gid_map", r, err) : 0;
}
