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
#include "util/mem.h"
#include "util/strv.h"

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

static void codex_gets_them_in_toml(void **state)
{
    struct mcp *m = mcp_new();
    char *text;

    (void)state;
    assert_int_equal(
        add(m, "{\"mcpServers\":{\"a\":{\"command\":\"x\",\"args\":[\"-y\",\"z \\\"\\\\\\n\"],"
               "\"env\":{\"K\":\"v\",\"L\":\"\"}},\"b\":{\"command\":\"y\",\"args\":[]},\"c\":"
               "{\"type\":\"http\",\"url\":\"https://h.example/p\",\"headers\":{\"H-1\":\"w\"}}}}"),
        0);
    text = mcp_print_codex(m);
    assert_string_equal(
        text, "[mcp_servers.\"a\"]\nstartup_timeout_sec = 30\ncommand = \"x\"\n"
              "args = [\"-y\", \"z \\\"\\\\\\u000a\"]\nenv = { \"K\" = \"v\", \"L\" = \"\" }\n"
              "[mcp_servers.\"b\"]\nstartup_timeout_sec = 30\ncommand = \"y\"\nargs = []\n"
              "[mcp_servers.\"c\"]\nstartup_timeout_sec = 30\n"
              "url = \"https://h.example/p\"\nhttp_headers = { \"H-1\" = \"w\" }\n");
    free(text);
    mcp_free(m);
}

static void opencode_gets_them_in_words_of_its_own(void **state)
{
    struct mcp *m = mcp_new();
    char *text;

    (void)state;
    assert_int_equal(add(m, "{\"mcpServers\":{\"a\":{\"command\":\"x\",\"args\":[\"-y\",\"z\"],"
                            "\"env\":{\"K\":\"v\"}},\"b\":{\"command\":\"y\"},\"c\":{\"type\":"
                            "\"sse\",\"url\":\"https://h.example/p\",\"headers\":{\"H\":\"w\"}}}}"),
                     0);
    text = mcp_print_opencode(m);
    assert_string_equal(text,
                        "{\"mcp\":{\"a\":{\"type\":\"local\",\"command\":[\"x\",\"-y\",\"z\"],"
                        "\"environment\":{\"K\":\"v\"},\"enabled\":true},\"b\":{\"type\":\"local\","
                        "\"command\":[\"y\"],\"enabled\":true},\"c\":{\"type\":\"remote\",\"url\":"
                        "\"https://h.example/p\",\"headers\":{\"H\":\"w\"},\"enabled\":true}}}");
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

static void gateway(struct mcp *m, const char *text, struct strv *problems)
{
    assert_int_equal(
        mcp_add_gateway(m, "http://gw.lan:9000/mcp", text, strlen(text), problems, NULL), 0);
}

static void a_gateways_servers_are_remote_ones_below_its_own_url(void **state)
{
    struct mcp *m = mcp_new();
    struct strv problems = { 0 }, places = { 0 };
    char *text;

    (void)state;
    gateway(m,
            "[{\"name\":\"git hub\",\"url\":\"/github/mcp\"},"
            "{\"name\":\"a\",\"url\":\"/a/\",\"more\":1},{\"name\":\"a\",\"url\":\"/b?c=d\"}]",
            &problems);
    assert_int_equal(problems.len, 0);
    text = mcp_print(m);
    assert_string_equal(
        text, "{\"mcpServers\":{"
              "\"git hub\":{\"type\":\"http\",\"url\":\"http://gw.lan:9000/mcp/github/mcp\"},"
              "\"a\":{\"type\":\"http\",\"url\":\"http://gw.lan:9000/mcp/a/\"},"
              "\"a-2\":{\"type\":\"http\",\"url\":\"http://gw.lan:9000/mcp/b?c=d\"}}}");
    free(text);
    mcp_places(m, &places);
    assert_int_equal(places.len, 1);
    assert_string_equal(places.items[0], "gw.lan:9000");
    strv_done(&places);
    mcp_free(m);
}

static void what_a_gateway_may_not_say_is_left_out_by_name(void **state)
{
    static const char *const bad[] = {
        "7",
        "{\"url\":\"/a\"}",
        "{\"name\":\"x/y\",\"url\":\"/a\"}",
        "{\"name\":\"bad\"}",
        "{\"name\":\"bad\",\"url\":7}",
        "{\"name\":\"bad\",\"url\":\"\"}",
        "{\"name\":\"bad\",\"url\":\"a\"}",
        "{\"name\":\"bad\",\"url\":\"@evil.example/\"}",
        "{\"name\":\"bad\",\"url\":\".evil.example/\"}",
        "{\"name\":\"bad\",\"url\":\"//evil.example/\"}",
        "{\"name\":\"bad\",\"url\":\"http://evil.example/\"}",
        "{\"name\":\"bad\",\"url\":\"/../admin\"}",
        "{\"name\":\"bad\",\"url\":\"/a/..\"}",
        "{\"name\":\"bad\",\"url\":\"/%2e%2e/admin\"}",
        "{\"name\":\"bad\",\"url\":\"/a b\"}",
        "{\"name\":\"bad\",\"url\":\"/a#b\"}",
        "{\"name\":\"bad\",\"url\":\"/a?b#c\"}",
        "{\"name\":\"bad\",\"url\":\"/a\\n\"}",
        "{\"name\":\"bad\",\"url\":\"/a?\\\"b\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mcp *m = mcp_new();
        struct strv problems = { 0 };
        AUTO_FREE char *text = mem_printf("[%s,{\"name\":\"good\",\"url\":\"/g\"}]", bad[i]);

        gateway(m, text, &problems);
        if (problems.len != 1 || mcp_len(m) != 1)
            fail_msg("%s: %zu problems, %zu servers", bad[i], problems.len, mcp_len(m));
        assert_non_null(strstr(problems.items[0], "of the gateway is left out: "));
        strv_done(&problems);
        mcp_free(m);
    }
}

static void a_gateways_answer_that_is_no_list_is_none(void **state)
{
    static const char *const bad[] = { "", "{}", "null", "{\"servers\":[]}", "[", "<html>" };
    struct mcp *m = mcp_new();
    struct strv problems = { 0 };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err = (struct err){ 0 };
        assert_int_equal(mcp_add_gateway(m, "http://g", bad[i], strlen(bad[i]), &problems, &err),
                         -EBADMSG);
        assert_true(err.text[0]);
    }
    gateway(m, "[]", &problems);
    assert_int_equal(mcp_len(m) + problems.len, 0);
    mcp_free(m);
}

