#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/http.h"
#include "support/script.h"
#include "upstream/upstream.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/secret.h"

#define KEY              "nairid_0123456789abcdef"
#define DONE             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
/* An answer that ends with the connection. */
#define BODY(head, body) "HTTP/1.1 " head "\r\nConnection: close\r\n\r\n" body

struct fixture {
    struct loop *loop;
    struct http *http;
    struct secret *key;
    struct upstream *u;
    struct loop_timer *guard;
    struct script *script;
    bool again; /* poll once more from within the callback */
    /* of the last answer */
    int answers;
    struct upstream_answer answer;
    char text[512];
    size_t jobs, messages, problems;
    struct task *taken;
};

static void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    fail_msg("no answer in time");
}

static int setup(void **state)
{
    static struct fixture f;
    struct http_options options = { .user_agent = "nairid/test", .proxy = "" };

    alarm(90); /* should the loop itself hang */
    memset(&f, 0, sizeof f);
    if (secret_setup() < 0 || loop_new(&f.loop, NULL) < 0 ||
        http_new(f.loop, &options, &f.http, NULL) < 0 ||
        secret_new(KEY, strlen(KEY), &f.key, NULL) < 0)
        return -1;
    f.guard = loop_timer_new(f.loop, on_guard, &f);
    loop_timer_arm(f.guard, 30 * 1000);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    alarm(0);
    upstream_free(f->u);
    http_free(f->http);
    if (f->script)
        script_stop(f->script);
    loop_timer_free(f->guard);
    loop_free(f->loop);
    secret_free(f->key);
    task_free(f->taken);
    return 0;
}

static void on_answer(const struct upstream_answer *a, void *ctx)
{
    struct fixture *f = ctx;

    f->answers++;
    f->answer = *a;
    f->jobs = f->messages = f->problems = 0;
    (void)snprintf(f->text, sizeof f->text, "%s", a->text);
    assert_null(strstr(a->text, KEY));
    if (a->listing)
        assert_int_equal(a->verdict, UPSTREAM_OK);
    if (a->listing) {
        f->jobs = a->listing->job_count;
        f->problems = a->listing->problem_count;
        for (size_t i = 0; i < f->jobs; i++)
            f->messages += a->listing->jobs[i].message_count;
        if (f->messages > 0 && !f->taken && a->listing->jobs[0].message_count > 0)
            f->taken = listing_take(&a->listing->jobs[0], 0);
    }
    if (f->again) {
        f->again = false;
        upstream_poll(f->u, 0, on_answer, f);
        return;
    }
    loop_stop(f->loop);
}

static void connect_to(struct fixture *f, const char *path)
{
    char url[128];
    struct upstream_options options = {
        .url = url, .agent_id = "team/agent-1", .instance_id = "ccaid_1", .key = f->key
    };
    struct err err = { 0 };

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", script_port(f->script), path);
    if (upstream_new(f->http, &options, &f->u, &err) < 0)
        fail_msg("%s", err.text);
}

#define SERVE(f, path, ...)                                                                        \
    static const struct script_step steps_[] = { __VA_ARGS__ };                                    \
    (f)->script = script_start(steps_, ARRAY_SIZE(steps_));                                        \
    connect_to((f), (path))

static const struct upstream_answer *poll_once(struct fixture *f, uint32_t wait_ms)
{
    upstream_poll(f->u, wait_ms, on_answer, f);
    loop_run(f->loop);
    return &f->answer;
}

static const struct upstream_answer *submit(struct fixture *f, const char *body, uint64_t fence)
{
    upstream_submit(f->u, body, fence, on_answer, f);
    loop_run(f->loop);
    return &f->answer;
}

static const struct upstream_answer *ack(struct fixture *f, const char *id, uint64_t fence)
{
    upstream_ack(f->u, id, fence, on_answer, f);
    loop_run(f->loop);
    return &f->answer;
}

static bool has_line(const char *request, const char *line)
{
    char framed[256];

    (void)snprintf(framed, sizeof framed, "\r\n%s\r\n", line);
    return strstr(request, framed) != NULL;
}

