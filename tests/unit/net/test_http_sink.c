#include "unit/net/http_fixture.h"

/* What takes the body here. */
struct sink {
    struct fixture *fixture;
    struct http_call *call;
    struct loop_timer *later;
    struct buf body;
    size_t pieces;
    size_t pause_at;   /* the piece before which it pauses once, 0: none */
    size_t stop_at;    /* the piece that it refuses, 0: none */
    uint32_t pause_ms; /* 0: 100 */
    bool paused;
};

static void on_later(struct loop_timer *timer, void *ctx)
{
    struct sink *sink = ctx;

    (void)timer;
    assert_true(sink->paused);
    assert_false(sink->fixture->result.called);
    sink->paused = false;
    http_resume(sink->call);
}

static int take(const char *bytes, size_t len, void *ctx)
{
    struct sink *sink = ctx;

    assert_false(sink->paused); /* nothing comes meanwhile */
    if (sink->pause_at == sink->pieces + 1) {
        sink->pause_at = 0;
        sink->paused = true;
        loop_timer_arm(sink->later, sink->pause_ms ? sink->pause_ms : 100);
        return -EAGAIN;
    }
    if (++sink->pieces == sink->stop_at)
        return -ENOSPC;
    buf_append(&sink->body, bytes, len);
    return 0;
}

static const struct result *sink_answer(struct fixture *f, struct sink *sink,
                                        const struct http_request *changes)
{
    struct http_request request = *changes;

    sink->fixture = f;
    sink->later = loop_timer_new(f->loop, on_later, sink);
    request.sink = take;
    request.sink_ctx = sink;
    if (request.max_response_bytes == 0)
        request.max_response_bytes = 10 * 1000 * 1000;
    sink->call = start(f, &request);
    loop_run(f->loop);
    loop_timer_free(sink->later);
    assert_true(f->result.called);
    assert_int_equal(f->result.body_len, 0);
    return &f->result;
}

#define HEAD_200 "HTTP/1.1 200 OK\r\nX-Test: yes\r\n"

static void a_body_goes_to_the_sink_and_not_to_memory(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { 0 };

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3000000\r\n\r\n"),
          { .action = SCRIPT_SEND, .text = "0123456789", .repeat = 300 * 1000 }, STEP(CLOSE));
    sink_answer(f, &sink, &(struct http_request){ 0 });
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_int_equal(f->result.status, 200);
    assert_string_equal(f->result.header, "yes");
    assert_int_equal(sink.body.len, 3000000);
    for (size_t i = 0; i < sink.body.len; i++)
        assert_int_equal(sink.body.data[i], '0' + (int)(i % 10));
    assert_true(sink.pieces > 10);
    buf_done(&sink.body);
}

static void an_answer_with_another_status_goes_to_memory(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .stop_at = 1 };
    struct http_request request = { .sink = take, .sink_ctx = &sink };

    SERVE(f, SCRIPT_ANSWER("HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}"),
          SCRIPT_ANSWER("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"));
    ask(f, &request);
    assert_int_equal(f->result.status, 404);
    assert_string_equal(f->result.body, "{\"error\":\"x\"}");
    ask(f, &request);
    assert_int_equal(f->result.status, 201);
    assert_string_equal(f->result.body, "{}");
    assert_int_equal(sink.pieces, 0);
}

static void an_error_page_is_kept_to_a_bound(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { 0 };

    SERVE(f, STEP(ACCEPT), STEP(READ),
          SEND_TEXT("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n"),
          { .action = SCRIPT_SEND, .text = "0123456789abcdef", .repeat = 8192 }, STEP(HOLD));
    sink_answer(f, &sink, &(struct http_request){ 0 });
    assert_int_equal(f->result.outcome, HTTP_TOO_LARGE);
    buf_done(&sink.body);
}

static void a_paused_body_comes_whole_and_in_order(void **state)
{
    for (size_t at = 1; at <= 3; at++) {
        struct fixture *f = *state;
        struct sink sink = { .pause_at = at };

        SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3000000\r\n\r\n"),
              { .action = SCRIPT_SEND, .text = "0123456789", .repeat = 300 * 1000 }, STEP(CLOSE));
        sink_answer(f, &sink, &(struct http_request){ 0 });
        assert_int_equal(f->result.outcome, HTTP_DONE);
        assert_int_equal(sink.body.len, 3000000);
        for (size_t i = 0; i < sink.body.len; i++)
            assert_int_equal(sink.body.data[i], '0' + (int)(i % 10));
        buf_done(&sink.body);
        script_stop(f->script);
        f->script = NULL;
    }
}

static void a_pause_is_no_silence_of_the_servers(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .pause_at = 1, .pause_ms = 2500 };

    SERVE(f, SCRIPT_ANSWER(HEAD_200 "Content-Length: 5\r\n\r\nwhole"));
    sink_answer(f, &sink, &(struct http_request){ .stall_ms = 2000 });
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_string_equal(buf_str(&sink.body), "whole");
    buf_done(&sink.body);
}

