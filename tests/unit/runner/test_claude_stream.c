/* What Claude Code prints, recorded from the real program (tests/fixtures/claude), and what becomes
 * of it: NAME.events beside each recording, a line an event. With NAIRID_WRITE_EVENTS=1 in the
 * environment those files are written anew, for a person to read and compare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/claude_stream.h"
#include "runner/runner.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/utf8.h"

#define FIXTURES NAIRID_SOURCE "/tests/fixtures/claude"

enum { FIXTURE_MAX = 1 << 20, SHOWN_MAX = 200, FIXTURES_AT_LEAST = 45 };

struct run {
    struct buf events; /* a line each */
    struct runner_result result;
    unsigned finals;
    bool used; /* some progress or session was told */
};

struct fixture {
    char *name;
    struct buf out, errors;
    bool exit_ok;
};

/* ---- one event as a line ---- */

static void add_text(struct buf *b, const char *label, const char *s)
{
    size_t len, keep;

    if (!s)
        return;
    len = strlen(s);
    assert_true(utf8_is_valid(s, len));
    keep = utf8_cut(s, len, SHOWN_MAX);
    buf_printf(b, " %s=\"", label);
    for (size_t i = 0; i < keep; i++) {
        if (s[i] == '\n')
            buf_append_str(b, "\\n");
        else
            buf_append_char(b, s[i]);
    }
    buf_append_char(b, '"');
    if (keep < len)
        buf_printf(b, "+%zu", len - keep);
}

static void note(const struct runner_event *ev, void *ctx)
{
    struct run *run = ctx;
    const struct progress *p = ev->progress;

    if (ev->type == RUNNER_SESSION) {
        buf_printf(&run->events, "session %s\n", ev->session);
        return;
    }
    if (ev->type == RUNNER_FINAL) {
        buf_append_str(&run->events, "final\n");
        run->finals++;
        return;
    }
    assert_int_equal(ev->type, RUNNER_PROGRESS);
    buf_append_str(&run->events, progress_type_name(p->type));
    add_text(&run->events, "status", p->status);
    add_text(&run->events, "tool", p->tool);
    add_text(&run->events, "input", p->input);
    add_text(&run->events, "text", p->text);
    add_text(&run->events, "output", p->output);
    add_text(&run->events, "summary", p->summary);
    add_text(&run->events, "id", p->tool_use_id);
    add_text(&run->events, "parent", p->parent_tool_use_id);
    buf_append_str(&run->events, ev->cut ? " cut\n" : "\n");
}

static void add_result(struct buf *b, const struct runner_result *r)
{
    const struct usage *u = &r->usage;

    buf_printf(b, "result %s%s%s", r->ok ? "ok" : "failed", r->final ? " final" : "",
               r->session_gone ? " session-gone" : "");
    add_text(b, "text", r->text);
    if (r->dropped_bytes > 0)
        buf_printf(b, " dropped=%zu", r->dropped_bytes);
    buf_append_char(b, '\n');
    if (r->error)
        buf_printf(b, "error %s\n", r->error);
    if (r->has_usage)
        buf_printf(b, "usage in=%llu out=%llu read=%llu write=%llu nano-usd=%llu model=%s\n",
                   (unsigned long long)u->input_tokens, (unsigned long long)u->output_tokens,
                   (unsigned long long)u->cache_read_tokens,
                   (unsigned long long)u->cache_write_tokens, (unsigned long long)u->cost_nano_usd,
                   u->model);
}

/* ---- running one ---- */

static struct settings usual_settings(void)
{
    return (struct settings){ .task_output_limit_bytes = 1 << 20,
                              .task_reply_limit_bytes = 256 << 10 };
}

static void run_done(struct run *run)
{
    buf_done(&run->events);
    runner_result_done(&run->result);
}

/* Feeds the first len bytes in pieces. */
static void run_bytes(struct run *run, const struct fixture *f, size_t len, size_t piece,
                      const struct settings *settings)
{
    struct runner_parser *p = claude_stream_new(settings);
    const struct runner_exit end = { .ok = f->exit_ok && len == f->out.len,
                                     .stderr_tail = buf_str(&f->errors) };

    *run = (struct run){ 0 };
    for (size_t at = 0; at < len; at += piece)
        claude_stream_feed(p, f->out.data + at, len - at < piece ? len - at : piece, note, run);
    claude_stream_finish(p, &end, &run->result);
    claude_stream_free(p);
}

static void read_fixture(const char *name, struct fixture *f)
{
    AUTO_FREE char *out = mem_printf(FIXTURES "/%s.stdout.ndjson", name),
                   *errors = mem_printf(FIXTURES "/%s.stderr", name),
                   *code = mem_printf(FIXTURES "/%s.exit", name);
    CLEANUP(buf_done) struct buf text = { 0 }, raw = { 0 };

    *f = (struct fixture){ .name = mem_strdup(name) };
    assert_int_equal(fd_read_file(out, FIXTURE_MAX, &f->out, NULL), 0);
    assert_int_equal(fd_read_file(errors, FIXTURE_MAX, &raw, NULL), 0);
    utf8_clean(&f->errors, buf_str(&raw), raw.len); /* as capture.h gives it */
    assert_int_equal(fd_read_file(code, FIXTURE_MAX, &text, NULL), 0);
    f->exit_ok = strcmp(buf_str(&text), "0\n") == 0;
}

