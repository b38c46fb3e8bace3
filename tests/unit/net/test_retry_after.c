#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/retry_after.h"
#include "util/cleanup.h"

static const int64_t server_now = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */

static void seconds_and_dates_are_believed_within_reason(void **state)
{
    static const struct {
        const char *value;
        uint32_t ms;
    } cases[] = {
        { NULL, 0 },
        { "", 0 },
        { "0", 0 },
        { "1", 1000 },
        { "120", 120000 },
        { "86400", RETRY_AFTER_MAX_MS },
        { "86401", RETRY_AFTER_MAX_MS },
        { "4294967296", RETRY_AFTER_MAX_MS },
        { "99999999999999999999999999999", RETRY_AFTER_MAX_MS },
        { "-1", 0 },
        { "+1", 0 },
        { "1.5", 0 },
        { "0x10", 0 },
        { "10 s", 0 },
        { "soon", 0 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        { "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
        { "Sun, 06 Nov 1994 08:50:37 GMT", 60000 },
        { "Sunday, 06-Nov-94 08:50:37 GMT", 60000 },
        { "Mon, 07 Nov 1994 08:49:37 GMT", RETRY_AFTER_MAX_MS },
        { "Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX_MS },
        { "Mon, 01 Jan 0001 00:00:00 GMT", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(retry_after_parse(cases[i].value, server_now), cases[i].ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_and_dates_are_believed_within_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