static void a_plain_poll_lists_and_hands_out_messages(void **state)
{
    struct fixture *f = *state;
    const char *request;

    SERVE(
        f, "/",
        SCRIPT_ANSWER(BODY("200 OK\r\nContent-Type: application/json",
                           "{\"jobs\":[{\"id\":\"job_1\",\"fence\":4,\"messages\":[{\"id\":\"m1\","
                           "\"type\":\"user_message_v1\",\"payload\":{\"message\":\"hi\"}}]}]}")));
    poll_once(f, 0);
    assert_int_equal(f->answer.verdict, UPSTREAM_OK);
    assert_int_equal(f->answer.status, 200);
    assert_false(f->answer.waited);
    assert_int_equal(f->answer.clock_skew_ms, 0); /* it sent no date */
    assert_int_equal(f->jobs, 1);
    assert_int_equal(f->messages, 1);
    assert_string_equal(f->taken->prompt, "hi"); /* ours, after the listing is gone */
    assert_int_equal(f->taken->fence, 4);
    request = script_request(f->script, 0);
    assert_ptr_equal(strstr(request, "GET /api/agents/jobs HTTP/1.1\r\n"), request);
    assert_true(has_line(request, "Authorization: Bearer " KEY));
    assert_true(has_line(request, "Accept: application/json"));
    assert_true(has_line(request, "X-AGENT-ID: team/agent-1"));
    assert_true(has_line(request, "X-CCAGENT-ID: ccaid_1"));
    assert_null(strcasestr(request, "prefer:"));
    assert_null(strcasestr(request, "fence"));
}

static void a_long_poll_asks_for_its_wait_and_knows_whether_it_was_given(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", SCRIPT_ANSWER(BODY("200 OK\r\nPreference-Applied: wait=50", "{\"jobs\":[]}")),
          SCRIPT_ANSWER(BODY("200 OK\r\nPreference-Applied: respond-async", "{\"jobs\":[]}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"jobs\":[]}")));
    assert_true(poll_once(f, 50 * 1000)->waited);
    assert_true(has_line(script_request(f->script, 0), "Prefer: wait=50"));
    assert_false(poll_once(f, 999)->waited);
    assert_true(has_line(script_request(f->script, 1), "Prefer: wait=1"));
    assert_false(poll_once(f, 1500)->waited);
    assert_true(has_line(script_request(f->script, 2), "Prefer: wait=1"));
}

static void a_submit_carries_the_envelope_and_the_fence(void **state)
{
    struct fixture *f = *state;
    const char *request;

    SERVE(f, "/socketio/",
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nX-Nairi-Fence: 12\r\n"
                        "Content-Length: 0\r\n\r\n"),
          SCRIPT_ANSWER("HTTP/1.1 204 No Content\r\nX-Nairi-Fence: twelve\r\n\r\n"));
    submit(f, "{\"id\":\"msg_1\"}", 11);
    assert_int_equal(f->answer.verdict, UPSTREAM_OK);
    assert_int_equal(f->answer.fence, 12);
    assert_null(f->answer.listing);
    request = script_request(f->script, 0);
    assert_ptr_equal(strstr(request, "POST /api/agents/messages HTTP/1.1\r\n"), request);
    assert_true(has_line(request, "Authorization: Bearer " KEY));
    assert_true(has_line(request, "Content-Type: application/json"));
    assert_true(has_line(request, "X-Nairi-Fence: 11"));
    assert_true(has_line(request, "X-AGENT-ID: team/agent-1"));
    assert_true(has_line(request, "X-CCAGENT-ID: ccaid_1"));
    assert_string_equal(strstr(request, "\r\n\r\n"), "\r\n\r\n{\"id\":\"msg_1\"}");
    submit(f, "{}", 0);
    assert_int_equal(f->answer.verdict, UPSTREAM_OK);
    assert_int_equal(f->answer.fence, 0);
    assert_null(strcasestr(script_request(f->script, 1), "fence"));
}

static void an_ack_names_the_message_in_its_path_escaped(void **state)
{
    struct fixture *f = *state;
    const char *request;

    SERVE(f, "/prefix/", SCRIPT_ANSWER(DONE), SCRIPT_ANSWER(DONE));
    assert_int_equal(ack(f, "cmsg_01ABC", UINT64_MAX)->verdict, UPSTREAM_OK);
    request = script_request(f->script, 0);
    assert_ptr_equal(
        strstr(request, "POST /prefix/api/agents/messages/cmsg_01ABC/ack HTTP/1.1\r\n"), request);
    assert_true(has_line(request, "X-Nairi-Fence: 18446744073709551615"));
    assert_true(has_line(request, "Content-Length: 0"));
    assert_null(strcasestr(request, "content-type"));
    assert_int_equal(ack(f, "a?b#c%d:e~f", 0)->verdict, UPSTREAM_OK);
    request = script_request(f->script, 1);
    assert_ptr_equal(
        strstr(request, "POST /prefix/api/agents/messages/a%3Fb%23c%25d%3Ae~f/ack HTTP/1.1\r\n"),
        request);
}

