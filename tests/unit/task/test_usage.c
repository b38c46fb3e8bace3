#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "task/usage.h"
#include "util/cleanup.h"

static void a_cost_has_ten_decimals(void **state)
{
    static const struct {
        uint64_t nano;
        const char *text;
    } cases[] = {
        { 0, "0.0000000000" },
        { 1, "0.0000000010" },
        { 12345678, "0.0123456780" },
        { 1000000000, "1.0000000000" },
        { 98765432109, "98.7654321090" },
        { UINT64_MAX, "18446744073.7095516150" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct usage u = { .cost_nano_usd = cases[i].nano };
        char buffer[USAGE_COST_MAX];

        assert_string_equal(usage_cost(&u, buffer), cases[i].text);
    }
}

static void a_count_is_one_that_json_can_have(void **state)
{
    (void)state;
    assert_true(usage_count(0) == 0);
    assert_true(usage_count(123456789012) == 123456789012);
    assert_true(usage_count(9007199254740991) == 9007199254740991);
    assert_true(usage_count(9007199254740992) == 9007199254740991);
    assert_true(usage_count(UINT64_MAX) == 9007199254740991);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cost_has_ten_decimals),
        cmocka_unit_test(a_count_is_one_that_json_can_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
