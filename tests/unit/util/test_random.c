#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "util/random.h"

static void draws_differ(void **state)
{
    uint64_t drawn[64];

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        drawn[i] = random_u64();
        for (size_t j = 0; j < i; j++)
            assert_true(drawn[i] != drawn[j]); /* wrong once in 10^16 runs */
    }
}

static void every_bit_is_drawn_both_ways(void **state)
{
    uint32_t ones = 0, zeros = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        uint32_t n = random_u32();

        ones |= n;
        zeros |= ~n;
    }
    assert_int_equal(ones, UINT32_MAX);
    assert_int_equal(zeros, UINT32_MAX);
}

static void only_the_bytes_asked_for_are_written(void **state)
{
    unsigned char bytes[48] = { 0 }, nothing[48] = { 0 };

    (void)state;
    random_bytes(bytes, 0);
    assert_memory_equal(bytes, nothing, sizeof bytes);
    random_bytes(bytes + 8, 32);
    assert_memory_equal(bytes, nothing, 8);
    assert_memory_equal(bytes + 40, nothing, 8);
    assert_memory_not_equal(bytes + 8, nothing, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_differ),
        cmocka_unit_test(every_bit_is_drawn_both_ways),
        cmocka_unit_test(only_the_bytes_asked_for_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
