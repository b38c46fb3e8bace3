#include "unit/net/http_fixture.h"

/* ---- unreachable ---- */

static void a_refused_connection_says_so(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof addr;
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char url[64], peer[64];

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0); /* never listens */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/secret-path", ntohs(addr.sin_port));
    (void)snprintf(peer, sizeof peer, "127.0.0.1:%u", ntohs(addr.sin_port));
    ask(f, &(struct http_request){ .url = url });
    assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
    assert_non_null(strstr(f->result.error, peer));
    assert_non_null(strstr(f->result.error, "refused the connection"));
    assert_null(strstr(f->result.error, "secret-path"));
}

static void an_unknown_name_says_to_check_the_dns(void **state)
{
    struct fixture *f = *state;

    ask(f, &(struct http_request){ .url = "http://unknown.invalid:81/" });
    assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
    assert_non_null(strstr(f->result.error, "unknown.invalid:81"));
    assert_non_null(strstr(f->result.error, "DNS"));
}

static void a_close_or_reset_without_an_answer_is_unreachable(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), STEP(CLOSE), STEP(ACCEPT), STEP(READ), STEP(RESET),
          SCRIPT_ANSWER("HTTP/1.1 200 O"), STEP(ACCEPT), STEP(RESET));
    for (int i = 0; i < 3; i++) {
        get(f);
        assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
        assert_non_null(strstr(f->result.error, "without an answer"));
    }
    get(f); /* the reset may come before curl knows that it is connected */
    assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
}

static void a_hanging_resolver_neither_blocks_the_loop_nor_the_end(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ms = loop_now_ms(f->loop);

    ask(f, &(struct http_request){ .url = "http://hangs.invalid/", .timeout_ms = 300 });
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(f->result.error, "DNS"));
    (void)start(f, &(struct http_request){ .url = "http://hangs.invalid/" });
    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    (void)start(f, &(struct http_request){ 0 }); /* meanwhile others are served */
    loop_run(f->loop);
    assert_int_equal(f->result.status, 200);
    http_free(f->http);
    f->http = NULL;
    assert_true(loop_now_ms(f->loop) - start_ms < 10 * 1000);
    sem_wait(&resolver_entered);
    sem_wait(&resolver_entered);
    sem_post(&resolver_gate);
    sem_post(&resolver_gate);
}

/* ---- broken answers ---- */

static void a_cut_or_badly_framed_answer_is_broken(void **state)
{
    struct fixture *f = *state;
    size_t cases;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n12345\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "fffffffffffffffffff\r\n12345\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n12345"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Le"), STEP(ACCEPT), STEP(READ),
          SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12"), STEP(RESET));
    cases = 8;
    for (size_t i = 0; i < cases; i++) {
        get(f);
        if (f->result.outcome != HTTP_BROKEN)
            fail_msg("case %zu: outcome %d, status %d, '%s'", i, (int)f->result.outcome,
                     f->result.status, f->result.error);
        assert_non_null(strstr(f->result.error, "127.0.0.1:"));
        assert_int_equal(f->result.body_len, 0);
    }
}

static void an_answer_too_many_is_no_answer_to_the_next_request(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
          { .action = SCRIPT_WAIT, .ms = 50 },
          SEND_TEXT("HTTP/1.1 201 Stray\r\nContent-Length: 5\r\n\r\nstray"), STEP(PARK),
          SCRIPT_ANSWER("HTTP/1.1 202 OK\r\nContent-Length: 4\r\n\r\nmore"));
    get(f);
    assert_int_equal(f->result.status, 200);
    (void)usleep(300 * 1000); /* nap: for the stray answer to arrive, which nobody reads */
    get(f);
    assert_int_equal(f->result.status, 202);
    assert_string_equal(f->result.body, "more");
}

static void what_is_not_http_is_broken(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("hello, this is no HTTP at all\n"),
          SCRIPT_ANSWER("<html>HTTP/0.9</html>"), SCRIPT_ANSWER("SSH-2.0-OpenSSH_9.2\r\n"));
    for (int i = 0; i < 3; i++) {
        get(f);
        assert_int_equal(f->result.outcome, HTTP_BROKEN);
        assert_non_null(strstr(f->result.error, "not HTTP/1"));
    }
}

static void an_endless_header_is_given_up(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\n"),
          { .action = SCRIPT_SEND,
            .text = "X-Fill: 0123456789012345678901234567\r\n",
            .repeat = 100000 },
          STEP(ACCEPT), STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nX-Fill: "),
          { .action = SCRIPT_SEND, .text = "0123456789", .repeat = 200000 }, STEP(ACCEPT),
          STEP(READ),
          { .action = SCRIPT_SEND, .text = "HTTP/1.1 100 Continue\r\n\r\n", .repeat = 100000 });
    for (int i = 0; i < 3; i++) {
        get(f);
        if (f->result.outcome != HTTP_BROKEN)
            fail_msg("case %d: outcome %d '%s'", i, (int)f->result.outcome, f->result.error);
    }
}

static void what_comes_after_an_answer_is_not_the_next_answer(void **state)
{
    struct fixture *f = *state;

    SERVE(f,
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
                        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"));
    assert_string_equal(get(f)->body, "one");
    assert_string_equal(get(f)->body, "two");
}

/* ---- bounds ---- */

static void a_body_of_exactly_the_bound_passes(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"));
    ask(f, &(struct http_request){ .max_response_bytes = 5 });
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_string_equal(f->result.body, "12345");
}

static void a_body_past_the_bound_is_given_up_by_length_and_by_count(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ),
          SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"), STEP(HOLD),
          STEP(ACCEPT), STEP(READ),
          SEND_TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
          { .action = SCRIPT_SEND, .text = "a\r\n0123456789\r\n", .repeat = 100000 }, STEP(ACCEPT),
          STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
          { .action = SCRIPT_SEND, .text = "0123456789", .repeat = 100000 });
    for (int i = 0; i < 3; i++) {
        get(f);
        assert_int_equal(f->result.outcome, HTTP_TOO_LARGE);
        assert_non_null(strstr(f->result.error, "1000 bytes"));
        assert_int_equal(f->result.body_len, 0);
    }
}

