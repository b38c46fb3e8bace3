#include "unit/net/http_fixture.h"

/* ---- answers ---- */

static void an_answer_arrives_whole(void **state)
{
    struct fixture *f = *state;
    const char *request;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Content-Type: application/json\r\nX-Test: yes\r\n"
                           "Content-Length: 8\r\n\r\n{\"a\": 1}"));
    get(f);
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_int_equal(f->result.status, 200);
    assert_string_equal(f->result.type, "application/json");
    assert_string_equal(f->result.body, "{\"a\": 1}");
    assert_int_equal(f->result.body_len, 8);
    assert_string_equal(f->result.header, "yes");
    assert_int_equal(f->result.date_ms, 784111777000);
    assert_int_equal(f->result.retry_after_ms, 0);
    request = script_request(f->script, 0);
    assert_ptr_equal(strstr(request, "GET /path?q=1 HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer " KEY "\r\n"));
    assert_non_null(strstr(request, "\r\nUser-Agent: nairid/test\r\n"));
    assert_null(strcasestr(request, "accept-encoding"));
    assert_null(strcasestr(request, "content-type"));
}

static void a_body_is_sent_with_its_type_and_without_a_round_trip(void **state)
{
    static const char *const json[] = { "Content-Type: application/json", NULL };
    struct fixture *f = *state;
    size_t len = 3 * 1000 * 1000; /* curl would ask for "100 Continue" first */
    AUTO_FREE char *body = mem_alloc(len);
    const char *request;

    memset(body, 'x', len);
    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"));
    ask(f,
        &(struct http_request){ .method = "POST", .headers = json, .body = body, .body_len = len });
    assert_int_equal(f->result.status, 201);
    assert_int_equal(f->result.body_len, 0);
    request = script_request(f->script, 0);
    assert_ptr_equal(strstr(request, "POST /path?q=1 HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Length: 3000000\r\n"));
    assert_null(strcasestr(request, "expect"));
    assert_int_equal(strlen(strstr(request, "\r\n\r\n")), 4 + len);
}

static void a_post_without_body_and_other_methods_are_sent_as_such(void **state)
{
    struct fixture *f = *state;
    const char *request;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 204 No Content\r\n\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    ask(f, &(struct http_request){ .method = "POST" });
    assert_int_equal(f->result.status, 204);
    request = script_request(f->script, 0);
    assert_non_null(strstr(request, "\r\nContent-Length: 0\r\n"));
    assert_null(strcasestr(request, "content-type"));
    ask(f, &(struct http_request){ .method = "PATCH", .body = "{}", .body_len = 2 });
    request = script_request(f->script, 1);
    assert_ptr_equal(strstr(request, "PATCH /path"), request);
    assert_string_equal(strstr(request, "\r\n\r\n"), "\r\n\r\n{}");
}

static void interim_answers_and_chunks_are_understood(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 100 Continue\r\nX-Test: interim\r\n\r\n"
                           "HTTP/1.1 103 Early Hints\r\n\r\n"
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"));
    get(f);
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_int_equal(f->result.status, 200);
    assert_string_equal(f->result.body, "abcde");
    assert_string_equal(f->result.header, "(none)");
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
                           "Content-Length: 0\r\n\r\n"));
    get(f);
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_int_equal(f->result.status, 302);
    assert_true(script_wait(f->script, 5000));
    assert_int_equal(script_requests(f->script), 1);
}

static void retry_after_is_told_by_the_servers_own_clock(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 429 Slow\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                        "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"
                        "Content-Length: 0\r\n\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 429 Slow\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"
                        "Content-Length: 0\r\n\r\n"));
    assert_int_equal(get(f)->retry_after_ms, 7000);
    assert_int_equal(get(f)->retry_after_ms, 30000);
    assert_int_equal(get(f)->retry_after_ms, 0); /* by our clock that is long past */
}

/* ---- what can't be tried ---- */

static void a_bad_request_ends_by_the_callback(void **state)
{
    static const char *const urls[] = { "",
                                        "::::",
                                        "http://",
                                        "ftp://127.0.0.1/x",
                                        "file:///etc/passwd",
                                        "http://user:" KEY "@127.0.0.1/",
                                        "http://127.0.0.1:99999/",
                                        "http://127.0.0.1/a\r\nX-Evil: 1" };
    static const char *const split[] = { "Authorization: " KEY "\r\nX-Evil: 1", NULL };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        ask(f, &(struct http_request){ .url = urls[i] });
        assert_int_equal(f->result.outcome, HTTP_BROKEN);
        assert_non_null(strstr(f->result.error, "server.url"));
    }
    ask(f, &(struct http_request){ .url = "http://127.0.0.1:1/", .headers = split });
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_non_null(strstr(f->result.error, "control character"));
}

