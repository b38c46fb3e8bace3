#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/cgroup.h"
#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

/* A folder that looks like a cgroup v2 mount. The kernel makes the files of a cgroup itself; here
 * the test does. */
struct fixture {
    char *mount;
};

static char *get(const struct fixture *f, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->mount, name);
    struct buf b = { 0 };

    if (fd_read_file(path, 4096, &b, NULL) < 0)
        return mem_strdup("(missing)");
    return buf_steal(&b);
}

static void expect(const struct fixture *f, const char *name, const char *text)
{
    AUTO_FREE char *got = get(f, name);

    assert_string_equal(got, text);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->mount = tempdir_new();
    tempdir_mkdir(f->mount, "unit");
    tempdir_put(f->mount, "unit/cgroup.controllers", "cpuset cpu io memory pids\n");
    tempdir_put(f->mount, "unit/cgroup.subtree_control", "");
    tempdir_put(f->mount, "unit/cgroup.procs", "");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->mount);
    free(f);
    return 0;
}

static struct cgroup *must_find(const struct fixture *f, const char *own)
{
    struct cgroup *c = NULL;
    struct err err = { 0 };

    if (cgroup_find(f->mount, own, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static void must_not_find(const struct fixture *f, int code, const char *word)
{
    struct cgroup *c = NULL;
    struct err err = { 0 };

    assert_int_equal(cgroup_find(f->mount, "/unit", &c, &err), code);
    if (!strstr(err.text, word))
        fail_msg("'%s' doesn't say '%s'", err.text, word);
}

static void without_the_controllers_there_is_none(void **state)
{
    struct fixture *f = *state;

    tempdir_put(f->mount, "unit/cgroup.controllers", "hugetlb\n");
    must_not_find(f, -EOPNOTSUPP, "hugetlb");
    tempdir_put(f->mount, "unit/cgroup.controllers", "\n");
    must_not_find(f, -EOPNOTSUPP, "none");
    tempdir_put(f->mount, "unit/cgroup.controllers", "memory cpu xpids pidsx\n");
    must_not_find(f, -EOPNOTSUPP, "pids");
}

static void with_others_in_it_there_is_none(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *self = mem_printf("%d\n", (int)getpid());
    AUTO_FREE char *both = mem_printf("%d\n1\n", (int)getpid());

    tempdir_put(f->mount, "unit/cgroup.procs", both);
    must_not_find(f, -EOPNOTSUPP, "other processes");
    tempdir_put(f->mount, "unit/cgroup.procs", self);
    cgroup_free(must_find(f, "/unit"));
}

static void where_another_daemon_lives_there_is_none(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *self = mem_printf("%d\n", (int)getpid());

    tempdir_mkdir(f->mount, "unit/nairid.main");
    tempdir_put(f->mount, "unit/nairid.main/cgroup.procs", "1\n");
    must_not_find(f, -EOPNOTSUPP, "other processes");
    tempdir_put(f->mount, "unit/nairid.main/cgroup.procs", self);
    cgroup_free(must_find(f, "/unit"));
}

/* As in a container, where what bears the mark is mounted for reading only. */
static void one_that_cannot_be_written_is_none(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/unit", f->mount);
    int status;
    pid_t pid;

    assert_int_equal(chmod(path, 0555), 0);
    assert_int_equal(chmod(f->mount, 0755), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cgroup *c = NULL;
        struct err err = { 0 };

        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0) /* root may always */
            _exit(2);
        _exit(cgroup_find(f->mount, "/unit", &c, &err) == -EACCES && strstr(err.text, path) ? 0
                                                                                            : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void a_cgroup_that_is_not_there_is_none(void **state)
{
    struct cgroup *c = NULL;
    struct fixture *f = *state;

    assert_int_equal(cgroup_find(f->mount, "/elsewhere", &c, NULL), -ENOENT);
}

static void the_machines_own_is_looked_up_without_harm(void **state)
{
    struct cgroup *c = NULL;
    struct err err = { 0 };
    int r = cgroup_find(NULL, NULL, &c, &err);

    (void)state;
    if (r < 0) /* as in most places; then it says why */
        assert_true(strlen(err.text) > 20);
    cgroup_free(c);
}

static void settling_moves_us_into_a_leaf_and_hands_controllers_down(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit"), *again = NULL;
    AUTO_FREE char *self = mem_printf("%d\n", (int)getpid());
    struct err err = { 0 };

    tempdir_mkdir(f->mount, "unit/nairid.main");
    tempdir_put(f->mount, "unit/nairid.main/cgroup.procs", "");
    tempdir_mkdir(f->mount, "unit/nairid.task-7"); /* of a run that was killed */
    tempdir_mkdir(f->mount, "unit/nairid.task-x"); /* of somebody else */
    assert_int_equal(cgroup_settle(c, &err), 0);
    expect(f, "unit/nairid.main/cgroup.procs", "0");
    expect(f, "unit/cgroup.subtree_control", "+memory +pids +cpu");
    assert_int_equal(cgroup_remove(c, 7), 0);      /* gone already */
    tempdir_mkdir(f->mount, "unit/nairid.task-7"); /* so its name is free */
    /* and from the leaf it is found again, which the kernel says we are in */
    tempdir_put(f->mount, "unit/nairid.main/cgroup.procs", self);
    again = must_find(f, "/unit/nairid.main");
    assert_int_equal(cgroup_settle(again, &err), 0);
}

static void a_subtree_that_takes_no_controllers_is_a_failure_in_words(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit");
    struct err err = { 0 };

    assert_int_equal(cgroup_settle(c, &err), -ENOENT); /* the leaf has no cgroup.procs */
    assert_non_null(strstr(err.text, "unit"));
}

static void a_task_gets_the_plans_limits(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit");
    const struct plan plan = { .memory_bytes = 64 << 20, .pids = 20, .cpu_percent = 150 };
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    struct err err = { 0 };

    tempdir_mkdir(f->mount, "unit/nairid.task-3");
    tempdir_put(f->mount, "unit/nairid.task-3/memory.max", "");
    tempdir_put(f->mount, "unit/nairid.task-3/memory.oom.group", "");
    tempdir_put(f->mount, "unit/nairid.task-3/pids.max", "");
    tempdir_put(f->mount, "unit/nairid.task-3/cpu.max", "");
    if (cgroup_make(c, 3, &doors, &err) < 0 || doors.clone < 0)
        fail_msg("%s", err.text);
    expect(f, "unit/nairid.task-3/memory.max", ""); /* which come later */
    assert_int_equal(cgroup_limit(c, 3, &plan, &err), 0);
    expect(f, "unit/nairid.task-3/memory.max", "67108864");
    expect(f, "unit/nairid.task-3/memory.oom.group", "1");
    expect(f, "unit/nairid.task-3/pids.max", "21"); /* process 1 is ours */
    expect(f, "unit/nairid.task-3/cpu.max", "150000 100000");
}

static void what_is_not_limited_is_not_written(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit");
    const struct plan plan = { 0 };
    struct err err = { 0 };
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;

    assert_int_equal(cgroup_make(c, 4, &doors, &err), 0);
    assert_true(doors.clone >= 0);
    assert_int_equal(cgroup_limit(c, 4, &plan, &err), 0);
    expect(f, "unit/nairid.task-4/memory.max", "(missing)");
    assert_int_equal(cgroup_remove(c, 4), 0);
}

static void a_limit_that_is_refused_fails_the_task(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit");
    const struct plan plan = { .memory_bytes = 1 << 20 };
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    struct err err = { 0 };

    assert_int_equal(cgroup_make(c, 5, &doors, &err), 0);
    assert_int_equal(cgroup_limit(c, 5, &plan, &err), -ENOENT); /* no memory.max there */
    assert_non_null(strstr(err.text, "nairid.task-5"));
    assert_int_equal(cgroup_remove(c, 5), 0);
    tempdir_mkdir(f->mount, "unit/nairid.task-5"); /* nothing of it was left */
}

static void the_end_by_want_of_memory_is_read_from_its_events(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(cgroup_free) struct cgroup *c = must_find(f, "/unit");
    struct cgroup_usage usage;

    cgroup_read(c, 6, &usage); /* nothing there: nothing known */
    assert_false(usage.oom);
    assert_int_equal(usage.peak_bytes, 0);
    tempdir_mkdir(f->mount, "unit/nairid.task-6");
    tempdir_put(f->mount, "unit/nairid.task-6/memory.events",
                "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n");
    tempdir_put(f->mount, "unit/nairid.task-6/memory.peak", "123456\n");
    cgroup_read(c, 6, &usage);
    assert_false(usage.oom);
    assert_int_equal(usage.peak_bytes, 123456);
    tempdir_put(f->mount, "unit/nairid.task-6/memory.events", "low 0\nmax 9\noom 1\noom_kill 2\n");
    cgroup_read(c, 6, &usage);
    assert_true(usage.oom);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_the_controllers_there_is_none),
        TEST(with_others_in_it_there_is_none),
        TEST(where_another_daemon_lives_there_is_none),
        TEST(one_that_cannot_be_written_is_none),
        TEST(a_cgroup_that_is_not_there_is_none),
        TEST(the_machines_own_is_looked_up_without_harm),
        TEST(settling_moves_us_into_a_leaf_and_hands_controllers_down),
        TEST(a_subtree_that_takes_no_controllers_is_a_failure_in_words),
        TEST(a_task_gets_the_plans_limits),
        TEST(what_is_not_limited_is_not_written),
        TEST(a_limit_that_is_refused_fails_the_task),
        TEST(the_end_by_want_of_memory_is_read_from_its_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
