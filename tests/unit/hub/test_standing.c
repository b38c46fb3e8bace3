#include "hub/standing.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

/* What each standing becomes on each event, in words of this test's own. */
static const int expected[STANDING_COUNT][STANDING_EVENT_COUNT] = {
    [STANDING_ACTIVE] = { [STANDING_EV_PROMPT] = STANDING_ACTIVE,
                          [STANDING_EV_ANSWER] = STANDING_ACTIVE,
                          [STANDING_EV_FAIL] = STANDING_ERROR,
                          [STANDING_EV_COMPLETE] = STANDING_COMPLETED },
    [STANDING_COMPLETED] = { [STANDING_EV_PROMPT] = STANDING_ACTIVE,
                             [STANDING_EV_ANSWER] = STANDING_COMPLETED,
                             [STANDING_EV_FAIL] = STANDING_ERROR,
                             [STANDING_EV_COMPLETE] = STANDING_COMPLETED },
    [STANDING_ERROR] = { [STANDING_EV_PROMPT] = STANDING_ACTIVE,
                         [STANDING_EV_ANSWER] = STANDING_ACTIVE,
                         [STANDING_EV_FAIL] = STANDING_ERROR,
                         [STANDING_EV_COMPLETE] = STANDING_COMPLETED },
    [STANDING_ABANDONED] = { [STANDING_EV_PROMPT] = STANDING_ACTIVE,
                             [STANDING_EV_ANSWER] = STANDING_ABANDONED,
                             [STANDING_EV_FAIL] = STANDING_ABANDONED,
                             [STANDING_EV_COMPLETE] = STANDING_COMPLETED },
};

static void every_cell_moves_as_listed(void **state)
{
    (void)state;
    for (int p = 0; p < STANDING_COUNT; p++) {
        for (int e = 0; e < STANDING_EVENT_COUNT; e++) {
            enum standing standing = (enum standing)p;

            assert_int_equal(standing_step(&standing, (enum standing_event)e), 0);
            assert_int_equal(standing, expected[p][e]);
        }
    }
}

static void a_prompt_makes_any_conversation_active(void **state)
{
    (void)state;
    for (int p = 0; p < STANDING_COUNT; p++) {
        enum standing standing = (enum standing)p;

        assert_int_equal(standing_step(&standing, STANDING_EV_PROMPT), 0);
        assert_int_equal(standing, STANDING_ACTIVE);
    }
}

static void names_are_those_of_the_api_and_read_back(void **state)
{
    static const char *const names[] = { "active", "completed", "error", "abandoned" };
    enum standing standing;

    (void)state;
    for (int p = 0; p < STANDING_COUNT; p++) {
        assert_string_equal(standing_name((enum standing)p), names[p]);
        assert_int_equal(standing_parse(names[p], &standing), 0);
        assert_int_equal(standing, p);
    }
    assert_int_equal(standing_parse("failed", &standing), -EINVAL);
    assert_int_equal(standing_parse(NULL, &standing), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_listed),
        cmocka_unit_test(a_prompt_makes_any_conversation_active),
        cmocka_unit_test(names_are_those_of_the_api_and_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
