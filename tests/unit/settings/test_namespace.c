#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "settings/namespace.h"
#include "util/cleanup.h"

static void names_are_those_of_the_present_daemon(void **state)
{
    static const struct {
        const char *id, *want;
    } cases[] = {
        { "my-agent", "my-agent" }, { "github.com/owner/name", "github.com__owner__name" },
        { "a\\b:c", "a__b__c" },    { "a b", "a-b" },
        { "a \t!b", "a-b" },        { "a--b", "a-b" },
        { "-.a_b.-", "a_b" },       { "../../etc", "__..__etc" },
        { "", "default" },          { "...", "default" },
        { "\xc3\xa4", "default" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *name = namespace_make(cases[i].id);

        assert_string_equal(name, cases[i].want);
    }
}

static void a_name_fits_into_a_directory_and_leads_nowhere_else(void **state)
{
    char id[1001] = { 0 };
    AUTO_FREE char *name = NULL;

    (void)state;
    memset(id, '/', 1000);
    name = namespace_make(id);
    assert_int_equal(strlen(name), NAMESPACE_MAX);
    assert_null(strchr(name, '/'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_present_daemon),
        cmocka_unit_test(a_name_fits_into_a_directory_and_leads_nowhere_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
