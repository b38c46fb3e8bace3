/* Every cell of the task state machine, against a list of legal moves of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "task/task.h"
#include "util/cleanup.h"

struct move {
    enum task_state from;
    enum task_event by;
    enum task_state to;
};

static const struct move legal[] = {
    { TASK_RECEIVED, TASK_EV_START, TASK_RUNNING },
    { TASK_RECEIVED, TASK_EV_FINISH, TASK_FINISHED },
    { TASK_RECEIVED, TASK_EV_FORGET, TASK_GONE },
    { TASK_RUNNING, TASK_EV_RELEASE, TASK_RECEIVED },
    { TASK_RUNNING, TASK_EV_FINISH, TASK_FINISHED },
    { TASK_RUNNING, TASK_EV_FORGET, TASK_GONE },
    { TASK_FINISHED, TASK_EV_DELIVER, TASK_DELIVERED },
    { TASK_FINISHED, TASK_EV_REFUSE, TASK_REFUSED },
    { TASK_FINISHED, TASK_EV_FORGET, TASK_GONE },
    { TASK_DELIVERED, TASK_EV_ACK, TASK_ACKED },
    { TASK_REFUSED, TASK_EV_ACK, TASK_ACKED },
    { TASK_ACKED, TASK_EV_EXPIRE, TASK_GONE },
};

static const struct move *find_move(enum task_state from, enum task_event by)
{
    for (size_t i = 0; i < ARRAY_SIZE(legal); i++)
        if (legal[i].from == from && legal[i].by == by)
            return &legal[i];
    return NULL;
}

static void every_cell_moves_as_listed_or_not_at_all(void **state)
{
    (void)state;
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        for (int e = 0; e < TASK_EVENT_COUNT; e++) {
            struct task t = { .state = (enum task_state)s };
            const struct move *m = find_move(t.state, (enum task_event)e);
            int r = task_step(&t, (enum task_event)e);

            assert_int_equal(r, m ? 0 : -EPROTO);
            assert_int_equal(t.state, m ? m->to : (enum task_state)s);
            assert_int_equal(task_may((enum task_state)s, (enum task_event)e), m != NULL);
        }
    }
}

static void every_state_can_reach_the_final_one(void **state)
{
    (void)state;
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        bool reached[TASK_STATE_COUNT] = { false };

        reached[s] = true;
        for (int round = 0; round < TASK_STATE_COUNT; round++)
            for (size_t i = 0; i < ARRAY_SIZE(legal); i++)
                if (reached[legal[i].from])
                    reached[legal[i].to] = true;
        assert_true(reached[TASK_GONE]);
    }
}

static void an_answered_message_never_runs_again(void **state)
{
    static const enum task_state answered[] = { TASK_FINISHED, TASK_DELIVERED, TASK_REFUSED,
                                                TASK_ACKED, TASK_GONE };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answered); i++) {
        assert_false(task_may(answered[i], TASK_EV_START));
        assert_false(task_may(answered[i], TASK_EV_RELEASE));
        assert_false(task_may(answered[i], TASK_EV_FINISH));
    }
}

static void stored_states_are_restored_by_name(void **state)
{
    (void)state;
    for (int s = 0; s < TASK_GONE; s++) {
        struct task t = { .state = TASK_RECEIVED };

        assert_int_equal(task_restore(&t, task_state_name((enum task_state)s)), 0);
        assert_int_equal(t.state, s);
    }
}

static void a_state_nobody_stores_is_refused(void **state)
{
    static const char *const wrong[] = { "gone", "", "Running", "0" };
    struct task t = { .state = TASK_RUNNING };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(task_restore(&t, wrong[i]), -EINVAL);
        assert_int_equal(t.state, TASK_RUNNING);
    }
    assert_int_equal(task_restore(&t, NULL), -EINVAL);
}

static void names_are_distinct(void **state)
{
    (void)state;
    for (int a = 0; a < TASK_STATE_COUNT; a++)
        for (int b = a + 1; b < TASK_STATE_COUNT; b++)
            assert_string_not_equal(task_state_name((enum task_state)a),
                                    task_state_name((enum task_state)b));
    for (int a = 0; a < TASK_EVENT_COUNT; a++)
        for (int b = a + 1; b < TASK_EVENT_COUNT; b++)
            assert_string_not_equal(task_event_name((enum task_event)a),
                                    task_event_name((enum task_event)b));
}

static void only_unacknowledged_messages_are_open(void **state)
{
    (void)state;
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        struct task t = { .state = (enum task_state)s };

        assert_int_equal(task_is_open(&t), s != TASK_ACKED && s != TASK_GONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_listed_or_not_at_all),
        cmocka_unit_test(every_state_can_reach_the_final_one),
        cmocka_unit_test(an_answered_message_never_runs_again),
        cmocka_unit_test(stored_states_are_restored_by_name),
        cmocka_unit_test(a_state_nobody_stores_is_refused),
        cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(only_unacknowledged_messages_are_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
