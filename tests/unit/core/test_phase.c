/* Every cell of the daemon's own life, against a list of legal moves of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sysexits.h>

#include "core/phase.h"
#include "util/cleanup.h"

enum { SAME = -1, BEFORE = 42 };

static const struct {
    enum phase_state from;
    enum phase_event by;
    enum phase_state to;
    enum phase_action action;
    int code;
} legal[] = {
    { PHASE_SERVING, PHASE_EV_BROKEN, PHASE_DONE, PHASE_EXIT, EX_TEMPFAIL },
    { PHASE_DRAINING, PHASE_EV_BROKEN, PHASE_DONE, PHASE_EXIT, EX_TEMPFAIL },
    { PHASE_KEYLESS, PHASE_EV_BROKEN, PHASE_DONE, PHASE_EXIT, EX_TEMPFAIL },
    { PHASE_STOPPING, PHASE_EV_BROKEN, PHASE_DONE, PHASE_EXIT, EX_TEMPFAIL },
    { PHASE_SERVING, PHASE_EV_DRAIN, PHASE_DRAINING, PHASE_HALT, EX_OK },
    { PHASE_SERVING, PHASE_EV_TERM, PHASE_DRAINING, PHASE_HALT, EX_OK },
    { PHASE_SERVING, PHASE_EV_QUIT, PHASE_STOPPING, PHASE_KILL_TASKS, EX_OK },
    { PHASE_SERVING, PHASE_EV_KEY_REFUSED, PHASE_KEYLESS, PHASE_HALT, EX_NOPERM },
    { PHASE_SERVING, PHASE_EV_UNREACHABLE, PHASE_DONE, PHASE_EXIT, EX_UNAVAILABLE },
    { PHASE_DRAINING, PHASE_EV_DRAIN, PHASE_DRAINING, PHASE_NOTHING, SAME },
    { PHASE_DRAINING, PHASE_EV_TERM, PHASE_STOPPING, PHASE_STOP_TASKS, SAME },
    { PHASE_DRAINING, PHASE_EV_QUIT, PHASE_STOPPING, PHASE_KILL_TASKS, SAME },
    { PHASE_DRAINING, PHASE_EV_DEADLINE, PHASE_STOPPING, PHASE_STOP_TASKS, EX_TEMPFAIL },
    { PHASE_DRAINING, PHASE_EV_EMPTY, PHASE_DONE, PHASE_EXIT, SAME },
    { PHASE_KEYLESS, PHASE_EV_DRAIN, PHASE_KEYLESS, PHASE_NOTHING, SAME },
    { PHASE_KEYLESS, PHASE_EV_TERM, PHASE_STOPPING, PHASE_STOP_TASKS, SAME },
    { PHASE_KEYLESS, PHASE_EV_QUIT, PHASE_STOPPING, PHASE_KILL_TASKS, SAME },
    { PHASE_KEYLESS, PHASE_EV_DEADLINE, PHASE_STOPPING, PHASE_STOP_TASKS, SAME },
    { PHASE_KEYLESS, PHASE_EV_EMPTY, PHASE_DONE, PHASE_EXIT, SAME },
    { PHASE_STOPPING, PHASE_EV_DRAIN, PHASE_STOPPING, PHASE_NOTHING, SAME },
    { PHASE_STOPPING, PHASE_EV_TERM, PHASE_STOPPING, PHASE_KILL_TASKS, SAME },
    { PHASE_STOPPING, PHASE_EV_QUIT, PHASE_STOPPING, PHASE_KILL_TASKS, SAME },
    { PHASE_STOPPING, PHASE_EV_EMPTY, PHASE_DONE, PHASE_EXIT, SAME },
};

static void every_cell_moves_as_listed_or_not_at_all(void **state)
{
    (void)state;
    for (int s = 0; s < PHASE_STATE_COUNT; s++) {
        for (int e = 0; e < PHASE_EVENT_COUNT; e++) {
            struct phase p = { .state = (enum phase_state)s, .exit_code = BEFORE };
            enum phase_action action = PHASE_NOTHING;
            int r = phase_step(&p, (enum phase_event)e, &action);
            size_t i = 0;

            while (i < ARRAY_SIZE(legal) && ((int)legal[i].from != s || (int)legal[i].by != e))
                i++;
            if (i == ARRAY_SIZE(legal)) {
                assert_int_equal(r, -EPROTO);
                assert_int_equal(p.state, s);
                assert_int_equal(p.exit_code, BEFORE);
                continue;
            }
            assert_int_equal(r, 0);
            assert_int_equal(p.state, legal[i].to);
            assert_int_equal(action, legal[i].action);
            assert_int_equal(p.exit_code, legal[i].code == SAME ? BEFORE : legal[i].code);
        }
    }
}

static void every_state_can_reach_the_end(void **state)
{
    (void)state;
    for (int s = 0; s < PHASE_STATE_COUNT; s++) {
        struct phase p = { .state = (enum phase_state)s };
        enum phase_action action;

        (void)phase_step(&p, PHASE_EV_TERM, &action);
        (void)phase_step(&p, PHASE_EV_EMPTY, &action);
        assert_int_equal(p.state, PHASE_DONE);
    }
}

static void exit_is_ordered_only_on_the_way_to_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(legal); i++)
        assert_int_equal(legal[i].action == PHASE_EXIT, legal[i].to == PHASE_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_listed_or_not_at_all),
        cmocka_unit_test(every_state_can_reach_the_end),
        cmocka_unit_test(exit_is_ordered_only_on_the_way_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