static void a_call_that_cannot_be_tried_can_be_cancelled(void **state)
{
    struct fixture *f = *state;

    http_cancel(start(f, &(struct http_request){ .url = "nonsense:" }));
    (void)start(f, &(struct http_request){ .url = "nonsense:" });
    http_free(f->http); /* the second one too */
    f->http = NULL;
    assert_false(f->result.called);
}

/* ---- calls among each other ---- */

static void on_other_done(const struct http_response *r, void *ctx)
{
    struct fixture *f = ctx;

    copy_result(r, &f->other);
    if (f->victim)
        http_cancel(f->victim);
    f->victim = NULL;
    if (f->next_url)
        (void)http_start(f->http,
                         &(struct http_request){ .method = "GET",
                                                 .url = f->next_url,
                                                 .timeout_ms = 20000,
                                                 .max_response_bytes = 100 },
                         on_done, f);
    else
        loop_stop(f->loop);
}

static void a_callback_may_cancel_another_call_and_start_one(void **state)
{
    struct fixture *f = *state;
    char url[128];

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"));
    f->next_url = url_of(f, url);
    (void)http_start(
        f->http,
        &(struct http_request){
            .method = "GET", .url = url, .timeout_ms = 20000, .max_response_bytes = 100 },
        on_other_done, f);
    f->victim = start(f, &(struct http_request){ .url = "http://hangs.invalid/" });
    loop_run(f->loop);
    assert_string_equal(f->other.body, "one");
    assert_string_equal(f->result.body, "two");
    sem_wait(&resolver_entered);
    sem_post(&resolver_gate);
}

static void a_cancelled_call_is_not_called_back(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), STEP(HOLD),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"));
    http_cancel(NULL);
    http_cancel(start(f, &(struct http_request){ 0 })); /* not even connected: gone at once */
    f->victim = start(f, &(struct http_request){ 0 });
    loop_timer_arm(f->guard, 20 * 1000);
    (void)http_start(f->http,
                     &(struct http_request){ .method = "GET",
                                             .url = "http://unknown.invalid/",
                                             .timeout_ms = 20000,
                                             .max_response_bytes = 100 },
                     on_other_done, f);
    loop_run(f->loop); /* the other one's callback cancels it */
    assert_true(f->other.called);
    assert_false(f->result.called);
}

static void one_connection_serves_several_requests(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
          STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"), STEP(READ),
          SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"), STEP(HOLD));
    assert_string_equal(get(f)->body, "1");
    assert_string_equal(get(f)->body, "2");
    assert_string_equal(get(f)->body, "3");
}

static void a_request_that_waits_does_not_wake_the_loop(void **state)
{
    struct fixture *f = *state;
    uint64_t turns;

    SERVE(f, STEP(ACCEPT), STEP(READ), { .action = SCRIPT_WAIT, .ms = 1500 },
          SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"));
    turns = loop_turns(f->loop);
    assert_string_equal(get(f)->body, "1");
    turns = loop_turns(f->loop) - turns;
    if (turns > 20)
        fail_msg("%u turns for one request", (unsigned)turns);
}

static void after_a_failure_no_older_connection_is_used(void **state)
{
    struct fixture *f = *state;

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
          STEP(PARK), SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"));
    assert_string_equal(get(f)->body, "1");
    ask(f, &(struct http_request){ .url = "http://unknown.invalid/" });
    assert_int_equal(f->result.outcome, HTTP_UNREACHABLE);
    assert_string_equal(get(f)->body, "2"); /* on the first connection it would never come */
}

static void a_stale_connection_costs_no_request(void **state)
{
    struct fixture *f = *state;

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"));
    assert_string_equal(get(f)->body, "1"); /* kept alive for us, closed for the server */
    assert_string_equal(get(f)->body, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(an_answer_arrives_whole),
        T(a_body_is_sent_with_its_type_and_without_a_round_trip),
        T(a_post_without_body_and_other_methods_are_sent_as_such),
        T(interim_answers_and_chunks_are_understood),
        T(a_redirect_is_an_answer_and_not_followed),
        T(retry_after_is_told_by_the_servers_own_clock),
        T(a_bad_request_ends_by_the_callback),
        T(a_call_that_cannot_be_tried_can_be_cancelled),
        T(a_callback_may_cancel_another_call_and_start_one),
        T(a_cancelled_call_is_not_called_back),
        T(one_connection_serves_several_requests),
        T(a_request_that_waits_does_not_wake_the_loop),
        T(after_a_failure_no_older_connection_is_used),
        T(a_stale_connection_costs_no_request),
    };

    sem_init(&resolver_entered, 0, 0);
    sem_init(&resolver_gate, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
