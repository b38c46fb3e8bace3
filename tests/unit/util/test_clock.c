#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/clock.h"

static void moments_print_as_rfc3339_in_utc(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } samples[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1776019512000, "2026-04-12T18:45:12.000Z" },
        { 951827696789, "2000-02-29T12:34:56.789Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { -1000, "1969-12-31T23:59:59.000Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" },
        { 253402300800000, "9999-12-31T23:59:59.999Z" }, /* four digits of year and no more */
        { INT64_MAX, "9999-12-31T23:59:59.999Z" },
        { -62167219200000, "0000-01-01T00:00:00.000Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000Z" },
    };
    char buffer[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        assert_string_equal(clock_rfc3339(buffer, samples[i].ms), samples[i].text);
}

static void what_is_printed_parses_back(void **state)
{
    char buffer[32];
    int64_t ms = 0;

    (void)state;
    for (int64_t t = -62167219200000; t < 253402300800000; t += 86399999 * INT64_C(37)) {
        assert_int_equal(clock_parse_rfc3339(clock_rfc3339(buffer, t), &ms), 0);
        assert_true(ms == t);
    }
}

static void every_legal_form_parses(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } samples[] = {
        { "2026-04-12T18:45:12Z", 1776019512000 },
        { "2026-04-12t18:45:12z", 1776019512000 },
        { "2026-04-12T18:45:12.5Z", 1776019512500 },
        { "2026-04-12T18:45:12.123456789Z", 1776019512123 },
        { "2026-04-12T20:45:12+02:00", 1776019512000 },
        { "2026-04-12T13:15:12.001-05:30", 1776019512001 },
        { "2026-04-12T18:45:12-00:00", 1776019512000 },
        { "1970-01-01T00:30:00+01:00", -1800000 },
        { "2016-12-31T23:59:60Z", 1483228800000 }, /* a leap second is the next minute's first */
        { "2000-02-29T00:00:00Z", 951782400000 },
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        ms = 0;
        assert_int_equal(clock_parse_rfc3339(samples[i].text, &ms), 0);
        assert_true(ms == samples[i].ms);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026",
        "2026-04-12",
        "2026-04-12 18:45:12Z",
        "2026-04-12T18:45:12",
        "2026-04-12T18:45Z",
        "2026-04-12T18:45:12.Z",
        "2026-04-12T18:45:12,5Z",
        "2026-04-12T18:45:12Zx",
        "2026-04-12T18:45:12Z ",
        " 2026-04-12T18:45:12Z",
        "2026-04-12T18:45:12+2:00",
        "2026-04-12T18:45:12+02",
        "2026-04-12T18:45:12+0200",
        "2026-04-12T18:45:12+24:00",
        "2026-04-12T18:45:12+02:60",
        "2026-04-12T24:00:00Z",
        "2026-04-12T18:60:00Z",
        "2026-04-12T18:45:61Z",
        "2026-00-12T18:45:12Z",
        "2026-13-12T18:45:12Z",
        "2026-04-00T18:45:12Z",
        "2026-04-31T18:45:12Z",
        "2025-02-29T18:45:12Z",
        "1900-02-29T18:45:12Z",
        "-026-04-12T18:45:12Z",
        "12026-04-12T18:45:12Z",
        "2026-4-12T18:45:12Z",
        "Sun, 06 Nov 1994 08:49:37 GMT",
    };
    int64_t ms = 7;

    (void)state;
    assert_int_equal(clock_parse_rfc3339(NULL, &ms), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (clock_parse_rfc3339(bad[i], &ms) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(ms, 7);
}

static void the_local_time_zone_has_no_say(void **state)
{
    char buffer[32];
    int64_t ms = 0;

    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    assert_string_equal(clock_rfc3339(buffer, 0), "1970-01-01T00:00:00.000Z");
    assert_int_equal(clock_parse_rfc3339("1970-01-01T00:00:00Z", &ms), 0);
    assert_true(ms == 0);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void spans_show_their_two_largest_units(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } samples[] = {
        { 0, "0ms" },      { 350, "350ms" },    { 999, "999ms" },     { 1000, "1s" },
        { 12000, "12s" },  { 12999, "12s" },    { 60000, "1m" },      { 90000, "1m30s" },
        { 300000, "5m" },  { 3600000, "1h" },   { 5400000, "1h30m" }, { 7200000, "2h" },
        { 3601000, "1h" }, { 604800000, "7d" }, { 90000000, "1d1h" }, { 86400000 + 60000, "1d" },
    };
    char buffer[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        assert_string_equal(clock_span(buffer, samples[i].ms), samples[i].text);
    assert_string_equal(clock_span(buffer, UINT64_MAX), "213503982334d14h");
}

static void both_clocks_run(void **state)
{
    uint64_t before = clock_mono_ms(), after = clock_mono_ms();

    (void)state;
    assert_true(after >= before);
    assert_true(clock_wall_ms() > 1700000000000);
    assert_true(clock_wall_ms() / 1000 - (int64_t)time(NULL) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_print_as_rfc3339_in_utc),
        cmocka_unit_test(what_is_printed_parses_back),
        cmocka_unit_test(every_legal_form_parses),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(the_local_time_zone_has_no_say),
        cmocka_unit_test(spans_show_their_two_largest_units),
        cmocka_unit_test(both_clocks_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