static void answers_are_judged(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", SCRIPT_ANSWER(BODY("401 Unauthorized", "{\"error\":\"invalid key " KEY "\"}")),
          SCRIPT_ANSWER(BODY("403 Forbidden\r\nContent-Type: text/html", "<html>no</html>")),
          SCRIPT_ANSWER(BODY("200 OK\r\nContent-Type: text/html", "<html>Sign in</html>")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"jobs\":[{\"id\":\"job_1\"")),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"jobs\":[]}"),
          SCRIPT_ANSWER(BODY("429 Too Many\r\nRetry-After: 17", "{\"error\":\"slow down\"}")),
          SCRIPT_ANSWER(BODY("409 Conflict", "{\"error\":\"stale fence\"}")),
          SCRIPT_ANSWER(BODY("404 Not Found", "{\"error\":\"no such message\"}")));
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_KEY_REFUSED);
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_non_null(strstr(f->text, "log-in page"));
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_non_null(strstr(f->text, "cut short"));
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_BUSY);
    assert_int_equal(f->answer.retry_after_ms, 17000);
    assert_int_equal(submit(f, "{}", 3)->verdict, UPSTREAM_CONFLICT);
    assert_int_equal(ack(f, "m", 3)->verdict, UPSTREAM_REFUSED);
    assert_non_null(strstr(f->text, "no such message"));
}

static void a_server_that_is_not_there_is_down(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", { .action = SCRIPT_ACCEPT });
    script_stop(f->script);
    f->script = NULL;
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_int_equal(f->answer.status, 0);
    assert_non_null(strstr(f->text, "refused the connection"));
    assert_int_equal(submit(f, "{}", 0)->verdict, UPSTREAM_DOWN);
    assert_int_equal(ack(f, "m", 0)->verdict, UPSTREAM_DOWN);
}

static void the_servers_clock_is_compared_with_ours(void **state)
{
    struct fixture *f = *state;
    int64_t year_9999_ms = 253402300799000;

    SERVE(f, "",
          SCRIPT_ANSWER(BODY("200 OK\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT", "{\"jobs\":[]}")));
    poll_once(f, 0);
    assert_in_range(f->answer.clock_skew_ms, year_9999_ms - clock_wall_ms() - 1000,
                    year_9999_ms - clock_wall_ms() + 30000);
}

static void a_message_of_an_unknown_type_is_a_problem_at_every_poll(void **state)
{
#define UNKNOWN                                                                                    \
    "{\"jobs\":[{\"id\":\"j\",\"messages\":[{\"id\":\"m\",\"type\":\"new_v9\",\"payload\":{}}]}]}"
    struct fixture *f = *state;

    SERVE(f, "", SCRIPT_ANSWER(BODY("200 OK", UNKNOWN)), SCRIPT_ANSWER(BODY("200 OK", UNKNOWN)));
    for (int i = 0; i < 2; i++) {
        poll_once(f, 0);
        assert_int_equal(f->answer.verdict, UPSTREAM_OK);
        assert_int_equal(f->problems, 1);
        assert_int_equal(f->jobs, 1);
        assert_int_equal(f->messages, 0);
    }
}

static void a_callback_may_start_the_next_poll(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", SCRIPT_ANSWER(BODY("200 OK", "{\"jobs\":[]}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"jobs\":[]}")));
    f->again = true;
    poll_once(f, 0);
    assert_int_equal(f->answers, 2);
}

/* Some 600 KB, which the loop doesn't parse itself. */
#define EMPTY_JOB                                                                                  \
    {                                                                                              \
        .action = SCRIPT_SEND, .text = "{\"id\":\"job_1\",\"messages\":[]},", .repeat = 20000      \
    }

static void a_long_listing_is_answered_as_a_short_one_is(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ },
          { .action = SCRIPT_SEND,
            .text = BODY("200 OK\r\nPreference-Applied: wait=5", "{\"jobs\":[") },
          EMPTY_JOB,
          { .action = SCRIPT_SEND,
            .text = "{\"id\":\"job_2\",\"messages\":[{\"id\":\"m1\",\"type\":"
                    "\"user_message_v1\",\"payload\":{\"message\":\"hi\"}}]}]}" },
          { .action = SCRIPT_CLOSE }, { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ },
          { .action = SCRIPT_SEND, .text = BODY("200 OK", "{\"jobs\":[") }, EMPTY_JOB,
          { .action = SCRIPT_CLOSE });
    poll_once(f, 5000);
    assert_int_equal(f->answer.verdict, UPSTREAM_OK);
    assert_true(f->answer.waited);
    assert_int_equal(f->jobs, 2);
    assert_int_equal(f->messages, 1);
    poll_once(f, 5000);
    assert_int_equal(f->answer.verdict, UPSTREAM_DOWN);
    assert_non_null(strstr(f->text, "is not a list of jobs"));
    assert_int_equal(f->answers, 2);
}

