#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/cgroupfile.h"
#include "sandbox/legacy.h"
#include "sandbox/plan.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

#define LEAF        "nairid.main"
#define TASK_PREFIX "nairid.task-"

enum {
    CPU_PERIOD_US = 100000,
    PROCESS_1 = 1,   /* ours, which the task's own number doesn't count */
    END_TRIES = 100, /* 10 ms each: killed processes take a moment to go */
};

struct cgroup {
    char *path; /* of the subtree; NULL with cgroup v1 */
    bool memory, pids, cpu;
    struct legacy *legacy; /* NULL with cgroup v2 */
};

/* ---- the subtree ---- */

static const char *machine_mount(void)
{
    static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct statfs st;

        if (statfs(places[i], &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
            return places[i];
    }
    return NULL;
}

/* The path behind "0::" in /proc/self/cgroup, allocated; NULL without cgroup v2. */
static char *machine_own(void)
{
    char text[CGROUPFILE_MAX];

    if (cgroupfile_read("/proc/self", "cgroup", text) < 0)
        return NULL;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (str_starts_with(line, "0::/"))
            return mem_strndup(line + 3, strcspn(line + 3, "\n"));
    }
    return NULL;
}

/* systemd's mark on what it delegates, or our unit's word where that systemd is a user's own, which
 * leaves none. Whoever else owns a cgroup, its manager alone may write. */
static bool is_delegated(const char *path)
{
    static const char *const names[] = { "trusted.delegate", "user.delegate" };
    const char *word = getenv("CGROUP_DELEGATED");

    if (word && strcmp(word, "yes") == 0)
        return true;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char value[8];

        if (getxattr(path, names[i], value, sizeof value) == 1 && value[0] == '1')
            return true;
    }
    return false;
}

/* Others in it, such as a shell that we were started from, would keep the controllers there. Others
 * in the leaf are a daemon that lives, whose tasks the others beside it are. */
static bool is_alone(const char *path)
{
    AUTO_FREE char *self = mem_printf("%d", (int)getpid());
    AUTO_FREE char *leaf = mem_printf("%s/" LEAF, path);
    char text[CGROUPFILE_MAX];

    if (cgroupfile_read(path, "cgroup.procs", text) < 0 ||
        (text[0] != '\0' && strcmp(text, self) != 0))
        return false;
    return cgroupfile_read(leaf, "cgroup.procs", text) < 0 || text[0] == '\0' ||
           strcmp(text, self) == 0;
}

static int look(struct cgroup *c, bool vouched, struct err *err)
{
    char text[CGROUPFILE_MAX];
    int r;

    if (!vouched && !is_delegated(c->path))
        return err_set(err, -EOPNOTSUPP,
                       "the cgroup '%s' wasn't given to this daemon (Delegate=yes in its unit; in "
                       "a user's own also Environment=CGROUP_DELEGATED=yes)",
                       c->path);
    r = cgroupfile_read(c->path, "cgroup.controllers", text);
    if (r < 0)
        return err_set(err, r, "read the controllers of the cgroup '%s': %s", c->path,
                       strerror(-r));
    c->memory = cgroupfile_has_word(text, ' ', "memory");
    c->pids = cgroupfile_has_word(text, ' ', "pids");
    c->cpu = cgroupfile_has_word(text, ' ', "cpu");
    if (!c->memory || !c->pids)
        return err_set(err, -EOPNOTSUPP,
                       "cgroup v2 offers no memory and pids controllers in '%s' (it has: %s)",
                       c->path, text[0] ? text : "none");
    if (access(c->path, W_OK | X_OK) < 0) /* a container's, most often */
        return err_set(err, -errno, "the cgroup '%s' can't be written: %s", c->path,
                       strerror(errno));
    if (!is_alone(c->path))
        return err_set(err, -EOPNOTSUPP, "other processes than the daemon are in its cgroup '%s'",
                       c->path);
    return 0;
}