static void the_last_piece_can_be_paused_too(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .pause_at = 1 };

    SERVE(f, SCRIPT_ANSWER(HEAD_200 "Content-Length: 5\r\n\r\nwhole"));
    sink_answer(f, &sink, &(struct http_request){ 0 });
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_string_equal(buf_str(&sink.body), "whole");
    buf_done(&sink.body);
}

static void a_sink_that_wants_no_more_ends_the_call(void **state)
{
    for (size_t pause_at = 0; pause_at <= 1; pause_at++) { /* at once, and after a pause */
        struct fixture *f = *state;
        struct sink sink = { .pause_at = pause_at, .stop_at = 1 };

        SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3000\r\n\r\nabc"),
              STEP(HOLD));
        sink_answer(f, &sink, &(struct http_request){ 0 });
        assert_int_equal(f->result.outcome, HTTP_STOPPED);
        assert_non_null(strstr(f->result.error, "127.0.0.1:"));
        assert_int_equal(sink.pieces, 1);
        buf_done(&sink.body);
        script_stop(f->script);
        f->script = NULL;
    }
}

static void a_body_past_the_bound_ends_the_call(void **state)
{
    struct fixture *f = *state;
    struct sink told = { 0 }, untold = { 0 };

    SERVE(f, SCRIPT_ANSWER(HEAD_200 "Content-Length: 11\r\n\r\n01234567890"), STEP(ACCEPT),
          STEP(READ), SEND_TEXT(HEAD_200 "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n"),
          SEND_TEXT("5\r\n67890\r\n"), STEP(HOLD));
    sink_answer(f, &told, &(struct http_request){ .max_response_bytes = 10 });
    assert_int_equal(f->result.outcome, HTTP_TOO_LARGE);
    assert_int_equal(told.body.len, 0);
    sink_answer(f, &untold, &(struct http_request){ .max_response_bytes = 10 });
    assert_int_equal(f->result.outcome, HTTP_TOO_LARGE);
    assert_true(untold.body.len <= 10);
    buf_done(&told.body);
    buf_done(&untold.body);
}

static void a_silent_server_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct sink begun = { 0 }, mute = { 0 };

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3000\r\n\r\nabc"),
          STEP(HOLD), STEP(ACCEPT), STEP(READ), STEP(HOLD));
    sink_answer(f, &begun, &(struct http_request){ .stall_ms = 2000 });
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(f->result.error, "nothing came for 2s"));
    assert_string_equal(buf_str(&begun.body), "abc");
    sink_answer(f, &mute, &(struct http_request){ .stall_ms = 1000 });
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(f->result.error, "did not answer within 1s"));
    buf_done(&begun.body);
}

static void a_slow_body_that_goes_on_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { 0 };

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3\r\n\r\na"),
          { .action = SCRIPT_WAIT, .ms = 600 }, SEND_TEXT("b"),
          { .action = SCRIPT_WAIT, .ms = 600 }, SEND_TEXT("c"), STEP(CLOSE));
    sink_answer(f, &sink, &(struct http_request){ .stall_ms = 5000 });
    assert_int_equal(f->result.outcome, HTTP_DONE);
    assert_string_equal(buf_str(&sink.body), "abc");
    buf_done(&sink.body);
}

static void a_body_that_is_cut_short_is_told_from_a_whole_one(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { 0 };

    SERVE(f, SCRIPT_ANSWER(HEAD_200 "Content-Length: 30\r\n\r\nabc"));
    sink_answer(f, &sink, &(struct http_request){ 0 });
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_non_null(strstr(f->result.error, "cut short"));
    buf_done(&sink.body);
}

static void on_cancel(struct loop_timer *timer, void *ctx)
{
    struct sink *sink = ctx;

    (void)timer;
    assert_true(sink->paused);
    http_cancel(sink->call);
    loop_stop(sink->fixture->loop);
}

static void a_paused_call_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .fixture = f, .pause_at = 1 };

    SERVE(f, STEP(ACCEPT), STEP(READ), SEND_TEXT(HEAD_200 "Content-Length: 3000\r\n\r\nabc"),
          STEP(HOLD));
    sink.later = loop_timer_new(f->loop, on_cancel, &sink);
    sink.call = start(
        f, &(struct http_request){ .sink = take, .sink_ctx = &sink, .max_response_bytes = 3000 });
    loop_run(f->loop);
    loop_timer_free(sink.later);
    assert_false(f->result.called);
    assert_true(script_wait(f->script, 5000)); /* the connection is closed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_goes_to_the_sink_and_not_to_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_with_another_status_goes_to_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_page_is_kept_to_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_body_comes_whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pause_is_no_silence_of_the_servers, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_piece_can_be_paused_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_that_wants_no_more_ends_the_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_past_the_bound_ends_the_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_body_that_goes_on_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_is_cut_short_is_told_from_a_whole_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_paused_call_can_be_cancelled, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
