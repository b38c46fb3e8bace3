/* What OpenCode prints, recorded from the real program (tests/fixtures/opencode;
 * support/stream.h), and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runner/opencode.h"
#include "support/stream.h"
#include "util/buf.h"
#include "util/cleanup.h"

static const struct stream stream = { .runner = &runner_opencode,
                                      .fixtures = NAIRID_SOURCE "/tests/fixtures/opencode",
                                      .fixtures_at_least = 33 };

/* ---- what no recording shows ---- */

#define STEP         "{\"type\":\"step_start\",\"sessionID\":\"ses_1\"}\n"
#define TEXT(said)   "{\"type\":\"text\",\"part\":{\"text\":\"" said "\"}}\n"
#define END(reason)  "{\"type\":\"step_finish\",\"part\":{\"reason\":\"" reason "\"}}\n"
#define ERROR(inner) "{\"type\":\"error\",\"error\":{" inner "}}\n"
#define TOOL(name, error)                                                                          \
    "{\"type\":\"tool_use\",\"part\":{\"tool\":\"" name                                            \
    "\",\"state\":{\"status\":\"error\",\"error\":\"" error "\"}}}\n"
#define RULE "The user has specified a rule which prevents you from using this specific tool call."

static void the_answer_is_what_the_last_step_said(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(&stream, &run,
                    STEP TEXT("I look") END("tool-calls") STEP TEXT("It is") TEXT("fine.")
                        END("stop"),
                    &settings);
    assert_true(run.result.ok && run.result.final);
    assert_string_equal(run.result.text, "It is\n\nfine.");
    assert_int_equal(run.finals, 1);
}

/* Where what was said doesn't fit any more it shortens the conversation and goes on; the error
 * stands if nothing comes of that. */
static void too_long_a_conversation_may_still_be_answered(void **state)
{
    static const char error[] =
        ERROR("\"name\":\"ContextOverflowError\",\"data\":{\"message\":\"prompt is too long\"}");
    const struct settings settings = stream_settings();
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(stream_run_done) struct stream_run alone, answered;

    (void)state;
    stream_run_text(&stream, &alone, error, &settings);
    assert_false(alone.result.ok || alone.result.final);
    assert_non_null(strstr(alone.result.error, "longer than the model can read"));
    buf_printf(&text, "%s%s", error, STEP TEXT("short") END("stop"));
    stream_run_text(&stream, &answered, buf_str(&text), &settings);
    assert_true(answered.result.ok);
    assert_null(answered.result.error);
    assert_string_equal(answered.result.text, "short");
}

static void a_failure_after_the_answer_changes_nothing(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(&stream, &run,
                    STEP TEXT("done") END("stop") ERROR("\"name\":\"MessageAbortedError\""),
                    &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "done");
    assert_int_equal(run.finals, 1);
}

static void each_failure_has_its_words(void **state)
{
    static const struct {
        const char *line, *words;
    } cases[] = {
        { ERROR("\"name\":\"ProviderAuthError\",\"data\":{\"message\":\"no\"}"),
          "refused the key; the operator of the machine can put a valid one" },
        { ERROR("\"name\":\"APIError\",\"data\":{\"message\":\"x\",\"statusCode\":403}"),
          "doesn't let this key use the model" },
        { ERROR("\"name\":\"APIError\",\"data\":{\"message\":\"x\",\"statusCode\":404}"),
          "name another one in runner.model" },
        { ERROR("\"name\":\"APIError\",\"data\":{\"message\":\"nairid: the broker can't reach "
                "it\",\"statusCode\":502}"),
          "could not reach its model" },
        { ERROR("\"name\":\"MessageOutputLengthError\",\"data\":{}"), "longer than the model may" },
        { ERROR("\"name\":7"), "OpenCode could not answer" },
        { "{\"type\":\"error\"}\n", "OpenCode could not answer" },
        { STEP TEXT("half") END("length"), "longer than the model may write at once" },
        { STEP TEXT("half") END("tool-calls"), "say \"continue\"" },
        { STEP TEXT("half"), "say \"continue\"" },
        { STEP TOOL("bash", "The user rejected permission to use it") END("tool-calls"),
          "not allowed to use the tool bash; the operator of the machine can set "
          "runner.permissions to bypass" },
    };
    const struct settings settings = stream_settings();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(stream_run_done) struct stream_run run;

        stream_run_text(&stream, &run, cases[i].line, &settings);
        assert_false(run.result.ok);
        assert_non_null(run.result.error);
        if (!strstr(run.result.error, cases[i].words))
            fail_msg("'%s' doesn't say '%s'", run.result.error, cases[i].words);
    }
}

