/* What of a sandbox can be made before its job is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "sandbox/plan_shared.h"
#include "settings/profile.h"
#include "support/profiles.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

#define JOB "/srv/jobs/j1"
enum { TASK_UID = 0x78800001 };

struct world {
    struct strv argv, read, write;
    struct plan_policy policy;
};

static int setup(void **state)
{
    struct world *w = mem_new(struct world);

    strv_add(&w->argv, "true");
    w->policy = (struct plan_policy){ .profile = profiles_get("agent"),
                                      .workspace = JOB "/workspace",
                                      .home = JOB "/home",
                                      .argv = &w->argv,
                                      .read = &w->read,
                                      .write = &w->write,
                                      .uid = 1001 };
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    strv_done(&w->argv);
    strv_done(&w->read);
    strv_done(&w->write);
    free(w);
    return 0;
}

static struct plan *must_make(const struct world *w)
{
    struct plan *p = NULL;
    struct err err = { 0 };

    if (plan_make(&w->policy, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

/* Whether a sandbox is made beforehand for the next plan like this one, and would then be used. */
static bool is_shared(const struct plan *p)
{
    CLEANUP_PTR(plan_free) struct plan *shared = plan_shared_of(p);

    if (shared)
        assert_true(plan_shared_fits(shared, p));
    return shared != NULL;
}

static void nothing_of_a_job_is_shared(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *p = NULL, *shared = NULL;

    strv_add(&w->read, "/srv/tools");
    w->policy.brief = "the job's own words";
    p = must_make(w);
    shared = plan_shared_of(p);
    assert_non_null(shared);
    assert_true(shared->step_count > 0 && shared->step_count < p->step_count);
    for (size_t i = 0; i < shared->step_count; i++) {
        assert_null(strstr(shared->steps[i].text, JOB));
        assert_null(strstr(shared->steps[i].text, "the job's own words"));
    }
    for (size_t i = 0; i < shared->rule_count; i++)
        assert_true(strcmp(shared->rules[i].path, PLAN_WORKSPACE) != 0 &&
                    strcmp(shared->rules[i].path, PLAN_HOME) != 0);
    assert_int_equal(shared->argv.len + shared->env.len, 0);
}

/* Each of these alone: a sandbox that was made for the one plan is not one for the other. */
static void what_was_made_for_another_kind_of_plan_does_not_fit(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *p = must_make(w), *shared = plan_shared_of(p);
    struct plan other;

    assert_non_null(shared);
    assert_true(plan_shared_fits(shared, p));
    other = *p;
    other.network = PLAN_NETWORK_ALLOWLIST; /* a network of its own as well */
    assert_true(plan_shared_fits(shared, &other));
    other.network = PLAN_NETWORK_HOST;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.calls ^= PROFILE_DEBUGGING;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.outer_uid++;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.as_root = true;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.ground.rung = PLAN_RUNG_ROOT;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.ground.host_proc = true;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.ground.without_landlock = true;
    assert_false(plan_shared_fits(shared, &other));
    other = *p;
    other.survey = true;
    assert_false(plan_shared_fits(shared, &other));
}

/* One that has no step yet fits more, but not these. */
static void what_is_anybodys_fits_no_other_kind_of_plan(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *p = NULL, *least = NULL;
    struct plan other;

    w->policy.uid = 0;
    w->policy.task_uid = TASK_UID;
    p = must_make(w);
    least = plan_shared_least(p);
    assert_non_null(least);
    assert_int_equal(least->step_count + least->rule_count, 0);
    assert_int_equal(least->outer_uid, 0); /* nobody's before it is somebody's */
    other = *p;
    other.outer_uid++;
    other.calls ^= PROFILE_DEBUGGING;
    other.survey = true;
    assert_true(plan_shared_fits(least, &other));
    other = *p;
    other.network = PLAN_NETWORK_HOST;
    assert_false(plan_shared_fits(least, &other));
    other = *p;
    other.ground.rung = PLAN_RUNG_ROOT;
    assert_false(plan_shared_fits(least, &other));
    other = *p;
    other.ground.without_landlock = true;
    assert_false(plan_shared_fits(least, &other));
}

