/* The realtime channel's client, answer by answer. A small world keeps the clock and the commands
 * of the last event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/realtime.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define RS     "\x1e"
#define OPENED "0{\"sid\":\"S1\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}"
#define JOINED "40{\"sid\":\"wZX3oN0bSVIhsaknAAAI\"}"
#define GONE   "{\"code\":1,\"message\":\"Session ID unknown\"}"

struct world {
    struct realtime *r;
    struct realtime_now now;
    struct realtime_commands commands; /* of the last event */
};

static void next(struct world *w)
{
    realtime_commands_done(&w->commands);
    w->now.entropy = w->now.entropy * 1664525 + 1013904223;
}

static void opened(struct world *w)
{
    next(w);
    realtime_open(w->r, &w->now, &w->commands);
}

static void closed(struct world *w)
{
    next(w);
    realtime_close(w->r, &w->now, &w->commands);
}

static void said(struct world *w, const char *json)
{
    next(w);
    assert_true(realtime_say(w->r, json, &w->now, &w->commands));
}

static struct realtime_answer answer(int status, const char *body)
{
    return (struct realtime_answer){
        .outcome = HTTP_DONE, .status = status, .body = body, .body_len = strlen(body), .error = ""
    };
}

static void got(struct world *w, int status, const char *body)
{
    const struct realtime_answer a = answer(status, body);

    next(w);
    realtime_got(w->r, &a, &w->now, &w->commands);
}

static void posted(struct world *w, int status, const char *body)
{
    const struct realtime_answer a = answer(status, body);

    next(w);
    realtime_posted(w->r, &a, &w->now, &w->commands);
}

static void broken(struct world *w, bool post)
{
    const struct realtime_answer a = { .outcome = HTTP_UNREACHABLE,
                                       .body = "",
                                       .error = "nobody there" };

    next(w);
    if (post)
        realtime_posted(w->r, &a, &w->now, &w->commands);
    else
        realtime_got(w->r, &a, &w->now, &w->commands);
}

/* To the next deadline, or as far as ms leads. */
static void later(struct world *w, uint64_t ms)
{
    next(w);
    w->now.mono_ms += ms;
    realtime_tick(w->r, &w->now, &w->commands);
}

static uint64_t wait_ms(const struct world *w)
{
    uint64_t at = realtime_deadline(w->r);

    return at == UINT64_MAX ? UINT64_MAX : at - w->now.mono_ms;
}

static const struct realtime_command *find(const struct world *w, enum realtime_command_type type)
{
    for (size_t i = 0; i < w->commands.len; i++)
        if (w->commands.items[i].type == type)
            return &w->commands.items[i];
    return NULL;
}

static size_t count(const struct world *w, enum realtime_command_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < w->commands.len; i++)
        n += w->commands.items[i].type == type;
    return n;
}

static void assert_note(const struct world *w, const char *name)
{
    const struct realtime_command *note = find(w, REALTIME_NOTE);

    if (!name) {
        assert_null(note);
        return;
    }
    assert_non_null(note);
    assert_string_equal(note->name, name);
}

static void assert_post(const struct world *w, const char *text)
{
    const struct realtime_command *post = find(w, REALTIME_POST);

    assert_non_null(post);
    assert_string_equal(post->text, text);
}

static int setup(void **state)
{
    struct world *w = mem_new(struct world);

    w->r = realtime_new();
    w->now.mono_ms = 1000000;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    realtime_commands_done(&w->commands);
    realtime_free(w->r);
    free(w);
    return 0;
}

/* To where it is up, with a GET open and nothing to post. */
static void come_up(struct world *w)
{
    opened(w);
    assert_string_equal(find(w, REALTIME_GET)->sid, "");
    got(w, 200, OPENED);
    assert_string_equal(find(w, REALTIME_GET)->sid, "S1");
    assert_string_equal(find(w, REALTIME_POST)->sid, "S1");
    assert_post(w, "40{}");
    posted(w, 200, "ok");
    assert_int_equal(w->commands.len, 0);
    got(w, 200, JOINED);
    assert_non_null(find(w, REALTIME_UP));
    assert_note(w, "realtime_up");
    assert_non_null(find(w, REALTIME_GET));
    assert_true(realtime_is_up(w->r));
}

