#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "egress/rules.h"
#include "util/cleanup.h"
#include "util/strv.h"

static struct hostname parse(const char *text)
{
    struct hostname host;

    assert_int_equal(hostname_parse(text, strlen(text), &host, NULL), 0);
    return host;
}

static void all_entries_of_a_place_grant_together(void **state)
{
    static const char *const entries[] = { "a.test:443 loopback", "*.test:* private", "b.test:443",
                                           "*.test:443 raw" };
    CLEANUP_PTR(rules_free) struct rules *rules = NULL;
    CLEANUP(strv_done) struct strv hosts = { 0 };
    struct hostname a = parse("a.test"), b = parse("b.test"), other = parse("test");
    unsigned grants;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        strv_add(&hosts, entries[i]);
    assert_int_equal(rules_new(&hosts, &rules, NULL), 0);
    assert_true(rules_find(rules, &a, 443, &grants));
    assert_int_equal(grants, ALLOW_LOOPBACK | ALLOW_PRIVATE | ALLOW_RAW);
    assert_true(rules_find(rules, &a, 80, &grants));
    assert_int_equal(grants, ALLOW_PRIVATE);
    assert_true(rules_find(rules, &b, 443, &grants));
    assert_int_equal(grants, ALLOW_PRIVATE | ALLOW_RAW);
    assert_false(rules_find(rules, &other, 443, &grants));
    assert_int_equal(grants, 0);
}

static void a_name_leads_to_what_it_was_granted_and_to_nothing_worse(void **state)
{
    static const struct {
        unsigned grants;
        bool permits[4]; /* NEVER, LOOPBACK, PRIVATE, PUBLIC */
    } rows[] = {
        { 0, { false, false, false, true } },
        { ALLOW_RAW, { false, false, false, true } },
        { ALLOW_PRIVATE, { false, false, true, true } },
        { ALLOW_LOOPBACK, { false, true, false, true } },
        { ALLOW_PRIVATE | ALLOW_LOOPBACK | ALLOW_RAW, { false, true, true, true } },
    };
    static const enum ipclass classes[] = { IPCLASS_NEVER, IPCLASS_LOOPBACK, IPCLASS_PRIVATE,
                                            IPCLASS_PUBLIC };
    struct hostname name = parse("a.test"), address = parse("10.1.2.3");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(classes); k++) {
            assert_int_equal(rules_permit(&name, rows[i].grants, classes[k]), rows[i].permits[k]);
            assert_true(rules_permit(&address, rows[i].grants, classes[k])); /* it was named */
        }
    }
}

static void an_entry_that_is_none_is_refused(void **state)
{
    CLEANUP(strv_done) struct strv hosts = { 0 };
    struct rules *rules = NULL;

    (void)state;
    strv_add(&hosts, "a.test:443");
    strv_add(&hosts, "a.test");
    assert_int_equal(rules_new(&hosts, &rules, NULL), -EINVAL);
    assert_null(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_entries_of_a_place_grant_together),
        cmocka_unit_test(a_name_leads_to_what_it_was_granted_and_to_nothing_worse),
        cmocka_unit_test(an_entry_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
