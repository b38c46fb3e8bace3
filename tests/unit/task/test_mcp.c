#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "task/mcp.h"
#include "util/err.h"

static int add(struct mcp *m, const char *text)
{
    return mcp_add(m, text, strlen(text), NULL);
}

static void a_name_that_comes_again_gets_a_number(void **state)
{
    struct mcp *m = mcp_new();
    char *text;

    (void)state;
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"command\":\"x\"}}}"), 0);
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"url\":\"https://h.example/p?q\"},"
                            "\"a-2\":{\"command\":\"y\",\"timeout\":7}}}"),
                     0);
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"command\":\"z\"}}}"), 0);
    assert_int_equal(mcp_len(m), 4);
    text = mcp_print(m);
    assert_string_equal(text, "{\"mcpServers\":{\"a\":{\"command\":\"x\"},\"a-2\":{\"url\":"
                              "\"https://h.example/p?q\"},\"a-2-2\":{\"command\":\"y\","
                              "\"timeout\":7},\"a-3\":{\"command\":\"z\"}}}");
    free(text);
    mcp_free(m);
}

static void a_file_counts_whole_or_not_at_all(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"mcpServers\":{}}",
        "{\"mcpServers\":[]}",
        "{\"mcpServers\":{\"ok\":{\"command\":\"x\"},\"b\":7}}",
        "{\"mcpServers\":{\"ok\":{\"command\":\"x\"},\"b\":{}}}",
        "{\"mcpServers\":{\"b\":{\"command\":\"x\",\"args\":\"y\"}}}",
        "{\"mcpServers\":{\"b\":{\"command\":\"x\",\"args\":[1]}}}",
        "{\"mcpServers\":{\"b\":{\"command\":\"x\",\"env\":{\"A\":1}}}}",
        "{\"mcpServers\":{\"b\":{\"url\":\"file:///etc/passwd\"}}}",
        "{\"mcpServers\":{\"b/c\":{\"command\":\"x\"}}}",
        "{\"mcpServers\":{\"\":{\"command\":\"x\"}}}",
    };
    struct mcp *m = mcp_new();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(add(m, bad[i]), -EBADMSG);
        assert_int_equal(mcp_len(m), 0);
    }
    mcp_free(m);
}

static void each_place_of_a_remote_server_is_told_once_and_without_a_grant(void **state)
{
    struct mcp *m = mcp_new();
    struct strv places = { 0 };

    (void)state;
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"url\":\"https://h.example/x#y\"},"
                            "\"b\":{\"url\":\"https://h.example:443\"},"
                            "\"c\":{\"url\":\"http://127.0.0.1:8080/\"}}}"),
                     0);
    mcp_places(m, &places);
    assert_int_equal(places.len, 2);
    assert_string_equal(places.items[0], "h.example:443");
    assert_string_equal(places.items[1], "127.0.0.1:8080");
    strv_done(&places);
    mcp_free(m);
}

static void count_secret(const char *value, void *ctx)
{
    size_t *found = ctx;

    if (strcmp(value, "Bearer one-secret") == 0 || strcmp(value, "one-secret") == 0 ||
        strcmp(value, "two-secret") == 0)
        (*found)++;
    else
        *found += 100;
}

static void secrets_are_known_by_their_names(void **state)
{
    struct mcp *m = mcp_new();
    size_t found = 0;

    (void)state;
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"url\":\"https://h.example\",\"headers\":{"
                            "\"Authorization\":\"Bearer one-secret\",\"Accept\":\"text\"}},"
                            "\"b\":{\"command\":\"x\",\"env\":{\"MY_API_KEY\":\"two-secret\","
                            "\"LANG\":\"C.UTF-8\"}}}}"),
                     0);
    mcp_each_secret(m, count_secret, &found);
    assert_int_equal(found, 3);
    mcp_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_comes_again_gets_a_number),
        cmocka_unit_test(a_file_counts_whole_or_not_at_all),
        cmocka_unit_test(each_place_of_a_remote_server_is_told_once_and_without_a_grant),
        cmocka_unit_test(secrets_are_known_by_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
