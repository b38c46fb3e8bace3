/* The runner for any command, by way of the capture that feeds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/capture.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

struct seen {
    unsigned count;
    char last[4096];
};

static void note(const struct runner_event *ev, void *ctx)
{
    struct seen *seen = ctx;

    assert_int_equal(ev->type, RUNNER_PROGRESS);
    seen->count++;
    assert_true(strlen(ev->progress->text) < sizeof seen->last);
    strcpy(seen->last, ev->progress->text);
}

static struct settings settings_with(uint64_t output_limit, uint64_t reply_limit)
{
    return (struct settings){ .task_output_limit_bytes = output_limit,
                              .task_reply_limit_bytes = reply_limit };
}

static struct capture *begin(const struct settings *s)
{
    return capture_new(runner_find("command"), s, NULL);
}

static void say(struct capture *c, const char *text, struct seen *seen)
{
    assert_false(capture_stdout(c, text, strlen(text), note, seen));
}

static void the_prompt_goes_to_standard_input_and_never_to_argv(void **state)
{
    struct settings s = settings_with(1000, 1000);
    struct task t = { .prompt = (char[]){ "--help; rm -rf /" }, .mode = TASK_MODE_EXECUTE };
    const struct runner_turn turn = { .task = &t };
    struct runner_start start = { 0 };
    struct settings_pair env = { .name = (char[]){ "LANG" }, .value = (char[]){ "C" } };

    (void)state;
    strv_add(&s.runner_argv, "sh");
    strv_add(&s.runner_argv, "-e");
    s.runner_env = (struct settings_pairs){ .items = &env, .len = 1 };
    assert_int_equal(runner_find("command")->prepare(&s, &turn, &start, NULL), 0);
    assert_int_equal(start.argv.len, 2);
    assert_string_equal(start.argv.items[1], "-e");
    assert_string_equal(start.env.items[0], "LANG=C");
    assert_string_equal(start.input, "--help; rm -rf /");
    assert_int_equal(start.input_len, strlen(start.input));
    assert_false(start.workspace_read_only);
    runner_start_done(&start);
    strv_done(&s.runner_argv);
}

static void ask_mode_asks_for_a_read_only_workspace(void **state)
{
    struct settings s = settings_with(1000, 1000);
    struct task t = { .mode = TASK_MODE_ASK };
    const struct runner_turn turn = { .task = &t };
    struct runner_start start = { 0 };

    (void)state;
    strv_add(&s.runner_argv, "sh");
    assert_int_equal(runner_find("command")->prepare(&s, &turn, &start, NULL), 0);
    assert_true(start.workspace_read_only);
    assert_int_equal(start.input_len, 0);
    runner_start_done(&start);
    strv_done(&s.runner_argv);
}

static void a_command_without_a_program_is_refused(void **state)
{
    struct settings s = settings_with(1000, 1000);
    struct task t = { 0 };
    const struct runner_turn turn = { .task = &t };
    struct runner_start start = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(runner_find("command")->prepare(&s, &turn, &start, &err), -EINVAL);
    assert_non_null(strstr(err.text, "runner.argv"));
}

static void an_unknown_runner_is_refused_with_the_remedy(void **state)
{
    static const char *const there[] = { "claude", "codex", "opencode", "command" };
    struct settings s = { .runner_name = (char[]){ "cursor" } };
    struct err err = { 0 };

    (void)state;
    assert_null(runner_find("cursor"));
    assert_int_equal(runner_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "runner.argv"));
    for (size_t i = 0; i < ARRAY_SIZE(there); i++)
        assert_true(runner_find(there[i]) && strstr(err.text, there[i]));
    s.runner_name = (char[]){ "command" };
    assert_int_equal(runner_check(&s, &err), 0);
}

static void the_reply_is_standard_output_without_its_last_newlines(void **state)
{
    struct settings s = settings_with(1000, 1000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct capture_result r;
    struct seen seen = { 0 };

    (void)state;
    say(c, "  first\nsec", &seen);
    say(c, "ond\n\n", &seen);
    capture_finish(c, true, &r);
    assert_true(r.result.ok);
    assert_string_equal(r.result.text, "  first\nsecond");
    assert_string_equal(r.stderr_tail, "");
    capture_result_done(&r);
}

static void each_piece_reports_its_last_whole_line(void **state)
{
    struct settings s = settings_with(100000, 1000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct seen seen = { 0 };

    (void)state;
    say(c, "on", &seen);
    assert_int_equal(seen.count, 0);
    say(c, "e\n", &seen);
    assert_string_equal(seen.last, "one");
    say(c, "two\nthree\nfo", &seen);
    assert_string_equal(seen.last, "three");
    say(c, "ur\n", &seen);
    assert_string_equal(seen.last, "four");
    say(c, "\n \n", &seen); /* blank lines say nothing */
    assert_int_equal(seen.count, 3);
}

