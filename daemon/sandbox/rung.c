#include "sandbox/rung.h"

#include <errno.h>
#include <fcntl.h>
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
#include "util/err.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/strv.h"

enum {
    ANSWER_MS = 10000, /* for the whole trial; a machine in need takes long */
    SCOPES_ABI = 6,
};

static const char *const names[] = {
    [RUNG_USER_NAMESPACE] = "user-namespace",
    [RUNG_MOUNT_NAMESPACE] = "mount-namespace",
    [RUNG_PID_NAMESPACE] = "pid-namespace",
    [RUNG_IPC_NAMESPACE] = "ipc-namespace",
    [RUNG_UTS_NAMESPACE] = "uts-namespace",
    [RUNG_CGROUP_NAMESPACE] = "cgroup-namespace",
    [RUNG_NETWORK_NAMESPACE] = "network-namespace",
    [RUNG_IDS] = "ids",
    [RUNG_ROOT] = "root",
    [RUNG_PROC] = "proc",
    [RUNG_CAPABILITIES] = "capabilities",
    [RUNG_LANDLOCK] = "landlock",
    [RUNG_SCOPES] = "landlock-scopes",
    [RUNG_FILTER] = "filter",
    [RUNG_CGROUP] = "cgroup",
    [RUNG_GROUPS] = "groups",
};
_Static_assert(ARRAY_SIZE(names) == RUNG_WALL_COUNT, "a name for each wall");

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

const char *rung_wall_name(enum rung_wall wall)
{
    return names[wall];
}

static void set(struct rung *r, enum rung_wall wall, enum rung_state state, const char *text)
{
    r->walls[wall].state = state;
    (void)snprintf(r->walls[wall].text, sizeof r->walls[wall].text, "%s", text);
}

static void note_shortage(struct rung *r, int error)
{
    if (r->shortage == 0 && err_is_shortage(error))
        r->shortage = error;
}

/* ---- the namespaces, one by one ---- */

static int try_clone(unsigned long long flags)
{
    struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid < 0)
        return -errno;
    if (pid == 0)
        _exit(0);
    while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

static void try_namespaces(struct rung *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
        int error = try_clone(CLONE_NEWUSER | namespaces[i].flag);
        const struct apply_report report = { .stage = APPLY_CLONE, .error = error };

        if (error == 0) {
            set(r, namespaces[i].wall, RUNG_HOLDS, "");
            continue;
        }
        note_shortage(r, error);
        set(r, namespaces[i].wall, RUNG_MISSING, "");
        apply_describe(NULL, &report, r->walls[namespaces[i].wall].text,
                       sizeof r->walls[namespaces[i].wall].text);
        if (namespaces[i].wall == RUNG_USER_NAMESPACE)
            return; /* the others come only with it */
    }
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
        if (report->index < plan->step_count && plan->steps[report->index].type == PLAN_STEP_PROC)
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
    case APPLY_INIT:
    case APPLY_STDIO:
    case APPLY_LIMITS:
    case APPLY_DIRECTORY:
    case APPLY_EXEC:
    case APPLY_STAGE_COUNT:
        break;
    }
    return RUNG_PID_NAMESPACE;
}

static void judge(struct rung *r, const struct plan *plan, const struct apply_report *report)
{
    bool all_up = report->stage == APPLY_EXEC;
    enum rung_wall failed = wall_of(plan, report);

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        if (!all_up && order[i] == failed)
            break;
        if (all_up || failed != RUNG_USER_NAMESPACE)
            set(r, order[i], RUNG_HOLDS, "");
    }
    if (all_up || r->walls[failed].state == RUNG_MISSING)
        return;
    note_shortage(r, report->error);
    set(r, failed, RUNG_MISSING, "");
    apply_describe(plan, report, r->walls[failed].text, sizeof r->walls[failed].text);
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
                                             .error = len < 0 ? (int)len : -EIO };
}

static void let_go(int control, struct apply_report *ret_report)
{
    const char word = APPLY_GO;
    int error = fd_send(control, &word, 1, NULL, 0);

    if (error == 0)
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
}

