#include "sandbox/birth.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/apply.h"
#include "sandbox/caps.h"
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/gateway.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "sandbox/plan_shared.h"
#include "sandbox/tree.h"
#include "util/cleanup.h"
#include "util/fd.h"

enum { LISTENER_BACKLOG = 128 };

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

static char hear(int control)
{
    char word;
    ssize_t n;

    do
        n = recv(control, &word, sizeof word, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        init_fail(control, APPLY_INIT, 0, -errno);
    if (n == 0)
        _exit(1); /* the caller is gone */
    return word;
}

static void await_go(struct birth *b)
{
    char word = hear(b->control);

    if (word == APPLY_SURE) {
        b->sure = true;
        word = hear(b->control);
    }
    if (word != APPLY_GO)
        _exit(1); /* the caller changed its mind */
}

/* The last moment at which another sandbox can take the task. */
static void await_sure(const struct birth *b)
{
    if (!b->sure && hear(b->control) != APPLY_SURE)
        _exit(1);
    if (b->plan_fd < 0)
        return;
    if (lseek(b->plan_fd, 1, SEEK_SET) != 1)
        init_fail(b->control, APPLY_INIT, 0, -errno);
    (void)close(b->plan_fd); /* it was read long ago */
}

/* Whether the caller's rights to write what apply_map_ids() does hang on our being dumpable: all
 * that is ours to write, unless it is root and stays so for us. */
static bool is_to_be_dumpable(const struct plan *plan)
{
    return plan->ground.rung == PLAN_RUNG_TOP ||
           (plan->ground.rung == PLAN_RUNG_BARE && !plan->as_root);
}

/* Dumpable from here until the maps are written, which the caller does meanwhile. */
static void await_maps(struct birth *b, bool dumpable)
{
    const struct apply_report ready = { .kind = APPLY_READY };

    if (dumpable)
        (void)prctl(PR_SET_DUMPABLE, 1); /* where it fails, writing the maps does, and says so */
    if (send(b->control, &ready, sizeof ready, MSG_NOSIGNAL) < 0)
        _exit(1);
    await_go(b);
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
static int offer_listener(struct birth *b)
{
    const struct apply_report listening = { .kind = APPLY_LISTENING };
    AUTO_CLOSE int fd = open_listener();
    int r = fd < 0 ? fd : fd_send(b->control, &listening, sizeof listening, &fd, 1);

    if (r == 0)
        await_go(b);
    return r;
}

/* Nothing of it stays here: with a descriptor of our own, what is refused would wait for ever once
 * nobody answers any more. */
static int load_watched(const struct birth *b)
{
    AUTO_CLOSE int sock = b->watch, listener = filter_load_watched(b->filter);

    return listener < 0 ? listener : fd_send(sock, "w", 1, &listener, 1);
}

/* The host paths of the plan's steps from first on, where that is left to us. */
static void open_tree_from(const struct birth *b, size_t first)
{
    size_t index = first;
    int r = b->opens ? tree_open(b->plan, first, b->host, b->trees, &index) : 0;

    if (r < 0)
        init_fail(b->control, APPLY_SOURCES, index, r);
}

static void fill_tree_from(const struct birth *b, size_t first, int root)
{
    size_t index = first;
    int r = tree_fill(b->plan, first, b->trees, root, &index);

    if (r < 0)
        init_fail(b->control, APPLY_TREE, index, r);
    for (size_t i = first; i < b->plan->step_count; i++)
        if (b->trees[i] >= 0)
            (void)close(b->trees[i]); /* attached now */
}

/* Its own file system, network and name, as far as the plan goes. Returns the file system's root.
 */
static int build_namespaces(const struct birth *b)
{
    const struct plan *plan = b->plan;
    int root = -1, r;

    open_tree_from(b, 0);
    r = plan->ground.rung == PLAN_RUNG_ROOT ? take_file_ids(plan) : take_ids(plan);
    if (r < 0)
        init_fail(b->control, APPLY_IDS, 0, r);
    r = tree_begin(&root);
    if (r < 0)
        init_fail(b->control, APPLY_TREE, plan->step_count, r);
    fill_tree_from(b, 0, root);
    r = plan->network != PLAN_NETWORK_HOST ? raise_loopback() : 0;
    if (r < 0)
        init_fail(b->control, APPLY_LOOPBACK, 0, r);
    /* EPERM: a container's filter; rung_probe() says so */
    if (sethostname(PLAN_HOSTNAME, strlen(PLAN_HOSTNAME)) < 0 && errno != EPERM)
        init_fail(b->control, APPLY_HOSTNAME, 0, -errno);
    return root;
}

static void enter_root(const struct birth *b, int root)
{
    int r = tree_enter(root);

    if (r < 0)
        init_fail(b->control, APPLY_TREE, b->plan->step_count + 1, r);
}

/* All is where it is to be. */
static void leave_building(struct birth *b, int root)
{
    int r = tree_seal(root);

    (void)close(root); /* it is "/" now */
    if (r < 0)
        init_fail(b->control, APPLY_TREE, b->plan->step_count + 1, r);
    r = plan_has_egress(b->plan) ? offer_listener(b) : 0;
    if (r < 0)
        init_fail(b->control, APPLY_LISTENER, 0, r);
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

/* Adds what the ruleset made before doesn't hold: the job's rules, and those whose paths weren't
 * there yet. */
static int complete_ruleset(const struct birth *b, size_t *ret_rule)
{
    const struct plan *plan = b->plan;
    size_t at = 0;
    int r;

    for (size_t i = 0; i < plan->rule_count; i++) {
        if (plan_shared_has_rule(b->shared, &plan->rules[i], &at) && b->allowed[at - 1])
            continue;
        r = landlock_allow(b->ruleset, &plan->rules[i],
                           landlock_firm(plan->rules, plan->rule_count, plan->rules[i].path),
                           b->landlock_abi);
        if (r == 0 || r == -ENOENT)
            continue;
        *ret_rule = i;
        return r;
    }
    r = landlock_restrict(b->ruleset);
    (void)close(b->ruleset); /* entered, or the process ends */
    return r;
}

static int enter_landlock(const struct birth *b, size_t *ret_rule)
{
    const struct plan *plan = b->plan;
    unsigned flags = LANDLOCK_SCOPED | LANDLOCK_FIRM;
    int r;
    bool bare = plan->ground.rung == PLAN_RUNG_BARE;
    /* as the same user, nothing else keeps it from everybody's processes, ours among them */
    int needed = bare && !plan->as_root ? LANDLOCK_ABI_SCOPES : LANDLOCK_ABI_NEEDED;

    if (plan->ground.without_landlock)
        return 0;
    *ret_rule = plan->rule_count;
    if (b->landlock_abi < needed)
        return -EOPNOTSUPP;
    /* Elsewhere a network that is not the host's has nothing but the task's own servers. */
    if (bare && plan->network == PLAN_NETWORK_NONE)
        flags |= LANDLOCK_NO_TCP;
    r = b->ruleset >= 0
            ? complete_ruleset(b, ret_rule)
            : landlock_enter(plan->rules, plan->rule_count, b->landlock_abi, flags, ret_rule);
    /* In the end it kills all that it can reach: that must never be what is outside. */
    if (r == 0 && bare && !plan->as_root && kill(getppid(), 0) == 0)
        r = -EOPNOTSUPP;
    return r;
}

static int load_filters(const struct birth *b)
{
    bool bare = b->plan->ground.rung == PLAN_RUNG_BARE;
    int r = 0;

    if (b->prepared)
        return filter_load(b->second);
    if (bare && (!b->bare || !b->offline))
        return -EINVAL; /* a plan of another ground than ours */
    if (bare)
        r = filter_load(b->bare);
    if (r == 0 && bare && b->plan->network != PLAN_NETWORK_HOST)
        r = filter_load(b->offline);
    if (r < 0)
        return r;
    return b->watch < 0 ? filter_load(b->filter) : load_watched(b);
}

/* What stands is inside; now the walls. */
_Noreturn static void finish(const struct birth *b)
{
    const struct plan *plan = b->plan;
    size_t index = 0;
    int r;

    /* 1, because with 0 a core would still go to a core_pattern that is a pipe, which is a root
     * process outside (core(5)). The filter keeps it so. */
    r = b->prepared ? 0 : init_limit(RLIMIT_CORE, 1);
    if (r < 0)
        init_fail(b->control, APPLY_LIMITS, RLIMIT_CORE, r);
    r = b->prepared ? caps_keep_sets(0) : drop_caps(plan);
    if (r < 0)
        init_fail(b->control, APPLY_CAPABILITIES, 0, r);
    r = enter_landlock(b, &index);
    if (r < 0)
        init_fail(b->control, APPLY_LANDLOCK, index, r);
    r = load_filters(b);
    if (r < 0)
        init_fail(b->control, APPLY_FILTER, 0, r);
    await_sure(b);
    init_run(plan, b->stdio, b->control, b->limited);
}

/* cgroups(7): "0" is the writer; that moves this thread, which is the only one. */
static void enter_cgroup(const struct birth *b)
{
    for (size_t i = 0; b->doors && i < CGROUP_TASKS; i++) {
        if (b->doors->tasks[i] < 0)
            continue;
        if (write(b->doors->tasks[i], "0", 1) != 1)
            init_fail(b->control, APPLY_CGROUP, i, -errno);
        (void)close(b->doors->tasks[i]); /* it was only a way in */
    }
}

static void begin(const struct birth *b)
{
    close_rest(b);
    enter_cgroup(b);
    (void)prctl(PR_SET_NAME, "nairid-init");
    init_reset_signals(); /* with SIGCHLD ignored children would vanish unreaped */
}

static void build_all(struct birth *b)
{
    int root = build_namespaces(b);

    enter_root(b, root);
    leave_building(b, root);
}

_Noreturn void birth_run(struct birth *b)
{
    begin(b);
    await_maps(b, is_to_be_dumpable(b->plan));
    if (b->plan->ground.rung != PLAN_RUNG_BARE)
        build_all(b);
    else if (prctl(PR_SET_CHILD_SUBREAPER, 1ul) < 0)
        init_fail(b->control, APPLY_INIT, 0, -errno);
    finish(b);
}

/* As much of finish() as leaves room for the rest of the steps: what takes the kernel longest. */
static void prepare_walls(struct birth *b)
{
    int r = init_limit(RLIMIT_CORE, 1);

    if (r < 0)
        init_fail(b->control, APPLY_LIMITS, RLIMIT_CORE, r);
    r = caps_lock();
    if (r == 0)
        r = caps_empty_bounds();
    if (r < 0)
        init_fail(b->control, APPLY_CAPABILITIES, 0, r);
    r = filter_load(b->first);
    if (r < 0)
        init_fail(b->control, APPLY_FILTER, 0, r);
    b->prepared = true;
}

/* A rule is for what is there now, whatever is mounted over it later. It counts for nobody yet. */
static void prepare_ruleset(struct birth *b)
{
    const struct plan *plan = b->plan;

    if (plan->ground.without_landlock || b->landlock_abi < LANDLOCK_ABI_NEEDED)
        return;
    b->ruleset = landlock_new(b->landlock_abi, LANDLOCK_SCOPED);
    if (b->ruleset < 0)
        init_fail(b->control, APPLY_LANDLOCK, plan->rule_count, b->ruleset);
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct plan_rule *rule = &plan->rules[i];
        int r = landlock_allow(b->ruleset, rule,
                               landlock_firm(plan->rules, plan->rule_count, rule->path),
                               b->landlock_abi);

        b->allowed[i] = r == 0;
        if (r < 0 && r != -ENOENT)
            init_fail(b->control, APPLY_LANDLOCK, i, r);
    }
}

/* As far as that goes without a task. Returns the root that is being built. */
static int build_shared(struct birth *b, bool *ret_entered)
{
    int root;

    await_maps(b, true);
    if (b->opens)
        b->host = tree_keep_host();
    root = build_namespaces(b);
    *ret_entered = !b->opens || b->host >= 0;
    if (*ret_entered) /* what it takes the kernel to forget the host's mounts is most of all */
        enter_root(b, root);
    if (*ret_entered)
        prepare_ruleset(b);
    if (*ret_entered && b->first)
        prepare_walls(b);
    return root;
}

/* The spawner gets the copy of the host, too: whoever closes it last has to wait. */
static void tell_waiting(const struct birth *b)
{
    const struct apply_report waiting = { .kind = APPLY_WAITING };

    if (fd_send(b->control, &waiting, sizeof waiting, &b->host, b->host >= 0 ? 1 : 0) < 0)
        _exit(1);
}

/* The rest of the plan's steps. Where the host is out of sight, no link of its can be copied. */
static void build_rest(struct birth *b, size_t done, int root, bool entered)
{
    open_tree_from(b, done);
    if (b->host >= 0)
        (void)close(b->host); /* it was only to open from */
    for (size_t i = done; entered && i < b->plan->step_count; i++)
        if (b->plan->steps[i].flags & PLAN_MIRROR)
            init_fail(b->control, APPLY_SOURCES, i, -EOPNOTSUPP);
    fill_tree_from(b, done, root);
    if (!entered)
        enter_root(b, root);
}

_Noreturn void birth_wait(struct birth *b, birth_adopt_fn adopt, const void *ctx)
{
    size_t done = b->plan->step_count;
    bool entered = false;
    int root = -1;

    begin(b);
    if (done > 0)
        root = build_shared(b, &entered);
    tell_waiting(b);
    if (adopt(b, ctx) < 0)
        _exit(1); /* the task then gets a new one, which has more to say */
    if (done > 0) {
        build_rest(b, done, root, entered);
    } else {
        await_maps(b, is_to_be_dumpable(b->plan));
        root = build_namespaces(b);
        enter_root(b, root);
    }
    leave_building(b, root);
    finish(b);
}
