/* A cgroup that seemed ours and then can't be used: the kernel, or whoever shares it, says no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/cgroup.h"
#include "spawner/spawner.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

enum { END_MS = 5000 };

int __real_cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup,
                       struct err *err);
int __wrap_cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup,
                       struct err *err);

int __real_cgroup_hold(struct cgroup *c, struct err *err);
int __wrap_cgroup_hold(struct cgroup *c, struct err *err);

static bool taken_away;       /* between the two steps somebody removes it */
static const char *pretended; /* a folder that looks like a cgroup and is none */

int __wrap_cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup,
                       struct err *err)
{
    (void)mount;
    (void)own;
    return __real_cgroup_find(pretended, "/unit", ret_cgroup, err);
}

int __wrap_cgroup_hold(struct cgroup *c, struct err *err)
{
    return taken_away ? err_set(err, -EAGAIN, "hold the cgroup 'x': it is gone")
                      : __real_cgroup_hold(c, err);
}

static void a_cgroup_that_cant_be_settled_leaves_limits_to_be_measured(void **state)
{
    char *dir = tempdir_new();
    AUTO_FREE char *unit = mem_printf("%s/unit", dir);
    struct spawner *spawner = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(mkdir(unit, 0755), 0);
    tempdir_put(unit, "cgroup.controllers", "cpu memory pids\n");
    tempdir_put(unit, "cgroup.procs", "");
    pretended = dir;
    if (spawner_fork(NULL, -1, NULL, &spawner, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(spawner_unlimited(spawner));
    assert_non_null(strstr(spawner_unlimited(spawner), unit)); /* it says which and why */
    assert_non_null(strstr(spawner_unlimited(spawner), "No such file"));
    spawner_free(spawner, END_MS);
    tempdir_free(dir);
}

static void a_cgroup_that_cant_be_held_leaves_limits_to_be_measured(void **state)
{
    char *dir = tempdir_new();
    AUTO_FREE char *unit = mem_printf("%s/unit", dir);
    AUTO_FREE char *leaf = mem_printf("%s/nairid.main", unit);
    struct spawner *spawner = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(mkdir(unit, 0755), 0);
    assert_int_equal(mkdir(leaf, 0755), 0);
    tempdir_put(unit, "cgroup.controllers", "cpu memory pids\n");
    tempdir_put(unit, "cgroup.procs", "");
    tempdir_put(unit, "cgroup.subtree_control", "");
    tempdir_put(leaf, "cgroup.procs", "");
    pretended = dir;
    taken_away = true;
    if (spawner_fork(NULL, -1, NULL, &spawner, &err) < 0)
        fail_msg("%s", err.text);
    taken_away = false;
    assert_string_equal(spawner_unlimited(spawner), "hold the cgroup 'x': it is gone");
    spawner_free(spawner, END_MS);
    if (spawner_fork(NULL, -1, NULL, &spawner, &err) < 0) /* and only for that */
        fail_msg("%s", err.text);
    assert_null(spawner_unlimited(spawner));
    spawner_free(spawner, END_MS);
    tempdir_free(dir);
}

static void where_there_is_none_nothing_is_to_be_said(void **state)
{
    char *dir = tempdir_new();
    struct spawner *spawner = NULL;
    struct err err = { 0 };

    (void)state;
    pretended = dir;
    if (spawner_fork(NULL, -1, NULL, &spawner, &err) < 0)
        fail_msg("%s", err.text);
    assert_null(spawner_unlimited(spawner));
    spawner_free(spawner, END_MS);
    tempdir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cgroup_that_cant_be_settled_leaves_limits_to_be_measured),
        cmocka_unit_test(a_cgroup_that_cant_be_held_leaves_limits_to_be_measured),
        cmocka_unit_test(where_there_is_none_nothing_is_to_be_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
