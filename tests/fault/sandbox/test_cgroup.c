/* cgroups whose files fail: whatever call it is, the caller gets its errno with a sentence, keeps
 * no descriptor, and what was made for a task is gone again; and a new process that can't get in
 * ends before it does anything else. The cgroups are folders with files that the test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/legacy.h"
#include "sandbox/plan.h"
#include "settings/profile.h"
#include "support/tempdir.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum { TASK = 3, REPORT_MS = 20000 };

/* ---- the call that fails ---- */

enum call { NONE, OPEN, MKDIR, WRITE, FLOCK, CALL_COUNT };

static struct {
    enum call call;
    unsigned nth; /* counted down; 0: none, or it has failed */
    int error;
} order;

static bool fails(enum call call)
{
    if (order.call != call || order.nth == 0 || --order.nth > 0)
        return false;
    errno = order.error;
    return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(OPEN) ? -1 : __real_open(path, flags, mode);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return fails(MKDIR) ? -1 : __real_mkdir(path, mode);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    return fails(WRITE) ? -1 : __real_write(fd, bytes, len);
}

int __wrap_flock(int fd, int operation)
{
    return fails(FLOCK) ? -1 : __real_flock(fd, operation);
}

static size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

/* ---- what there is of cgroups ---- */

struct fixture {
    char *dir;
    struct cgroup *v2;
    struct legacy *v1;
};

static int set_up(void **state)
{
    static const char *const dirs[] = { "unit", "proc", "cpu", "memory", "pids" };
    struct fixture *f = mem_new(struct fixture);
    AUTO_FREE char *proc = NULL, *mounts = NULL;
    struct err err = { 0 };

    order.nth = 0;
    f->dir = tempdir_new();
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        tempdir_mkdir(f->dir, dirs[i]);
    tempdir_put(f->dir, "unit/cgroup.controllers", "cpu memory pids\n");
    tempdir_put(f->dir, "unit/cgroup.procs", "");
    tempdir_put(f->dir, "unit/cgroup.subtree_control", "");
    tempdir_mkdir(f->dir, "unit/nairid.main");
    tempdir_put(f->dir, "unit/nairid.main/cgroup.procs", "");
    mounts = mem_printf("32 31 0:29 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                        "35 31 0:32 / %s/memory rw - cgroup cgroup rw,memory\n"
                        "39 31 0:36 / %s/pids rw - cgroup cgroup rw,pids\n",
                        f->dir, f->dir, f->dir);
    tempdir_put(f->dir, "proc/mountinfo", mounts);
    tempdir_put(f->dir, "proc/cgroup", "8:pids:/\n4:memory:/\n2:cpu,cpuacct:/\n");
    proc = mem_printf("%s/proc", f->dir);
    if (cgroup_find(f->dir, "/unit", &f->v2, &err) < 0 || legacy_find(proc, &f->v1, &err) < 0)
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    order.nth = 0;
    cgroup_free(f->v2);
    legacy_free(f->v1);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

/* How many entries of a folder begin so; *ret_name: one of them. */
static size_t count_named(const struct fixture *f, const char *where, const char *prefix,
                          char **ret_name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, where);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!str_starts_with(entry->d_name, prefix))
            continue;
        n++;
        if (ret_name) {
            free(*ret_name);
            *ret_name = mem_strdup(entry->d_name);
        }
    }
    (void)closedir(dir);
    return n;
}

/* ---- every place of a call ---- */

typedef int (*attempt_fn)(struct fixture *f, struct err *err);
typedef void (*check_fn)(struct fixture *f);

/* Makes each place of each call fail with the errno, one at a time, until the attempt works.
 * wanted: the places of each call, the first ones, at which the attempt must fail, too. */
static void try_all(struct fixture *f, attempt_fn attempt, const unsigned wanted[CALL_COUNT],
                    int error, check_fn check)
{
    for (enum call call = OPEN; call < CALL_COUNT; call++) {
        bool met = true;

        for (unsigned nth = 1; met; nth++) {
            struct err err = { 0 };
            size_t fds = count_fds();
            int r;

            order.call = call;
            order.error = error;
            order.nth = nth;
            r = attempt(f, &err);
            met = order.nth == 0;
            order.nth = 0;
            if (!met && nth <= wanted[call])
                fail_msg("call %d has no %u-th place", (int)call, nth);
            if (r != (nth <= wanted[call] ? -error : 0))
                fail_msg("call %d, the %u-th: %d: %s", (int)call, nth, r, err.text);
            if (r < 0) {
                assert_non_null(strstr(err.text, strerror(error)));
                assert_non_null(strstr(err.text, f->dir)); /* where */
                check(f);
            }
            if (count_fds() != fds)
                fail_msg("call %d, the %u-th leaves a descriptor", (int)call, nth);
        }
    }
}

