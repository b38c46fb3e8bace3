/* What Codex prints, recorded from the real program (tests/fixtures/codex; support/stream.h), and
 * what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runner/codex.h"
#include "runner/codex_stream.h"
#include "support/stream.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define ONE "01a201a1-c5a9-7c72-b3d5-880f8b705e54"
#define TWO "01a201a1-c5a9-7c72-b3d5-880f8b705e55"

#define STARTED(id) "{\"type\":\"thread.started\",\"thread_id\":\"" id "\"}\n"
#define SAID(text)                                                                                 \
    "{\"type\":\"item.completed\",\"item\":{\"id\":\"i\",\"type\":\"agent_message\",\"text\":"     \
    "\"" text "\"}}\n"
#define DONE(in, cached, out)                                                                      \
    "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":" in                                 \
    ",\"cached_input_tokens\":" cached ",\"output_tokens\":" out "}}\n"
#define NO_NETWORK                                                                                 \
    "{\"type\":\"error\",\"message\":\"Reconnecting... waiting for network (Connection failed: "   \
    "error sending request)\"}\n"

static const struct stream stream = { .runner = &runner_codex,
                                      .fixtures = NAIRID_SOURCE "/tests/fixtures/codex",
                                      .fixtures_at_least = 33 };

static void run_resumed(struct stream_run *run, const char *session, const char *text)
{
    struct stream resumed = stream;
    const struct settings settings = stream_settings();

    resumed.session = session;
    stream_run_text(&resumed, run, text, &settings);
}

static void a_thread_that_is_not_the_one_asked_for_is_told_in_the_answer(void **state)
{
    CLEANUP(stream_run_done) struct stream_run same, other;

    (void)state;
    run_resumed(&same, ONE, STARTED(ONE) SAID("yes") DONE("1", "0", "1"));
    assert_string_equal(same.result.text, "yes");
    run_resumed(&other, ONE, STARTED(TWO) SAID("who?") DONE("1", "0", "1"));
    assert_true(other.result.ok);
    assert_non_null(strstr(other.result.text, "earlier conversation could not be found"));
    assert_non_null(strstr(other.result.text, "\n\nwho?"));
    assert_non_null(strstr(buf_str(&other.events), "session " TWO "\n"));
}

/* Codex counts from the beginning of the thread on; a message is told what it took itself. */
static void tokens_of_earlier_turns_are_not_counted_again(void **state)
{
    CLEANUP(stream_run_done) struct stream_run first, second, less;

    (void)state;
    run_resumed(&first, NULL, STARTED(ONE) SAID("a") DONE("100", "40", "7"));
    assert_int_equal(first.result.usage.input_tokens, 60);
    assert_int_equal(first.result.usage.cache_read_tokens, 40);
    assert_int_equal(first.result.usage.output_tokens, 7);
    assert_string_equal(buf_str(&first.events),
                        "session " ONE "\ntext text=\"a\"\nsession " ONE "_2s_7_14_0\nfinal\n");
    run_resumed(&second, ONE "_2s_7_14_0", STARTED(ONE) SAID("b") DONE("250", "140", "9"));
    assert_int_equal(second.result.usage.input_tokens, 50);
    assert_int_equal(second.result.usage.cache_read_tokens, 100);
    assert_int_equal(second.result.usage.output_tokens, 2);
    run_resumed(&less, ONE "_2s_7_14_0", STARTED(ONE) SAID("b") DONE("30", "10", "9"));
    assert_int_equal(less.result.usage.input_tokens, 20);
}

static void only_a_uuid_is_a_session_and_the_first_one(void **state)
{
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    run_resumed(&run, NULL,
                STARTED("") STARTED("--last") STARTED("not-a-session")
                    STARTED("01A201A1-C5A9-7C72-B3D5-880F8B705E54") STARTED(ONE) STARTED(TWO));
    assert_string_equal(buf_str(&run.events), "session " ONE "\n");
    assert_false(run.result.ok);
}

/* It would wait for ever. */
static void a_network_that_stays_away_ends_the_turn(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP(stream_run_done) struct stream_run few, many;

    (void)state;
    buf_append_str(&b, STARTED(ONE));
    for (unsigned i = 1; i < CODEX_STREAM_WAITS_MAX; i++)
        buf_append_str(&b, NO_NETWORK);
    buf_append_str(&b, SAID("back") NO_NETWORK);
    run_resumed(&few, NULL, buf_str(&b));
    assert_int_equal(few.finals, 0);
    for (unsigned i = 1; i < CODEX_STREAM_WAITS_MAX; i++)
        buf_append_str(&b, NO_NETWORK);
    run_resumed(&many, NULL, buf_str(&b));
    assert_int_equal(many.finals, 1);
    assert_false(many.result.ok);
    assert_non_null(strstr(many.result.error, "could not reach its model"));
}

