#include "workspace/tenants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

struct fixture {
    char *dir;
    int fd;
    struct tenants *tenants;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    f->tenants = tenants_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tenants_free(f->tenants);
    (void)close(f->fd);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static uid_t pick(struct fixture *f, const char *job)
{
    uid_t uid = 0;

    if (tenants_pick(f->tenants, f->fd, f->dir, job, &uid, &f->err) < 0)
        fail_msg("%s", f->err.text);
    return uid;
}

/* What a job's directories look like, or what a cut removal left of them. */
static void make_job(struct fixture *f, const char *job, const char *part, uid_t uid)
{
    AUTO_FREE char *path = mem_printf("%s/%s", job, part);

    assert_true(mkdirat(f->fd, job, 0711) == 0 || errno == EEXIST);
    assert_int_equal(mkdirat(f->fd, path, 0700), 0);
    assert_int_equal(fchownat(f->fd, path, uid, uid, 0), 0);
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    (void)printf("skip: needs root\n");
    skip();
}

static void the_choice_is_stable_and_in_the_jobs_range(void **state)
{
    struct fixture *f = *state;

    /* computed by hand from the definition of FNV-1a */
    assert_int_equal(tenants_first_choice("a"), 0x78800000 + 0xaf63dc4c8601ec8cULL % 0x077e0000);
    for (int i = 0; i < 1000; i++) {
        AUTO_FREE char *job = mem_printf("job_%d", i);

        assert_in_range(pick(f, job), PLAN_JOB_UID_MIN, PLAN_OWN_UID_MAX);
    }
}

static void two_jobs_whose_ids_lead_to_one_uid_get_two(void **state)
{
    struct fixture *f = *state;
    uid_t first = tenants_first_choice("job_A");

    assert_int_equal(pick(f, "job_A"), first);
    assert_int_equal(pick(f, "job_A"), first + 1); /* the same hash, as if another id had it */
    assert_int_equal(pick(f, "job_A"), first + 2);
}

static void what_jobs_on_disk_have_is_taken(void **state)
{
    struct fixture *f = *state;
    uid_t first = tenants_first_choice("job_A");

    need_root();
    make_job(f, "job_B", "workspace", first);
    make_job(f, "job_B", "home", first);
    make_job(f, "job_C", "home", first + 1);           /* its workspace is gone already */
    make_job(f, ".gone.0123", "workspace", first + 2); /* its removal isn't over */
    assert_int_equal(pick(f, "job_A"), first + 3);
}

static void the_end_of_the_range_goes_on_at_its_beginning(void **state)
{
    struct fixture *f = *state;
    uid_t first = tenants_first_choice("job_A");
    int jobs = 0;

    need_root();
    /* the id whose hash is nearest to the end, of some */
    AUTO_FREE char *last = mem_strdup("job_A");
    for (int i = 0; i < 20000000 && PLAN_OWN_UID_MAX - first > 20; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "job_%d", i);
        if (tenants_first_choice(name) <= first)
            continue;
        first = tenants_first_choice(name);
        free(last);
        last = mem_strdup(name);
    }
    assert_true(PLAN_OWN_UID_MAX - first < 1000);
    for (uid_t uid = first; uid <= PLAN_OWN_UID_MAX; uid++) {
        AUTO_FREE char *name = mem_printf("there_%d", jobs++);

        make_job(f, name, "workspace", uid);
    }
    assert_int_equal(pick(f, last), PLAN_JOB_UID_MIN);
}

static void a_job_that_is_gone_leaves_its_uid_to_others(void **state)
{
    struct fixture *f = *state;
    uid_t first = tenants_first_choice("job_A");

    assert_int_equal(pick(f, "job_A"), first);
    tenants_forget(f->tenants);
    assert_int_equal(pick(f, "job_A"), first);
}

static void a_directory_that_cant_be_read_gives_no_uid(void **state)
{
    struct fixture *f = *state;
    uid_t uid = 1;

    assert_int_equal(tenants_pick(f->tenants, -1, "nowhere", "job_A", &uid, &f->err), -EBADF);
    assert_int_equal(uid, 1);
    assert_int_equal(pick(f, "job_A"), tenants_first_choice("job_A")); /* and the next time does */
}

/* ---- with another daemon beside it ---- */

/* Another daemon's, on the same machine. */
static struct tenants *share(const struct fixture *f, const char *root)
{
    AUTO_FREE char *meeting = mem_printf("%s/meeting", f->dir);
    struct tenants *t = tenants_new();
    struct err err = { 0 };