/* It is down: both requests are cancelled, and the next attempt waits. */
static void assert_lost(const struct world *w)
{
    assert_non_null(find(w, REALTIME_DOWN));
    assert_null(find(w, REALTIME_GET));
    assert_null(find(w, REALTIME_POST));
    assert_false(realtime_is_up(w->r));
    assert_in_range(wait_ms(w), REALTIME_BASE_MS / 2, REALTIME_CAP_MS);
}

static void it_joins_and_keeps_one_request_open(void **state)
{
    struct world *w = *state;

    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
    come_up(w);
    got(w, 200, "6");
    assert_int_equal(count(w, REALTIME_GET), 1);
    assert_int_equal(w->commands.len, 1);
    assert_in_range(find(w, REALTIME_GET)->timeout_ms, 45001, 120000);
}

static void packets_that_come_with_the_handshake_count(void **state)
{
    struct world *w = *state;

    opened(w);
    got(w, 200, OPENED RS "2" RS JOINED);
    assert_non_null(find(w, REALTIME_UP));
    assert_post(w, "40{}" RS "3");
}

static void a_message_is_handed_over(void **state)
{
    struct world *w = *state;

    come_up(w);
    got(w, 200,
        "42[\"cc_message\",{\"id\":\"m1\"}]" RS "42[\"other\",{\"id\":\"m2\"}]" RS
        "42[\"cc_message\",\"text\"]" RS "42/admin,[\"cc_message\",{}]" RS
        "42[\"cc_message\",{\"id\":\"m3\"}]" RS "42[\"nairi_poll\"]");
    assert_int_equal(count(w, REALTIME_MESSAGE), 2);
    assert_string_equal(w->commands.items[0].text, "{\"id\":\"m1\"}");
    assert_string_equal(w->commands.items[1].text, "{\"id\":\"m3\"}");
    assert_int_equal(count(w, REALTIME_MISSED), 1);
    assert_int_equal(count(w, REALTIME_GET), 1);
}

static void what_comes_before_it_has_joined_is_no_message(void **state)
{
    struct world *w = *state;

    opened(w);
    got(w, 200, OPENED RS "42[\"cc_message\",{\"id\":\"m1\"}]");
    assert_null(find(w, REALTIME_MESSAGE));
}

static void a_ping_is_answered_and_one_post_is_under_way_at_a_time(void **state)
{
    struct world *w = *state;

    come_up(w);
    got(w, 200, "2");
    assert_post(w, "3");
    got(w, 200, "2" RS "4212[\"x\"]");
    assert_null(find(w, REALTIME_POST));
    posted(w, 200, "ok");
    assert_post(w, "3" RS "4312[]");
    posted(w, 200, "ok");
    assert_int_equal(w->commands.len, 0);
}

static void silence_ends_the_session(void **state)
{
    struct world *w = *state;

    come_up(w);
    assert_int_equal(wait_ms(w), 45000);
    later(w, 30000);
    assert_int_equal(w->commands.len, 0);
    got(w, 200, "2");
    posted(w, 200, "ok");
    later(w, 44000);
    assert_int_equal(w->commands.len, 0);
    later(w, 1000);
    assert_lost(w);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_note(w, "realtime_lost");
}

static void the_application_pings_every_two_minutes(void **state)
{
    struct world *w = *state;

    come_up(w);
    for (int i = 0; i < 5; i++) {
        later(w, 20000);
        got(w, 200, "2");
        posted(w, 200, "ok");
    }
    later(w, 20000);
    assert_post(w, "42[\"ping\"]");
}

static void whatever_goes_wrong_it_begins_anew(void **state)
{
    static const char *const ends[] = { "1",    "41",    "41" RS "1",
                                        "",     "hello", "44{\"message\":\"x\"}",
                                        "bAQID" };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        come_up(w);
        got(w, 200, ends[i]);
        assert_lost(w);
        later(w, wait_ms(w));
        got(w, 200, OPENED);
        closed(w);
    }
    for (int i = 0; i < 6; i++) {
        come_up(w);
        if (i == 0)
            got(w, 400, GONE);
        else if (i == 1)
            got(w, 502, "<html>");
        else if (i == 2)
            broken(w, false);
        else
            got(w, 200, "2");
        if (i == 3)
            posted(w, 413, "");
        else if (i == 4)
            posted(w, 400, GONE);
        else if (i == 5)
            broken(w, true);
        assert_lost(w);
        closed(w);
    }
}