static int find_v2(const char *mount, const char *own, struct cgroup **ret_cgroup, struct err *err)
{
    CLEANUP_PTR(cgroup_free) struct cgroup *c = mem_new(struct cgroup);
    AUTO_FREE char *machine = own ? mem_strdup(own) : machine_own();
    bool vouched = mount != NULL;
    int r;

    if (!mount)
        mount = machine_mount();
    if (!mount || !machine)
        return err_set(err, -ENOENT, "this machine has no cgroup v2");
    if (str_ends_with(machine, "/" LEAF)) /* where we have moved to ourselves */
        machine[strlen(machine) - strlen("/" LEAF)] = '\0';
    c->path = mem_printf("%s%s", mount, strcmp(machine, "/") == 0 ? "" : machine);
    r = look(c, vouched, err);
    if (r < 0)
        return r;
    *ret_cgroup = TAKE_PTR(c);
    return 0;
}

static int find_legacy(struct cgroup **ret_cgroup, struct err *err)
{
    CLEANUP_PTR(cgroup_free) struct cgroup *c = mem_new(struct cgroup);
    int r = legacy_find("/proc/self", &c->legacy, err);

    if (r == 0)
        *ret_cgroup = TAKE_PTR(c);
    return r;
}

int cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup, struct err *err)
{
    struct err v2 = { 0 }, v1 = { 0 };

    if (find_v2(mount, own, ret_cgroup, &v2) == 0 || (!mount && find_legacy(ret_cgroup, &v1) == 0))
        return 0;
    return err_set(err, v2.code, "%s%s%s", v2.text, v1.code < 0 ? "; " : "", v1.text);
}

void cgroup_free(struct cgroup *c)
{
    if (!c)
        return;
    legacy_free(c->legacy);
    free(c->path);
    free(c);
}

static void remove_waiting(const struct cgroup *c, uint64_t task)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

    /* one that stays does no harm: the next start tries again */
    for (int i = 0; cgroup_remove(c, task) == -EBUSY && i < END_TRIES; i++)
        (void)nanosleep(&pause, NULL); /* cut short it is only shorter */
}

/* Of a run that was killed: its tasks are dead, or are now. */
static void remove_old(const struct cgroup *c)
{
    DIR *dir = opendir(c->path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        uint64_t task;

        if (str_starts_with(entry->d_name, TASK_PREFIX) &&
            str_to_u64(entry->d_name + strlen(TASK_PREFIX), UINT64_MAX, &task) == 0)
            remove_waiting(c, task);
    }
    if (dir)
        (void)closedir(dir); /* only read */
}

static int settle_v2(const struct cgroup *c, struct err *err)
{
    AUTO_FREE char *leaf = mem_printf("%s/%s", c->path, LEAF);
    int r;

    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make the cgroup '%s': %s", leaf, strerror(errno));
    remove_old(c);
    r = cgroupfile_write(leaf, "cgroup.procs", "0");
    if (r == 0)
        r = cgroupfile_write(c->path, "cgroup.subtree_control",
                             c->cpu ? "+memory +pids +cpu" : "+memory +pids");
    if (r < 0)
        return err_set(err, r, "hand controllers down from the cgroup '%s': %s%s", c->path,
                       strerror(-r), r == -EBUSY ? ": other processes are in it" : "");
    return 0;
}

int cgroup_settle(struct cgroup *c, struct err *err)
{
    return c->legacy ? legacy_settle(c->legacy, err) : settle_v2(c, err);
}

int cgroup_hold(struct cgroup *c, struct err *err)
{
    return c->legacy ? legacy_hold(c->legacy, err) : 0;
}

void cgroup_leave(struct cgroup *c)
{
    if (c->legacy)
        legacy_leave(c->legacy);
}

/* ---- a task's ---- */

static char *path_of(const struct cgroup *c, uint64_t task)
{
    return mem_printf("%s/" TASK_PREFIX "%" PRIu64, c->path, task);
}

