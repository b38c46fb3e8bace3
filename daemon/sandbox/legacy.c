#include "sandbox/legacy.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/cgroup.h"
#include "sandbox/cgroupfile.h"
#include "sandbox/plan.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

#define OURS_PREFIX "nairid."
#define TASK_PREFIX "task-"

enum {
    CPU_PERIOD_US = 100000,
    PROCESS_1 = 1,    /* ours, which the task's own number doesn't count */
    NAME_TRIES = 100, /* somebody else may take our folder for a dead one's before we hold it */
    END_TRIES = 100,  /* 10 ms each: killed processes take a moment to go */
    MOUNTS_MAX = 1 << 20,
};

/* The lock is in the first, so that it is made first and removed last. */
enum hierarchy { MEMORY, PIDS, CPU, CPUACCT, HIERARCHY_COUNT };

static const struct {
    const char *controller;
    bool optional;
} hierarchies[] = {
    [MEMORY] = { "memory", false },
    [PIDS] = { "pids", false },
    [CPU] = { "cpu", true },
    [CPUACCT] = { "cpuacct", true },
};
static_assert(ARRAY_SIZE(hierarchies) == HIERARCHY_COUNT, "every hierarchy has its controller");
static_assert((int)HIERARCHY_COUNT == (int)CGROUP_TASKS, "and its door");

struct legacy {
    char *own[HIERARCHY_COUNT];  /* where we are; NULL: not there */
    char *ours[HIERARCHY_COUNT]; /* the folder that we made in it; NULL: none */
    int lock_fd;
};

/* ---- where we are ---- */

/* The rest of a whole line of /proc/PID/cgroup for the controller: "4:memory:/a/b" -> "/a/b".
 * Allocated, NULL for none. */
static char *find_own(const char *text, const char *controller)
{
    AUTO_FREE char *copy = mem_strdup(text);
    char *rest = copy, *line;

    while ((line = strsep(&rest, "\n"))) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        if (cgroupfile_has_word(list + 1, ',', controller))
            return mem_strdup(path);
    }
    return NULL;
}

/* One line of mountinfo: the mount point where own is seen, if it is the controller's hierarchy. */
static char *try_mount(char *line, const char *controller, const char *own)
{
    char *options = strstr(line, " - cgroup "), *words[5], *rest = line;
    size_t len;

    if (!options || !strrchr(options, ' '))
        return NULL;
    if (!cgroupfile_has_word(strrchr(options, ' ') + 1, ',', controller))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!(words[i] = strsep(&rest, " ")))
            return NULL;
    len = strcmp(words[3], "/") == 0 ? 0 : strlen(words[3]); /* what of it is mounted */
    if (words[4][0] != '/' || strncmp(own, words[3], len) != 0 ||
        (own[len] != '/' && own[len] != '\0'))
        return NULL;
    return mem_printf("%s%s", words[4], strcmp(own + len, "/") == 0 ? "" : own + len);
}

static char *find_path(const char *mounts, const char *own, const char *controller)
{
    AUTO_FREE char *copy = mem_strdup(mounts);
    char *rest = copy, *line, *path = NULL;

    while (!path && (line = strsep(&rest, "\n")))
        path = try_mount(line, controller, own);
    return path;
}

static int read_proc(const char *proc, const char *name, struct buf *b, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", proc, name);

    return fd_read_file(path, MOUNTS_MAX, b, err);
}

static int look(struct legacy *l, const char *proc, struct err *err)
{
    CLEANUP(buf_done) struct buf mounts = { 0 };
    CLEANUP(buf_done) struct buf groups = { 0 };
    int r = read_proc(proc, "mountinfo", &mounts, err);

    if (r == 0)
        r = read_proc(proc, "cgroup", &groups, err);
    if (r < 0)
        return r;
    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++) {
        AUTO_FREE char *own = find_own(buf_str(&groups), hierarchies[h].controller);

        l->own[h] = own ? find_path(buf_str(&mounts), own, hierarchies[h].controller) : NULL;
        if (!l->own[h] && !hierarchies[h].optional)
            return err_set(err, -ENOENT, "no cgroup v1 hierarchy of %s is mounted here",
                           hierarchies[h].controller);
        if (l->own[h] && access(l->own[h], W_OK | X_OK) < 0) {
            if (!hierarchies[h].optional)
                return err_set(err, -errno, "the cgroup '%s' can't be written: %s", l->own[h],
                               strerror(errno));
            free(l->own[h]);
            l->own[h] = NULL;
        }
    }
    return 0;
}

int legacy_find(const char *proc, struct legacy **ret_legacy, struct err *err)
{
    CLEANUP_PTR(legacy_free) struct legacy *l = mem_new(struct legacy);
    int r;

    l->lock_fd = -1;
    r = look(l, proc, err);
    if (r == 0)
        *ret_legacy = TAKE_PTR(l);
    return r;
}

