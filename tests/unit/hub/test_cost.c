#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hub/cost.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"

static void expect(const char *usage, const char *picked)
{
    CLEANUP_PTR(json_free) struct json *node = NULL;
    AUTO_FREE char *got = NULL;

    if (json_parse(usage, strlen(usage), &node, NULL) < 0)
        fail_msg("%s", usage);
    got = cost_pick(node);
    if (!picked)
        assert_null(got);
    else
        assert_string_equal(got, picked);
}

static void what_the_public_api_has_is_kept(void **state)
{
    static const char whole[] =
        "{\"cost_usd\":\"0.0123456780\",\"input_tokens\":12,\"output_tokens\":3,"
        "\"cache_read_tokens\":0,\"cache_write_tokens\":9007199254740991,\"model\":\"claude-x\"}";

    (void)state;
    expect(whole, whole);
    expect("{\"cost_usd\":0.25}", "{\"cost_usd\":0.25}");
    expect("{\"cost_usd\":\"3\"}", "{\"cost_usd\":\"3\"}");
}

static void nothing_else_is(void **state)
{
    (void)state;
    expect("{\"id\":\"x\",\"content\":\"y\",\"input_tokens\":1}", "{\"input_tokens\":1}");
    expect("{\"id\":\"x\"}", NULL);
    expect("{}", NULL);
    expect("[1,2]", NULL);
    expect("\"text\"", NULL);
    expect("null", NULL);
    assert_null(cost_pick(NULL));
}

static void a_member_of_another_type_or_out_of_range_is_left_out(void **state)
{
    static const char *const bad[] = {
        "{\"cost_usd\":true}",
        "{\"cost_usd\":null}",
        "{\"cost_usd\":{}}",
        "{\"cost_usd\":[]}",
        "{\"cost_usd\":-1}",
        "{\"cost_usd\":\"\"}",
        "{\"cost_usd\":\"-1.0\"}",
        "{\"cost_usd\":\"1e3\"}",
        "{\"cost_usd\":\"1.\"}",
        "{\"cost_usd\":\".5\"}",
        "{\"cost_usd\":\"1.00000000001\"}",
        "{\"cost_usd\":\"1234567890123\"}",
        "{\"cost_usd\":\"<b>1</b>\"}",
        "{\"input_tokens\":-1}",
        "{\"input_tokens\":1.5}",
        "{\"input_tokens\":\"12\"}",
        "{\"input_tokens\":9007199254740992}",
        "{\"output_tokens\":true}",
        "{\"cache_read_tokens\":null}",
        "{\"cache_write_tokens\":[1]}",
        "{\"model\":\"\"}",
        "{\"model\":7}",
        "{\"model\":\"a\\nb\"}",
        "{\"model\":\"\\u00e9\"}",
    };
    char longest[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect(bad[i], NULL);
    memset(longest, 'm', sizeof longest);
    memcpy(longest, "{\"model\":\"", 10);
    strcpy(longest + 10 + COST_MODEL_MAX, "\"}");
    expect(longest, longest);
    strcpy(longest + 10 + COST_MODEL_MAX, "m\"}");
    expect(longest, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_public_api_has_is_kept),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(a_member_of_another_type_or_out_of_range_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