static void attempts_go_on_for_ever_with_growing_waits(void **state)
{
    struct world *w = *state;
    uint64_t longest = 0;

    opened(w);
    for (int i = 0; i < 50; i++) {
        assert_non_null(find(w, REALTIME_GET));
        broken(w, false);
        assert_note(w, i == 0 ? "realtime_failed" : NULL); /* told once */
        assert_in_range(wait_ms(w), REALTIME_BASE_MS / 2, REALTIME_CAP_MS);
        longest = wait_ms(w) > longest ? wait_ms(w) : longest;
        later(w, wait_ms(w));
    }
    assert_in_range(longest, REALTIME_CAP_MS / 2, REALTIME_CAP_MS);
    got(w, 200, OPENED);
    got(w, 200, JOINED);
    got(w, 200, "1"); /* in and out at once is no success */
    assert_in_range(wait_ms(w), REALTIME_CAP_MS / 2, REALTIME_CAP_MS);
    later(w, wait_ms(w));
    got(w, 200, OPENED);
    got(w, 200, JOINED);
    later(w, REALTIME_STABLE_MS);
    got(w, 200, "1");
    assert_in_range(wait_ms(w), REALTIME_BASE_MS / 2, REALTIME_BASE_MS);
}

static void a_server_without_it_is_told_of_once_and_asked_again_later(void **state)
{
    static const struct {
        int status;
        const char *body;
    } answers[] = { { 404, "{\"error\":\"not found\"}" },
                    { 404, "" },
                    { 405, "" },
                    { 200, "<html>" },
                    { 200, "" },
                    { 400, "{\"code\":0,\"message\":\"Transport unknown\"}" } };
    struct world *w = *state;

    opened(w);
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        size_t first = find(w, REALTIME_GET)->path;

        got(w, answers[i].status, answers[i].body);
        assert_int_equal(wait_ms(w), 0);
        later(w, 0);
        assert_int_equal(find(w, REALTIME_GET)->path, 1 - first); /* where else it may be */
        got(w, answers[i].status, answers[i].body);
        assert_note(w, i == 0 ? "realtime_absent" : NULL);
        assert_in_range(wait_ms(w), REALTIME_ABSENT_MS, REALTIME_ABSENT_MS + REALTIME_CAP_MS);
        later(w, wait_ms(w));
    }
    got(w, 200, OPENED); /* since an upgrade of the server it has one */
    got(w, 200, JOINED);
    assert_non_null(find(w, REALTIME_UP));
}

static void the_other_path_is_used_where_it_is_there(void **state)
{
    struct world *w = *state;

    opened(w);
    assert_int_equal(find(w, REALTIME_GET)->path, 0);
    got(w, 404, "");
    assert_note(w, NULL);
    later(w, 0);
    got(w, 200, OPENED);
    assert_int_equal(find(w, REALTIME_POST)->path, 1);
    assert_int_equal(find(w, REALTIME_GET)->path, 1);
}

static void a_refusal_to_join_is_told_in_the_servers_words(void **state)
{
    struct world *w = *state;

    opened(w);
    got(w, 200, OPENED);
    got(w, 200, "44{\"message\":\"Not authorized\",\"data\":{}}");
    assert_note(w, "realtime_failed");
    assert_non_null(strstr(find(w, REALTIME_NOTE)->text, "Not authorized"));
    assert_null(find(w, REALTIME_DOWN)); /* it never was up */
}

static void joining_has_a_deadline(void **state)
{
    struct world *w = *state;

    opened(w);
    assert_int_equal(wait_ms(w), REALTIME_CONNECT_MS);
    later(w, REALTIME_CONNECT_MS);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_note(w, "realtime_failed");
    later(w, wait_ms(w));
    got(w, 200, OPENED);
    later(w, REALTIME_CONNECT_MS);
    assert_non_null(find(w, REALTIME_CANCEL));
}

