#include "util/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/cleanup.h"

static void a_list_ends_in_null_and_copies_deeply(void **state)
{
    CLEANUP(strv_done) struct strv a = { 0 }, b = { 0 };
    char text[] = "one";

    (void)state;
    strv_copy(&b, &a);
    assert_null(b.items);
    strv_add(&a, text);
    text[0] = 'X'; /* the list has its own copy */
    strv_add(&a, "two");
    assert_int_equal(a.len, 2);
    assert_string_equal(a.items[0], "one");
    assert_null(a.items[2]);
    strv_copy(&b, &a);
    strv_done(&a);
    assert_null(a.items);
    assert_int_equal(a.len, 0);
    assert_int_equal(b.len, 2);
    assert_string_equal(b.items[1], "two");
    assert_null(b.items[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_ends_in_null_and_copies_deeply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
