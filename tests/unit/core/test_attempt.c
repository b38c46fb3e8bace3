/* Every cell of the attempt state machine, against a list of legal moves of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <errno.h>

#include "core/attempt.h"
#include "util/cleanup.h"

static const struct {
    enum attempt_state from;
    enum attempt_event by;
    enum attempt_state to;
    enum attempt_action action;
} legal[] = {
    { ATTEMPT_NONE, ATTEMPT_EV_SPAWN, ATTEMPT_STARTING, ATTEMPT_SPAWN },
    { ATTEMPT_STARTING, ATTEMPT_EV_STARTED, ATTEMPT_ALIVE, ATTEMPT_WATCH },
    { ATTEMPT_STARTING, ATTEMPT_EV_FINAL, ATTEMPT_ANSWERED, ATTEMPT_GRACE },
    { ATTEMPT_STARTING, ATTEMPT_EV_STOP, ATTEMPT_STOPPING, ATTEMPT_KILL },
    { ATTEMPT_STARTING, ATTEMPT_EV_ENDED, ATTEMPT_NONE, ATTEMPT_CLOSE },
    { ATTEMPT_ALIVE, ATTEMPT_EV_FINAL, ATTEMPT_ANSWERED, ATTEMPT_GRACE },
    { ATTEMPT_ALIVE, ATTEMPT_EV_STOP, ATTEMPT_STOPPING, ATTEMPT_KILL },
    { ATTEMPT_ALIVE, ATTEMPT_EV_ENDED, ATTEMPT_NONE, ATTEMPT_CLOSE },
    { ATTEMPT_ANSWERED, ATTEMPT_EV_STARTED, ATTEMPT_ANSWERED, ATTEMPT_NOTHING },
    { ATTEMPT_ANSWERED, ATTEMPT_EV_FINAL, ATTEMPT_ANSWERED, ATTEMPT_NOTHING },
    { ATTEMPT_ANSWERED, ATTEMPT_EV_STOP, ATTEMPT_STOPPING, ATTEMPT_KILL },
    { ATTEMPT_ANSWERED, ATTEMPT_EV_ENDED, ATTEMPT_NONE, ATTEMPT_CLOSE },
    { ATTEMPT_STOPPING, ATTEMPT_EV_STARTED, ATTEMPT_STOPPING, ATTEMPT_NOTHING },
    { ATTEMPT_STOPPING, ATTEMPT_EV_FINAL, ATTEMPT_STOPPING, ATTEMPT_NOTHING },
    { ATTEMPT_STOPPING, ATTEMPT_EV_STOP, ATTEMPT_STOPPING, ATTEMPT_KILL },
    { ATTEMPT_STOPPING, ATTEMPT_EV_ENDED, ATTEMPT_NONE, ATTEMPT_CLOSE },
    { ATTEMPT_NONE, ATTEMPT_EV_SURVEY, ATTEMPT_SURVEYED, ATTEMPT_SURVEY },
    { ATTEMPT_ALIVE, ATTEMPT_EV_SURVEY, ATTEMPT_SURVEYED, ATTEMPT_SURVEY },
    { ATTEMPT_ANSWERED, ATTEMPT_EV_SURVEY, ATTEMPT_SURVEYED, ATTEMPT_SURVEY },
    { ATTEMPT_STOPPING, ATTEMPT_EV_SURVEY, ATTEMPT_SURVEYED, ATTEMPT_SURVEY },
    { ATTEMPT_SURVEYED, ATTEMPT_EV_STOP, ATTEMPT_SURVEYED, ATTEMPT_KILL },
    { ATTEMPT_SURVEYED, ATTEMPT_EV_SURVEYED, ATTEMPT_NONE, ATTEMPT_CLOSE },
    { ATTEMPT_SURVEYED, ATTEMPT_EV_ABANDON, ATTEMPT_ABANDONED, ATTEMPT_NOTHING },
    { ATTEMPT_ABANDONED, ATTEMPT_EV_STOP, ATTEMPT_ABANDONED, ATTEMPT_NOTHING },
    { ATTEMPT_ABANDONED, ATTEMPT_EV_SURVEYED, ATTEMPT_NONE, ATTEMPT_CLOSE },
};

static void every_cell_moves_as_listed_or_not_at_all(void **state)
{
    (void)state;
    for (int s = 0; s < ATTEMPT_STATE_COUNT; s++) {
        for (int e = 0; e < ATTEMPT_EVENT_COUNT; e++) {
            struct attempt a = { .state = (enum attempt_state)s };
            enum attempt_action action = ATTEMPT_NOTHING;
            int r = attempt_step(&a, (enum attempt_event)e, &action);
            size_t i = 0;

            while (i < ARRAY_SIZE(legal) && ((int)legal[i].from != s || (int)legal[i].by != e))
                i++;
            assert_int_equal(r, i < ARRAY_SIZE(legal) ? 0 : -EPROTO);
            assert_int_equal(a.state, i < ARRAY_SIZE(legal) ? legal[i].to : (enum attempt_state)s);
            if (r == 0)
                assert_int_equal(action, legal[i].action);
        }
    }
}

static void whatever_runs_can_end(void **state)
{
    (void)state;
    for (int s = ATTEMPT_STARTING; s < ATTEMPT_STATE_COUNT; s++) {
        struct attempt a = { .state = (enum attempt_state)s };
        enum attempt_action action;

        assert_int_equal(
            attempt_step(&a, s >= ATTEMPT_SURVEYED ? ATTEMPT_EV_SURVEYED : ATTEMPT_EV_ENDED,
                         &action),
            0);
        assert_int_equal(a.state, ATTEMPT_NONE);
    }
}

static void the_first_reason_stays_unless_a_weightier_one_comes(void **state)
{
    struct attempt a = { 0 };

    (void)state;
    attempt_note_stop(&a, ENDING_STOP_SHUTDOWN);
    assert_int_equal(a.stop, ENDING_STOP_SHUTDOWN);
    attempt_note_stop(&a, ENDING_STOP_TIMEOUT); /* it must be answered now */
    assert_int_equal(a.stop, ENDING_STOP_TIMEOUT);
    attempt_note_stop(&a, ENDING_STOP_FINAL); /* a result of our kill's making */
    attempt_note_stop(&a, ENDING_STOP_SHUTDOWN);
    assert_int_equal(a.stop, ENDING_STOP_TIMEOUT);
    attempt_note_stop(&a, ENDING_STOP_CANCEL);
    attempt_note_stop(&a, ENDING_STOP_IDLE);
    assert_int_equal(a.stop, ENDING_STOP_CANCEL);
    attempt_note_stop(&a, ENDING_STOP_LEASE);
    assert_int_equal(a.stop, ENDING_STOP_LEASE);
    attempt_note_stop(&a, ENDING_STOP_CANCEL);
    assert_int_equal(a.stop, ENDING_STOP_LEASE);
}

