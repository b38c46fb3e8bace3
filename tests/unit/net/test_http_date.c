#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/http_date.h"
#include "util/cleanup.h"

static const int64_t in_2026 = 1767225600000; /* 2026-01-01 */

static void the_three_forms_name_one_moment(void **state)
{
    static const char *const forms[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                         "Sunday, 06-Nov-94 08:49:37 GMT",
                                         "Sun Nov  6 08:49:37 1994" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        int64_t ms = 0;

        assert_int_equal(http_date_parse(forms[i], in_2026, &ms), 0);
        assert_int_equal(ms, 784111777000);
    }
}

static void dates_through_the_centuries_are_right(void **state)
{
    static const struct {
        const char *text;
        int64_t s;
    } cases[] = {
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Thu, 29 Feb 1996 12:00:00 GMT", 825595200 },
        { "Tue, 29 Feb 2000 23:59:59 GMT", 951868799 },
        { "Fri, 31 Dec 1999 23:59:60 GMT", 946684800 },
        { "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648 },
        { "Mon, 01 Mar 2100 00:00:00 GMT", 4107542400 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        { "Mon, 01 Jan 0001 00:00:00 GMT", -62135596800 },
        { "Wed Feb 26 10:00:00 2025", 1740564000 },
        { "Tuesday, 01-Jan-75 00:00:00 GMT", 3313526400 }, /* within 50 years: 2075 */
        { "Friday, 01-Jan-77 00:00:00 GMT", 220924800 },   /* beyond them: 1977 */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ms = -1;

        assert_int_equal(http_date_parse(cases[i].text, in_2026, &ms), 0);
        assert_int_equal(ms, cases[i].s * 1000);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const wrong[] = { "",
                                         "now",
                                         "Sun, 06 Nov 1994 08:49:37",
                                         "Sun, 06 Nov 1994 08:49:37 UTC",
                                         "Sun, 06 Nov 1994 08:49:37 GMT ",
                                         "Sun, 6 Nov 1994 08:49:37 GMT",
                                         "Sun, 06 nov 1994 08:49:37 GMT",
                                         "Sun, 00 Nov 1994 08:49:37 GMT",
                                         "Sun, 32 Nov 1994 08:49:37 GMT",
                                         "Sun, 06 Nov 1994 24:00:00 GMT",
                                         "Sun, 06 Nov 1994 00:60:00 GMT",
                                         "Sun, 06 Nov 1994 00:00:61 GMT",
                                         "Sun, 06 Nov 19941 08:49:37 GMT",
                                         "Sun, -6 Nov 1994 08:49:37 GMT",
                                         "Sun, 06 Nov 0000 08:49:37 GMT",
                                         "Son, 06 Nov 1994 08:49:37 GMT",
                                         "Sunday, 06-Nov-1994 08:49:37 GMT",
                                         "Sun Nov 06 08:49:37 94",
                                         "1994-11-06T08:49:37Z" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        int64_t ms = 7;

        assert_int_equal(http_date_parse(wrong[i], in_2026, &ms), -EINVAL);
        assert_int_equal(ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_name_one_moment),
        cmocka_unit_test(dates_through_the_centuries_are_right),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
