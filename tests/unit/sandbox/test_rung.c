#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/rung.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"
#include "util/strv.h"

enum { TASK_UID = 0x7ffd0002 };

static void every_wall_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < RUNG_WALL_COUNT; i++) {
        assert_true(strlen(rung_wall_name((enum rung_wall)i)) > 2);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(rung_wall_name((enum rung_wall)i),
                                    rung_wall_name((enum rung_wall)k));
    }
}

static void this_machine_gives_all_walls_or_weaker_ones(void **state)
{
    struct rung rung;
    struct plan_ground ground;
    struct err err = { 0 };

    (void)state;
    rung_probe(geteuid(), TASK_UID, &rung);
    for (int i = 0; i < RUNG_WALL_COUNT; i++)
        if (rung.walls[i].state != RUNG_HOLDS && rung.walls[i].state != RUNG_WEAKER)
            fail_msg("%s: state %d: %s", rung_wall_name((enum rung_wall)i),
                     (int)rung.walls[i].state, rung.walls[i].text);
    for (int i = 0; i < RUNG_WALL_COUNT; i++)
        assert_int_equal(rung.walls[i].text[0] != '\0', rung.walls[i].state == RUNG_WEAKER);
    assert_int_equal(rung_check(&rung, NULL, &ground, &err), 0);
}

static void a_missing_wall_is_refused_by_its_name(void **state)
{
    struct rung rung = { 0 };
    struct plan_ground ground;
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < RUNG_WALL_COUNT; i++)
        rung.walls[i].state = RUNG_HOLDS;
    assert_int_equal(rung_check(&rung, NULL, &ground, &err), 0);
    for (int i = 0; i < RUNG_WALL_COUNT; i++) {
        rung.walls[i].state = RUNG_MISSING;
        (void)snprintf(rung.walls[i].text, sizeof rung.walls[i].text, "because of %d", i);
        assert_int_equal(rung_check(&rung, NULL, &ground, &err), -EOPNOTSUPP);
        assert_true(str_starts_with(err.text, rung_wall_name((enum rung_wall)i)));
        assert_non_null(strstr(err.text, "because of"));
        rung.walls[i].state = RUNG_WEAKER;
        assert_int_equal(rung_check(&rung, NULL, &ground, &err), 0);
    }
}

static void a_wall_that_a_shortage_kept_from_being_tried_is_not_called_missing(void **state)
{
    struct rung rung = { .shortage = -EMFILE };
    struct plan_ground ground;
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < RUNG_WALL_COUNT; i++)
        rung.walls[i].state = RUNG_HOLDS;
    assert_int_equal(rung_check(&rung, NULL, &ground, &err), 0); /* it was another trial's */
    rung.walls[RUNG_ROOT].state = RUNG_MISSING;
    assert_int_equal(rung_check(&rung, NULL, &ground, &err), -EMFILE);
    assert_null(strstr(err.text, "this machine doesn't give"));
}

static void an_unknown_name_to_accept_is_refused(void **state)
{
    CLEANUP(strv_done) struct strv accept = { 0 };
    struct rung rung = { 0 };
    struct plan_ground ground;
    struct err err = { 0 };

    (void)state;
    strv_add(&accept, "cgroup");
    assert_int_equal(rung_check(&rung, &accept, &ground, &err), 0);
    strv_add(&accept, "landlok");
    assert_int_equal(rung_check(&rung, &accept, &ground, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'landlok'"));
    assert_non_null(strstr(err.text, "'landlock'"));
}

enum { SKIP = 77 };

/* What a child found: it may be that these tests run in a chroot themselves. */
static void expect_success(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WEXITSTATUS(status) == SKIP) {
        (void)printf("skip: a chroot gives anybody no user namespaces\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* Without user namespaces: within one whose own limit for more is 0. */
static int probe_without_namespaces(void)
{
    uid_t uid = geteuid();
    struct rung rung;
    struct plan_ground ground;
    struct err err = { 0 };
    FILE *file;

    if (unshare(CLONE_NEWUSER) < 0)
        return errno == EPERM ? SKIP : 10;
    file = fopen("/proc/sys/user/max_user_namespaces", "we");
    if (!file || fputs("0", file) < 0 || fclose(file) != 0)
        return 11;
    rung_probe(uid, TASK_UID, &rung);
    if (rung.walls[RUNG_USER_NAMESPACE].state != RUNG_MISSING)
        return 12;
    if (rung.walls[RUNG_LANDLOCK].state != RUNG_UNKNOWN)
        return 13;
    /* nor are there ids here for the rungs below */
    if (rung_check(&rung, NULL, &ground, &err) != -EOPNOTSUPP || rung.stands)
        return 14;
    return strstr(rung.walls[RUNG_USER_NAMESPACE].text, "max_user_namespaces") ? 0 : 15;
}

static void without_user_namespaces_that_is_what_is_said(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(probe_without_namespaces());
    expect_success(pid);
}

static int probe_in_chroot(void)
{
    struct rung rung;

    if (unshare(CLONE_NEWUSER) < 0)
        return errno == EPERM ? SKIP : 10;
    if (chroot("/usr") < 0 || chdir("/") < 0)
        return 10;
    rung_probe(1, TASK_UID, &rung);
    if (rung.walls[RUNG_USER_NAMESPACE].state != RUNG_MISSING)
        return 11;
    return strstr(rung.walls[RUNG_USER_NAMESPACE].text, "chroot") ? 0 : 12;
}

static void in_a_chroot_the_remedy_names_it(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(probe_in_chroot());
    expect_success(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wall_has_a_name_of_its_own),
        cmocka_unit_test(this_machine_gives_all_walls_or_weaker_ones),
        cmocka_unit_test(a_missing_wall_is_refused_by_its_name),
        cmocka_unit_test(a_wall_that_a_shortage_kept_from_being_tried_is_not_called_missing),
        cmocka_unit_test(an_unknown_name_to_accept_is_refused),
        cmocka_unit_test(without_user_namespaces_that_is_what_is_said),
        cmocka_unit_test(in_a_chroot_the_remedy_names_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
