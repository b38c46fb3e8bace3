/* What Claude Code prints, recorded from the real program (tests/fixtures/claude;
 * support/stream.h), and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runner/claude.h"
#include "support/stream.h"
#include "util/buf.h"
#include "util/cleanup.h"

static const struct stream stream = { .runner = &runner_claude,
                                      .fixtures = NAIRID_SOURCE "/tests/fixtures/claude",
                                      .fixtures_at_least = 45 };

/* ---- what no recording shows ---- */

#define OK_RESULT                                                                                  \
    "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\","         \
    "\"session_id\":\"s-1\"}\n"

static void what_was_said_is_no_answer_without_a_result(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I am "
        "nearly\"}]},\"session_id\":\"s\"}\n",
        &settings);
    assert_false(run.result.ok);
    assert_null(run.result.error); /* exit status or signal say more */
    assert_string_equal(run.result.text, "I am nearly");
}

static void a_result_that_does_not_say_that_it_worked_failed(void **state)
{
    static const char *const lines[] = {
        "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"x\"}\n",
        "{\"type\":\"result\",\"is_error\":false,\"result\":\"x\"}\n",
        "{\"type\":\"result\",\"subtype\":\"error_new\",\"is_error\":false,\"result\":\"x\"}\n",
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":\"no\",\"result\":\"x\"}\n",
        "{\"type\":\"result\"}\n",
    };
    const struct settings settings = stream_settings();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP(stream_run_done) struct stream_run run;

        stream_run_text(&stream, &run, lines[i], &settings);
        assert_false(run.result.ok);
        assert_true(run.result.final);
        assert_non_null(run.result.error);
        assert_int_equal(run.finals, 1);
    }
}

static void a_failure_after_the_answer_changes_nothing(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(&stream, &run,
                    OK_RESULT
                    "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":"
                    "true,\"errors\":[\"interrupted\"]}\n",
                    &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "done");
    assert_int_equal(run.finals, 1);
}

static void an_answer_past_the_limit_is_cut_on_a_character(void **state)
{
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    settings.task_reply_limit_bytes = 5;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"abcd"
        "\\u00e9fgh\"}\n",
        &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "abcd");
    assert_int_equal(run.result.dropped_bytes, 5);
}

static void very_many_tools_are_forgotten_oldest_first(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        buf_printf(
            &text,
            "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"id\":"
            "\"t%u\",\"name\":\"Read\",\"input\":{\"file_path\":\"f%u\"}}]}}\n",
            i, i);
    buf_append_str(&text, "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\","
                          "\"tool_use_id\":\"t0\",\"content\":\"zero\"},{\"type\":\"tool_result\","
                          "\"tool_use_id\":\"t99\",\"content\":\"last\"}]}}\n");
    stream_run_text(&stream, &run, buf_str(&text), &settings);
    assert_non_null(
        strstr(buf_str(&run.events),
               "tool_use status=\"completed\" output=\"zero\" id=\"t0\"\n"
               "tool_use status=\"completed\" tool=\"Read\" input=\"f99\" output=\"last\" "
               "id=\"t99\"\n"));
}

static void a_tool_that_runs_long_beats(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(&stream, &run,
                    "{\"type\":\"tool_progress\",\"tool_name\":\"Bash\",\"tool_use_id\":\"t\","
                    "\"elapsed_time_seconds\":30.2,\"parent_tool_use_id\":null}\n",
                    &settings);
    assert_string_equal(buf_str(&run.events),
                        "tool_heartbeat status=\"running\" tool=\"Bash\" summary=\"Running for "
                        "30s...\" id=\"t\"\n");
}

static void what_was_denied_is_noted_in_the_answer(void **state)
{
    struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    settings.runner_permissions = SETTINGS_EDITS;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"no\","
        "\"permission_denials\":[{\"tool_name\":\"Bash\"},{\"tool_name\":\"Bash\"},"
        "{\"tool_name\":\"WebFetch\"}]}\n",
        &settings);
    assert_string_equal(run.result.text,
                        "no\n\n[Claude Code was not allowed to do all that it wanted (Bash, "
                        "WebFetch); runner.permissions is edits]");
}

static void of_several_models_the_one_that_cost_most_is_named(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"x\","
        "\"total_cost_usd\":0.25,\"usage\":{\"input_tokens\":1},\"modelUsage\":{\"small\":{"
        "\"costUSD\":0.01},\"big[1m]\":{\"costUSD\":0.24},\"odd\":{}}}\n",
        &settings);
    assert_true(run.result.has_usage);
    assert_string_equal(run.result.usage.model, "big");
    assert_int_equal(run.result.usage.cost_nano_usd, 250000000);
    assert_int_equal(run.result.usage.input_tokens, 1);
}

static void numbers_that_make_no_sense_are_not_believed(void **state)
{
    const struct settings settings = stream_settings();
    CLEANUP(stream_run_done) struct stream_run run;

    (void)state;
    stream_run_text(
        &stream, &run,
        "{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":-1,\"retry_delay_ms\":1e300,"
        "\"max_retries\":\"x\",\"error\":7}\n"
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"x\","
        "\"total_cost_usd\":-1e300,\"usage\":{\"input_tokens\":-5,\"output_tokens\":1.5},"
        "\"modelUsage\":{\"a b\":{\"costUSD\":1e308}}}\n",
        &settings);
    assert_true(run.result.ok);
    assert_int_equal(run.result.usage.cost_nano_usd, 0);
    assert_int_equal(run.result.usage.input_tokens + run.result.usage.output_tokens, 0);
    assert_string_equal(run.result.usage.model, "");
    assert_non_null(strstr(buf_str(&run.events), "Retrying: the API gave no answer\""));
}

int main(void)
{
    struct stream recorded = stream;
    const struct CMUnitTest tests[] = {
        STREAM_TESTS(&recorded),
        cmocka_unit_test(what_was_said_is_no_answer_without_a_result),
        cmocka_unit_test(a_result_that_does_not_say_that_it_worked_failed),
        cmocka_unit_test(a_failure_after_the_answer_changes_nothing),
        cmocka_unit_test(an_answer_past_the_limit_is_cut_on_a_character),
        cmocka_unit_test(very_many_tools_are_forgotten_oldest_first),
        cmocka_unit_test(a_tool_that_runs_long_beats),
        cmocka_unit_test(what_was_denied_is_noted_in_the_answer),
        cmocka_unit_test(of_several_models_the_one_that_cost_most_is_named),
        cmocka_unit_test(numbers_that_make_no_sense_are_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