/* Each step and each rule has its part in it. */
static void a_step_or_a_rule_that_differs_does_not_fit(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *p = must_make(w), *shared = plan_shared_of(p);

    assert_non_null(shared);
    for (size_t i = 0; i < shared->step_count; i++) {
        struct plan_step *s = &p->steps[i], before = *s;
        char other[] = "/other";

        s->flags ^= PLAN_NOEXEC;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
        s->mode ^= 0700;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
        s->size_bytes++;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
        s->text = other;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
        s->target = other;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
        s->type = s->type == PLAN_STEP_DIR ? PLAN_STEP_FILE : PLAN_STEP_DIR;
        assert_false(plan_shared_fits(shared, p));
        *s = before;
    }
    for (size_t i = 0; i < shared->rule_count; i++) {
        p->rules[i].rights ^= PLAN_MAY_WRITE;
        assert_false(plan_shared_fits(shared, p));
        p->rules[i].rights ^= PLAN_MAY_WRITE;
    }
    assert_true(plan_shared_fits(shared, p));
}

/* With its job unknown, a link that a task has put there would be followed. */
static void a_plan_that_shows_something_amid_the_jobs_own_places_has_none(void **state)
{
    static const char *const amid[] = { JOB "/workspace/tools", JOB "/workspace/a/b/c",
                                        JOB "/home/.cache", JOB "/workspace", JOB "/home" };
    static const char *const beside[] = { JOB, JOB "/workspace2", JOB "/homes/x",
                                          "/srv/jobs/j2/home" };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(amid); i++) {
        CLEANUP_PTR(plan_free) struct plan *p = NULL;

        strv_add(&w->read, amid[i]);
        p = must_make(w);
        if (is_shared(p))
            fail_msg("'%s' is shown beforehand", amid[i]);
        strv_done(&w->read);
    }
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        CLEANUP_PTR(plan_free) struct plan *p = NULL;

        strv_add(&w->read, beside[i]);
        p = must_make(w);
        if (!is_shared(p))
            fail_msg("'%s' is not shown beforehand", beside[i]);
        strv_done(&w->read);
    }
}

static void what_may_be_written_amid_them_counts_too(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    strv_add(&w->write, JOB "/home/shared");
    p = must_make(w);
    assert_false(is_shared(p));
}

/* Neither a profile nor an operator can say so; a plan may. */
static void a_place_inside_that_lies_in_the_jobs_has_none(void **state)
{
    static const char *const amid[] = { PLAN_WORKSPACE "/tools", PLAN_HOME "/.cache" };
    struct world *w = *state;

    strv_add(&w->read, "/srv/tools");
    for (size_t i = 0; i < ARRAY_SIZE(amid); i++) {
        CLEANUP_PTR(plan_free) struct plan *p = must_make(w);
        size_t k = 0;

        assert_true(is_shared(p));
        while (strcmp(p->steps[k].target, "/srv/tools") != 0)
            assert_true(++k < p->step_count);
        free(p->steps[k].target);
        p->steps[k].target = mem_strdup(amid[i]);
        assert_false(is_shared(p));
    }
}

/* One that waits was made for others: it isn't taken for a task whose job lies around what it
 * shows. */
static void what_was_made_for_another_job_does_not_fit_one_that_has_such_a_place(void **state)
{
    struct world *w = *state;
    CLEANUP_PTR(plan_free) struct plan *other = NULL, *p = NULL, *shared = NULL;

    strv_add(&w->read, "/srv/jobs/j2/workspace/tools");
    other = must_make(w);
    shared = plan_shared_of(other);
    assert_non_null(shared);
    assert_true(plan_shared_fits(shared, other));
    w->policy.workspace = "/srv/jobs/j2/workspace";
    p = must_make(w);
    assert_false(plan_shared_fits(shared, p));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_of_a_job_is_shared),
        TEST(what_was_made_for_another_kind_of_plan_does_not_fit),
        TEST(what_is_anybodys_fits_no_other_kind_of_plan),
        TEST(a_step_or_a_rule_that_differs_does_not_fit),
        TEST(a_plan_that_shows_something_amid_the_jobs_own_places_has_none),
        TEST(what_may_be_written_amid_them_counts_too),
        TEST(a_place_inside_that_lies_in_the_jobs_has_none),
        TEST(what_was_made_for_another_job_does_not_fit_one_that_has_such_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
