#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/turn.h"

static void give(struct turn *t, enum core_command_type type, uint64_t seq)
{
    const struct core_command command = { .type = type, .seq = seq };

    turn_add(t, &command);
}

static void expect(struct turn *t, uint64_t seq)
{
    struct core_command command;

    assert_true(turn_take(t, &command));
    assert_int_equal(command.seq, seq);
}

static void expect_nothing(struct turn *t)
{
    struct core_command command;

    assert_false(turn_take(t, &command));
}

static void a_turn_that_stores_nothing_acts_at_once(void **state)
{
    struct turn *t = turn_new();

    (void)state;
    give(t, CORE_CMD_SEND, 1);
    expect_nothing(t); /* not before its end */
    assert_false(turn_end(t));
    expect(t, 1);
    expect_nothing(t);
    turn_free(t);
}

static void nothing_acts_before_what_it_stored_is_durable(void **state)
{
    struct turn *t = turn_new();

    (void)state;
    give(t, CORE_CMD_UPDATE, 1);
    give(t, CORE_CMD_SPAWN, 2);
    give(t, CORE_CMD_SEND, 3);
    assert_false(turn_is_durable(t));
    assert_true(turn_end(t));
    expect_nothing(t);
    assert_false(turn_is_durable(t));
    turn_committed(t);
    assert_true(turn_is_durable(t));
    expect(t, 2);
    expect(t, 3);
    expect_nothing(t);
    turn_free(t);
}

static void later_turns_gather_behind_the_batch_on_its_way(void **state)
{
    struct turn *t = turn_new();

    (void)state;
    give(t, CORE_CMD_INSERT, 1);
    give(t, CORE_CMD_SPAWN, 2);
    assert_true(turn_end(t));
    give(t, CORE_CMD_SEND, 3); /* stores nothing, but what it stands on isn't durable yet */
    assert_false(turn_end(t));
    give(t, CORE_CMD_UPDATE, 4);
    give(t, CORE_CMD_KILL, 5);
    assert_false(turn_end(t));
    expect_nothing(t);
    turn_committed(t);
    expect(t, 2);
    expect_nothing(t); /* 3 came with a turn that stores */
    assert_true(turn_end(t));
    expect_nothing(t);
    turn_committed(t);
    expect(t, 3);
    expect(t, 5);
    assert_false(turn_end(t));
    expect_nothing(t);
    turn_free(t);
}

static void the_order_is_kept_over_many_turns(void **state)
{
    struct turn *t = turn_new();
    uint64_t given = 0, taken = 0;
    struct core_command command;

    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        bool in_flight;

        for (unsigned i = 0; i < round % 7; i++)
            give(t, CORE_CMD_SEND, ++given);
        if (round % 3 == 0)
            give(t, CORE_CMD_UPDATE, 0);
        in_flight = turn_end(t);
        while (turn_take(t, &command))
            assert_int_equal(command.seq, ++taken);
        if (in_flight)
            turn_committed(t);
    }
    while (turn_end(t))
        turn_committed(t);
    while (turn_take(t, &command))
        assert_int_equal(command.seq, ++taken);
    assert_int_equal(given, taken);
    turn_free(t);
    turn_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_that_stores_nothing_acts_at_once),
        cmocka_unit_test(nothing_acts_before_what_it_stored_is_durable),
        cmocka_unit_test(later_turns_gather_behind_the_batch_on_its_way),
        cmocka_unit_test(the_order_is_kept_over_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