void legacy_free(struct legacy *l)
{
    if (!l)
        return;
    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++) {
        free(l->own[h]);
        free(l->ours[h]);
    }
    if (l->lock_fd >= 0)
        (void)close(l->lock_fd); /* the spawner has its own */
    free(l);
}

/* ---- folders ---- */

/* An empty folder goes at once. Others are emptied first, as far as that can be done now. */
static int remove_folder(const char *path)
{
    if (rmdir(path) == 0 || errno == ENOENT)
        return 0;
    (void)cgroupfile_write(path, "pids.max", "0"); /* of one hierarchy: nothing new comes */
    (void)cgroupfile_kill(path);
    return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int remove_waiting(const char *path, int tries)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    int r = remove_folder(path);

    for (int i = 1; r == -EBUSY && i < tries; i++) {
        (void)nanosleep(&pause, NULL); /* cut short it is only shorter */
        r = remove_folder(path);
    }
    return r;
}

/* The names of what is in a directory and begins so, one after the other. False: no more. */
static bool next_name(DIR *dir, const char *prefix, const char **ret_name)
{
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (str_starts_with(entry->d_name, prefix)) {
            *ret_name = entry->d_name;
            return true;
        }
    if (dir)
        (void)closedir(dir); /* only read */
    return false;
}

static int remove_with_tasks(const char *path, int tries)
{
    DIR *dir = opendir(path);
    const char *name;

    while (next_name(dir, TASK_PREFIX, &name)) {
        AUTO_FREE char *task = mem_printf("%s/%s", path, name);

        (void)remove_waiting(task, tries); /* what stays keeps the folder around it, too */
    }
    return remove_folder(path);
}

/* What a daemon has in all hierarchies. The folder of the lock, by which it is found, goes last,
 * and only if nothing else stays: then the next start tries again. */
static void remove_everywhere(char *const paths[HIERARCHY_COUNT], int tries)
{
    bool stays = false;

    for (int h = HIERARCHY_COUNT - 1; h > MEMORY; h--)
        stays |= paths[h] && remove_with_tasks(paths[h], tries) < 0;
    if (!stays && paths[MEMORY])
        (void)remove_with_tasks(paths[MEMORY], tries); /* else that stays */
}

static void remove_dead(const struct legacy *l, const char *name)
{
    char *paths[HIERARCHY_COUNT];

    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++)
        paths[h] = l->own[h] ? mem_printf("%s/%s", l->own[h], name) : NULL;
    remove_everywhere(paths, END_TRIES);
    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++)
        free(paths[h]);
}

static void remove_old(const struct legacy *l)
{
    DIR *dir = opendir(l->own[MEMORY]);
    const char *name;

    while (next_name(dir, OURS_PREFIX, &name)) {
        AUTO_FREE char *path = mem_printf("%s/%s", l->own[MEMORY], name);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_dead(l, name);
    }
}

/* ---- ours ---- */