static void fixture_done(struct fixture *f)
{
    free(f->name);
    buf_done(&f->out);
    buf_done(&f->errors);
}

typedef void (*fixture_fn)(const struct fixture *f);

static void each_fixture(fixture_fn fn)
{
    static const char suffix[] = ".stdout.ndjson";
    struct dirent **entries = NULL;
    int count = scandir(FIXTURES, &entries, NULL, alphasort);
    unsigned found = 0;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name, *dot = strstr(name, suffix);

        if (dot && dot[sizeof suffix - 1] == '\0') {
            AUTO_FREE char *base = mem_strndup(name, (size_t)(dot - name));
            CLEANUP(fixture_done) struct fixture f = { 0 };

            read_fixture(base, &f);
            fn(&f);
            found++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(found >= FIXTURES_AT_LEAST);
}

/* ---- what each recording gives ---- */

static void compare(const struct fixture *f)
{
    const struct settings settings = usual_settings();
    AUTO_FREE char *path = mem_printf(FIXTURES "/%s.events", f->name);
    CLEANUP(run_done) struct run run;
    CLEANUP(buf_done) struct buf want = { 0 };

    run_bytes(&run, f, f->out.len, f->out.len + 1, &settings);
    add_result(&run.events, &run.result);
    if (getenv("NAIRID_WRITE_EVENTS")) {
        assert_int_equal(fd_write_file(path, run.events.data, run.events.len, 0644, NULL), 0);
        return;
    }
    assert_int_equal(fd_read_file(path, FIXTURE_MAX, &want, NULL), 0);
    if (strcmp(buf_str(&want), buf_str(&run.events)) != 0)
        fail_msg("%s gives\n%s\ninstead of\n%s", f->name, buf_str(&run.events), buf_str(&want));
}

static void each_recording_gives_its_events(void **state)
{
    (void)state;
    each_fixture(compare);
}

/* ---- however it is cut ---- */

static void compare_pieces(const struct fixture *f)
{
    static const size_t pieces[] = { 1, 7, 4096 };
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run whole;

    run_bytes(&whole, f, f->out.len, f->out.len + 1, &settings);
    add_result(&whole.events, &whole.result);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        CLEANUP(run_done) struct run run;

        run_bytes(&run, f, f->out.len, pieces[i], &settings);
        add_result(&run.events, &run.result);
        assert_string_equal(buf_str(&run.events), buf_str(&whole.events));
    }
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    each_fixture(compare_pieces);
}

/* The events of a beginning are the beginning of the events, and it has no answer without its
 * result line. */
static void check_beginning(const struct fixture *f, const struct run *whole, size_t len)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    run_bytes(&run, f, len, len + 1, &settings);
    assert_int_equal(strncmp(buf_str(&run.events), buf_str(&whole->events), run.events.len), 0);
    if (run.finals == 0 && len < f->out.len - 1) { /* the last line may lack its newline only */
        assert_false(run.result.ok);
        assert_false(run.result.final);
        assert_false(run.result.has_usage);
    }
    if (run.result.text)
        assert_true(utf8_is_valid(run.result.text, strlen(run.result.text)));
    if (run.result.error)
        assert_true(utf8_is_valid(run.result.error, strlen(run.result.error)));
}

static void cut_everywhere(const struct fixture *f)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run whole;
    const char *line = f->out.data, *end = f->out.data + f->out.len;

    run_bytes(&whole, f, f->out.len, f->out.len + 1, &settings);
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t at = (size_t)(line - f->out.data), len = (size_t)((newline ? newline : end) - line);
        const size_t cuts[] = { 0, 1, len / 3, len / 2, len > 2 ? len - 2 : 0, len, len + 1 };

        for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
            if (at + cuts[i] <= f->out.len)
                check_beginning(f, &whole, at + cuts[i]);
        line = newline ? newline + 1 : NULL;
    }
}

static void cut_at_every_line_and_within_it_still_ends_sanely(void **state)
{
    (void)state;
    each_fixture(cut_everywhere);
}

/* ---- what no recording shows ---- */

static void run_text(struct run *run, const char *text, const struct settings *settings)
{
    struct fixture f = { .exit_ok = true };

    buf_append_str(&f.out, text);
    run_bytes(run, &f, f.out.len, f.out.len + 1, settings);
    fixture_done(&f);
}

#define OK_RESULT                                                                                  \
    "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\","         \
    "\"session_id\":\"s-1\"}\n"

static void junk_lines_are_skipped_and_kept_for_the_error(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run good, bad;

    (void)state;
    run_text(&good, "Warning: \033[31mold\033[0m kernel\n[1,2]\n{\"type\":\n\n" OK_RESULT,
             &settings);
    assert_true(good.result.ok);
    assert_string_equal(good.result.text, "done");
    assert_string_equal(buf_str(&good.events), "session s-1\nfinal\n");
    run_text(&bad, "Warning: \033[31mold\033[0m kernel\nIllegal instruction\n", &settings);
    assert_false(bad.result.ok || bad.result.final);
    assert_string_equal(bad.result.text, "Warning: old kernel\nIllegal instruction\n");
}

