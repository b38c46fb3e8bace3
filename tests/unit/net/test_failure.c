#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/failure.h"
#include "util/cleanup.h"

static struct failure_facts facts(void)
{
    return (struct failure_facts){ .peer = "hub.example:443",
                                   .url_name = "server.url",
                                   .detail = "",
                                   .connect_timeout_ms = 10000,
                                   .timeout_ms = 60000,
                                   .max_response_bytes = 65536 };
}

static void each_failure_has_its_outcome_and_its_remedy(void **state)
{
    static const struct {
        CURLcode code;
        enum http_outcome outcome;
        const char *says;
        struct failure_facts f;
    } cases[] = {
        { CURLE_COULDNT_RESOLVE_HOST, HTTP_UNREACHABLE, "DNS", { 0 } },
        { CURLE_COULDNT_RESOLVE_HOST, HTTP_UNREACHABLE, "open files", { .os_errno = EMFILE } },
        { CURLE_COULDNT_RESOLVE_HOST,
          HTTP_UNREACHABLE,
          "no thread",
          { .detail = "getaddrinfo() thread failed to start" } },
        { CURLE_COULDNT_RESOLVE_PROXY, HTTP_UNREACHABLE, "server.proxy", { 0 } },
        { CURLE_COULDNT_CONNECT, HTTP_UNREACHABLE, "refused", { .os_errno = ECONNREFUSED } },
        { CURLE_COULDNT_CONNECT, HTTP_UNREACHABLE, "No route", { .os_errno = EHOSTUNREACH } },
        { CURLE_COULDNT_CONNECT, HTTP_UNREACHABLE, "this machine", { .os_errno = EMFILE } },
        { CURLE_SEND_ERROR, HTTP_UNREACHABLE, "No buffer space", { .os_errno = ENOBUFS } },
        { CURLE_COULDNT_CONNECT, HTTP_UNREACHABLE, "through the proxy", { .proxied = true } },
        { CURLE_PROXY, HTTP_UNREACHABLE, "server.proxy", { .proxied = true } },
        { CURLE_RECV_ERROR, HTTP_UNREACHABLE, "credentials", { .connect_code = 407 } },
        { CURLE_RECV_ERROR, HTTP_UNREACHABLE, "status 502", { .connect_code = 502 } },
        { CURLE_GOT_NOTHING, HTTP_UNREACHABLE, "server.proxy", { .proxied = true } },
        { CURLE_OPERATION_TIMEDOUT, HTTP_UNREACHABLE, "within 10s", { 0 } },
        { CURLE_SSL_CONNECT_ERROR, HTTP_TLS, "handshake", { 0 } },
        { CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS, "server.ca_file", { 0 } },
        { CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS, "expired", { .detail = "expired" } },
        { CURLE_SSL_CACERT_BADFILE, HTTP_TLS, "ca-certificates", { 0 } },
        { CURLE_GOT_NOTHING, HTTP_UNREACHABLE, "without an answer", { 0 } },
        { CURLE_SEND_ERROR, HTTP_UNREACHABLE, "without an answer", { 0 } },
        { CURLE_RECV_ERROR, HTTP_BROKEN, "cut short", { .got_headers = true } },
        { CURLE_PARTIAL_FILE, HTTP_BROKEN, "cut short", { .got_headers = true } },
        { CURLE_FILESIZE_EXCEEDED, HTTP_TOO_LARGE, "65536 bytes", { 0 } },
        { CURLE_WRITE_ERROR, HTTP_TOO_LARGE, "65536 bytes", { .body_too_large = true } },
        { CURLE_WRITE_ERROR, HTTP_BROKEN, "header", { .headers_too_large = true } },
        { CURLE_WRITE_ERROR, HTTP_STOPPED, "not wanted", { .stopped = true } },
        { CURLE_UNSUPPORTED_PROTOCOL, HTTP_BROKEN, "only http and https", { 0 } },
        { CURLE_UNSUPPORTED_PROTOCOL, HTTP_BROKEN, "not HTTP/1", { .connected = true } },
        { CURLE_WEIRD_SERVER_REPLY, HTTP_BROKEN, "hub.example", { 0 } },
        { CURLE_OUT_OF_MEMORY, HTTP_BROKEN, "header", { 0 } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct failure_facts f = cases[i].f, base = facts();
        char text[512] = "";

        f.peer = base.peer;
        f.detail = f.detail ? f.detail : "";
        f.connect_timeout_ms = base.connect_timeout_ms;
        f.max_response_bytes = base.max_response_bytes;
        assert_int_equal(failure_explain(cases[i].code, &f, text, sizeof text), cases[i].outcome);
        if (!strstr(text, cases[i].says))
            fail_msg("case %zu says '%s'", i, text);
        assert_non_null(strstr(text, "hub.example:443"));
    }
}

static void every_code_of_curl_gives_a_failure_and_a_sentence(void **state)
{
    (void)state;
    for (int code = 1; code < CURL_LAST; code++) {
        struct failure_facts f = facts();
        char text[512] = "";
        enum http_outcome outcome = failure_explain((CURLcode)code, &f, text, sizeof text);

        assert_in_range(outcome, HTTP_DONE + 1, HTTP_OUTCOME_COUNT - 1);
        assert_true(strlen(text) > 20);
    }
}

static void a_deadline_says_how_far_the_request_came(void **state)
{
    struct failure_facts f = facts();
    char text[512];

    (void)state;
    assert_int_equal(failure_explain_deadline(&f, text, sizeof text), HTTP_TIMEOUT);
    assert_non_null(strstr(text, "no connection to hub.example:443 within 1m"));
    f.connected = true;
    assert_int_equal(failure_explain_deadline(&f, text, sizeof text), HTTP_TIMEOUT);
    assert_non_null(strstr(text, "did not answer within 1m"));
    f.got_headers = true;
    assert_int_equal(failure_explain_deadline(&f, text, sizeof text), HTTP_TIMEOUT);
    assert_non_null(strstr(text, "not complete after 1m"));
}

static void a_small_buffer_is_never_overrun(void **state)
{
    struct failure_facts f = facts();
    char text[16];

    (void)state;
    memset(text, 'x', sizeof text);
    (void)failure_explain(CURLE_COULDNT_CONNECT, &f, text, 8);
    assert_int_equal(strlen(text), 7);
    assert_int_equal(text[8], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_outcome_and_its_remedy),
        cmocka_unit_test(every_code_of_curl_gives_a_failure_and_a_sentence),
        cmocka_unit_test(a_deadline_says_how_far_the_request_came),
        cmocka_unit_test(a_small_buffer_is_never_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
