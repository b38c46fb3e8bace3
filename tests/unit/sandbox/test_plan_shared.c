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
#include "support/profiles.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

#define JOB "/srv/jobs/j1"

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
        TEST(a_plan_that_shows_something_amid_the_jobs_own_places_has_none),
        TEST(what_may_be_written_amid_them_counts_too),
        TEST(a_place_inside_that_lies_in_the_jobs_has_none),
        TEST(what_was_made_for_another_job_does_not_fit_one_that_has_such_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
