#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/cgroup.h"
#include "sandbox/legacy.h"
#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

/* A folder that looks like cgroup v1 and like /proc/self. The kernel makes the files of a cgroup
 * itself; here the test does. */
struct fixture {
    char *dir;
};

static void expect(const struct fixture *f, const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, name);
    CLEANUP(buf_done) struct buf b = { 0 };

    assert_int_equal(fd_read_file(path, 4096, &b, NULL), 0);
    assert_string_equal(buf_str(&b), text);
}

static bool is_there(const struct fixture *f, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, name);

    return access(path, F_OK) == 0;
}

/* Lines of mountinfo for the hierarchies, all below the fixture; root: what of them is mounted. */
static void put_mounts(const struct fixture *f, const char *root)
{
    AUTO_FREE char *text =
        mem_printf("31 23 0:28 / / rw,relatime - ext4 /dev/root rw\n"
                   "32 31 0:29 %s %s/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
                   "35 31 0:32 %s %s/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
                   "39 31 0:36 %s %s/pids rw,relatime - cgroup cgroup rw,pids\n"
                   "41 31 0:38 / %s/unified rw,relatime - cgroup2 cgroup2 rw\n",
                   root, f->dir, root, f->dir, root, f->dir, f->dir);

    tempdir_put(f->dir, "proc/mountinfo", text);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    static const char *const dirs[] = { "proc", "cpu", "memory", "pids", "memory/a", "pids/b" };

    f->dir = tempdir_new();
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        tempdir_mkdir(f->dir, dirs[i]);
    put_mounts(f, "/");
    tempdir_put(f->dir, "proc/cgroup",
                "9:name=systemd:/\n8:pids:/b\n4:memory:/a\n2:cpu,cpuacct:/\n0::/x\n");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f);
    return 0;
}

static struct legacy *must_find(const struct fixture *f)
{
    AUTO_FREE char *proc = mem_printf("%s/proc", f->dir);
    struct legacy *l = NULL;
    struct err err = { 0 };

