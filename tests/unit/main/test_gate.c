/* Tasks before a gate that opens once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "main/gate.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void note(uint64_t seq, void *ctx)
{
    buf_printf(ctx, "%u ", (unsigned)seq);
}

static void who_waits_goes_on_when_it_opens_and_nobody_waits_after_that(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP(gate_done) struct gate g = { 0 };

    (void)state;
    assert_true(gate_hold(&g, 1));
    assert_true(gate_hold(&g, 2));
    gate_open(&g, note, &b);
    assert_string_equal(buf_str(&b), "1 2 ");
    assert_true(g.is_open);
    assert_false(gate_hold(&g, 3));
    gate_open(&g, note, &b);
    assert_string_equal(buf_str(&b), "1 2 ");
}

static void who_was_let_go_is_not_told_of(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP(gate_done) struct gate g = { 0 };

    (void)state;
    for (uint64_t seq = 1; seq <= 4; seq++)
        assert_true(gate_hold(&g, seq));
    assert_true(gate_let_go(&g, 1));
    assert_true(gate_let_go(&g, 4));
    assert_false(gate_let_go(&g, 4));
    assert_false(gate_let_go(&g, 9));
    gate_open(&g, note, &b);
    assert_true(b.len == 4);
    assert_false(gate_let_go(&g, 2));
}

/* Who is told may ask at once whether there is to be waited. */
static void hold_again(uint64_t seq, void *ctx)
{
    assert_false(gate_hold(ctx, seq));
}

static void it_is_open_for_those_who_are_told(void **state)
{
    CLEANUP(gate_done) struct gate g = { 0 };

    (void)state;
    assert_true(gate_hold(&g, 7));
    gate_open(&g, hold_again, &g);
    assert_int_equal(g.held_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_goes_on_when_it_opens_and_nobody_waits_after_that),
        cmocka_unit_test(who_was_let_go_is_not_told_of),
        cmocka_unit_test(it_is_open_for_those_who_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