static void a_line_without_an_end_is_cut_in_what_is_shown(void **state)
{
    struct settings s = settings_with(1000000, 1000000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    AUTO_FREE char *piece = mem_alloc(1001);
    struct seen seen = { 0 };

    (void)state;
    memset(piece, 'x', 1000);
    for (int i = 0; i < 100; i++)
        say(c, piece, &seen);
    say(c, "\n", &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(strlen(seen.last), 2000);
}

static void a_reply_past_its_limit_is_cut_and_the_rest_counted(void **state)
{
    struct settings s = settings_with(1000, 10);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct capture_result r;
    struct seen seen = { 0 };

    (void)state;
    say(c, "01234567", &seen);
    say(c, "89abcdef", &seen);
    say(c, "ghi", &seen);
    capture_finish(c, true, &r);
    assert_string_equal(r.result.text, "0123456789");
    assert_int_equal(r.result.dropped_bytes, 9);
    capture_result_done(&r);
}

static void output_past_the_limit_is_told_once_and_dropped(void **state)
{
    struct settings s = settings_with(10, 1000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct capture_result r;
    struct seen seen = { 0 };

    (void)state;
    assert_false(capture_stdout(c, "123456", 6, note, &seen));
    assert_false(capture_stderr(c, "7890", 4));
    assert_true(capture_stderr(c, "x", 1));
    assert_false(capture_stdout(c, "dropped", 7, note, &seen));
    capture_finish(c, false, &r);
    assert_false(r.result.ok);
    assert_string_equal(r.result.text, "123456");
    capture_result_done(&r);
}

static void text_is_made_valid_whatever_the_program_prints(void **state)
{
    struct settings s = settings_with(1000, 1000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct capture_result r;
    struct seen seen = { 0 };

    (void)state;
    say(c,
        "a\xff"
        "b\x1b[31mred\x1b[0m\x01\n",
        &seen);
    assert_string_equal(seen.last, "a\xef\xbf\xbd"
                                   "bred");
    assert_false(capture_stderr(c, "\xc3", 1));
    capture_finish(c, true, &r);
    assert_string_equal(r.result.text, "a\xef\xbf\xbd"
                                       "bred");
    assert_string_equal(r.stderr_tail, "\xef\xbf\xbd");
    capture_result_done(&r);
}

static void only_the_end_of_standard_error_is_kept(void **state)
{
    struct settings s = settings_with(1000000, 1000);
    CLEANUP_PTR(capture_free) struct capture *c = begin(&s);
    struct capture_result r;

    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_false(capture_stderr(c, "0123456789", 10));
    assert_false(capture_stderr(c, "the end", 7));
    capture_finish(c, false, &r);
    assert_true(strlen(r.stderr_tail) <= 4096);
    assert_non_null(strstr(r.stderr_tail, "9the end"));
    capture_result_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_goes_to_standard_input_and_never_to_argv),
        cmocka_unit_test(ask_mode_asks_for_a_read_only_workspace),
        cmocka_unit_test(a_command_without_a_program_is_refused),
        cmocka_unit_test(an_unknown_runner_is_refused_with_the_remedy),
        cmocka_unit_test(the_reply_is_standard_output_without_its_last_newlines),
        cmocka_unit_test(each_piece_reports_its_last_whole_line),
        cmocka_unit_test(a_line_without_an_end_is_cut_in_what_is_shown),
        cmocka_unit_test(a_reply_past_its_limit_is_cut_and_the_rest_counted),
        cmocka_unit_test(output_past_the_limit_is_told_once_and_dropped),
        cmocka_unit_test(text_is_made_valid_whatever_the_program_prints),
        cmocka_unit_test(only_the_end_of_standard_error_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