static void what_cannot_be_read_makes_a_poll_come_and_ends_nothing(void **state)
{
    struct world *w = *state;

    come_up(w);
    got(w, 200,
        "42[\"cc_message\",{\"id\":\"m1\\u0000\"}]" RS "451-[\"x\"]" RS
        "42[\"cc_message\",{\"id\":\"m2\"}]");
    assert_int_equal(count(w, REALTIME_MISSED), 2);
    assert_int_equal(count(w, REALTIME_NOTE), 1);
    assert_int_equal(count(w, REALTIME_MESSAGE), 1);
    assert_true(realtime_is_up(w->r));
}

static void a_server_that_answers_at_once_with_nothing_is_left(void **state)
{
    struct world *w = *state;

    come_up(w);
    for (int i = 0; i < REALTIME_EMPTY_MAX; i++)
        got(w, 200, "6");
    assert_true(realtime_is_up(w->r));
    got(w, 200, "6");
    assert_lost(w);
}

static void posts_stay_below_the_servers_limit(void **state)
{
    struct world *w = *state;

    opened(w);
    got(w, 200, "0{\"sid\":\"S1\",\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":12}");
    got(w, 200, JOINED);
    got(w, 200, "4212[\"x\"]" RS "2"); /* the join is still on its way */
    assert_true(realtime_is_up(w->r));
    got(w, 200, "4212[\"x\"]"); /* that much doesn't fit any more */
    assert_lost(w);
}

static void it_says_goodbye(void **state)
{
    struct world *w = *state;

    come_up(w);
    closed(w);
    assert_non_null(find(w, REALTIME_DOWN));
    assert_post(w, "41" RS "1");
    assert_int_equal(wait_ms(w), REALTIME_GOODBYE_MS);
    got(w, 200, "6");
    assert_null(find(w, REALTIME_GET));
    posted(w, 200, "ok");
    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
    come_up(w);
    closed(w);
    later(w, REALTIME_GOODBYE_MS);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
    opened(w); /* and is closed before it has joined */
    closed(w);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_null(find(w, REALTIME_POST));
}

static void a_goodbye_follows_the_post_that_is_under_way(void **state)
{
    struct world *w = *state;

    come_up(w);
    said(w, "{\"id\":\"m\"}");
    assert_non_null(find(w, REALTIME_POST));
    closed(w);
    assert_non_null(find(w, REALTIME_DOWN));
    assert_null(find(w, REALTIME_POST));
    assert_null(find(w, REALTIME_CANCEL));
    posted(w, 200, "ok");
    assert_post(w, "41" RS "1");
    posted(w, 200, "ok");
    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
    come_up(w);
    said(w, "{\"id\":\"m\"}");
    closed(w);
    posted(w, 500, "no");
    assert_null(find(w, REALTIME_POST));
    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
    come_up(w);
    said(w, "{\"id\":\"m\"}");
    closed(w);
    later(w, REALTIME_GOODBYE_MS);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_int_equal(realtime_deadline(w->r), UINT64_MAX);
}

static void opened_again_while_it_says_goodbye_it_comes_back(void **state)
{
    struct world *w = *state;

    come_up(w);
    closed(w);
    opened(w);
    assert_non_null(find(w, REALTIME_CANCEL));
    assert_string_equal(find(w, REALTIME_GET)->sid, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_joins_and_keeps_one_request_open),
        TEST(packets_that_come_with_the_handshake_count),
        TEST(a_message_is_handed_over),
        TEST(what_comes_before_it_has_joined_is_no_message),
        TEST(a_ping_is_answered_and_one_post_is_under_way_at_a_time),
        TEST(silence_ends_the_session),
        TEST(the_application_pings_every_two_minutes),
        TEST(whatever_goes_wrong_it_begins_anew),
        TEST(attempts_go_on_for_ever_with_growing_waits),
        TEST(a_server_without_it_is_told_of_once_and_asked_again_later),
        TEST(the_other_path_is_used_where_it_is_there),
        TEST(a_refusal_to_join_is_told_in_the_servers_words),
        TEST(joining_has_a_deadline),
        TEST(what_cannot_be_read_makes_a_poll_come_and_ends_nothing),
        TEST(a_server_that_answers_at_once_with_nothing_is_left),
        TEST(posts_stay_below_the_servers_limit),
        TEST(it_says_goodbye),
        TEST(a_goodbye_follows_the_post_that_is_under_way),
        TEST(opened_again_while_it_says_goodbye_it_comes_back),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
