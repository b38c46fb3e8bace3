#include "sandbox/rung.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "sandbox/reroot.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/strv.h"

enum {
    ANSWER_MS = 10000, /* for the whole trial; a machine in need takes long */
};

/* A process that has entered these namespaces has shown that they are there. */
static const struct {
    enum rung_wall wall;
    unsigned long long flag;
} namespaces[] = {
    { RUNG_USER_NAMESPACE, CLONE_NEWUSER },   { RUNG_MOUNT_NAMESPACE, CLONE_NEWNS },
    { RUNG_PID_NAMESPACE, CLONE_NEWPID },     { RUNG_IPC_NAMESPACE, CLONE_NEWIPC },
    { RUNG_UTS_NAMESPACE, CLONE_NEWUTS },     { RUNG_CGROUP_NAMESPACE, CLONE_NEWCGROUP },
    { RUNG_NETWORK_NAMESPACE, CLONE_NEWNET },
};

static void set(struct rung *r, enum rung_wall wall, enum rung_state state, const char *text)
{
    r->walls[wall].state = state;
    (void)snprintf(r->walls[wall].text, sizeof r->walls[wall].text, "%s", text);
}

/* What says nothing about a wall: too little of something, a disk's fault, too little time. But no
 * room for a new namespace may be the operator's word: a limit that is 0, here or further up. */
static void note_shortage(struct rung *r, uint32_t stage, int error)
{
    bool is_short = err_is_shortage(error) || error == -EIO || error == -ETIMEDOUT ||
                    (error == -ENOSPC && stage != APPLY_CLONE);

    if (r->shortage == 0 && is_short)
        r->shortage = error;
}

/* ---- the namespaces, one by one ---- */

/* then: what the new process does; it ends with its answer. Returns that, or a negative errno. */
static int try_clone(unsigned long long flags, int (*then)(void))
{
    struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    int status = 0;

    if (pid < 0)
        return -errno;
    if (pid == 0)
        _exit(then ? then() : 0);
    while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static int rename_host(void)
{
    return sethostname(PLAN_HOSTNAME, strlen(PLAN_HOSTNAME)) < 0;
}

static void set_missing(struct rung *r, enum rung_wall wall, int error)
{
    const struct apply_report report = { .stage = APPLY_CLONE, .error = error };

    note_shortage(r, APPLY_CLONE, error);
    set(r, wall, RUNG_MISSING, "");
    apply_describe(NULL, &report, r->walls[wall].text, sizeof r->walls[wall].text);
}

/* with: what each is tried with. Whether all are there. */
static bool try_each(struct rung *r, unsigned long long with, size_t first)
{
    bool all = true;

    for (size_t i = first; i < ARRAY_SIZE(namespaces); i++) {
        int error = try_clone(with | namespaces[i].flag, NULL);

        if (error == 0)
            set(r, namespaces[i].wall, RUNG_HOLDS, "");
        else
            set_missing(r, namespaces[i].wall, error);
        all &= error == 0;
    }
    return all;
}

/* An ordinary user has the others only with that of users. */
static enum plan_rung try_namespaces(struct rung *r, uid_t uid)
{
    int error = try_clone(CLONE_NEWUSER, NULL);

    if (error == 0 && try_each(r, CLONE_NEWUSER, 0))
        return PLAN_RUNG_TOP;
    if (error < 0)
        set_missing(r, RUNG_USER_NAMESPACE, error);
    if (uid == 0 && error < 0 && try_each(r, 0, 1))
        return PLAN_RUNG_ROOT;
    for (size_t i = 1; uid != 0 && error < 0 && i < ARRAY_SIZE(namespaces); i++)
        set(r, namespaces[i].wall, RUNG_MISSING, "it comes with a user namespace only");
    return PLAN_RUNG_BARE;
}

/* ---- the rest, by a whole sandbox ---- */

/* Walls in the order in which apply raises them: one that fails leaves those after it unknown. */
static const enum rung_wall order[] = { RUNG_IDS,          RUNG_ROOT,     RUNG_PROC,
                                        RUNG_CAPABILITIES, RUNG_LANDLOCK, RUNG_FILTER };

static enum rung_wall wall_of(const struct plan *plan, const struct apply_report *report)
{
    switch ((enum apply_stage)report->stage) {
    case APPLY_CLONE:
        return RUNG_USER_NAMESPACE;
    case APPLY_IDS:
        return RUNG_IDS;
    case APPLY_TREE:
        if (report->index < plan->step_count &&
            strcmp(plan->steps[report->index].target, "/proc") == 0)
            return RUNG_PROC;
        return RUNG_ROOT;
    case APPLY_SOURCES:
        return RUNG_ROOT;
    case APPLY_LOOPBACK:
    case APPLY_LISTENER:
        return RUNG_NETWORK_NAMESPACE;
    case APPLY_HOSTNAME:
        return RUNG_UTS_NAMESPACE;
    case APPLY_CAPABILITIES:
        return RUNG_CAPABILITIES;
    case APPLY_LANDLOCK:
        return RUNG_LANDLOCK;
    case APPLY_FILTER:
        return RUNG_FILTER;
    case APPLY_CGROUP: /* there is none in a trial */
    case APPLY_INIT:
    case APPLY_SCRATCH:
    case APPLY_STDIO:
    case APPLY_LIMITS:
    case APPLY_DIRECTORY:
    case APPLY_EXEC:
    case APPLY_STAGE_COUNT:
        break;
    }
    return RUNG_PID_NAMESPACE;
}

/* Whether all stood. */
static bool judge(struct rung *r, const struct plan *plan, const struct apply_report *report)
{
    /* the program isn't there, and neither is the private directory of one without mounts */
    bool all_up = report->stage == APPLY_EXEC || report->stage == APPLY_SCRATCH;
    enum rung_wall failed = wall_of(plan, report);

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        if (!all_up && order[i] == failed)
            break;
        if (r->walls[order[i]].state == RUNG_UNKNOWN && (all_up || failed != RUNG_USER_NAMESPACE))
            set(r, order[i], RUNG_HOLDS, "");
    }
    if (all_up || r->walls[failed].state == RUNG_MISSING)
        return all_up;
    note_shortage(r, report->stage, report->error);
    set(r, failed, RUNG_MISSING, "");
    apply_describe(plan, report, r->walls[failed].text, sizeof r->walls[failed].text);
    return false;
}

