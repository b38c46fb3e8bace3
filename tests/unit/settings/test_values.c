#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "settings/values.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void durations_are_sums_of_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        { "0", 0 },         { "0s", 0 },          { "500ms", 500 },
        { "50s", 50000 },   { "1h30m", 5400000 }, { "7d", 604800000 },
        { "90m", 5400000 }, { "1m30s", 90000 },   { "1d2h3m4s5ms", 93784005 },
        { "007s", 7000 },   { "1s1ms", 1001 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t ms = 1;

        assert_int_equal(values_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = { "",     "50",  "s",   "-1s",  "1.5h",  "1x",   "30m1h",
                                       "1s1s", " 1s", "1s ", "1S",   "1 s",   "1sm",  "1mss",
                                       "1h30", "00",  "+1s", "0x1s", "1dhms", "1ms1s" };
    uint64_t ms = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(values_duration(bad[i], &ms), -EINVAL);
    assert_int_equal(values_duration("99999999999999999999s", &ms), -ERANGE);
    assert_int_equal(values_duration("999999999999999999d", &ms), -ERANGE);
    assert_int_equal(values_duration("18446744073709551615ms", &ms), 0);
    assert_int_equal(ms, UINT64_MAX);
    assert_int_equal(values_duration("1s18446744073709551615ms", &ms), -ERANGE);
    assert_int_equal(ms, UINT64_MAX); /* untouched */
}

static void sizes_are_powers_of_1024(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        { "0", 0 },           { "0G", 0 },           { "100B", 100 },
        { "256K", 262144 },   { "64M", 64u << 20 },  { "4G", 4ull << 30 },
        { "1T", 1ull << 40 }, { "4Gi", 4ull << 30 }, { "1KiB", 1024 },
    };
    static const char *const bad[] = { "",    "4",   "G",   "4g",   "4GB",   "-4G", "4.5G",
                                       "4 G", "4Gx", "1Bi", "1BiB", "4GiBs", "1KM" };
    uint64_t n = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(values_size(good[i].text, &n), 0);
        assert_int_equal(n, good[i].bytes);
    }
    n = 77;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(values_size(bad[i], &n), -EINVAL);
    assert_int_equal(values_size("99999999999T", &n), -ERANGE);
    assert_int_equal(values_size("18446744073709551616B", &n), -ERANGE);
    assert_int_equal(n, 77);
}

static void percentages_end_in_the_sign(void **state)
{
    uint64_t n = 77;

    (void)state;
    assert_int_equal(values_percent("200%", &n), 0);
    assert_int_equal(n, 200);
    assert_int_equal(values_percent("200", &n), -EINVAL);
    assert_int_equal(values_percent("%", &n), -EINVAL);
    assert_int_equal(values_percent("2%%", &n), -EINVAL);
    assert_int_equal(values_percent("99999999999999999999%", &n), -ERANGE);
    assert_int_equal(n, 200);
}

static void what_is_printed_parses_to_the_same(void **state)
{
    static const uint64_t numbers[] = { 0,     1,       999,        1000,    1001,      60000,
                                        86400, 5400000, 1ull << 20, 1500000, UINT64_MAX };
    char text[VALUES_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uint64_t n = 77;

        assert_int_equal(values_duration(values_duration_text(text, numbers[i]), &n), 0);
        assert_int_equal(n, numbers[i]);
        assert_int_equal(values_size(values_size_text(text, numbers[i]), &n), 0);
        assert_int_equal(n, numbers[i]);
    }
    assert_string_equal(values_duration_text(text, 5400000), "1h30m");
    assert_string_equal(values_size_text(text, 4ull << 30), "4G");
    assert_string_equal(values_size_text(text, 1025), "1025B");
}

static void words_are_quoted_where_they_could_be_misread(void **state)
{
    static const struct {
        const char *word, *want;
    } cases[] = {
        { "plain", "plain" },
        { "/usr/bin/sh", "/usr/bin/sh" },
        { "", "\"\"" },
        { "a b", "\"a b\"" },
        { "-c", "\"-c\"" },
        { "a: b", "\"a: b\"" },
        { "a:", "\"a:\"" },
        { "null", "\"null\"" },
        { "#x", "\"#x\"" },
        { "say \"x\\\"", "\"say \\\"x\\\\\\\"\"" },
        { "a\nb", "\"a\\x0ab\"" },
        { "caf\u00e9", "\"caf\u00e9\"" },
        { "next\xc2\x85line", "\"next\\x85line\"" },
        { "\u2028\ufeff", "\"\\u2028\\ufeff\"" },
        { "not \xff UTF-8 \xe2\x80", "\"not \\ufffd UTF-8 \\ufffd\\ufffd\"" },
        { "https://h:1/x", "https://h:1/x" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        values_word(&b, cases[i].word);
        assert_string_equal(buf_str(&b), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_sums_of_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(percentages_end_in_the_sign),
        cmocka_unit_test(what_is_printed_parses_to_the_same),
        cmocka_unit_test(words_are_quoted_where_they_could_be_misread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