    if (legacy_find(proc, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

static struct legacy *must_settle(const struct fixture *f)
{
    struct legacy *l = must_find(f);
    struct err err = { 0 };

    if (legacy_settle(l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

static void must_not_find(const struct fixture *f, int code, const char *word)
{
    AUTO_FREE char *proc = mem_printf("%s/proc", f->dir);
    struct legacy *l = NULL;
    struct err err = { 0 };

    assert_int_equal(legacy_find(proc, &l, &err), code);
    if (!strstr(err.text, word))
        fail_msg("'%s' doesn't say '%s'", err.text, word);
}

/* How many folders of daemons are in a hierarchy; *ret_name: of one of them. */
static size_t count_folders(const struct fixture *f, const char *where, char **ret_name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->dir, where);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!str_starts_with(entry->d_name, "nairid."))
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

static void a_machine_without_the_hierarchies_has_none(void **state)
{
    struct fixture *f = *state;

    tempdir_put(f->dir, "proc/cgroup", "8:pids:/b\n0::/x\n");
    must_not_find(f, -ENOENT, "memory");
    tempdir_put(f->dir, "proc/cgroup", "4:memory:/a\n8:xpids,pidsx:/b\n");
    must_not_find(f, -ENOENT, "pids");
    tempdir_put(f->dir, "proc/cgroup", "");
    must_not_find(f, -ENOENT, "memory");
    tempdir_put(f->dir, "proc/cgroup", ":\n::\nmemory\n4:memory\n");
    must_not_find(f, -ENOENT, "memory");
}

static void a_cgroup_that_is_not_where_it_should_be_is_none(void **state)
{
    struct fixture *f = *state;

    tempdir_put(f->dir, "proc/cgroup", "8:pids:/b\n4:memory:/elsewhere\n");
    must_not_find(f, -ENOENT, "elsewhere");
    tempdir_put(f->dir, "proc/cgroup", "8:pids:/b\n4:memory:/a\n");
    put_mounts(f, "/another");
    must_not_find(f, -ENOENT, "memory");
    tempdir_put(f->dir, "proc/mountinfo", "1 2 0:3 / - cgroup cgroup rw,memory\n - cgroup x\n");
    must_not_find(f, -ENOENT, "memory");
}

/* As in a container that has its own part of the tree at the mount point. */
static void a_part_that_is_mounted_is_where_we_are(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = NULL;

    put_mounts(f, "/docker/1");
    tempdir_put(f->dir, "proc/cgroup",
                "8:pids:/docker/1/b\n4:memory:/docker/1\n2:cpu:/docker/12\n");
    l = must_settle(f);
    assert_int_equal(count_folders(f, "memory", NULL), 1);
    assert_int_equal(count_folders(f, "pids/b", NULL), 1);
    assert_int_equal(count_folders(f, "cpu", NULL), 0); /* which is optional */
    legacy_leave(l);
}

static void leaving_takes_everything_with_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);

    assert_int_equal(count_folders(f, "memory/a", NULL), 1);
    assert_int_equal(count_folders(f, "pids/b", NULL), 1);
    assert_int_equal(count_folders(f, "cpu", NULL), 1);
    legacy_leave(l);
    assert_int_equal(count_folders(f, "memory/a", NULL), 0);
    assert_int_equal(count_folders(f, "pids/b", NULL), 0);
    assert_int_equal(count_folders(f, "cpu", NULL), 0);
}

static void what_a_dead_daemon_left_is_removed_and_what_a_living_one_has_is_not(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *living = must_settle(f), *next = NULL;
    AUTO_FREE char *name = NULL;

    assert_int_equal(count_folders(f, "memory/a", &name), 1);
    tempdir_mkdir(f->dir, "memory/a/nairid.5.1-0");
    tempdir_mkdir(f->dir, "memory/a/nairid.5.1-0/task-3");
    tempdir_mkdir(f->dir, "pids/b/nairid.5.1-0");
    tempdir_mkdir(f->dir, "pids/b/nairid.5.1-0/task-3");
    tempdir_mkdir(f->dir, "pids/b/nairid.5.1-0/task-4");
    tempdir_mkdir(f->dir, "memory/a/other");
    next = must_settle(f);
    assert_false(is_there(f, "memory/a/nairid.5.1-0"));
    assert_false(is_there(f, "pids/b/nairid.5.1-0"));
    assert_true(is_there(f, "memory/a/other"));
    assert_int_equal(count_folders(f, "memory/a", NULL), 2);
    assert_int_equal(count_folders(f, "pids/b", NULL), 2);
    legacy_leave(next);
    legacy_free(TAKE_PTR(living)); /* dies: what it held is anybody's */
    legacy_free(TAKE_PTR(next));
    next = must_settle(f);
    assert_int_equal(count_folders(f, "memory/a", NULL), 1);
    legacy_leave(next);
}

/* A task's folder that the kernel holds busy for longer than anybody waits; here a file in it. */
static void what_stays_in_one_hierarchy_is_found_by_the_next_start(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);
    AUTO_FREE char *name = NULL, *task = NULL, *busy = NULL, *full = NULL;

    assert_int_equal(count_folders(f, "cpu", &name), 1);
    task = mem_printf("cpu/%s/task-1", name);
    busy = mem_printf("%s/busy", task);
    full = mem_printf("%s/%s", f->dir, busy);
    tempdir_mkdir(f->dir, task);
    tempdir_put(f->dir, busy, "");
    legacy_leave(l);
    legacy_free(TAKE_PTR(l));
    assert_int_equal(count_folders(f, "cpu", NULL), 1);
    assert_int_equal(count_folders(f, "pids/b", NULL), 0);
    l = must_settle(f); /* nor can that one remove it */
    legacy_leave(l);
    legacy_free(TAKE_PTR(l));
    assert_int_equal(count_folders(f, "cpu", NULL), 1);
    assert_int_equal(unlink(full), 0);
    l = must_settle(f);
    assert_int_equal(count_folders(f, "cpu", NULL), 1); /* its own */
    legacy_leave(l);
    assert_int_equal(count_folders(f, "cpu", NULL), 0);
    assert_int_equal(count_folders(f, "memory/a", NULL), 0);
}

/* As the spawner does, which outlives the daemon that made the folder. */
static void a_second_holder_keeps_it_when_the_first_is_gone(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f), *next = NULL;
    struct err err = { 0 };

    for (int fd = 3; fd < 64; fd++) /* as whoever arranges its descriptors anew */
        (void)close(fd);
    assert_int_equal(legacy_hold(l, &err), 0);
    next = must_settle(f);
    assert_int_equal(count_folders(f, "memory/a", NULL), 2);
    legacy_leave(next);
    legacy_leave(l);
}

static void a_task_gets_the_plans_limits(void **state)
{
    static const char *const files[][2] = {
        { "memory/a", "memory.limit_in_bytes" },
        { "memory/a", "memory.memsw.limit_in_bytes" },
        { "pids/b", "pids.max" },
        { "cpu", "cpu.cfs_period_us" },
        { "cpu", "cpu.cfs_quota_us" },
        { "memory/a", "tasks" },
        { "pids/b", "tasks" },
        { "cpu", "tasks" },
    };
    static const char *const wanted[] = { "67108864", "67108864", "21", "100000",
                                          "150000",   "0",        "0",  "0" };
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);
    const struct plan plan = { .memory_bytes = 64 << 20, .pids = 20, .cpu_percent = 150 };
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    AUTO_FREE char *name = NULL;
    struct err err = { 0 };