static void the_last_message_is_the_answer_and_cut_at_the_limit(void **state)
{
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run, small;

    (void)state;
    stream_run_text(&stream, &run, SAID("first") SAID("") SAID("last") DONE("1", "0", "1"),
                    &settings);
    assert_string_equal(run.result.text, "last");
    settings.task_reply_limit_bytes = 5;
    stream_run_text(&stream, &small, SAID("abcd\\u00e9fgh") DONE("1", "0", "1"), &settings);
    assert_string_equal(small.result.text, "abcd");
    assert_int_equal(small.result.dropped_bytes, 5);
}

static void what_was_said_is_no_answer_without_an_end(void **state)
{
    CLEANUP(stream_run_done) struct stream_run run, junk;

    (void)state;
    run_resumed(&run, NULL, STARTED(ONE) SAID("I am nearly"));
    assert_false(run.result.ok || run.result.final);
    assert_string_equal(run.result.text, "I am nearly");
    run_resumed(&junk, NULL, "\033[31mIllegal\033[0m instruction\n{\"type\":\n[1]\n" SAID("x"));
    assert_string_equal(junk.result.text, "Illegal instruction\n{\"type\":\n[1]\n");
}

static void a_failure_after_the_answer_changes_nothing(void **state)
{
    CLEANUP(stream_run_done) struct stream_run run, text, bare;

    (void)state;
    run_resumed(
        &run, NULL,
        SAID("done")
            DONE("1", "0",
                 "1") "{\"type\":\"turn.failed\",\"error\":{\"message\":\"late\"}}\n" DONE("9", "0",
                                                                                           "9"));
    assert_true(run.result.ok);
    assert_int_equal(run.finals, 1);
    assert_int_equal(run.result.usage.output_tokens, 1);
    run_resumed(&text, NULL, "{\"type\":\"turn.failed\",\"error\":\"in a text\"}\n");
    assert_non_null(strstr(text.result.error, "Codex said: in a text"));
    run_resumed(&bare, NULL, "{\"type\":\"turn.failed\"}\n");
    assert_string_equal(bare.result.error, "Codex could not answer");
}

static void other_items_are_told_too(void **state)
{
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    run_resumed(
        &run, NULL,
        "{\"type\":\"item.updated\",\"item\":{\"id\":\"1\",\"type\":\"todo_list\",\"items\":[{"
        "\"text\":\"a\",\"completed\":true},{\"text\":\"b\",\"completed\":false},7]}}\n"
        "{\"type\":\"item.started\",\"item\":{\"id\":\"2\",\"type\":\"mcp_tool_call\",\"server\":"
        "\"docs\",\"tool\":\"find\",\"status\":\"in_progress\"}}\n"
        "{\"type\":\"item.completed\",\"item\":{\"id\":\"3\",\"type\":\"web_search\",\"query\":"
        "\"how\"}}\n"
        "{\"type\":\"item.completed\",\"item\":{\"id\":\"4\",\"type\":\"collab_tool_call\","
        "\"prompt\":\"go\",\"status\":\"failed\"}}\n"
        "{\"type\":\"item.completed\",\"item\":{\"id\":\"5\",\"type\":\"file_change\",\"changes\":"
        "[{\"path\":\"/a\",\"kind\":\"add\"},{\"path\":7},{\"path\":\"/b\"}]}}\n"
        "{\"type\":\"item.completed\",\"item\":{\"type\":\"new_kind\"}}\n"
        "{\"type\":\"item.completed\",\"item\":7}\n{\"type\":\"item.completed\"}\n");
    assert_string_equal(buf_str(&run.events),
                        "step summary=\"Updated checklist: 1/3 items done\"\n"
                        "tool_use status=\"running\" tool=\"mcp:docs/find\" id=\"2\"\n"
                        "tool_use status=\"completed\" tool=\"web_search\" input=\"how\" id=\"3\"\n"
                        "subagent status=\"error\" summary=\"go\"\n"
                        "tool_use status=\"completed\" tool=\"file_change\" input=\"/a, /b\" "
                        "id=\"5\"\n");
}

int main(void)
{
    struct stream recorded = stream;
    const struct CMUnitTest tests[] = {
        STREAM_TESTS(&recorded),
        cmocka_unit_test(a_thread_that_is_not_the_one_asked_for_is_told_in_the_answer),
        cmocka_unit_test(tokens_of_earlier_turns_are_not_counted_again),
        cmocka_unit_test(only_a_uuid_is_a_session_and_the_first_one),
        cmocka_unit_test(a_network_that_stays_away_ends_the_turn),
        cmocka_unit_test(the_last_message_is_the_answer_and_cut_at_the_limit),
        cmocka_unit_test(what_was_said_is_no_answer_without_an_end),
        cmocka_unit_test(a_failure_after_the_answer_changes_nothing),
        cmocka_unit_test(other_items_are_told_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
