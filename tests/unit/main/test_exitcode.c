#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <cmocka.h>

#include "main/exitcode.h"
#include "util/cleanup.h"

/* A service manager must start again what a moment's shortage ended. */
static void a_shortage_is_transient_wherever_it_was_met(void **state)
{
    static const int shortages[] = { EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOLCK, ENOMEM };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shortages); i++) {
        assert_int_equal(exitcode_from_errno(-shortages[i]), EX_TEMPFAIL);
        assert_int_equal(exitcode_from_setting(-shortages[i]), EX_TEMPFAIL);
    }
}

static void what_a_setting_demands_and_a_machine_cannot_give_is_not(void **state)
{
    static const int others[] = { EACCES, ENOENT, EINVAL, EOPNOTSUPP, EPERM, ENOSYS };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(exitcode_from_setting(-others[i]), EX_CONFIG);
    assert_false(exitcode_is_transient(EX_CONFIG));
}

static void a_failing_disk_is_no_wrong_setting(void **state)
{
    (void)state;
    assert_int_equal(exitcode_from_setting(-EIO), EX_IOERR);
    assert_int_equal(exitcode_from_setting(-ENOSPC), EX_IOERR);
    assert_true(exitcode_is_transient(EX_IOERR));
}

static void a_task_that_could_not_start_for_want_of_something_is_tried_again(void **state)
{
    static const int passing[] = { EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOLCK,
                                   ENOMEM, ECHILD, EBUSY,  EPIPE,   ETIMEDOUT };
    static const int lasting[] = { EPERM, EACCES, ENOENT, EINVAL, ENOSYS, EOPNOTSUPP };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
        assert_int_equal(exitcode_from_start(-passing[i]), EX_TEMPFAIL);
    for (size_t i = 0; i < ARRAY_SIZE(lasting); i++)
        assert_int_equal(exitcode_from_start(-lasting[i]), EX_CONFIG);
    assert_int_equal(exitcode_from_start(-ENOSPC), EX_IOERR);
    assert_int_equal(exitcode_from_start(-EIO), EX_IOERR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shortage_is_transient_wherever_it_was_met),
        cmocka_unit_test(what_a_setting_demands_and_a_machine_cannot_give_is_not),
        cmocka_unit_test(a_failing_disk_is_no_wrong_setting),
        cmocka_unit_test(a_task_that_could_not_start_for_want_of_something_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