static void what_was_said_is_no_answer_without_a_result(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    run_text(&run,
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
    const struct settings settings = usual_settings();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP(run_done) struct run run;

        run_text(&run, lines[i], &settings);
        assert_false(run.result.ok);
        assert_true(run.result.final);
        assert_non_null(run.result.error);
        assert_int_equal(run.finals, 1);
    }
}

static void a_failure_after_the_answer_changes_nothing(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    run_text(&run,
             OK_RESULT "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":"
                       "true,\"errors\":[\"interrupted\"]}\n",
             &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "done");
    assert_int_equal(run.finals, 1);
}

static void an_answer_past_the_limit_is_cut_on_a_character(void **state)
{
    struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    settings.task_reply_limit_bytes = 5;
    run_text(&run,
             "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"abcd"
             "\\u00e9fgh\"}\n",
             &settings);
    assert_true(run.result.ok);
    assert_string_equal(run.result.text, "abcd");
    assert_int_equal(run.result.dropped_bytes, 5);
}

static void only_a_plain_session_id_counts_and_not_too_many(void **state)
{
    static const char *const odd[] = { "", "--model", "a b", "../x", "\\n" };
    const struct settings settings = usual_settings();
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(run_done) struct run run, many;
    unsigned sessions = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        if (i != 1) /* harmless: it is joined to its option */
            buf_printf(&text, "{\"type\":\"system\",\"session_id\":\"%s\"}\n", odd[i]);
    run_text(&run, buf_str(&text), &settings);
    assert_string_equal(buf_str(&run.events), "");
    buf_clear(&text);
    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&text, "{\"type\":\"system\",\"session_id\":\"s%u\"}\n", i);
    run_text(&many, buf_str(&text), &settings);
    for (const char *at = many.events.data; (at = strstr(at, "session ")); at++)
        sessions++;
    assert_int_equal(sessions, 8);
}

/* A line that would cost the daemon gigabytes as a tree is not read. */
static void a_line_of_very_many_values_is_junk(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(run_done) struct run run;

    (void)state;
    buf_append_str(&text,
                   "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"x\":[0");
    for (unsigned i = 0; i < 300 * 1024; i++)
        buf_append_str(&text, ",0");
    buf_append_str(&text, "]}\n" OK_RESULT);
    run_text(&run, buf_str(&text), &settings);
    assert_string_equal(run.result.text, "done");
    assert_int_equal(run.finals, 1);
}

static void very_many_tools_are_forgotten_oldest_first(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(run_done) struct run run;

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
    run_text(&run, buf_str(&text), &settings);
    assert_non_null(
        strstr(buf_str(&run.events),
               "tool_use status=\"completed\" output=\"zero\" id=\"t0\"\n"
               "tool_use status=\"completed\" tool=\"Read\" input=\"f99\" output=\"last\" "
               "id=\"t99\"\n"));
}

static void a_tool_that_runs_long_beats(void **state)
{
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    run_text(&run,
             "{\"type\":\"tool_progress\",\"tool_name\":\"Bash\",\"tool_use_id\":\"t\","
             "\"elapsed_time_seconds\":30.2,\"parent_tool_use_id\":null}\n",
             &settings);
    assert_string_equal(buf_str(&run.events),
                        "tool_heartbeat status=\"running\" tool=\"Bash\" summary=\"Running for "
                        "30s...\" id=\"t\"\n");
}

static void what_was_denied_is_noted_in_the_answer(void **state)
{
    struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    settings.runner_permissions = SETTINGS_EDITS;
    run_text(&run,
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
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    run_text(&run,
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
    const struct settings settings = usual_settings();
    CLEANUP(run_done) struct run run;

    (void)state;
    run_text(
        &run,
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recording_gives_its_events),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(cut_at_every_line_and_within_it_still_ends_sanely),
        cmocka_unit_test(junk_lines_are_skipped_and_kept_for_the_error),
        cmocka_unit_test(what_was_said_is_no_answer_without_a_result),
        cmocka_unit_test(a_result_that_does_not_say_that_it_worked_failed),
        cmocka_unit_test(a_failure_after_the_answer_changes_nothing),
        cmocka_unit_test(an_answer_past_the_limit_is_cut_on_a_character),
        cmocka_unit_test(only_a_plain_session_id_counts_and_not_too_many),
        cmocka_unit_test(a_line_of_very_many_values_is_junk),
        cmocka_unit_test(very_many_tools_are_forgotten_oldest_first),
        cmocka_unit_test(a_tool_that_runs_long_beats),
        cmocka_unit_test(what_was_denied_is_noted_in_the_answer),
        cmocka_unit_test(of_several_models_the_one_that_cost_most_is_named),
        cmocka_unit_test(numbers_that_make_no_sense_are_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
