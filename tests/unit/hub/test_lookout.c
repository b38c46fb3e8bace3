#include "hub/lookout.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

enum { T0 = 1000000 };

static void whoever_saw_it_open_comes_for_the_answer(void **state)
{
    CLEANUP_PTR(lookout_free) struct lookout *l = lookout_new();

    (void)state;
    assert_int_equal(lookout_until(l, T0), 0);
    lookout_saw(l, 7, true, T0);
    assert_int_equal(lookout_until(l, T0), 0); /* there is none yet */
    lookout_ended(l, 7);
    assert_int_equal(lookout_until(l, T0), T0 + LOOKOUT_MS);
    assert_int_equal(lookout_until(l, T0 + LOOKOUT_MS), 0); /* he has left */
    lookout_saw(l, 7, false, T0 + 10); /* that there is one; he asks for it next */
    assert_int_equal(lookout_until(l, T0 + 10), T0 + 10 + LOOKOUT_REPLY_MS);
    assert_int_equal(lookout_until(l, T0 + 10 + LOOKOUT_REPLY_MS), 0); /* or doesn't */
    lookout_saw(l, 7, false, T0 + 20);
    assert_int_equal(lookout_until(l, T0 + 20), 0); /* he has it */
}

static void what_nobody_looked_at_is_waited_for_by_nobody(void **state)
{
    CLEANUP_PTR(lookout_free) struct lookout *l = lookout_new();

    (void)state;
    lookout_ended(l, 7);
    lookout_saw(l, 8, false, T0);
    assert_int_equal(lookout_until(l, T0), 0);
}

static void of_many_the_last_ones_are_remembered(void **state)
{
    CLEANUP_PTR(lookout_free) struct lookout *l = lookout_new();

    (void)state;
    for (int64_t i = 1; i <= LOOKOUT_MAX + 1; i++)
        lookout_saw(l, i, true, T0 + (uint64_t)i);
    lookout_ended(l, 1);
    assert_int_equal(lookout_until(l, T0), 0);
    lookout_ended(l, 2);
    assert_int_equal(lookout_until(l, T0), T0 + 2 + LOOKOUT_MS);
    lookout_ended(l, LOOKOUT_MAX + 1);
    assert_int_equal(lookout_until(l, T0), T0 + LOOKOUT_MAX + 1 + LOOKOUT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_saw_it_open_comes_for_the_answer),
        cmocka_unit_test(what_nobody_looked_at_is_waited_for_by_nobody),
        cmocka_unit_test(of_many_the_last_ones_are_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