static void check_nothing(struct fixture *f)
{
    (void)f;
}

/* ---- version 2 ---- */

static int settle_v2(struct fixture *f, struct err *err)
{
    return cgroup_settle(f->v2, err);
}

static void settling_says_which_file_failed(void **state)
{
    static const unsigned wanted[CALL_COUNT] = { [OPEN] = 2, [MKDIR] = 1, [WRITE] = 2 };

    /* the leaf, its cgroup.procs and the controllers, to be opened and written */
    try_all(*state, settle_v2, wanted, EIO, check_nothing);
}

static int make_v2(struct fixture *f, struct err *err)
{
    struct cgroup_doors doors = CGROUP_NO_DOORS;
    int r = cgroup_make(f->v2, TASK, &doors, err);

    order.call = NONE;
    cgroup_doors_done(&doors);
    if (r == 0)
        assert_int_equal(cgroup_remove(f->v2, TASK), 0);
    return r;
}

static void check_v2_is_empty(struct fixture *f)
{
    assert_int_equal(count_named(f, "unit", "nairid.task-", NULL), 0);
}

static void a_tasks_cgroup_that_cant_be_made_leaves_nothing(void **state)
{
    static const unsigned wanted[CALL_COUNT] = { [OPEN] = 1, [MKDIR] = 1 };

    try_all(*state, make_v2, wanted, EMFILE, check_v2_is_empty);
}

static const struct plan limits = { .memory_bytes = 64 << 20, .pids = 20, .cpu_percent = 150 };

static int limit_v2(struct fixture *f, struct err *err)
{
    return cgroup_limit(f->v2, TASK, &limits, err);
}

static void a_limit_that_isnt_taken_fails_the_task(void **state)
{
    static const char *const held[] = { "memory.max", "pids.max", "cpu.max" };
    struct fixture *f = *state;

    /* neither memory.swap.max nor memory.oom.group is there, nor needed */
    tempdir_mkdir(f->dir, "unit/nairid.task-3");
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        AUTO_FREE char *name = mem_printf("unit/nairid.task-3/%s", held[i]);

        tempdir_put(f->dir, name, "");
    }
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct err err = { 0 };

        order.call = WRITE;
        order.error = EBUSY; /* less than it uses already */
        order.nth = nth;
        assert_int_equal(limit_v2(f, &err), -EBUSY);
        assert_non_null(strstr(err.text, "nairid.task-3"));
    }
    order.nth = 0;
    assert_int_equal(limit_v2(f, NULL), 0);
}

/* ---- version 1 ---- */

static int settle_v1(struct fixture *f, struct err *err)
{
    AUTO_FREE char *proc = mem_printf("%s/proc", f->dir);
    CLEANUP_PTR(legacy_free) struct legacy *l = NULL;
    enum call call = order.call;
    int r;

    order.call = NONE;
    assert_int_equal(legacy_find(proc, &l, err), 0);
    order.call = call;
    r = legacy_settle(l, err);
    order.call = NONE;
    legacy_leave(l); /* as the spawner does, in any case */
    return r;
}

static void check_v1_is_empty(struct fixture *f)
{
    static const char *const hierarchies[] = { "cpu", "memory", "pids" };

    for (size_t i = 0; i < ARRAY_SIZE(hierarchies); i++)
        assert_int_equal(count_named(f, hierarchies[i], "nairid.", NULL), 0);
}

static void without_folders_of_its_own_nothing_is_settled(void **state)
{
    /* MKDIR: of memory and pids; the others are optional */
    static const unsigned wanted[CALL_COUNT] = { [OPEN] = 1, [MKDIR] = 2, [FLOCK] = 1 };

    try_all(*state, settle_v1, wanted, ENOLCK, check_v1_is_empty);
}