static void every_wait_for_an_answer_ends(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), STEP(HOLD), STEP(ACCEPT), STEP(READ),
          SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), STEP(HOLD), STEP(ACCEPT),
          STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), SEND_TEXT("1"),
          { .action = SCRIPT_WAIT, .ms = 60 }, SEND_TEXT("2"), { .action = SCRIPT_WAIT, .ms = 60 },
          SEND_TEXT("3"), { .action = SCRIPT_WAIT, .ms = 60 }, SEND_TEXT("4"), STEP(HOLD));
    ask(f, &(struct http_request){ .timeout_ms = 150 });
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(f->result.error, "did not answer within"));
    for (int i = 0; i < 2; i++) {
        ask(f, &(struct http_request){ .timeout_ms = 150 });
        assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
        assert_non_null(strstr(f->result.error, "not complete after"));
    }
}

static void a_call_that_waits_for_a_connection_has_its_deadline_too(void **state)
{
    struct fixture *f = *state;

    new_http(f, &(struct http_options){ .user_agent = "x", .proxy = "", .max_connections = 1 });
    SERVE(f, STEP(ACCEPT), STEP(READ), STEP(HOLD));
    (void)start(f, &(struct http_request){ 0 });
    ask(f, &(struct http_request){ .timeout_ms = 150 });
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
}

/* ---- TLS and proxies ---- */

static void tls_to_a_plain_port_is_a_tls_failure(void **state)
{
    struct fixture *f = *state;
    char url[64];

    SERVE(f, STEP(ACCEPT), SEND_TEXT("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
          STEP(HOLD));
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", script_port(f->script));
    ask(f, &(struct http_request){ .url = url });
    assert_int_equal(f->result.outcome, HTTP_TLS);
    assert_non_null(strstr(f->result.error, "server.ca_file"));
}

static void unreadable_certificates_stop_the_start(void **state)
{
    struct fixture *f = *state;
    struct http *http = NULL;
    struct err err = { 0 };

    assert_int_equal(
        http_new(f->loop,
                 &(struct http_options){ .user_agent = "x", .ca_file = "/nonexistent/ca.pem" },
                 &http, &err),
        -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    assert_non_null(strstr(err.text, "server.ca_file"));
    assert_null(http);
}

static void use_proxy(struct fixture *f)
{
    char proxy[64];

    (void)snprintf(proxy, sizeof proxy, "http://who:proxypass@127.0.0.1:%u",
                   script_port(f->script));
    new_http(f, &(struct http_options){ .user_agent = "x", .proxy = proxy });
}

static void a_proxy_is_used_and_its_refusal_told(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
          SCRIPT_ANSWER("HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), STEP(ACCEPT),
          STEP(READ), STEP(CLOSE));
    use_proxy(f);
    ask(f, &(struct http_request){ .url = "http://far.invalid/x" });
    assert_string_equal(f->result.body, "ok");
    assert_non_null(strstr(script_request(f->script, 0), "GET http://far.invalid/x HTTP/1.1\r\n"));
    for (size_t i = 1; i <= 3; i++) {
        static const char *const says[] = { "", "credentials", "status 403", "the proxy ended" };

        ask(f, &(struct http_request){ .url = "https://far.invalid/x" });
        assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
        assert_non_null(strstr(f->result.error, says[i]));
        assert_null(strstr(f->result.error, "proxypass"));
        assert_null(strstr(script_request(f->script, i), KEY));
        assert_non_null(strstr(script_request(f->script, i), "CONNECT far.invalid:443 HTTP/1.1"));
    }
}

static void a_proxy_that_is_not_there_is_named_as_the_cause(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT));
    use_proxy(f);
    script_stop(f->script);
    f->script = NULL;
    ask(f, &(struct http_request){ .url = "http://far.invalid/x" });
    assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
    assert_non_null(strstr(f->result.error, "far.invalid:80"));
    assert_non_null(strstr(f->result.error, "server.proxy"));
    assert_null(strstr(f->result.error, "proxypass"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_refused_connection_says_so),
        T(an_unknown_name_says_to_check_the_dns),
        T(a_close_or_reset_without_an_answer_is_unreachable),
        T(a_hanging_resolver_neither_blocks_the_loop_nor_the_end),
        T(a_cut_or_badly_framed_answer_is_broken),
        T(an_answer_too_many_is_no_answer_to_the_next_request),
        T(what_is_not_http_is_broken),
        T(an_endless_header_is_given_up),
        T(what_comes_after_an_answer_is_not_the_next_answer),
        T(a_body_of_exactly_the_bound_passes),
        T(a_body_past_the_bound_is_given_up_by_length_and_by_count),
        T(every_wait_for_an_answer_ends),
        T(a_call_that_waits_for_a_connection_has_its_deadline_too),
        T(tls_to_a_plain_port_is_a_tls_failure),
        T(unreadable_certificates_stop_the_start),
        T(a_proxy_is_used_and_its_refusal_told),
        T(a_proxy_that_is_not_there_is_named_as_the_cause),
    };

    sem_init(&resolver_entered, 0, 0);
    sem_init(&resolver_gate, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