/* Opens and holds our folder. -EAGAIN: somebody has removed it, or is about to. */
static int hold(const char *path, int *ret_fd)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat held, there;

    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (fstat(fd, &held) < 0)
        return -errno;
    if (stat(path, &there) < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (held.st_ino != there.st_ino)
        return -EAGAIN;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int make_in(struct legacy *l, enum hierarchy h, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", l->own[h], name);

    if (mkdir(path, 0755) < 0 && errno != EEXIST) /* two controllers may share one hierarchy */
        return hierarchies[h].optional ? 0 : -errno;
    l->ours[h] = TAKE_PTR(path);
    return 0;
}

static int make_locked(struct legacy *l, char **ret_name)
{
    int r = -EAGAIN;

    for (int i = 0; r == -EAGAIN && i < NAME_TRIES; i++) {
        AUTO_FREE char *name =
            mem_printf(OURS_PREFIX "%d.%" PRIu64 "-%d", (int)getpid(), clock_mono_ms(), i);
        AUTO_FREE char *path = mem_printf("%s/%s", l->own[MEMORY], name);

        if (mkdir(path, 0755) < 0) {
            r = errno == EEXIST ? -EAGAIN : -errno; /* of another pid namespace */
            continue;
        }
        r = hold(path, &l->lock_fd);
        if (r < 0) {
            (void)rmdir(path); /* or somebody else has, or does */
            continue;
        }
        l->ours[MEMORY] = TAKE_PTR(path);
        *ret_name = TAKE_PTR(name);
    }
    return r;
}

int legacy_settle(struct legacy *l, struct err *err)
{
    AUTO_FREE char *name = NULL;
    int r;

    remove_old(l);
    r = make_locked(l, &name);
    if (r < 0)
        return err_set(err, r, "make a cgroup in '%s': %s", l->own[MEMORY], strerror(-r));
    for (enum hierarchy h = MEMORY + 1; h < HIERARCHY_COUNT; h++) {
        r = l->own[h] ? make_in(l, h, name) : 0;
        if (r < 0)
            return err_set(err, r, "make a cgroup in '%s': %s", l->own[h], strerror(-r));
    }
    return 0;
}

int legacy_hold(struct legacy *l, struct err *err)
{
    int r = hold(l->ours[MEMORY], &l->lock_fd);

    return r < 0 ? err_set(err, r, "hold the cgroup '%s': %s", l->ours[MEMORY], strerror(-r)) : 0;
}

void legacy_leave(struct legacy *l)
{
    remove_everywhere(l->ours, 1);
}

/* ---- a task's ---- */

static char *path_of(const struct legacy *l, enum hierarchy h, uint64_t task)
{
    return mem_printf("%s/" TASK_PREFIX "%" PRIu64, l->ours[h], task);
}

static int set_limits(enum hierarchy h, const char *path, const struct plan *plan)
{
    int r = 0;

    switch (h) {
    case MEMORY:
        r = cgroupfile_limit(path, "memory.limit_in_bytes", plan->memory_bytes);
        if (r == 0) /* memory and swap: not every kernel counts that, cgroup-v1/memory */
            (void)cgroupfile_limit(path, "memory.memsw.limit_in_bytes", plan->memory_bytes);
        break;
    case PIDS:
        r = cgroupfile_limit(path, "pids.max", plan->pids ? plan->pids + (uint64_t)PROCESS_1 : 0);
        break;
    case CPU: /* the quota counts by the period */
        if (plan->cpu_percent > 0)
            r = cgroupfile_limit(path, "cpu.cfs_period_us", CPU_PERIOD_US);
        if (r == 0)
            r = cgroupfile_limit(path, "cpu.cfs_quota_us",
                                 (uint64_t)plan->cpu_percent * CPU_PERIOD_US / 100);
        break;
    case CPUACCT: /* only counts */
    case HIERARCHY_COUNT:
        break;
    }
    return r;
}

int legacy_make(const struct legacy *l, uint64_t task, struct cgroup_doors *ret_doors,
                struct err *err)
{
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;

    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++) {
        AUTO_FREE char *path = l->ours[h] ? path_of(l, h, task) : NULL;
        AUTO_FREE char *tasks = path ? mem_printf("%s/tasks", path) : NULL;
        int r = 0;

        if (path && mkdir(path, 0755) < 0 && errno != EEXIST)
            r = -errno;
        if (r == 0 && path) {
            doors.tasks[h] = open(tasks, O_WRONLY | O_CLOEXEC);
            r = doors.tasks[h] < 0 ? -errno : 0;
        }
        if (r == 0)
            continue;
        (void)legacy_remove(l, task); /* the first failure is the one to report */
        return err_set(err, r, "make the task's cgroup '%s': %s", path, strerror(-r));
    }
    *ret_doors = doors;
    doors = CGROUP_NO_DOORS;
    return 0;
}

int legacy_limit(const struct legacy *l, uint64_t task, const struct plan *plan, struct err *err)
{
    for (enum hierarchy h = 0; h < HIERARCHY_COUNT; h++) {
        AUTO_FREE char *path = l->ours[h] ? path_of(l, h, task) : NULL;
        int r = path ? set_limits(h, path, plan) : 0;

        if (r < 0)
            return err_set(err, r, "set the limits of the task's cgroup '%s': %s", path,
                           strerror(-r));
    }
    return 0;
}

static uint64_t read_number(const struct legacy *l, enum hierarchy h, uint64_t task,
                            const char *name)
{
    AUTO_FREE char *path = l->ours[h] ? path_of(l, h, task) : NULL;
    char text[CGROUPFILE_MAX];
    uint64_t n = 0;

    if (path && cgroupfile_read(path, name, text) == 0)
        (void)str_to_u64(text, UINT64_MAX, &n); /* else it stays 0 */
    return n;
}

void legacy_read_memory(const struct legacy *l, uint64_t task, struct cgroup_usage *usage)
{
    AUTO_FREE char *memory = path_of(l, MEMORY, task);
    char text[CGROUPFILE_MAX];

    if (cgroupfile_read(memory, "memory.oom_control", text) == 0)
        usage->oom = cgroupfile_number(text, "oom_kill") > 0;
    usage->peak_bytes = read_number(l, MEMORY, task, "memory.max_usage_in_bytes");
}

void legacy_read(const struct legacy *l, uint64_t task, struct cgroup_usage *usage)
{
    legacy_read_memory(l, task, usage);
    usage->cpu_ms = read_number(l, CPUACCT, task, "cpuacct.usage") / 1000000;
}

int legacy_remove(const struct legacy *l, uint64_t task)
{
    int failed = 0;

    for (int h = HIERARCHY_COUNT - 1; h >= MEMORY; h--) {
        AUTO_FREE char *path = l->ours[h] ? path_of(l, (enum hierarchy)h, task) : NULL;
        int r = path ? remove_folder(path) : 0;

        if (r < 0)
            failed = r;
    }
    return failed;
}