static void note(const char *value, void *ctx)
{
    strv_add(ctx, value);
}

static bool is_among(const struct strv *list, const char *text)
{
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static void secrets_are_found_in_arguments_and_urls_too(void **state)
{
    static const char *const secrets[] = { "one-in-env",   "two-of-flag",    "three=joined",
                                           "four-header",  "five-of-docker", "six-of-user",
                                           "seven/query",  "seven%2Fquery",  "eight-of-url",
                                           "nine-in-word", "ten-header" };
    struct mcp *m = mcp_new();
    struct strv found = { 0 };

    (void)state;
    assert_int_equal(
        add(m,
            "{\"mcpServers\":{\"a\":{\"command\":\"x\",\"env\":{\"A_KEY\":\"one-in-env\",\"LANG\":"
            "\"not-this\"},\"args\":[\"--api-key\",\"two-of-flag\",\"--token=three=joined\",\"-H\","
            "\"Authorization: Bearer four-header\",\"-e\",\"API_KEY=five-of-docker\","
            "\"https://user:six-of-user@h.example/?token=seven%2Fquery&lang=not-this\","
            "\"--header=X-Api-Key: nine-in-word\",\"--keyboard\",\"--plain\",\"not-this\"]},"
            "\"b\":{\"url\":\"https://h.example/x?api_key=eight-of-url#top\","
            "\"headers\":{\"Authorization\":\"Bearer ten-header\"}}}}"),
        0);
    mcp_each_secret(m, note, &found);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (!is_among(&found, secrets[i]))
            fail_msg("'%s' was not found", secrets[i]);
    assert_false(is_among(&found, "not-this"));
    strv_done(&found);
    mcp_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_comes_again_gets_a_number),
        cmocka_unit_test(codex_gets_them_in_toml),
        cmocka_unit_test(opencode_gets_them_in_words_of_its_own),
        cmocka_unit_test(a_file_counts_whole_or_not_at_all),
        cmocka_unit_test(each_place_of_a_remote_server_is_told_once_and_without_a_grant),
        cmocka_unit_test(secrets_are_known_by_their_names),
        cmocka_unit_test(a_gateways_servers_are_remote_ones_below_its_own_url),
        cmocka_unit_test(what_a_gateway_may_not_say_is_left_out_by_name),
        cmocka_unit_test(a_gateways_answer_that_is_no_list_is_none),
        cmocka_unit_test(secrets_are_found_in_arguments_and_urls_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
