#include "hub/agent.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/call.h"
#include "support/hubmodel.h"
#include "util/cleanup.h"

static void names_become_slugs(void **state)
{
    static const struct {
        const char *name, *slug;
    } rows[] = {
        { "My Agent", "my-agent" },
        { "  spaces  around  ", "spaces-around" },
        { "A--B__C", "a-b-c" },
        { "!!!", "agent" },
        { "", "agent" },
        { "\xc3\x9c"
          "ber 9",
          "ber-9" },
        { "cci_x", "cci-x" },
    };
    char slug[AGENT_SLUG_MAX + 1], name[1000];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        agent_slug_from_name(rows[i].name, slug);
        assert_string_equal(slug, rows[i].slug);
        assert_true(agent_slug_is_valid(slug));
    }
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    agent_slug_from_name(name, slug);
    assert_true(agent_slug_is_valid(slug));
}

static void slugs_are_checked(void **state)
{
    static const char *const good[] = { "a", "A-b_c.d", "github.com/owner/repo", "x@y:1", "~+" };
    static const char *const bad[] = { "",          "a b", "/a",       "a/",   "cci_",
                                       "cci_01KEQ", "a\n", "\xc3\xbc", "a\"b", "a%b" };
    char longest[AGENT_SLUG_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(agent_slug_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(agent_slug_is_valid(bad[i]));
    memset(longest, 'x', sizeof longest - 1);
    longest[AGENT_SLUG_MAX] = '\0';
    assert_true(agent_slug_is_valid(longest));
    longest[AGENT_SLUG_MAX] = 'x';
    longest[AGENT_SLUG_MAX + 1] = '\0';
    assert_false(agent_slug_is_valid(longest));
}

static char *patch(struct hubmodel *f, const char *body)
{
    struct hubmodel_call what = { .handler = agent_patch, .target = "tester", .body = body };
    struct call *c;
    char *reply;

    hubmodel_pass_ms(f, 1000);
    c = hubmodel_run(f, &what);
    assert_int_equal(c->status, 200);
    reply = c->reply;
    c->reply = NULL;
    call_free(c);
    return reply;
}

static void a_patch_that_changes_nothing_leaves_updated_at(void **state)
{
    static const char *const nothing[] = { "{}", "{\"description\":\"d\"}", "{\"name\":null}",
                                           "{\"system_prompt\":null}", "{\"other\":1}" };
    struct hubmodel *f = *state;
    AUTO_FREE char *set = patch(f, "{\"description\":\"d\"}");
    AUTO_FREE char *emptied = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
        AUTO_FREE char *same = patch(f, nothing[i]);

        assert_string_equal(same, set);
    }
    emptied = patch(f, "{\"system_prompt\":\"\"}"); /* empty is not the default */
    assert_string_not_equal(emptied, set);
    assert_non_null(strstr(emptied, "\"system_prompt\":\"\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_slugs),
        cmocka_unit_test(slugs_are_checked),
        cmocka_unit_test_setup_teardown(a_patch_that_changes_nothing_leaves_updated_at,
                                        hubmodel_setup, hubmodel_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
