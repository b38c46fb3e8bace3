#include "hub/clockstep.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

enum { WALL_MS = 1000000, MONO_MS = 500, DAY_MS = 24 * 3600 * 1000 };

static int64_t find(int64_t wall_ms, uint64_t mono_ms, int64_t *ret_unset_ms)
{
    struct clockstep c = { 0 };

    clockstep_note(&c, WALL_MS, MONO_MS);
    return clockstep_find(&c, wall_ms, mono_ms, ret_unset_ms);
}

static void nothing_is_known_before_the_first_look(void **state)
{
    struct clockstep c = { 0 };
    int64_t unset_ms;

    (void)state;
    assert_int_equal(clockstep_find(&c, WALL_MS, MONO_MS, &unset_ms), 0);
    assert_int_equal(unset_ms, WALL_MS);
}

static void time_that_passes_is_no_step(void **state)
{
    int64_t unset_ms;

    (void)state;
    assert_int_equal(find(WALL_MS + DAY_MS, MONO_MS + DAY_MS, &unset_ms), 0);
    assert_int_equal(find(WALL_MS + DAY_MS + 999, MONO_MS + DAY_MS, &unset_ms), 0);
    assert_int_equal(find(WALL_MS + DAY_MS - 999, MONO_MS + DAY_MS, &unset_ms), 0);
}

static void a_clock_that_is_set_shows_by_how_much_and_what_it_would_be(void **state)
{
    int64_t unset_ms;

    (void)state;
    assert_int_equal(find(WALL_MS + 10 + DAY_MS, MONO_MS + 10, &unset_ms), DAY_MS);
    assert_int_equal(unset_ms, WALL_MS + 10);
    assert_int_equal(find(WALL_MS + 10 - DAY_MS, MONO_MS + 10, &unset_ms), -DAY_MS);
    assert_int_equal(unset_ms, WALL_MS + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first_look),
        cmocka_unit_test(time_that_passes_is_no_step),
        cmocka_unit_test(a_clock_that_is_set_shows_by_how_much_and_what_it_would_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
