#include "sandbox/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/caps.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "util/err.h"
#include "util/mem.h"

/* What libcurl, the resolver and its plug-ins read, and what a process reads of itself. */
static const char *const system_readable[] = {
    "/usr", "/lib", "/lib32", "/lib64", "/etc", "/sys", "/run/systemd/resolve", "/proc"
};
static const char *const system_writable[] = { "/dev" }; /* null, urandom, a terminal to log to */

struct rules {
    struct plan_rule *items;
    size_t len;
};

static void add_rule(struct rules *rules, const char *path, uint32_t rights)
{
    rules->items = mem_realloc(rules->items, (rules->len + 1) * sizeof rules->items[0]);
    rules->items[rules->len++] = (struct plan_rule){ .path = mem_strdup(path), .rights = rights };
}

static void rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->len; i++)
        free(rules->items[i].path);
    free(rules->items);
}

static int restrict_files(const struct confine_paths *paths, struct err *err)
{
    const uint32_t read = PLAN_MAY_LIST | PLAN_MAY_READ,
                   change = read | PLAN_MAY_WRITE | PLAN_MAY_CHANGE;
    CLEANUP(rules_done) struct rules rules = { 0 };
    int abi = landlock_abi(), r;
    size_t bad = 0;

    if (abi < LANDLOCK_ABI_NEEDED)
        return err_set(err, abi < 0 ? abi : -EOPNOTSUPP,
                       "the kernel offers no Landlock of version %d or later", LANDLOCK_ABI_NEEDED);
    for (size_t i = 0; i < ARRAY_SIZE(system_readable); i++)
        add_rule(&rules, system_readable[i], read);
    for (size_t i = 0; i < ARRAY_SIZE(system_writable); i++)
        add_rule(&rules, system_writable[i], read | PLAN_MAY_WRITE);
    for (size_t i = 0; paths->readable && paths->readable[i]; i++)
        add_rule(&rules, paths->readable[i], read);
    for (size_t i = 0; paths->writable && paths->writable[i]; i++)
        add_rule(&rules, paths->writable[i], change);
    /* No scopes: the service manager's socket may be an abstract one, and the spawner, which is
     * outside, must be killed at times. */
    r = landlock_enter(rules.items, rules.len, abi, 0, &bad);
    if (r < 0)
        return err_set(err, r, "restrict the daemon's files with Landlock (%s): %s",
                       bad < rules.len ? rules.items[bad].path : "ruleset", strerror(-r));
    return 0;
}

static int close_to_others(struct err *err)
{
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return err_set(err, -errno, "make the process non-dumpable: %s", strerror(errno));
    return 0;
}

static int keep_caps(uint64_t mask, struct err *err)
{
    int r = caps_keep(mask);

    return r < 0 ? err_set(err, r, "drop capabilities: %s", strerror(-r)) : 0;
}

static int load_filter(enum filter_kind kind, struct err *err)
{
    CLEANUP_PTR(filter_free) struct filter *f = NULL;
    int r = filter_new(kind, 0, &f, err);

    if (r < 0)
        return r;
    r = filter_load(f);
    return r < 0 ? err_set(err, r, "load our own system call filter: %s", strerror(-r)) : 0;
}

int confine_daemon(const struct confine_paths *paths, struct err *err)
{
    /* As root: workspaces belong to the tasks' users. */
    const uint64_t caps = CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) |
                          CAPS_BIT(CAP_DAC_READ_SEARCH) | CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_KILL);
    int r = keep_caps(caps, err);

    if (r == 0)
        r = close_to_others(err);
    if (r == 0 && !paths->without_landlock)
        r = restrict_files(paths, err);
    return r < 0 ? r : load_filter(FILTER_DAEMON, err);
}

/* As root: copies of the host's mounts, paths that only the task's user can walk, id maps; for
 * namespaces that are root's own besides what sets up a loopback in one; and where there are none
 * nothing that mounts. */