static void a_cancelled_poll_is_silent_and_another_may_follow(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", SCRIPT_ANSWER(BODY("200 OK", "{\"jobs\":[]}")));
    upstream_poll_cancel(f->u); /* there is none */
    upstream_poll(f->u, 50 * 1000, on_answer, f);
    upstream_poll_cancel(f->u);
    poll_once(f, 0);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->answer.verdict, UPSTREAM_OK);
}

static void what_is_in_flight_ends_with_the_module(void **state)
{
    struct fixture *f = *state;

    SERVE(f, "", { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_HOLD });
    upstream_poll(f->u, 50 * 1000, on_answer, f);
    for (int i = 0; i < 5; i++)
        upstream_submit(f->u, "{}", 0, on_answer, f);
    upstream_ack(f->u, "m", 0, on_answer, f);
    upstream_free(f->u);
    f->u = NULL;
    assert_int_equal(f->answers, 0);
}

static void a_new_key_is_used_at_once(void **state)
{
    struct fixture *f = *state;
    struct secret *other = NULL;

    SERVE(f, "", SCRIPT_ANSWER(DONE));
    assert_int_equal(secret_new("nairid_other", 12, &other, NULL), 0);
    upstream_set_key(f->u, other);
    submit(f, "{}", 0);
    assert_true(has_line(script_request(f->script, 0), "Authorization: Bearer nairid_other"));
    upstream_free(f->u);
    f->u = NULL;
    secret_free(other);
}

static void a_poll_waits_longer_than_other_requests(void **state)
{
    struct fixture *f = *state;
    struct upstream_options options = { .key = f->key, .timeout_ms = 200 };
    char url[64];

    SERVE(f, "", { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ }, { .action = SCRIPT_HOLD },
          { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ },
          { .action = SCRIPT_WAIT, .ms = 400 },
          { .action = SCRIPT_SEND, .text = BODY("200 OK", "{\"jobs\":[]}") });
    upstream_free(f->u);
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/socketio", script_port(f->script));
    options.url = url;
    assert_int_equal(upstream_new(f->http, &options, &f->u, NULL), 0);
    assert_int_equal(poll_once(f, 0)->verdict, UPSTREAM_DOWN);
    assert_non_null(strstr(f->text, "did not answer within 200ms"));
    assert_null(strcasestr(script_request(f->script, 0), "x-agent-id"));
    assert_int_equal(poll_once(f, 1000)->verdict, UPSTREAM_OK);
}