    assert_int_equal(count_folders(f, "memory/a", &name), 1);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTO_FREE char *dir = mem_printf("%s/%s/task-3", files[i][0], name);
        AUTO_FREE char *file = mem_printf("%s/%s", dir, files[i][1]);

        if (!is_there(f, dir))
            tempdir_mkdir(f->dir, dir);
        tempdir_put(f->dir, file, "");
    }
    if (legacy_make(l, 3, &doors, &err) < 0 || legacy_limit(l, 3, &plan, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(doors.clone, -1);
    for (size_t i = 0; i < CGROUP_TASKS; i++) /* as a process goes in */
        if (doors.tasks[i] >= 0)
            assert_int_equal(write(doors.tasks[i], "0", 1), 1);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTO_FREE char *file = mem_printf("%s/%s/task-3/%s", files[i][0], name, files[i][1]);

        expect(f, file, wanted[i]);
    }
}

static void a_limit_that_is_refused_fails_the_task_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);
    const struct plan plan = { .memory_bytes = 1 << 20 };
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    AUTO_FREE char *name = NULL;
    struct err err = { 0 };

    assert_int_equal(legacy_limit(l, 5, &plan, &err), -ENOENT); /* no limit_in_bytes there */
    assert_non_null(strstr(err.text, "task-5"));
    assert_int_equal(count_folders(f, "memory/a", &name), 1);
    assert_int_equal(legacy_make(l, 5, &doors, &err), -ENOENT); /* no tasks there */
    assert_non_null(strstr(err.text, "task-5"));
    legacy_leave(l);
    assert_int_equal(count_folders(f, "memory/a", NULL), 0);
}

static void without_limits_nothing_is_written_and_what_isnt_there_is_removed(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);
    const struct plan plan = { 0 };
    struct err err = { 0 };

    assert_int_equal(legacy_limit(l, 6, &plan, &err), 0);
    assert_int_equal(legacy_remove(l, 6), 0);
    legacy_leave(l);
    assert_int_equal(count_folders(f, "memory/a", NULL), 0);
}

static void what_a_task_used_is_read(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(legacy_free) struct legacy *l = must_settle(f);
    struct cgroup_usage usage = { 0 };
    AUTO_FREE char *name = NULL;
    static const char *const files[][3] = {
        { "memory/a", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n" },
        { "memory/a", "memory.max_usage_in_bytes", "123456\n" },
        { "cpu", "cpuacct.usage", "2500000000\n" },
    };

    legacy_read(l, 7, &usage); /* nothing there: nothing known */
    assert_false(usage.oom);
    assert_int_equal(usage.cpu_ms, 0);
    assert_int_equal(count_folders(f, "memory/a", &name), 1);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTO_FREE char *dir = mem_printf("%s/%s/task-7", files[i][0], name);
        AUTO_FREE char *file = mem_printf("%s/%s", dir, files[i][1]);

        if (!is_there(f, dir))
            tempdir_mkdir(f->dir, dir);
        tempdir_put(f->dir, file, files[i][2]);
    }
    legacy_read(l, 7, &usage);
    assert_true(usage.oom);
    assert_int_equal(usage.peak_bytes, 123456);
    assert_int_equal(usage.cpu_ms, 2500);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_machine_without_the_hierarchies_has_none),
        TEST(a_cgroup_that_is_not_where_it_should_be_is_none),
        TEST(a_part_that_is_mounted_is_where_we_are),
        TEST(leaving_takes_everything_with_it),
        TEST(what_a_dead_daemon_left_is_removed_and_what_a_living_one_has_is_not),
        TEST(what_stays_in_one_hierarchy_is_found_by_the_next_start),
        TEST(a_second_holder_keeps_it_when_the_first_is_gone),
        TEST(a_task_gets_the_plans_limits),
        TEST(a_limit_that_is_refused_fails_the_task_and_leaves_nothing),
        TEST(without_limits_nothing_is_written_and_what_isnt_there_is_removed),
        TEST(what_a_task_used_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