static uint64_t spawner_caps(const struct plan_ground *ground)
{
    const uint64_t caps = CAPS_BIT(CAP_DAC_READ_SEARCH) | CAPS_BIT(CAP_DAC_OVERRIDE) |
                          CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_KILL);

    switch (ground->rung) {
    case PLAN_RUNG_TOP:
        return caps | CAPS_BIT(CAP_SYS_ADMIN);
    case PLAN_RUNG_ROOT:
        return caps | CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_NET_ADMIN) |
               CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_SETPCAP);
    case PLAN_RUNG_BARE:
        return caps | CAPS_BIT(CAP_SETPCAP);
    case PLAN_RUNG_COUNT:
        break;
    }
    return 0;
}

int confine_spawner(const struct plan_ground *ground, bool is_watching, struct err *err)
{
    int r = keep_caps(spawner_caps(ground), err);

    if (r == 0)
        r = close_to_others(err);
    if (r < 0)
        return r;
    /* A session keyring of our own, empty: tasks would inherit the caller's with its keys.
     * A kernel without keyrings has none to hide, and neither has a container whose filter
     * forbids this call (EPERM: it has no other cause for a keyring without a name), and with it
     * the tasks'. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS &&
        errno != EPERM)
        return err_set(err, -errno, "leave the session keyring: %s", strerror(errno));
    r = ground->rung == PLAN_RUNG_BARE ? landlock_enter_scopes(landlock_abi()) : 0;
    if (r < 0)
        return err_set(err, r, "restrict signals and abstract sockets with Landlock: %s",
                       strerror(-r));
    return is_watching ? 0 : load_filter(FILTER_SPAWNER, err);
}

static int become(uid_t uid, struct err *err)
{
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, uid, uid, uid) < 0 ||
        syscall(SYS_setresuid, uid, uid, uid) < 0)
        return err_set(err, -errno,
                       "become user %u: %s: does the container have that id, and the rights to "
                       "SETUID and SETGID?",
                       (unsigned)uid, strerror(errno));
    return 0;
}

enum { EGRESS_NICE = 10 }; /* about a tenth of what others get who want the processor, too */

/* So many, and no more: connections have two descriptors each, and 300 KiB at most. */
static int limit_resources(struct err *err)
{
    static const struct {
        int resource;
        rlim_t most;
    } limits[] = {
        { RLIMIT_NOFILE, 1024 },
        { RLIMIT_FSIZE, 0 },
        { RLIMIT_MSGQUEUE, 0 },
#ifndef NAIRID_SANITIZED            /* a sanitizer's own memory counts */
        { RLIMIT_DATA, 256 << 20 }, /* it is in no cgroup of the task's */
#endif
    };

    (void)setpriority(PRIO_PROCESS, 0, EGRESS_NICE); /* where it fails, it is as everybody is */
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct rlimit limit;

        if (getrlimit((unsigned)limits[i].resource, &limit) < 0)
            return err_set(err, -errno, "read a resource limit: %s", strerror(errno));
        if (limit.rlim_max > limits[i].most)
            limit.rlim_max = limits[i].most;
        if (limit.rlim_cur > limit.rlim_max || limits[i].most > 0)
            limit.rlim_cur = limit.rlim_max;
        if (setrlimit((unsigned)limits[i].resource, &limit) < 0)
            return err_set(err, -errno, "set a resource limit: %s", strerror(errno));
    }
    return 0;
}

int confine_egress(const struct filter *filter, uid_t uid, bool without_landlock, struct err *err)
{
    const struct plan_rule hosts = { .path = (char[]){ "/etc/hosts" }, .rights = PLAN_MAY_READ };
    int abi = landlock_abi(), r = uid != 0 ? become(uid, err) : 0;

    if (r == 0)
        r = limit_resources(err);
    if (r == 0)
        r = keep_caps(0, err);
    if (r == 0)
        r = close_to_others(err);
    if (r < 0)
        return r;
    /* After the last change of ids, which would undo it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_set(err, -errno, "tie the process to the spawner: %s", strerror(errno));
    if (!without_landlock)
        r = abi < 0 ? abi : landlock_enter(&hosts, 1, abi, LANDLOCK_SCOPED, NULL);
    if (r < 0)
        return err_set(err, r, "restrict files with Landlock: %s", strerror(-r));
    r = filter_load(filter);
    return r < 0 ? err_set(err, r, "load its system call filter: %s", strerror(-r)) : 0;
}
