#include "sandbox/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/caps.h"
#include "sandbox/filter.h"
#include "sandbox/gateway.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "sandbox/tree.h"
#include "settings/profile.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum { LISTENER_BACKLOG = 128 };

/* One for each set of calls that a profile names. */
struct task_filter {
    uint32_t calls;
    struct filter *filter;
};

struct apply {
    struct task_filter *filters;
    size_t filter_count;
    struct filter *egress, *survey, *bare, *offline;
    struct plan_ground ground;
    int landlock_abi;
    int watch; /* of apply_watch(), or -1 */
};

/* NULL: no profile has these calls. */
static const struct filter *find_filter(const struct apply *a, uint32_t calls)
{
    for (size_t i = 0; i < a->filter_count; i++)
        if (a->filters[i].calls == calls)
            return a->filters[i].filter;
    return NULL;
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
    a->filters[a->filter_count++] = (struct task_filter){ profile->calls, filter };
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
    if (r == 0)
        *ret_apply = TAKE_PTR(a);
    return r;
}

void apply_free(struct apply *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->filter_count; i++)
        filter_free(a->filters[i].filter);
    free(a->filters);
    filter_free(a->egress);
    filter_free(a->survey);
    filter_free(a->bare);
    filter_free(a->offline);
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

/* ---- the new process ---- */

/* What it needs, prepared before it exists. */
struct birth {
    const struct apply *apply;
    const struct filter *filter;
    const struct plan *plan;
    const int *stdio;
    int control; /* its end */
    bool limited;
    bool opens; /* the host's paths, itself */
    int *trees; /* of tree_open(), one a step */
    int *keep;  /* in ascending order: all that it may keep open */
    size_t keep_count;
};

/* Other tasks' control sockets are among the rest: their ends must not live on here. */
static void close_rest(const struct birth *b)
{
    int from = STDERR_FILENO + 1;

    for (size_t i = 0; i < b->keep_count; i++) {
        if (b->keep[i] > from)
            (void)close_range((unsigned)from, (unsigned)b->keep[i] - 1, 0); /* nothing to close */
        if (b->keep[i] >= from)
            from = b->keep[i] + 1;
    }
    (void)close_range((unsigned)from, ~0u, 0);
}

