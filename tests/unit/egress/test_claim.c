#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "egress/claim.h"
#include "sandbox/gateway.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

static void add_own(struct broker_list *list)
{
    struct broker b = { 0 };

    assert_true(broker_known("anthropic", &b));
    b.request_limit_bytes = 100;
    broker_add(list, &b);
    assert_true(broker_known("openai", &b));
    broker_add(list, &b);
}

static struct head *parse(const char *text, struct buf *bytes)
{
    struct head *h = mem_new(struct head);
    const char *why = NULL;

    buf_append_str(bytes, text);
    if (head_parse(bytes->data, bytes->len, true, h, &why) < 0)
        fail_msg("%s: %s", text, why);
    return h;
}

static void a_request_is_judged_by_name_path_method_and_length(void **state)
{
    static const struct {
        const char *line;
        enum claim_verdict verdict;
        const char *path, *query;
    } cases[] = {
        { "GET /anthropic", CLAIM_OK, "/", "" },
        { "HEAD /anthropic/", CLAIM_OK, "/", "" },
        { "POST /anthropic/v1/messages?beta=true", CLAIM_OK, "/v1/messages", "?beta=true" },
        { "GET /anthropic/v1/models/x?", CLAIM_OK, "/v1/models/x", "?" },
        { "POST /openai/v1/responses", CLAIM_OK, "/v1/responses", "" },
        { "GET /openai/v1/chat/completions", CLAIM_NOT_LISTED, "/v1/chat/completions", "" },
        { "POST /anthropic/v1/messages/batches", CLAIM_NOT_LISTED, "/v1/messages/batches", "" },
        { "DELETE /anthropic/v1/messages", CLAIM_NOT_LISTED, "/v1/messages", "" },
        { "GET /openai/v1/models", CLAIM_NOT_LISTED, "/v1/models", "" },
        { "get /anthropic/v1/models", CLAIM_NOT_LISTED, "/v1/models", "" },
        { "GET /anthropic/v1/../v1/models", CLAIM_BAD_PATH, "/v1/../v1/models", "" },
        { "GET /anthropic//", CLAIM_BAD_PATH, "//", "" },
        { "GET /anthropic/v1/models?a=%0a", CLAIM_BAD_PATH, "/v1/models", "?a=%0a" },
        { "GET /anthropic/v1/models?a=%4", CLAIM_BAD_PATH, "/v1/models", "?a=%4" },
        { "GET /anthropicx", CLAIM_UNKNOWN, "", "" },
        { "GET /", CLAIM_UNKNOWN, "", "" },
        { "GET //anthropic", CLAIM_UNKNOWN, "", "" },
    };
    CLEANUP(broker_done_all) struct broker_list list = { 0 };

    (void)state;
    add_own(&list);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *text = mem_printf("%s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].line);
        CLEANUP(buf_done) struct buf bytes = { 0 };
        AUTO_FREE struct head *h = parse(text, &bytes);
        struct claim c;
        enum claim_verdict verdict = claim_judge(&list, h, &c);

        if (verdict != cases[i].verdict)
            fail_msg("%s: %d", cases[i].line, (int)verdict);
        if (verdict == CLAIM_UNKNOWN)
            continue;
        assert_int_equal(c.path.len, strlen(cases[i].path));
        assert_memory_equal(c.path.at, cases[i].path, c.path.len);
        assert_int_equal(c.query.len, strlen(cases[i].query));
        assert_memory_equal(c.query.at, cases[i].query, c.query.len);
    }
}

static void a_body_past_the_limit_is_refused_where_it_is_announced(void **state)
{
    CLEANUP(broker_done_all) struct broker_list list = { 0 };
    CLEANUP(buf_done) struct buf bytes = { 0 };
    AUTO_FREE struct head *h = parse(
        "POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", &bytes);
    struct claim c;

    (void)state;
    add_own(&list);
    assert_int_equal(claim_judge(&list, h, &c), CLAIM_OK);
    h->body_bytes++;
    assert_int_equal(claim_judge(&list, h, &c), CLAIM_TOO_LARGE);
}

/* What the upstream gets of a request for the broker. */
static void pass_on(const char *text, struct buf *out)
{
    CLEANUP(broker_done_all) struct broker_list list = { 0 };
    CLEANUP(buf_done) struct buf bytes = { 0 };
    AUTO_FREE struct head *h = parse(text, &bytes);
    struct broker_place place;
    struct claim c;

    add_own(&list);
    assert_int_equal(claim_judge(&list, h, &c), CLAIM_OK);
    assert_int_equal(broker_find_place(c.broker, &place, NULL), 0);
    claim_print(&c, h, &place, "sk-real", out);
}

static void the_key_is_the_only_one_and_the_host_the_upstreams(void **state)
{
    static const char text[] =
        "POST /anthropic/v1/messages HTTP/1.0\r\nHost: evil.test\r\nX_API-Key: mine\r\n"
        "AUTHORIZATION: mine\r\ncookie2: a\r\nX-Forwarded-Port: 1\r\nConnection: x-mine\r\n"
        "x-mine: 1\r\nAnthropic-Beta: b\r\nContent-Length: 2\r\n\r\n";
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    pass_on(text, &out);
    assert_string_equal(buf_str(&out), "POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n"
                                       "Anthropic-Beta: b\r\nContent-Length: 2\r\n"
                                       "Accept-Encoding: identity\r\nConnection: close\r\n"
                                       "x-api-key: sk-real\r\n\r\n");
}

static void no_spelling_of_a_field_says_where_a_request_ends(void **state)
{
    static const char text[] =
        "POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nContent_Length: 0\r\n"
        "Transfer_Encoding: chunked\r\nTRANSFER_Encoding: identity\r\nX_HOST: y\r\n"
        "Content-Length: 2\r\n\r\n";
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    pass_on(text, &out);
    assert_string_equal(buf_str(&out), "POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n"
                                       "Content-Length: 2\r\nAccept-Encoding: identity\r\n"
                                       "Connection: close\r\nx-api-key: sk-real\r\n\r\n");
}

static void what_runners_are_told_is_where_the_listener_is(void **state)
{
    (void)state;
    assert_string_equal(BROKER_URL, GATEWAY_URL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_judged_by_name_path_method_and_length),
        cmocka_unit_test(a_body_past_the_limit_is_refused_where_it_is_announced),
        cmocka_unit_test(the_key_is_the_only_one_and_the_host_the_upstreams),
        cmocka_unit_test(no_spelling_of_a_field_says_where_a_request_ends),
        cmocka_unit_test(what_runners_are_told_is_where_the_listener_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