static void an_answer_past_the_limit_is_cut_on_a_character(void **state)
{
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    settings.task_reply_limit_bytes = 5;
    stream_run_text(&stream, &run, STEP TEXT("abcd\\u00e9fgh") TEXT("more") END("stop"), &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "abcd");
    assert_int_equal(run.result.dropped_bytes, 5 + 4);
}

static void what_was_denied_is_noted_in_the_answer(void **state)
{
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    settings.runner_permissions = SETTINGS_EDITS;
    stream_run_text(&stream, &run,
                    STEP TOOL("bash", RULE) TOOL("bash", RULE) TOOL("webfetch", RULE)
                        TOOL("edit", "no such file") TEXT("no") END("stop"),
                    &settings);
    assert_string_equal(run.result.text, "no\n\n[OpenCode was not allowed to do all that it wanted "
                                         "(bash, webfetch); runner.permissions is edits]");
}

static void tokens_and_costs_of_all_steps_are_added_up(void **state)
{
    static char model[] = "openrouter/deepseek/deepseek-chat";
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    settings.runner_model = model;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"step_finish\",\"part\":{\"reason\":\"tool-calls\",\"cost\":0.25,"
        "\"tokens\":{\"input\":1,\"output\":2,\"reasoning\":3,\"cache\":{\"read\":4,"
        "\"write\":5}}}}\n"
        "{\"type\":\"step_finish\",\"part\":{\"reason\":\"stop\",\"cost\":0.5,"
        "\"tokens\":{\"input\":10,\"output\":20,\"reasoning\":30,\"cache\":{\"read\":40,"
        "\"write\":50}}}}\n",
        &settings);
    assert_true(run.result.has_usage);
    assert_int_equal(run.result.usage.input_tokens, 11);
    assert_int_equal(run.result.usage.output_tokens, 55);
    assert_int_equal(run.result.usage.cache_read_tokens, 44);
    assert_int_equal(run.result.usage.cache_write_tokens, 55);
    assert_int_equal(run.result.usage.cost_nano_usd, 750000000);
    assert_string_equal(run.result.usage.model, "deepseek/deepseek-chat");
}

static void numbers_that_make_no_sense_are_not_believed(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(&stream, &run,
                    "{\"type\":\"step_finish\",\"part\":{\"reason\":\"stop\",\"cost\":-1e300,"
                    "\"tokens\":{\"input\":-5,\"output\":1.5,\"cache\":7}}}\n",
                    &settings);
    assert_true(run.result.ok);
    assert_false(run.result.has_usage);
}

int main(void)
{
    struct stream recorded = stream;
    const struct CMUnitTest tests[] = {
        STREAM_TESTS(&recorded),
        cmocka_unit_test(the_answer_is_what_the_last_step_said),
        cmocka_unit_test(too_long_a_conversation_may_still_be_answered),
        cmocka_unit_test(a_failure_after_the_answer_changes_nothing),
        cmocka_unit_test(each_failure_has_its_words),
        cmocka_unit_test(an_answer_past_the_limit_is_cut_on_a_character),
        cmocka_unit_test(what_was_denied_is_noted_in_the_answer),
        cmocka_unit_test(tokens_and_costs_of_all_steps_are_added_up),
        cmocka_unit_test(numbers_that_make_no_sense_are_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
