#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/str.h"

static void comparing_knows_null(void **state)
{
    (void)state;
    assert_true(str_eq("a", "a"));
    assert_false(str_eq("a", "b"));
    assert_false(str_eq("a", NULL));
    assert_false(str_eq(NULL, ""));
    assert_true(str_eq(NULL, NULL));
    assert_true(str_is_empty(NULL));
    assert_true(str_is_empty(""));
    assert_false(str_is_empty(" "));
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(str_starts_with("abc", "ab"));
    assert_true(str_starts_with("abc", ""));
    assert_true(str_starts_with("abc", "abc"));
    assert_false(str_starts_with("abc", "abcd"));
    assert_false(str_starts_with("abc", "b"));
    assert_true(str_ends_with("abc", "bc"));
    assert_true(str_ends_with("abc", ""));
    assert_true(str_ends_with("abc", "abc"));
    assert_false(str_ends_with("abc", "zabc"));
    assert_false(str_ends_with("abc", "b"));
}

static void numbers_are_whole_decimal_and_bounded(void **state)
{
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "-1", "0x10", "1a", "1.0", "1e3", "1\n", "99999999999999999999999x"
    };
    char buffer[24];
    uint64_t n = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(str_to_u64(bad[i], UINT64_MAX, &n), -EINVAL);
    assert_int_equal(str_to_u64(NULL, 1, &n), -EINVAL);
    assert_int_equal(str_to_u64("101", 100, &n), -ERANGE);
    assert_int_equal(str_to_u64("18446744073709551616", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(str_to_u64("99999999999999999999999", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(n, 7);
    assert_int_equal(str_to_u64("100", 100, &n), 0);
    assert_int_equal(n, 100);
    assert_int_equal(str_to_u64("000", 0, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(str_to_u64("18446744073709551615", UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    assert_string_equal(str_u64(buffer, n), "18446744073709551615");
    assert_string_equal(str_u64(buffer, 0), "0");
}

static void the_nearest_name_is_found_if_it_is_near(void **state)
{
    static const char *const names[] = { "server.url", "server.poll", "task.timeout",
                                         "task.max_attempts", "log" };
    char word[200];

    (void)state;
    assert_string_equal(str_nearest("task.timeuot", names, ARRAY_SIZE(names)), "task.timeout");
    assert_string_equal(str_nearest("server.pol", names, ARRAY_SIZE(names)), "server.poll");
    assert_string_equal(str_nearest("log", names, ARRAY_SIZE(names)), "log");
    assert_string_equal(str_nearest("og", names, ARRAY_SIZE(names)), "log"); /* 1 of 3 */
    assert_null(str_nearest("g", names, ARRAY_SIZE(names)));                 /* 2 of 3 */
    assert_null(str_nearest("xerver.yyzz", names, ARRAY_SIZE(names)));       /* 5 of 11 */
    assert_null(str_nearest("sandbox", names, ARRAY_SIZE(names)));
    assert_null(str_nearest("", names, ARRAY_SIZE(names)));
    assert_null(str_nearest("x", names, 0));
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_null(str_nearest(word, names, ARRAY_SIZE(names)));
    word[64] = '\0'; /* the longest that is compared */
    assert_null(str_nearest(word, names, ARRAY_SIZE(names)));
}

static void the_first_of_equally_near_names_wins(void **state)
{
    static const char *const names[] = { "abcd", "abce" };

    (void)state;
    assert_ptr_equal(str_nearest("abcf", names, 2), names[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing_knows_null),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(numbers_are_whole_decimal_and_bounded),
        cmocka_unit_test(the_nearest_name_is_found_if_it_is_near),
        cmocka_unit_test(the_first_of_equally_near_names_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