static void bad_options_are_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *url, *agent_id, *says;
    } cases[] = {
        { "api.nairi.ai", NULL, "server.url" },      { "ftp://h", NULL, "server.url" },
        { "https://user:pw@h", NULL, "server.url" }, { "https://h?x=1", NULL, "server.url" },
        { "https://h", "two words", "agent.id" },    { "https://h", "a\r\nX-Evil: 1", "agent.id" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct upstream_options options = { .url = cases[i].url,
                                            .agent_id = cases[i].agent_id,
                                            .key = f->key };
        struct upstream *u = NULL;
        struct err err = { 0 };

        assert_int_equal(upstream_new(f->http, &options, &u, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(u);
    }
}

/* ---- downloads ---- */

struct taker {
    struct fixture *fixture;
    struct upstream_call *call;
    struct loop_timer *later;
    char file[64];
    size_t len;
    bool full;  /* for now: told so once */
    int answer; /* to what comes */
};

static void on_later(struct loop_timer *timer, void *ctx)
{
    const struct taker *taker = ctx;

    (void)timer;
    assert_int_equal(taker->len, 0);
    upstream_resume(taker->call);
}

static bool has_room(size_t len, void *ctx)
{
    struct taker *taker = ctx;
    bool full = taker->full;

    assert_true(len > 0);
    taker->full = false;
    if (full)
        loop_timer_arm(taker->later, 50);
    return !full;
}

static int take(const void *bytes, size_t len, void *ctx)
{
    struct taker *taker = ctx;

    assert_true(taker->len + len < sizeof taker->file);
    memcpy(taker->file + taker->len, bytes, len);
    taker->len += len;
    return taker->answer;
}

static const struct upstream_answer *download(struct fixture *f, const char *id, uint64_t max_bytes,
                                              struct taker *taker)
{
    const struct upstream_sink sink = { has_room, take, taker };

    taker->fixture = f;
    taker->later = loop_timer_new(f->loop, on_later, taker);
    taker->call = upstream_download(f->u, id, max_bytes, 20 * 1000, &sink, on_answer, f);
    loop_run(f->loop);
    loop_timer_free(taker->later);
    return &f->answer;
}

static void a_file_comes_decoded_from_the_configured_server(void **state)
{
    struct fixture *f = *state;
    struct taker taker = { .full = true };
    const char *request;

    SERVE(f, "/socketio/",
          SCRIPT_ANSWER(BODY("200 OK", "{\"id\":\"att?1#%2e\",\"data\":\"Zm9vYmFy\"}")));
    assert_int_equal(download(f, "att?1#%2e", 6, &taker)->verdict, UPSTREAM_OK);
    assert_string_equal(taker.file, "foobar");
    request = script_request(f->script, 0);
    assert_ptr_equal(strstr(request, "GET /api/agents/attachments/att%3F1%23%252e HTTP/1.1\r\n"),
                     request);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer " KEY "\r\n"));
    assert_null(strstr(request, "Fence"));
}

static void what_is_wrong_with_a_file_has_its_verdict(void **state)
{
    struct fixture *f = *state;
    static const enum upstream_verdict want[] = {
        UPSTREAM_REFUSED, UPSTREAM_REFUSED,   UPSTREAM_REFUSED, UPSTREAM_TOO_LARGE,
        UPSTREAM_FAILED,  UPSTREAM_FAILED,    UPSTREAM_FAILED,  UPSTREAM_FAILED,
        UPSTREAM_DOWN,    UPSTREAM_TOO_LARGE,
    };

    SERVE(f, "", SCRIPT_ANSWER(BODY("404 No", "{\"error\":\"no such attachment\"}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"Zm9\"}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"\"}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"Zm9vYmFyMTI=\"}")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"Zm9v")),
          SCRIPT_ANSWER(BODY("200 OK", "<html>")),
          SCRIPT_ANSWER(BODY("200 OK", "{\"id\":\"att_2\",\"data\":\"Zm9v\"}")),
          SCRIPT_ANSWER(BODY("201 Made", "{\"data\":\"Zm9v\"}")),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":\"Zm9v"),
          SCRIPT_ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{\"data\":\"Zm9v"));
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        struct taker taker = { 0 };

        if (download(f, "att_1", 6, &taker)->verdict != want[i])
            fail_msg("answer %zu: verdict %d, '%s'", i, (int)f->answer.verdict, f->text);
        assert_true(f->text[0]);
    }
}

static void who_takes_a_file_may_break_it_off(void **state)
{
    struct fixture *f = *state;
    struct taker taker = { .answer = -ENOSPC };

    SERVE(f, "", SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"Zm9v\"}")));
    assert_int_equal(download(f, "att_1", 6, &taker)->verdict, UPSTREAM_FAILED);
    assert_int_equal(f->answers, 1);
}

static void a_download_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct taker taker = { .fixture = f };
    const struct upstream_sink sink = { has_room, take, &taker };

    SERVE(f, "", { .action = SCRIPT_ACCEPT }, { .action = SCRIPT_READ }, { .action = SCRIPT_HOLD },
          SCRIPT_ANSWER(BODY("200 OK", "{\"data\":\"Zm9v\"}")));
    upstream_cancel(upstream_download(f->u, "att_1", 6, 20 * 1000, &sink, on_answer, f));
    (void)upstream_download(f->u, "att_1", 6, 20 * 1000, &sink, on_answer, f);
    upstream_free(f->u); /* with it, too */
    f->u = NULL;
    assert_int_equal(f->answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_plain_poll_lists_and_hands_out_messages),
        T(a_long_poll_asks_for_its_wait_and_knows_whether_it_was_given),
        T(a_submit_carries_the_envelope_and_the_fence),
        T(an_ack_names_the_message_in_its_path_escaped),
        T(answers_are_judged),
        T(a_server_that_is_not_there_is_down),
        T(the_servers_clock_is_compared_with_ours),
        T(a_message_of_an_unknown_type_is_a_problem_at_every_poll),
        T(a_callback_may_start_the_next_poll),
        T(a_long_listing_is_answered_as_a_short_one_is),
        T(a_cancelled_poll_is_silent_and_another_may_follow),
        T(what_is_in_flight_ends_with_the_module),
        T(a_new_key_is_used_at_once),
        T(a_poll_waits_longer_than_other_requests),
        T(bad_options_are_refused_with_a_sentence),
        T(a_file_comes_decoded_from_the_configured_server),
        T(what_is_wrong_with_a_file_has_its_verdict),
        T(who_takes_a_file_may_break_it_off),
        T(a_download_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