/* The next report, or one that says that none came. */
static void await_report(int control, struct apply_report *ret_report)
{
    struct pollfd p = { .fd = control, .events = POLLIN };
    ssize_t len = -ETIMEDOUT;
    int n;

    do
        n = poll(&p, 1, ANSWER_MS);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        len = -errno;
    if (n == 1)
        len = fd_recv(control, ret_report, sizeof *ret_report, NULL, 0);
    if (len != sizeof *ret_report)
        *ret_report = (struct apply_report){ .kind = APPLY_FAILED,
                                             .stage = APPLY_INIT,
                                             .error = len < 0 ? (int)len : -ESRCH };
}

static void let_go(int control, struct apply_report *ret_report)
{
    const char word = APPLY_GO;
    int error = fd_send(control, &word, 1, NULL, 0);

    if (error == 0 || error == -EPIPE) /* where it has ended, its last word says why */
        await_report(control, ret_report);
    else
        *ret_report =
            (struct apply_report){ .kind = APPLY_FAILED, .stage = APPLY_INIT, .error = error };
}

static void end_trial(struct apply_task *task)
{
    (void)close(task->control); /* its end ends the task, if it hasn't yet */
    (void)syscall(SYS_pidfd_send_signal, task->pidfd, SIGKILL, NULL, 0);
    while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    (void)close(task->pidfd); /* it is reaped */
    apply_let_loose(task);
}