static void await_go(int control)
{
    char word;
    ssize_t n;

    do
        n = recv(control, &word, sizeof word, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        init_fail(control, APPLY_INIT, 0, -errno);
    if (n == 0 || word != APPLY_GO)
        _exit(1); /* the caller is gone, or changed its mind */
}

/* Dumpable from here until the maps are written, which the caller does meanwhile. */
static void await_maps(int control, bool has_maps)
{
    const struct apply_report ready = { .kind = APPLY_READY };

    if (has_maps)
        (void)prctl(PR_SET_DUMPABLE, 1); /* where it fails, writing the maps does, and says so */
    if (send(control, &ready, sizeof ready, MSG_NOSIGNAL) < 0)
        _exit(1);
    await_go(control);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* As root the process was born as the host's uid 0, which nothing inside maps. */
static int take_ids(const struct plan *plan)
{
    bool is_mapped = plan->ground.rung == PLAN_RUNG_TOP;
    uid_t id = is_mapped ? (uid_t)PLAN_INNER_ID : plan->outer_uid;

    if (plan->as_root &&
        (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, id, id, id) < 0 ||
         syscall(SYS_setresuid, id, id, id) < 0))
        return -errno;
    if (geteuid() != id || getuid() != id || ((plan->as_root || is_mapped) && getegid() != id))
        return -EPERM;
    /* After the last change of ids, which would undo it. Where its death doesn't end all others it
     * has to live on for that: it sees ours by its control socket. */
    if (plan->ground.rung != PLAN_RUNG_BARE && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return 0;
}

/* Directories and private file systems are made in its name, while mounting is still root's. */
static int take_file_ids(const struct plan *plan)
{
    (void)setfsgid(plan->outer_uid);
    (void)setfsuid(plan->outer_uid);
    return (uid_t)setfsuid((uid_t)-1) == plan->outer_uid ? 0 : -EPERM; /* that one only asks */
}

static int raise_loopback(void)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

/* A socket stays in the network namespace in which it was made, whoever holds it. */
static int open_listener(void)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons(GATEWAY_PORT),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 ||
        listen(fd, LISTENER_BACKLOG) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* Hands the listener out, and waits until somebody serves it. */
static int offer_listener(int control)
{
    const struct apply_report listening = { .kind = APPLY_LISTENING };
    AUTO_CLOSE int fd = open_listener();
    int r = fd < 0 ? fd : fd_send(control, &listening, sizeof listening, &fd, 1);

    if (r == 0)
        await_go(control);
    return r;
}

/* Nothing of it stays here: with a descriptor of our own, what is refused would wait for ever once
 * nobody answers any more. */
static int load_watched(const struct birth *b)
{
    AUTO_CLOSE int sock = b->apply->watch, listener = filter_load_watched(b->filter);

    return listener < 0 ? listener : fd_send(sock, "w", 1, &listener, 1);
}

/* Its own file system, network and name. */
static void build_namespaces(const struct birth *b)
{
    const struct plan *plan = b->plan;
    size_t index = 0;
    int r;

    r = b->opens ? tree_open(plan, b->trees, &index) : 0;
    if (r < 0)
        init_fail(b->control, APPLY_SOURCES, index, r);
    r = plan->ground.rung == PLAN_RUNG_ROOT ? take_file_ids(plan) : take_ids(plan);
    if (r < 0)
        init_fail(b->control, APPLY_IDS, 0, r);
    r = tree_build(plan, b->trees, &index);
    if (r < 0)
        init_fail(b->control, APPLY_TREE, index, r);
    for (size_t i = 0; i < plan->step_count; i++)
        if (b->trees[i] >= 0)
            (void)close(b->trees[i]); /* attached now */
    r = plan->network != PLAN_NETWORK_HOST ? raise_loopback() : 0;
    if (r < 0)
        init_fail(b->control, APPLY_LOOPBACK, 0, r);
    r = plan_has_egress(plan) ? offer_listener(b->control) : 0;
    if (r < 0)
        init_fail(b->control, APPLY_LISTENER, 0, r);
    /* EPERM: a container's filter; rung_probe() says so */
    if (sethostname(PLAN_HOSTNAME, strlen(PLAN_HOSTNAME)) < 0 && errno != EPERM)
        init_fail(b->control, APPLY_HOSTNAME, 0, -errno);
}

/* In a user namespace of its own it has all capabilities to give up. As root without one it was
 * born without a bounding set, and becomes another user; as another user it never had any. */
static int drop_caps(const struct plan *plan)
{
    int r = plan->ground.rung == PLAN_RUNG_TOP ? caps_drop_all() : 0;

    if (plan->ground.rung == PLAN_RUNG_TOP)
        return r;
    r = plan->as_root ? caps_lock() : 0;
    if (r < 0 && !(r == -EPERM && plan->ground.rung == PLAN_RUNG_BARE))
        return r; /* a container may keep SETPCAP from us; without user id 0 the bits are no loss */
    r = take_ids(plan);
    return r < 0 ? r : caps_keep(0);
}

static int enter_landlock(const struct birth *b, size_t *ret_rule)
{
    const struct plan *plan = b->plan;
    unsigned flags = LANDLOCK_SCOPED;
    bool bare = plan->ground.rung == PLAN_RUNG_BARE;
    /* as the same user, nothing else keeps it from everybody's processes, ours among them */
    int needed = bare && !plan->as_root ? LANDLOCK_ABI_SCOPES : LANDLOCK_ABI_NEEDED;

    if (plan->ground.without_landlock)
        return 0;
    *ret_rule = plan->rule_count;
    if (b->apply->landlock_abi < needed)
        return -EOPNOTSUPP;
    /* Elsewhere a network that is not the host's has nothing but the task's own servers. */
    if (bare && plan->network == PLAN_NETWORK_NONE)
        flags |= LANDLOCK_NO_TCP;
    return landlock_enter(plan->rules, plan->rule_count, b->apply->landlock_abi, flags, ret_rule);
}

static int load_filters(const struct birth *b)
{
    const struct apply *a = b->apply;
    bool bare = b->plan->ground.rung == PLAN_RUNG_BARE;
    int r = 0;

    if (bare && (!a->bare || !a->offline))
        return -EINVAL; /* a plan of another ground than ours */
    if (bare)
        r = filter_load(a->bare);
    if (r == 0 && bare && b->plan->network != PLAN_NETWORK_HOST)
        r = filter_load(a->offline);
    if (r < 0)
        return r;
    return a->watch < 0 ? filter_load(b->filter) : load_watched(b);
}

_Noreturn static void be_task(const struct birth *b)
{
    const struct plan *plan = b->plan;
    size_t index = 0;
    int r;

    close_rest(b);
    (void)prctl(PR_SET_NAME, "nairid-init");
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, children would vanish unreaped */
    await_maps(b->control, plan->ground.rung == PLAN_RUNG_TOP);
    if (plan->ground.rung != PLAN_RUNG_BARE)
        build_namespaces(b);
    else if (prctl(PR_SET_CHILD_SUBREAPER, 1ul) < 0)
        init_fail(b->control, APPLY_INIT, 0, -errno);
    /* 1, because with 0 a core would still go to a core_pattern that is a pipe, which is a root
     * process outside (core(5)). The filter keeps it so. */
    r = init_limit(RLIMIT_CORE, 1);
    if (r < 0)
        init_fail(b->control, APPLY_LIMITS, RLIMIT_CORE, r);
    r = drop_caps(plan);
    if (r < 0)
        init_fail(b->control, APPLY_CAPABILITIES, 0, r);
    r = enter_landlock(b, &index);
    if (r < 0)
        init_fail(b->control, APPLY_LANDLOCK, index, r);
    r = load_filters(b);
    if (r < 0)
        init_fail(b->control, APPLY_FILTER, 0, r);
    init_run(plan, b->stdio, b->control, b->limited);
}

/* ---- the caller ---- */

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void list_keep(struct birth *b)
{
    b->keep = mem_calloc(b->plan->step_count + 5, sizeof b->keep[0]);
    for (int i = 0; i < 3; i++)
        b->keep[b->keep_count++] = b->stdio[i];
    b->keep[b->keep_count++] = b->control;
    if (b->apply->watch >= 0)
        b->keep[b->keep_count++] = b->apply->watch;
    for (size_t i = 0; i < b->plan->step_count; i++)
        if (b->trees[i] >= 0)
            b->keep[b->keep_count++] = b->trees[i];
    qsort(b->keep, b->keep_count, sizeof b->keep[0], by_number);
}

static int clone_task(const struct birth *b, int cgroup, pid_t *ret_pid, int *ret_pidfd)
{
    int pidfd = -1;
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
    if (pid == 0)
        be_task(b);
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
static int fork_task(const struct birth *b, int cgroup, pid_t *ret_pid, int *ret_pidfd)
{
    pid_t pid = _Fork();
    int r = 0;

    if (pid < 0)
        return -errno;
    if (pid == 0)
        be_task(b);
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
        r = tree_open(b->plan, b->trees, &index);
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
}

int apply_start(const struct apply *a, const struct plan *plan, const int stdio[3],
                struct apply_cgroup cgroup, struct apply_task *ret_task,
                struct apply_report *ret_report)
{
    CLEANUP(birth_done)
    struct birth b = { .apply = a,
                       .plan = plan,
                       .filter = plan->survey ? a->survey : find_filter(a, plan->calls),
                       .stdio = stdio,
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
        r = plan->ground.rung == PLAN_RUNG_BARE ? fork_task(&b, cgroup.fd, &pid, &pidfd)
                                                : clone_task(&b, cgroup.fd, &pid, &pidfd);
    if (r < 0)
        return ret_report->error = r;
    *ret_task = (struct apply_task){ .pid = pid, .pidfd = pidfd, .control = TAKE_FD(ours) };
    return 0;
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

int apply_map_ids(const struct plan *plan, pid_t pid, struct err *err)
{
    char uid_map[64], gid_map[64];
    int r;

    (void)snprintf(uid_map, sizeof uid_map, "%d %u 1\n", PLAN_INNER_ID, (unsigned)plan->outer_uid);
    (void)snprintf(gid_map, sizeof gid_map, "%d %u 1\n", PLAN_INNER_ID,
                   (unsigned)(plan->as_root ? plan->outer_uid : getegid()));
    (void)write_proc(pid, "oom_score_adj", "1000"); /* a wish; the limits are what counts */
    if (plan->ground.rung != PLAN_RUNG_TOP)
        return 0;
    r = plan->as_root ? 0 : write_proc(pid, "setgroups", "deny");
    if (r < 0)
        return map_failed(plan, "setgroups", r, err);
    r = write_proc(pid, "uid_map", uid_map);
    if (r < 0)
        return map_failed(plan, "uid_map", r, err);
    r = write_proc(pid, "gid_map", gid_map);
    return r < 0 ? map_failed(plan, "gid_map", r, err) : 0;
}