static void a_result_stands_against_all_but_the_users_stop_and_a_lost_lease(void **state)
{
    static const struct {
        enum ending_stop later, stands;
    } cases[] = {
        { ENDING_STOP_NONE, ENDING_STOP_FINAL },     { ENDING_STOP_START, ENDING_STOP_FINAL },
        { ENDING_STOP_TIMEOUT, ENDING_STOP_FINAL },  { ENDING_STOP_IDLE, ENDING_STOP_FINAL },
        { ENDING_STOP_OUTPUT, ENDING_STOP_FINAL },   { ENDING_STOP_FINAL, ENDING_STOP_FINAL },
        { ENDING_STOP_SHUTDOWN, ENDING_STOP_FINAL }, { ENDING_STOP_CANCEL, ENDING_STOP_CANCEL },
        { ENDING_STOP_LEASE, ENDING_STOP_LEASE },
    };

    (void)state;
    static_assert(ARRAY_SIZE(cases) == ENDING_STOP_COUNT, "every reason");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct attempt a = { .stop = ENDING_STOP_FINAL };

        attempt_note_stop(&a, cases[i].later);
        assert_int_equal(a.stop, cases[i].stands);
    }
}

static void the_limit_that_strikes_first_is_the_deadline(void **state)
{
    struct attempt a = { .state = ATTEMPT_ALIVE, .started_ms = 1000, .output_ms = 1000 };
    enum ending_stop stop = ENDING_STOP_NONE;

    (void)state;
    assert_int_equal(attempt_deadline(&a, 5000, 300, &stop), 1300);
    assert_int_equal(stop, ENDING_STOP_IDLE);
    a.output_ms = 5900;
    assert_int_equal(attempt_deadline(&a, 5000, 300, &stop), 6000);
    assert_int_equal(stop, ENDING_STOP_TIMEOUT);
}

static void the_spawner_has_a_deadline_where_the_program_has_none(void **state)
{
    struct attempt a = { .state = ATTEMPT_STARTING, .patience_ms = 77 };
    enum ending_stop stop = ENDING_STOP_IDLE;

    (void)state;
    assert_int_equal(attempt_deadline(&a, 1, 1, &stop), 77);
    assert_int_equal(stop, ENDING_STOP_START);
    a.state = ATTEMPT_ANSWERED; /* the limits of work mean nothing any more */
    assert_int_equal(attempt_deadline(&a, 1, 1, &stop), 77);
    assert_int_equal(stop, ENDING_STOP_FINAL);
    a.state = ATTEMPT_STOPPING;
    assert_int_equal(attempt_deadline(&a, 1, 1, &stop), 77);
    assert_int_equal(stop, ENDING_STOP_NONE);
    a.state = ATTEMPT_SURVEYED;
    assert_int_equal(attempt_deadline(&a, 1, 1, &stop), 77);
    assert_int_equal(stop, ENDING_STOP_NONE);
    a.state = ATTEMPT_ABANDONED;
    assert_int_equal(attempt_deadline(&a, 1, 1, &stop), 77);
    assert_int_equal(stop, ENDING_STOP_NONE);
    a.state = ATTEMPT_NONE;
    assert_true(attempt_deadline(&a, 1, 1, &stop) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_listed_or_not_at_all),
        cmocka_unit_test(whatever_runs_can_end),
        cmocka_unit_test(the_first_reason_stays_unless_a_weightier_one_comes),
        cmocka_unit_test(a_result_stands_against_all_but_the_users_stop_and_a_lost_lease),
        cmocka_unit_test(the_limit_that_strikes_first_is_the_deadline),
        cmocka_unit_test(the_spawner_has_a_deadline_where_the_program_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