    if (tenants_share(t, meeting, root, &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

static uid_t pick_of(struct tenants *t, const char *root, const char *job)
{
    AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = { 0 };
    uid_t uid = 0;

    if (tenants_pick(t, fd, root, job, &uid, &err) < 0)
        fail_msg("%s", err.text);
    return uid;
}

static void two_daemons_give_no_uid_twice(void **state)
{
    struct fixture *f = *state;
    struct tenants *one = share(f, f->dir), *two = share(f, f->dir);
    uid_t uid = pick_of(one, f->dir, "job_A"), other = pick_of(two, f->dir, "job_A");

    /* the same name and the same job lead to the same uid, if it isn't taken */
    assert_int_not_equal(uid, other);
    assert_in_range(uid, PLAN_JOB_UID_MIN, PLAN_OWN_UID_MAX);
    assert_in_range(other, PLAN_JOB_UID_MIN, PLAN_OWN_UID_MAX);
    for (int i = 0; i < 1000; i++) {
        AUTO_FREE char *job = mem_printf("job_%d", i);

        /* 65536 to a block */
        assert_int_equal((pick_of(one, f->dir, job) - PLAN_JOB_UID_MIN) / 65536,
                         (uid - PLAN_JOB_UID_MIN) / 65536);
    }
    tenants_free(one);
    tenants_free(two);
    one = share(f, f->dir); /* as nobody is there any more */
    assert_int_equal(pick_of(one, f->dir, "job_A"), uid);
    tenants_free(one);
}

static void the_next_uid_is_told_before_and_is_the_next_jobs(void **state)
{
    struct fixture *f = *state;
    struct tenants *t;
    uid_t next, first;

    need_root();
    t = share(f, f->dir);
    first = next = tenants_next(t);
    assert_in_range(next, PLAN_JOB_UID_MIN, PLAN_OWN_UID_MAX);
    assert_int_equal(tenants_next(t), next);
    assert_int_equal(pick_of(t, f->dir, "job_A"), next);
    next = tenants_next(t);
    assert_int_not_equal(next, first);
    make_job(f, "job_B", "workspace", next); /* somebody has given it away all the same */
    tenants_forget(t);
    assert_int_equal(tenants_next(t), next); /* who has what isn't known */
    assert_int_not_equal(pick_of(t, f->dir, "job_C"), next);
    assert_int_not_equal(tenants_next(t), next);
    tenants_free(t);
    assert_int_equal(tenants_next(f->tenants), 0); /* others may tell it, too */
    (void)pick(f, "job_D");
    assert_int_equal(tenants_next(f->tenants), 0);
}

static void a_uid_that_a_job_of_another_daemon_has_is_not_given(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *root = mem_printf("%s/other", f->dir);
    struct tenants *one = share(f, root), *two = share(f, f->dir);
    uid_t uid = pick_of(two, f->dir, "job_A");
    uid_t other;

    assert_int_equal(tenants_claim(two, uid, &f->err), 0);
    assert_int_equal(tenants_claim(one, uid, &f->err), -EBUSY);
    assert_non_null(strstr(f->err.text, "another nairid"));
    tenants_free(two);
    assert_int_equal(tenants_claim(one, uid, &f->err), 0); /* now that it has ended */
    two = share(f, f->dir);
    other = pick_of(two, f->dir, "job_A"); /* its block has one that is taken */
    assert_int_not_equal((other - PLAN_JOB_UID_MIN) / 65536, (uid - PLAN_JOB_UID_MIN) / 65536);
    tenants_free(one);
    tenants_free(two);
}

static void what_jobs_have_is_held_from_the_start(void **state)
{
    struct fixture *f = *state;
    struct tenants *one, *two;
    uid_t uid, other;

    need_root();
    one = share(f, "elsewhere");
    uid = pick_of(one, f->dir, "job_A");
    tenants_free(one);
    make_job(f, "job_old", "workspace", uid);
    one = share(f, f->dir); /* has a block of its own, and that one uid */
    two = share(f, "elsewhere");
    other = pick_of(two, f->dir, "job_A");
    assert_int_not_equal((other - PLAN_JOB_UID_MIN) / 65536, (uid - PLAN_JOB_UID_MIN) / 65536);
    assert_int_equal(tenants_claim(two, uid, &f->err), -EBUSY);
    tenants_free(one);
    tenants_free(two);
}

static void a_full_block_is_followed_by_another_one(void **state)
{
    struct fixture *f = *state;
    struct tenants *t = share(f, f->dir);
    uid_t first = pick_of(t, f->dir, "job_A") & ~0xffffu;
    size_t outside = 0;
    struct err err = { 0 };

    for (int i = 1; i < 65536 + 10; i++) {
        char job[32];
        uid_t uid = 0;

        (void)snprintf(job, sizeof job, "job_%d", i);
        assert_int_equal(tenants_pick(t, f->fd, f->dir, job, &uid, &err), 0);
        outside += (uid & ~0xffffu) != first;
    }
    assert_int_equal(outside, 10);
    tenants_free(t);
}

static void a_meeting_place_that_others_may_change_is_none(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *meeting = mem_printf("%s/meeting", f->dir);

    assert_int_equal(mkdir(meeting, 0777), 0);
    assert_int_equal(chmod(meeting, 0777), 0);
    assert_int_equal(tenants_share(f->tenants, meeting, f->dir, &f->err), -EPERM);
    assert_int_equal(pick(f, "job_A"), tenants_first_choice("job_A")); /* as if alone */
    assert_int_equal(chmod(meeting, 0755), 0);
    assert_int_equal(tenants_share(f->tenants, "/nonexistent/x", f->dir, &f->err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_choice_is_stable_and_in_the_jobs_range, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_jobs_whose_ids_lead_to_one_uid_get_two, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_jobs_on_disk_have_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_the_range_goes_on_at_its_beginning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_is_gone_leaves_its_uid_to_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_cant_be_read_gives_no_uid, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_daemons_give_no_uid_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_next_uid_is_told_before_and_is_the_next_jobs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_uid_that_a_job_of_another_daemon_has_is_not_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_jobs_have_is_held_from_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_block_is_followed_by_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_meeting_place_that_others_may_change_is_none, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