/* The program that isn't there is the last thing to fail: then all walls were up. */
static void try_sandbox(struct rung *r, const struct apply *apply, const struct plan *plan)
{
    static const int stdio[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
    struct apply_report report;
    struct apply_task task;
    struct err err;

    if (apply_start(apply, plan, stdio, -1, &task, &report) < 0) {
        judge(r, plan, &report);
        return;
    }
    await_report(task.control, &report);
    if (report.kind == APPLY_READY && apply_map_ids(plan, task.pid, &err) < 0) {
        note_shortage(r, err.code);
        set(r, RUNG_IDS, RUNG_MISSING, err.text);
    } else {
        if (report.kind == APPLY_READY)
            let_go(task.control, &report);
        judge(r, plan, &report);
    }
    end_trial(&task);
}

static int make_plan(uid_t uid, uid_t task_uid, struct plan **ret_plan, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    int r = profile_load("agent", &profile, err);
    const struct plan_policy policy = { .profile = profile,
                                        .workspace = "/usr",
                                        .workspace_read_only = true,
                                        .argv = &argv,
                                        .uid = uid,
                                        .task_uid = task_uid };

    strv_add(&argv, "/nonexistent/program");
    return r < 0 ? r : plan_make(&policy, ret_plan, err);
}

static void weigh(struct rung *r, uid_t uid)
{
    CLEANUP_PTR(cgroup_free) struct cgroup *cgroup = NULL;
    int groups = getgroups(0, NULL);
    struct err err = { 0 };
    char text[128];

    if (landlock_abi() >= SCOPES_ABI)
        set(r, RUNG_SCOPES, RUNG_HOLDS, "");
    else
        set(r, RUNG_SCOPES, RUNG_WEAKER,
            "abstract sockets are kept away by the network namespace only (Linux 6.12 has more): "
            "with network mode host a task reaches the host's");
    if (cgroup_find(NULL, NULL, &cgroup, &err) == 0) {
        set(r, RUNG_CGROUP, RUNG_HOLDS, "");
    } else {
        (void)err_prefix(&err, "memory is limited for each process by itself, not for a task as a "
                               "whole, and processor time isn't limited");
        set(r, RUNG_CGROUP, RUNG_WEAKER, err.text);
    }
    if (uid == 0 || groups <= 0) {
        set(r, RUNG_GROUPS, RUNG_HOLDS, "");
        return;
    }
    (void)snprintf(text, sizeof text,
                   "a task keeps what the daemon's user may as a member of %d group(s); run the "
                   "daemon as a user without further groups",
                   groups);
    set(r, RUNG_GROUPS, RUNG_WEAKER, text);
}

static void probe(uid_t uid, uid_t task_uid, struct rung *ret_rung)
{
    CLEANUP_PTR(apply_free) struct apply *apply = NULL;
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct err err = { 0 };

    *ret_rung = (struct rung){ 0 };
    try_namespaces(ret_rung);
    weigh(ret_rung, uid);
    if (make_plan(uid, task_uid, &plan, &err) < 0)
        set(ret_rung, RUNG_IDS, RUNG_MISSING, err.text);
    else if (apply_new(&apply, &err) < 0) {
        note_shortage(ret_rung, err.code);
        set(ret_rung, landlock_abi() < LANDLOCK_ABI_NEEDED ? RUNG_LANDLOCK : RUNG_FILTER,
            RUNG_MISSING, err.text);
    } else if (ret_rung->walls[RUNG_USER_NAMESPACE].state == RUNG_HOLDS)
        try_sandbox(ret_rung, apply, plan);
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

static int check_names(const struct strv *accept, struct err *err)
{
    for (size_t i = 0; accept && i < accept->len; i++) {
        const char *near = str_nearest(accept->items[i], names, ARRAY_SIZE(names));
        bool known = near && strcmp(near, accept->items[i]) == 0;

        if (!known)
            return err_set(err, -EINVAL, "sandbox.accept: no wall is called '%s'%s%s%s",
                           accept->items[i], near ? "; did you mean '" : "", near ? near : "",
                           near ? "'?" : "");
    }
    return 0;
}

int rung_check(const struct rung *rung, const struct strv *accept, struct err *err)
{
    int r = check_names(accept, err);

    if (r < 0)
        return r;
    for (int i = 0; i < RUNG_WALL_COUNT; i++) {
        if (rung->walls[i].state != RUNG_MISSING)
            continue;
        if (rung->shortage < 0)
            return err_set(err, rung->shortage, "%s: the sandbox can't be tried now: %s", names[i],
                           rung->walls[i].text);
        return err_set(err, -EOPNOTSUPP,
                       "%s: this machine doesn't give the sandbox that wall, and there is no doing "
                       "without it in this version: %s",
                       names[i], rung->walls[i].text);
    }
    return 0;
}