/* The program that isn't there is the last thing to fail: then all walls were up. */
static bool try_sandbox(struct rung *r, const struct apply *apply, const struct plan *plan)
{
    static const int stdio[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
    struct apply_report report;
    struct apply_task task;
    struct err err;
    bool all_up = false;

    if (apply_start(apply, plan, stdio, (struct apply_cgroup){ 0 }, &task, &report) < 0)
        return judge(r, plan, &report);
    await_report(task.control, &report);
    if (report.kind == APPLY_READY && apply_map_ids(plan, &task, &err) < 0) {
        note_shortage(r, APPLY_IDS, err.code);
        set(r, RUNG_IDS, RUNG_MISSING, err.text);
    } else {
        if (report.kind == APPLY_READY)
            let_go(task.control, &report);
        all_up = judge(r, plan, &report);
    }
    end_trial(&task);
    return all_up;
}

static int make_plan(const struct plan_ground *ground, uid_t uid, uid_t task_uid,
                     struct plan **ret_plan, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    int r = profile_load("agent", &profile, err);
    const struct plan_policy policy = { .profile = profile,
                                        .ground = *ground,
                                        .workspace = "/usr",
                                        .workspace_read_only = true,
                                        .scratch = "/nonexistent/scratch",
                                        .argv = &argv,
                                        .uid = uid,
                                        .task_uid = task_uid };

    strv_add(&argv, "/nonexistent/program");
    return r < 0 ? r : plan_make(&policy, ret_plan, err);
}

/* Whether a task starts so. */
static bool try_ground(struct rung *r, const struct plan_ground *ground, uid_t uid, uid_t task_uid)
{
    CLEANUP_PTR(apply_free) struct apply *apply = NULL;
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct err err = { 0 };

    if (make_plan(ground, uid, task_uid, &plan, &err) < 0) {
        set(r, RUNG_IDS, RUNG_MISSING, err.text);
        return false;
    }
    if (apply_new(ground, &apply, &err) < 0) {
        note_shortage(r, APPLY_FILTER, err.code);
        set(r, landlock_abi() < LANDLOCK_ABI_NEEDED ? RUNG_LANDLOCK : RUNG_FILTER, RUNG_MISSING,
            err.text);
        return false;
    }
    return try_sandbox(r, apply, plan);
}

static void try_grounds(struct rung *r, uid_t uid, uid_t task_uid);

/* The words for the wall that the last trial ended at. */
static const char *what_failed(const struct rung *r)
{
    const char *found = "no task can be started in them";

    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (r->walls[order[i]].state == RUNG_MISSING && order[i] != RUNG_PROC)
            return r->walls[order[i]].text;
    for (int i = 0; i < RUNG_WALL_COUNT; i++) /* those have another way */
        if (r->walls[i].state == RUNG_MISSING && i != RUNG_PROC)
            found = r->walls[i].text;
    return found;
}

/* What only namespaces give. */
static void set_bare(struct rung *r, uid_t uid)
{
    set(r, RUNG_ROOT, RUNG_MISSING, "it takes a mount namespace");
    set(r, RUNG_PROC, RUNG_MISSING, "it takes a pid namespace");
    if (uid != 0)
        set(r, RUNG_IDS, RUNG_MISSING, "it takes a user namespace, or a daemon that runs as root");
}

/* All namespaces are there, and still no task starts in them: most often for want of mounts. */
static void fall(struct rung *r, uid_t uid, uid_t task_uid)
{
    const struct plan_ground bare = { .rung = PLAN_RUNG_BARE };
    struct rung below = { .ground = bare };
    char why[sizeof r->walls[0].text];

    (void)snprintf(why, sizeof why, "%s", what_failed(r));
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
        set(&below, namespaces[i].wall, RUNG_MISSING, why);
    try_grounds(&below, uid, task_uid);
    if (below.stands)
        *r = below;
}

/* Downwards, until a task starts. What one step lacks the next one does without, if there is a way
 * to: /proc of its own, then Landlock. */
static void try_grounds(struct rung *r, uid_t uid, uid_t task_uid)
{
    struct plan_ground *g = &r->ground;

    if (g->rung == PLAN_RUNG_BARE) {
        set_bare(r, uid);
        r->stands = try_ground(r, g, uid, task_uid);
        if (access("/proc/thread-self/children", R_OK) < 0) {
            set(r, RUNG_PID_NAMESPACE, RUNG_MISSING,
                "and the kernel doesn't list a process's children either (CONFIG_PROC_CHILDREN)");
            r->stands = false; /* what a task leaves couldn't be found */
        }
        return;
    }
    for (int i = 0; i < 3 && !r->stands; i++) {
        r->stands = try_ground(r, g, uid, task_uid);
        if (r->walls[RUNG_LANDLOCK].state == RUNG_MISSING && !g->without_landlock)
            g->without_landlock = true;
        else if (r->walls[RUNG_PROC].state == RUNG_MISSING && !g->host_proc)
            g->host_proc = true;
        else
            break;
    }
    if (!r->stands && r->shortage == 0)
        fall(r, uid, task_uid);
}

/* What the daemon's user may as a member of other groups, a task may, too: nobody but root can give
 * them up. */
static void weigh_groups(struct rung *r, uid_t uid)
{
    CLEANUP(buf_done) struct buf list = { 0 };
    gid_t groups[1024];
    int count = uid == 0 ? 0 : getgroups((int)ARRAY_SIZE(groups), groups);

    for (int i = 0; i < count; i++) {
        const struct group *entry = groups[i] == getegid() ? NULL : getgrgid(groups[i]);

        if (groups[i] == getegid())
            continue; /* the task's own */
        buf_append_str(&list, list.len > 0 ? ", " : "");
        if (entry)
            buf_append_str(&list, entry->gr_name);
        else
            buf_printf(&list, "%u", (unsigned)groups[i]);
    }
    set(r, RUNG_GROUPS, RUNG_HOLDS, "");
    if (list.len == 0)
        return;
    r->walls[RUNG_GROUPS].state = RUNG_WEAKER;
    (void)snprintf(r->walls[RUNG_GROUPS].text, sizeof r->walls[RUNG_GROUPS].text,
                   "a task keeps what the daemon's user may as a member of %s; run the daemon as a "
                   "user without further groups",
                   buf_str(&list));
}

static void weigh_landlock(struct rung *r, uid_t uid)
{
    static const char *const lacks[] = {
        [2] = "it knows nothing of truncate(2), TCP ports and device commands (Linux 6.2, 6.7 and "
              "6.10 do)",
        [3] = "it knows nothing of TCP ports and device commands (Linux 6.7 and 6.10 do)",
        [4] = "it knows nothing of device commands (Linux 6.10 does)",
    };
    int abi = landlock_abi();
    bool bare = r->ground.rung == PLAN_RUNG_BARE;

    if (r->walls[RUNG_LANDLOCK].state == RUNG_HOLDS && abi > 0 && abi < (int)ARRAY_SIZE(lacks) &&
        lacks[abi])
        set(r, RUNG_LANDLOCK, RUNG_WEAKER, lacks[abi]);
    if (abi >= LANDLOCK_ABI_SCOPES)
        set(r, RUNG_SCOPES, RUNG_HOLDS, "");
    else if (bare && uid != 0)
        set(r, RUNG_SCOPES, RUNG_MISSING,
            "as an ordinary user without namespaces only it keeps a task's signals from all other "
            "processes of that user; Linux 6.12 has it");
    else if (bare)
        set(r, RUNG_SCOPES, RUNG_WEAKER,
            "a task may send signals to our process that watches it, whose end ends the task "
            "(Linux 6.12 has more)");
    else
        set(r, RUNG_SCOPES, RUNG_WEAKER,
            "abstract sockets are kept away by the network namespace only (Linux 6.12 has more): "
            "with network mode host a task reaches the host's");
}

/* core(5): the limit that keeps cores from a file and from a pipe means nothing to a socket. */
static void weigh_cores(struct rung *r)
{
    char first = '\0';
    AUTO_CLOSE int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, &first, 1) == 1 && first == '@' &&
        r->walls[RUNG_FILTER].state == RUNG_HOLDS)
        set(r, RUNG_FILTER, RUNG_WEAKER,
            "the core of a program that crashes goes to the host's service that listens on the "
            "socket in kernel.core_pattern, whatever its limit is: that one reads what a task "
            "wrote; name a pipe or a file there");
}

