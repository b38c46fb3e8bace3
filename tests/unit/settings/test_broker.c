#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "settings/allow.h"
#include "settings/broker.h"
#include "settings/brokerfile.h"
#include "settings/document.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static int read_text(const char *yaml, struct broker *ret_broker, char place[32], struct err *err)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    const struct document_node *at = NULL;
    int r;

    assert_int_equal(document_parse("f", yaml, strlen(yaml), &root, err), 0);
    r = brokerfile_read(root, ret_broker, &at, err);
    (void)snprintf(place, 32, "%u:%u", at->line, at->column);
    return r;
}

static void a_known_name_needs_no_more_than_its_key(void **state)
{
    CLEANUP(broker_done) struct broker b = { 0 };
    struct err err = { 0 };
    char place[32];

    (void)state;
    assert_int_equal(read_text("{name: openai, key: {file: /k}}", &b, place, &err), 0);
    assert_string_equal(b.upstream, "https://api.openai.com");
    assert_string_equal(b.header, "authorization");
    assert_string_equal(b.scheme, "Bearer");
    assert_string_equal(b.key_file, "/k");
    assert_true(b.paths.len == 3 && b.methods.len == 1 && b.requests == 10000);
    assert_string_equal(b.methods.items[0], "POST");
}

static void another_name_says_it_all_and_reads_back_what_it_prints(void **state)
{
    static const char all[] =
        "{name: own, upstream: \"https://llm.corp:8443/api\", key: {file: /k}, header: X-Api-Key, "
        "ca_file: /ca.pem, addresses: private, methods: [POST], paths: [/v1/messages, /v1/m/*], "
        "requests: 7, request_limit: 2M, response_limit: 3M, timeout: 9s}";
    CLEANUP(broker_done_all) struct broker_list one = { 0 }, two = { 0 };
    CLEANUP(buf_done) struct buf text = { 0 };
    struct broker b = { 0 };
    struct broker_place where;
    struct err err = { 0 };
    char place[32];

    (void)state;
    assert_int_equal(read_text(all, &b, place, &err), 0);
    assert_string_equal(b.header, "x-api-key");
    assert_string_equal(b.scheme, "");
    assert_int_equal(b.grants, ALLOW_PRIVATE);
    assert_int_equal(b.timeout_ms, 9000);
    assert_int_equal(broker_find_place(&b, &where, &err), 0);
    assert_string_equal(where.host.text, "llm.corp");
    assert_string_equal(where.prefix, "/api");
    assert_int_equal(where.port, 8443);
    assert_true(where.is_tls);
    brokerfile_print(&b, &text);
    broker_add(&one, &b);
    assert_int_equal(read_text(buf_str(&text), &b, place, &err), 0);
    broker_add(&two, &b);
    assert_true(brokerfile_equal(&one, &two));
    two.items[0].requests++;
    assert_false(brokerfile_equal(&one, &two));
    broker_done_all(&two);
    broker_copy_all(&two, &one);
    assert_true(brokerfile_equal(&one, &two));
    assert_ptr_equal(broker_find(&two, "own"), &two.items[0]);
    assert_null(broker_find(&two, "ow"));
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
#define OWN "name: own, upstream: https://h, paths: [/v1], "
    static const struct {
        const char *yaml, *place, *want;
    } cases[] = {
        { "[1]", "1:1", "each entry is a map" },
        { "{name: openai}", "1:1", "key is required" },
        { "{name: openai, key: sk-1234567890}", "1:16", "the key itself doesn't belong" },
        { "{name: openai, key: {file: sk-123}}", "1:16", "key.file: want a path that begins" },
        { "{name: openai, key: {file: /k}, methds: [GET]}", "1:33", "did you mean methods?" },
        { "{name: Own, key: {file: /k}}", "1:2", "name: want a word" },
        { "{name: a/b, key: {file: /k}}", "1:2", "name: want a word" },
        { "{key: {file: /k}}", "1:1", "name: want a word" },
        { "{name: own, key: {file: /k}}", "1:1", "upstream: want https" },
        { "{name: own, upstream: ftp://h, paths: [/v1], key: {file: /k}}", "1:13", "upstream: " },
        { "{name: own, upstream: http://h, paths: [/v1], key: {file: /k}}", "1:13",
          "the key would travel readable" },
        { "{name: own, upstream: http://10.0.0.1, paths: [/v1], key: {file: /k}}", "1:13",
          "want https" },
        { "{name: own, upstream: https://u@h, paths: [/v1], key: {file: /k}}", "1:13", "no user" },
        { "{name: own, upstream: https://h/, paths: [/v1], key: {file: /k}}", "1:13", "no slash" },
        { "{name: own, upstream: https://h/a//b, paths: [/v1], key: {file: /k}}", "1:13", "plain" },
        { "{name: own, upstream: 'https://h?x', paths: [/v1], key: {file: /k}}", "1:13", "plain" },
        { "{name: own, upstream: https://h:0, paths: [/v1], key: {file: /k}}", "1:13", "the port" },
        { "{name: own, upstream: https://0x7f.1, paths: [/v1], key: {file: /k}}", "1:13",
          "upstream: " },
        { "{name: own, upstream: https://h, key: {file: /k}}", "1:1", "paths: want a list" },
        { "{name: own, upstream: https://h, paths: [/v1/*/x], key: {file: /k}}", "1:34", "a star" },
        { "{name: own, upstream: https://h, paths: [/v1/%2e], key: {file: /k}}", "1:34", "paths" },
        { "{name: own, upstream: https://h, paths: [v1], key: {file: /k}}", "1:34", "paths" },
        { "{" OWN "key: {file: /k}, methods: [get]}", "1:65", "methods: want" },
        { "{" OWN "key: {file: /k}, methods: [CONNECT]}", "1:65", "methods: want" },
        { "{" OWN "key: {file: /k}, header: host}", "1:65", "header: want" },
        { "{" OWN "key: {file: /k}, header: 'a: b'}", "1:65", "header: want" },
        { "{" OWN "key: {file: /k}, scheme: 'a b'}", "1:65", "scheme: want" },
        { "{" OWN "key: {file: /k}, addresses: all}", "1:65", "not one of public, private" },
        { "{" OWN "key: {file: /k}, requests: 0}", "1:65", "out of range: 1 to" },
        { "{" OWN "key: {file: /k}, request_limit: 9}", "1:65", "request_limit: want a size" },
        { "{" OWN "key: {file: /k}, timeout: 1ms}", "1:65", "out of range: 100ms to 1d" },
        { "{" OWN "key: {file: /k}, ca_file: ca.pem}", "1:65", "ca_file: want a path" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct broker b = { 0 };
        struct err err = { 0 };
        char place[32];

        assert_int_equal(read_text(cases[i].yaml, &b, place, &err), -EINVAL);
        if (!strstr(err.text, cases[i].want))
            fail_msg("%s: %s", cases[i].yaml, err.text);
        assert_null(strstr(err.text, "sk-"));
        if (strcmp(place, cases[i].place) != 0)
            fail_msg("%s: %s at %s", cases[i].yaml, err.text, place);
    }
}

static void only_plain_paths_are_plain(void **state)
{
    static const char *const plain[] = {
        "/", "/v1", "/v1/messages", "/a.b/..c/.d/e..", "/v1beta/x:y", "/a@b=c,d+e"
    };
    static const char *const others[] = { "",       "v1",     "//",        "/v1/",     "/v1//x",
                                          "/.",     "/..",    "/v1/./x",   "/v1/../x", "/v1/..",
                                          "/%2e",   "/a%2fb", "/a\\b",     "/a;b",     "/a b",
                                          "/a\tb",  "/a\nb",  "/a?b",      "/a#b",     "/\xc3\xa4",
                                          "/a\x7f", "/a%00b", "/v1/..;/x", "/a\"b",    "/<" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (!broker_path_is_plain(plain[i], strlen(plain[i])))
            fail_msg("%s", plain[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (broker_path_is_plain(others[i], strlen(others[i])))
            fail_msg("%s", others[i]);
    assert_false(broker_path_is_plain("/a\0b", 4));
}

static void a_pattern_is_that_path_or_all_that_is_below(void **state)
{
    (void)state;
    assert_true(broker_path_matches("/v1/messages", "/v1/messages", 12));
    assert_false(broker_path_matches("/v1/messages", "/v1/message", 11));
    assert_false(broker_path_matches("/v1/messages", "/v1/messages/batches", 20));
    assert_false(broker_path_matches("/v1/messages", "/V1/messages", 12));
    assert_true(broker_path_matches("/v1/models/*", "/v1/models/x", 12));
    assert_true(broker_path_matches("/v1/models/*", "/v1/models/x/y", 14));
    assert_false(broker_path_matches("/v1/models/*", "/v1/models", 10));
    assert_false(broker_path_matches("/v1/models/*", "/v1/modelsx", 11));
    assert_true(broker_path_matches("/*", "/x", 2));
    assert_false(broker_path_matches("/*", "/", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_name_needs_no_more_than_its_key),
        cmocka_unit_test(another_name_says_it_all_and_reads_back_what_it_prints),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(only_plain_paths_are_plain),
        cmocka_unit_test(a_pattern_is_that_path_or_all_that_is_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