static int set_limits(const struct cgroup *c, const char *path, const struct plan *plan)
{
    AUTO_FREE char *cpu = mem_printf(
        "%" PRIu64 " %d", (uint64_t)plan->cpu_percent * CPU_PERIOD_US / 100, CPU_PERIOD_US);
    int r = cgroupfile_limit(path, "memory.max", plan->memory_bytes);

    if (r == 0 && plan->memory_bytes) {
        /* Not every kernel accounts swap; where it does, it is no way round the limit. All of a
         * task goes when memory is short: half of one has no answer to give. */
        (void)cgroupfile_write(path, "memory.swap.max", "0");
        (void)cgroupfile_write(path, "memory.oom.group", "1");
    }
    if (r == 0)
        r = cgroupfile_limit(path, "pids.max", plan->pids ? plan->pids + (uint64_t)PROCESS_1 : 0);
    if (r == 0 && c->cpu && plan->cpu_percent)
        r = cgroupfile_write(path, "cpu.max", cpu);
    return r;
}

static int make_v2(const struct cgroup *c, uint64_t task, struct cgroup_doors *ret_doors,
                   struct err *err)
{
    AUTO_FREE char *path = path_of(c, task);
    int fd, r;

    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make the task's cgroup '%s': %s", path, strerror(errno));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        r = -errno;
        (void)cgroup_remove(c, task); /* the first failure is the one to report */
        return err_set(err, r, "open the task's cgroup '%s': %s", path, strerror(-r));
    }
    *ret_doors = CGROUP_NO_DOORS;
    ret_doors->clone = fd;
    return 0;
}

int cgroup_make(const struct cgroup *c, uint64_t task, struct cgroup_doors *ret_doors,
                struct err *err)
{
    return c->legacy ? legacy_make(c->legacy, task, ret_doors, err)
                     : make_v2(c, task, ret_doors, err);
}

int cgroup_limit(const struct cgroup *c, uint64_t task, const struct plan *plan, struct err *err)
{
    AUTO_FREE char *path = c->legacy ? NULL : path_of(c, task);
    int r;

    if (c->legacy)
        return legacy_limit(c->legacy, task, plan, err);
    r = set_limits(c, path, plan);
    return r < 0
               ? err_set(err, r, "set the limits of the task's cgroup '%s': %s", path, strerror(-r))
               : 0;
}

void cgroup_doors_done(struct cgroup_doors *d)
{
    if (d->clone >= 0)
        (void)close(d->clone); /* only a way in, as the others */
    for (size_t i = 0; i < CGROUP_TASKS; i++)
        if (d->tasks[i] >= 0)
            (void)close(d->tasks[i]);
}

static void read_v2(const struct cgroup *c, uint64_t task, bool cpu, struct cgroup_usage *usage)
{
    AUTO_FREE char *path = path_of(c, task);
    char text[CGROUPFILE_MAX];

    if (cgroupfile_read(path, "memory.events", text) == 0)
        usage->oom = cgroupfile_number(text, "oom_kill") > 0;
    if (cgroupfile_read(path, "memory.peak", text) == 0)
        (void)str_to_u64(text, UINT64_MAX, &usage->peak_bytes); /* else it stays 0 */
    if (cpu && cgroupfile_read(path, "cpu.stat", text) == 0)
        usage->cpu_ms = cgroupfile_number(text, "usage_usec") / 1000;
}

void cgroup_read(const struct cgroup *c, uint64_t task, struct cgroup_usage *ret_usage)
{
    *ret_usage = (struct cgroup_usage){ 0 };
    if (c->legacy)
        legacy_read(c->legacy, task, ret_usage);
    else
        read_v2(c, task, true, ret_usage);
}

void cgroup_read_memory(const struct cgroup *c, uint64_t task, struct cgroup_usage *ret_usage)
{
    *ret_usage = (struct cgroup_usage){ 0 };
    if (c->legacy)
        legacy_read_memory(c->legacy, task, ret_usage);
    else
        read_v2(c, task, false, ret_usage);
}

int cgroup_remove(const struct cgroup *c, uint64_t task)
{
    AUTO_FREE char *path = NULL;

    if (c->legacy)
        return legacy_remove(c->legacy, task);
    path = path_of(c, task);
    (void)cgroupfile_write(path, "cgroup.kill", "1"); /* normally nothing is there any more */
    return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}