static void weigh(struct rung *r, uid_t uid)
{
    CLEANUP_PTR(cgroup_free) struct cgroup *cgroup = NULL;
    struct err err = { 0 };

    if (cgroup_find(NULL, NULL, &cgroup, &err) == 0) {
        set(r, RUNG_CGROUP, RUNG_HOLDS, "");
    } else {
        (void)err_prefix(&err, "a task's memory and processor time are measured now and then, and "
                               "held by the kernel for each process only; not seen: what waits in "
                               "sockets and pipes, memory files that aren't open; not limited: "
                               "how many processors it uses");
        set(r, RUNG_CGROUP, RUNG_WEAKER, err.text);
    }
    weigh_groups(r, uid);
    weigh_landlock(r, uid);
    weigh_cores(r);
    if (r->walls[RUNG_UTS_NAMESPACE].state == RUNG_HOLDS &&
        try_clone((r->ground.rung == PLAN_RUNG_TOP ? CLONE_NEWUSER : 0) | CLONE_NEWUTS,
                  rename_host) == 1)
        set(r, RUNG_UTS_NAMESPACE, RUNG_WEAKER,
            "a task sees the machine's name, as a container's "
            "filter lets nobody set one");
}

static void probe(uid_t uid, uid_t task_uid, struct rung *ret_rung)
{
    *ret_rung = (struct rung){ 0 };
    ret_rung->ground.rung = try_namespaces(ret_rung, uid);
    try_grounds(ret_rung, uid, task_uid);
    weigh(ret_rung, uid);
}

/* Inside a chroot: from a process that has left it, as the spawner does. */
static void probe_outside(uid_t uid, uid_t task_uid, struct rung *ret_rung)
{
    int ends[2], status;
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) == 0)
        pid = fork();
    if (pid < 0) {
        probe(uid, task_uid, ret_rung);
        return;
    }
    if (pid == 0) {
        (void)reroot(); /* where it fails, the probe says what that means */
        probe(uid, task_uid, ret_rung);
        _exit(fd_write_all(ends[1], ret_rung, sizeof *ret_rung) < 0);
    }
    (void)close(ends[1]); /* the child's */
    if (fd_read_all(ends[0], ret_rung, sizeof *ret_rung) != sizeof *ret_rung)
        set(ret_rung, RUNG_USER_NAMESPACE, RUNG_MISSING, "the process that tried it was ended");
    (void)close(ends[0]);
    (void)waitpid(pid, &status, 0); /* what it found has come */
}

void rung_probe(uid_t uid, uid_t task_uid, struct rung *ret_rung)
{
    *ret_rung = (struct rung){ 0 };
    if (reroot_is_needed())
        probe_outside(uid, task_uid, ret_rung);
    else
        probe(uid, task_uid, ret_rung);
}
