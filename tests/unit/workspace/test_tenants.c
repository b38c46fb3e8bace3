#include "workspace/tenants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
