#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/plan.h"
#include "sandbox/plan_survey.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum { TASK_UID = 0x70000001 };

static struct plan *make(uid_t uid)
{
    struct plan *p = NULL;
    struct err err = { 0 };

    if (plan_survey_make(&(struct plan_ground){ 0 }, "/srv/j/workspace", "/srv/j/home", uid,
                         TASK_UID, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

static void a_survey_is_shown_the_two_directories_read_only_and_nothing_else(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = make(1000);
    size_t binds = 0;

    (void)state;
    for (size_t i = 0; i < p->step_count; i++) {
        assert_false(p->steps[i].flags & PLAN_WRITABLE);
        binds += p->steps[i].type == PLAN_STEP_BIND;
        assert_true(p->steps[i].type == PLAN_STEP_BIND || p->steps[i].type == PLAN_STEP_DIR);
    }
    assert_int_equal(binds, 2);
    assert_int_equal(plan_place_of(p, PLAN_WORKSPACE), PLAN_PLACE_OWN);
    assert_int_equal(plan_place_of(p, PLAN_HOME), PLAN_PLACE_OWN);
    assert_int_equal(plan_place_of(p, "/usr/bin/sh"), PLAN_PLACE_NONE);
    assert_int_equal(p->network, PLAN_NETWORK_NONE);
    assert_int_equal(p->env.len, 0);
    assert_int_equal(p->outer_uid, 1000);
    assert_false(p->as_root);
}

static void as_root_it_runs_as_the_jobs_user(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = make(0);
    CLEANUP_PTR(plan_free) struct plan *none = NULL;

    (void)state;
    assert_true(p->as_root);
    assert_int_equal(p->outer_uid, TASK_UID);
    assert_int_equal(plan_survey_make(&(struct plan_ground){ 0 }, "/w", "/h", 0, 0, &none, NULL),
                     -EINVAL);
    assert_int_equal(
        plan_survey_make(&(struct plan_ground){ 0 }, "/w/../etc", "/h", 0, TASK_UID, &none, NULL),
        -EINVAL);
    assert_int_equal(
        plan_survey_make(&(struct plan_ground){ 0 }, "/w", "h", 0, TASK_UID, &none, NULL), -EINVAL);
}

static int decode(const struct plan *p)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP_PTR(plan_free) struct plan *again = NULL;
    int r;

    plan_encode(p, &b);
    r = plan_decode(b.data, b.len, &again, NULL);
    if (r == 0)
        assert_true(again->survey);
    return r;
}

static void nothing_more_can_be_asked_for(void **state)
{
    CLEANUP_PTR(plan_free) struct plan *p = make(0);

    (void)state;
    assert_int_equal(decode(p), 0);
    p->network = PLAN_NETWORK_HOST;
    assert_int_equal(decode(p), -EINVAL);
    p->network = PLAN_NETWORK_NONE;
    p->stdout_file = true;
    assert_int_equal(decode(p), -EINVAL);
    p->stdout_file = false;
    p->steps[1].flags |= PLAN_WRITABLE;
    assert_int_equal(decode(p), -EINVAL);
    p->steps[1].flags = PLAN_NOEXEC;
    p->rules[1].rights |= PLAN_MAY_CHANGE;
    assert_int_equal(decode(p), -EINVAL);
    p->rules[1].rights = PLAN_MAY_READ;
    strv_add(&p->env, "A=b");
    assert_int_equal(decode(p), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_survey_is_shown_the_two_directories_read_only_and_nothing_else),
        cmocka_unit_test(as_root_it_runs_as_the_jobs_user),
        cmocka_unit_test(nothing_more_can_be_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
