#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "util/backoff.h"
#include "util/cleanup.h"

static void waits_double_until_the_cap(void **state)
{
    static const uint32_t longest_ms[] = { 100, 200, 400, 500, 500 };
    struct backoff b;

    (void)state;
    assert_int_equal(backoff_init(&b, 100, 500), 0);
    for (size_t i = 0; i < ARRAY_SIZE(longest_ms); i++) {
        struct backoff probe = b; /* a value: try the other extreme on a copy */

        assert_int_equal(backoff_next(&probe, 0, 0), longest_ms[i] / 2);
        assert_int_equal(backoff_next(&b, longest_ms[i] - longest_ms[i] / 2, 0), longest_ms[i]);
    }
    /* whatever the server demands is bounded */
    assert_int_equal(backoff_next(&b, 0, UINT32_MAX), BACKOFF_SERVER_MAX_MS);
}

static void bounds_out_of_range_are_refused_and_change_nothing(void **state)
{
    struct backoff b = { .base_ms = 7, .cap_ms = 8, .failures = 9 };

    (void)state;
    assert_int_equal(backoff_init(&b, 0, 100), -EINVAL);
    assert_int_equal(backoff_init(&b, 101, 100), -EINVAL);
    assert_int_equal(backoff_init(&b, 1, (uint32_t)INT32_MAX + 1), -EINVAL);
    assert_int_equal(b.base_ms * 100 + b.cap_ms * 10 + b.failures, 789);
    assert_int_equal(backoff_init(&b, 1, INT32_MAX), 0);
    assert_int_equal(b.failures, 0);
}

static void any_entropy_stays_between_half_and_the_whole(void **state)
{
    struct backoff b;
    uint32_t entropy = 1;

    (void)state;
    assert_int_equal(backoff_init(&b, 1000, 60000), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t most_ms = i < 6 ? 1000U << i : 60000;

        assert_in_range(backoff_next(&b, entropy, 0), most_ms / 2, most_ms);
        entropy = entropy * 1664525 + 1013904223;
    }
    b.failures = UINT32_MAX; /* a peer that is gone for years */
    assert_in_range(backoff_next(&b, UINT32_MAX, 0), 30000, 60000);
    assert_int_equal(b.failures, UINT32_MAX);
}

static void a_servers_word_is_the_floor_with_jitter_on_top(void **state)
{
    struct backoff b;

    (void)state;
    assert_int_equal(backoff_init(&b, 1000, 60000), 0);
    assert_int_equal(backoff_next(&b, 0, 5000), 5000);
    assert_int_equal(backoff_next(&b, 1000, 5000), 6000);
    b.failures = 0;
    assert_int_equal(backoff_next(&b, 0, 0), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_until_the_cap),
        cmocka_unit_test(bounds_out_of_range_are_refused_and_change_nothing),
        cmocka_unit_test(any_entropy_stays_between_half_and_the_whole),
        cmocka_unit_test(a_servers_word_is_the_floor_with_jitter_on_top),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
