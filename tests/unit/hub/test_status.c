#include "hub/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

enum { NO = -1 };

/* What each status becomes on each event, in words of this test's own. */
static const int expected[STATUS_COUNT][STATUS_EVENT_COUNT] = {
    [STATUS_QUEUED] = { [STATUS_EV_HAND] = STATUS_PENDING,
                        [STATUS_EV_ANSWER] = STATUS_COMPLETED,
                        [STATUS_EV_FAIL] = STATUS_FAILED },
    [STATUS_PENDING] = { [STATUS_EV_HAND] = STATUS_PENDING,
                         [STATUS_EV_ANSWER] = STATUS_COMPLETED,
                         [STATUS_EV_FAIL] = STATUS_FAILED },
    [STATUS_COMPLETED] = { NO, NO, NO },
    [STATUS_FAILED] = { NO, NO, NO },
};

static void every_cell_moves_as_listed_and_no_other(void **state)
{
    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++) {
        for (int e = 0; e < STATUS_EVENT_COUNT; e++) {
            enum status status = (enum status)s;
            int rc = status_step(&status, (enum status_event)e);

            assert_int_equal(rc, expected[s][e] == NO ? -EPROTO : 0);
            assert_int_equal(status, expected[s][e] == NO ? s : expected[s][e]);
        }
    }
}

static void a_status_is_final_when_nothing_leads_out_of_it(void **state)
{
    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++)
        assert_int_equal(status_is_final((enum status)s), expected[s][0] == NO);
}

static void names_are_those_of_the_api_and_read_back(void **state)
{
    static const char *const names[] = { "queued", "pending", "completed", "failed" };
    enum status status;

    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++) {
        assert_string_equal(status_name((enum status)s), names[s]);
        assert_int_equal(status_parse(names[s], &status), 0);
        assert_int_equal(status, s);
    }
    assert_int_equal(status_parse("Queued", &status), -EINVAL);
    assert_int_equal(status_parse("", &status), -EINVAL);
    assert_int_equal(status_parse(NULL, &status), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_listed_and_no_other),
        cmocka_unit_test(a_status_is_final_when_nothing_leads_out_of_it),
        cmocka_unit_test(names_are_those_of_the_api_and_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