/* The files that the kernel makes in a task's folders; the folders stay while they hold some. */
static void make_task_v1(struct fixture *f)
{
    static const char *const files[][2] = {
        { "memory", "tasks" },
        { "memory", "memory.limit_in_bytes" },
        { "pids", "tasks" },
        { "pids", "pids.max" },
        { "cpu", "tasks" },
        { "cpu", "cpu.cfs_period_us" },
        { "cpu", "cpu.cfs_quota_us" },
    };
    AUTO_FREE char *ours = NULL;
    struct err err = { 0 };

    if (legacy_settle(f->v1, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(count_named(f, "memory", "nairid.", &ours), 1);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTO_FREE char *dir = mem_printf("%s/%s/task-3", files[i][0], ours);
        AUTO_FREE char *whole = mem_printf("%s/%s", f->dir, dir);
        AUTO_FREE char *name = mem_printf("%s/%s", dir, files[i][1]);

        if (access(whole, F_OK) < 0)
            tempdir_mkdir(f->dir, dir);
        tempdir_put(f->dir, name, "");
    }
}

static int make_v1(struct fixture *f, struct err *err)
{
    struct cgroup_doors doors = CGROUP_NO_DOORS;
    int r = legacy_make(f->v1, TASK, &doors, err);

    cgroup_doors_done(&doors);
    return r;
}

static void a_door_that_cant_be_opened_fails_the_task(void **state)
{
    /* memory, pids, and cpu twice: its folder is that of cpuacct, too */
    static const unsigned wanted[CALL_COUNT] = { [OPEN] = 4, [MKDIR] = 4 };

    make_task_v1(*state);
    try_all(*state, make_v1, wanted, EMFILE, check_nothing);
}

static void the_first_folder_is_removed_if_the_second_cant_be_made(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *ours = NULL;
    AUTO_FREE char *where = NULL;
    struct cgroup_doors doors = CGROUP_NO_DOORS;
    struct err err = { 0 };

    assert_int_equal(legacy_settle(f->v1, &err), 0);
    assert_int_equal(count_named(f, "memory", "nairid.", &ours), 1);
    where = mem_printf("memory/%s", ours);
    order.call = MKDIR;
    order.error = EIO;
    order.nth = 1;
    assert_int_equal(legacy_make(f->v1, TASK, &doors, &err), -EIO);
    assert_int_equal(count_named(f, where, "task-", NULL), 0);
    legacy_leave(f->v1);
    check_v1_is_empty(f);
}

static int limit_v1(struct fixture *f, struct err *err)
{
    return legacy_limit(f->v1, TASK, &limits, err);
}

static void a_limit_of_version_1_that_isnt_taken_fails_the_task(void **state)
{
    struct fixture *f = *state;
    unsigned wishes = 0;

    make_task_v1(f);
    for (unsigned nth = 1; nth <= 4; nth++) { /* memory.memsw isn't there, nor needed */
        struct err err = { 0 };

        order.call = WRITE;
        order.error = EINVAL;
        order.nth = nth;
        wishes += limit_v1(f, &err) == 0;
        assert_int_equal(order.nth, 0);
        assert_non_null(strstr(err.text, "task-3"));
    }
    assert_int_equal(wishes, 0);
    assert_int_equal(limit_v1(f, NULL), 0);
}

/* ---- the new process ---- */

static void await_report(const struct apply_task *task, struct apply_report *ret_report)
{
    struct pollfd at = { .fd = task->control, .events = POLLIN };

    assert_int_equal(poll(&at, 1, REPORT_MS), 1);
    assert_int_equal(recv(task->control, ret_report, sizeof *ret_report, 0), sizeof *ret_report);
}

/* A plan of nothing, without namespaces: all that it does is to go in. */
static void a_process_that_cant_go_in_says_so_and_ends(void **state)
{
    const struct plan_ground ground = { .rung = PLAN_RUNG_BARE, .without_landlock = true };
    CLEANUP_PTR(apply_free) struct apply *apply = NULL;
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    struct plan plan = { .ground = ground, .network = PLAN_NETWORK_HOST };
    const int stdio[3] = { 0, 1, 2 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(profile_load("agent", &profile, &err), 0);
    plan.calls = profile->calls;
    if (apply_new(&ground, &apply, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < CGROUP_TASKS; i++) {
        CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
        struct apply_report report;
        struct apply_task task;
        char text[512];
        int status;

        for (size_t k = 0; k < i; k++) /* the ones before take it */
            doors.tasks[k] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        doors.tasks[i] = open("/dev/full", O_WRONLY | O_CLOEXEC); /* ENOSPC */
        assert_true(doors.tasks[i] >= 0);
        assert_int_equal(
            apply_start(apply, &plan, stdio, (struct apply_cgroup){ &doors, true }, &task, &report),
            0);
        await_report(&task, &report);
        assert_int_equal(report.kind, APPLY_FAILED);
        assert_int_equal(report.stage, APPLY_CGROUP);
        assert_int_equal(report.index, i);
        assert_int_equal(report.error, -ENOSPC);
        apply_describe(&plan, &report, text, sizeof text);
        assert_non_null(strstr(text, "enter the task's cgroup"));
        assert_non_null(strstr(text, strerror(ENOSPC)));
        assert_int_equal(waitpid(task.pid, &status, 0), task.pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
        (void)close(task.control);
        (void)close(task.pidfd);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settling_says_which_file_failed),
        TEST(a_tasks_cgroup_that_cant_be_made_leaves_nothing),
        TEST(a_limit_that_isnt_taken_fails_the_task),
        TEST(without_folders_of_its_own_nothing_is_settled),
        TEST(a_door_that_cant_be_opened_fails_the_task),
        TEST(the_first_folder_is_removed_if_the_second_cant_be_made),
        TEST(a_limit_of_version_1_that_isnt_taken_fails_the_task),
        TEST(a_process_that_cant_go_in_says_so_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
