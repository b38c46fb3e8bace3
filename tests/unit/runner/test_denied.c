/* The note about tools that weren't allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runner/denied.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void where_nothing_was_denied_there_is_no_note(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct denied d = { 0 };

    (void)state;
    denied_add(&d, NULL);
    denied_add(&d, "");
    denied_add(&d, "\033[31m");
    denied_append(&d, "P", SETTINGS_EDITS, &b);
    assert_int_equal(b.len, 0);
}

static void each_tool_is_named_once_with_the_setting_it_is_due_to(void **state)
{
    CLEANUP(buf_done) struct buf edits = { 0 }, bypass = { 0 };
    struct denied d = { 0 };

    (void)state;
    denied_add(&d, "Bash");
    denied_add(&d, "Web\nFetch");
    denied_add(&d, "Bash");
    denied_append(&d, "P", SETTINGS_EDITS, &edits);
    assert_string_equal(buf_str(&edits),
                        "\n\n[P was not allowed to do all that it wanted (Bash, Web Fetch); "
                        "runner.permissions is edits]");
    denied_append(&d, "P", SETTINGS_BYPASS, &bypass);
    assert_string_equal(buf_str(&bypass),
                        "\n\n[P was not allowed to do all that it wanted (Bash, Web Fetch)]");
}

static void names_and_their_number_are_bounded(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct denied d = { 0 };
    char name[100];

    (void)state;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    for (char c = 'a'; c < 'a' + 10; c++) {
        name[0] = c;
        denied_add(&d, name);
    }
    denied_append(&d, "P", SETTINGS_BYPASS, &b);
    assert_int_equal(d.count, DENIED_MAX);
    assert_int_equal(strlen(d.names[0]), DENIED_NAME_MAX);
    assert_non_null(strstr(buf_str(&b), ", dxxx"));
    assert_null(strstr(buf_str(&b), ", exxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nothing_was_denied_there_is_no_note),
        cmocka_unit_test(each_tool_is_named_once_with_the_setting_it_is_due_to),
        cmocka_unit_test(names_and_their_number_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
