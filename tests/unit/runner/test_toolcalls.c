/* What a call of a tool was, when its result comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "runner/toolcalls.h"
#include "util/cleanup.h"

static void a_call_is_recalled_by_its_id(void **state)
{
    CLEANUP(toolcalls_done) struct toolcalls calls = { 0 };

    (void)state;
    assert_null(toolcalls_find(&calls, "a"));
    assert_null(toolcalls_find(&calls, NULL));
    toolcalls_add(&calls, "a", "Bash", "ls");
    toolcalls_add(&calls, "b", NULL, NULL);
    assert_string_equal(toolcalls_find(&calls, "a")->name, "Bash");
    assert_string_equal(toolcalls_find(&calls, "a")->input, "ls");
    assert_null(toolcalls_find(&calls, "b")->name);
    toolcalls_add(&calls, "a", "Read", NULL);
    assert_string_equal(toolcalls_find(&calls, "a")->name, "Read");
    assert_null(toolcalls_find(&calls, "a")->input);
}

static void the_oldest_makes_room(void **state)
{
    CLEANUP(toolcalls_done) struct toolcalls calls = { 0 };
    char id[16];

    (void)state;
    for (unsigned i = 0; i < TOOLCALLS_MAX + 1; i++) {
        (void)snprintf(id, sizeof id, "%u", i);
        toolcalls_add(&calls, id, "Bash", id);
    }
    assert_null(toolcalls_find(&calls, "0"));
    assert_string_equal(toolcalls_find(&calls, "1")->input, "1");
    assert_string_equal(toolcalls_find(&calls, id)->input, id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_recalled_by_its_id),
        cmocka_unit_test(the_oldest_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
