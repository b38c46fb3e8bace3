#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/ending.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

static const struct ending_limits limits = {
    .program = "worker",
    .timeout_ms = 3600 * 1000,
    .idle_timeout_ms = 600 * 1000,
    .output_limit_bytes = 64 << 20,
    .reply_limit_bytes = 256 << 10,
    .memory_bytes = 4096ULL << 20,
};

static void expect(const struct ending *e, enum ending_stop stop, enum task_reply_kind kind,
                   const char *text)
{
    AUTO_FREE char *got = NULL;

    assert_int_equal(ending_reply(e, stop, false, &limits, &got), kind);
    assert_string_equal(got, text);
}

static void an_answer_is_passed_on_as_it_is(void **state)
{
    const struct ending e = { .ok = true, .text = "hello\n  world", .stderr_tail = "warning: x" };

    (void)state;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ASSISTANT, "hello\n  world");
}

static void an_answer_past_the_limit_says_how_much_is_missing(void **state)
{
    const struct ending e = { .ok = true, .text = "abc", .dropped_bytes = 77 };

    (void)state;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ASSISTANT,
           "abc\n\n[77 more bytes of the answer are left out: task.reply_limit is 256 KiB]");
}

static void each_kind_of_end_has_its_own_words(void **state)
{
    const struct ending failed = { .status = 3 << 8, .stderr_tail = "no such table\n" };
    const struct ending killed = { .status = SIGSEGV, .stderr_tail = "" };
    const struct ending empty = { .ok = true, .text = " \n", .stderr_tail = "" };
    const struct ending silent = { .ok = false, .stderr_tail = "" };
    const struct ending missing = { .failed_to_start = true,
                                    .not_found = true,
                                    .start_error = "execve: No such file or directory" };
    const struct ending unstartable = { .failed_to_start = true, .start_error = "clone3: EAGAIN" };
    const struct ending memory = { .status = SIGKILL, .oom = true, .stderr_tail = "" };

    (void)state;
    expect(&failed, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 3. Its last words:\nno such table");
    expect(&killed, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended by SIGSEGV (Segmentation fault)");
    expect(&empty, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 0 but printed nothing to answer with");
    expect(&silent, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 0 but without an answer");
    expect(&missing, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "the program 'worker' is missing in the sandbox or can't be executed (execve: No such "
           "file or directory); the operator of the machine can install it or change runner.argv");
    expect(&unstartable, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "the task could not be started: clone3: EAGAIN; the operator of the machine can run "
           "'nairid check'");
    expect(&memory, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended by the kernel because it needed more memory than it may use "
           "(sandbox.limits.memory is 4096 MiB)");
}

static void each_limit_of_ours_has_its_own_words(void **state)
{
    const struct ending e = { .status = SIGTERM, .stderr_tail = "" };
    const struct ending with_result = { .ok = true, .text = "late", .stderr_tail = "" };

    (void)state;
    expect(&e, ENDING_STOP_TIMEOUT, TASK_REPLY_ERROR,
           "worker ran longer than 1h (task.timeout) and was ended");
    expect(&e, ENDING_STOP_START, TASK_REPLY_ERROR,
           "worker did not start in time and was ended; the operator of the machine can run "
           "'nairid check'");
    expect(&e, ENDING_STOP_IDLE, TASK_REPLY_ERROR,
           "worker printed nothing for 10m (task.idle_timeout) and was ended");
    expect(&e, ENDING_STOP_OUTPUT, TASK_REPLY_ERROR,
           "worker printed more than 64 MiB (task.output_limit) and was ended");
    expect(&e, ENDING_STOP_CANCEL, TASK_REPLY_ERROR, "stopped by the user");
    /* a result that still arrives after our kill is no result */
    expect(&with_result, ENDING_STOP_CANCEL, TASK_REPLY_ERROR, "stopped by the user");
    expect(&with_result, ENDING_STOP_TIMEOUT, TASK_REPLY_ERROR,
           "worker ran longer than 1h (task.timeout) and was ended. Its last words:\nlate");
}

static void what_a_failed_program_printed_serves_where_stderr_is_empty(void **state)
{
    const struct ending e = { .status = 1 << 8, .text = "usage: x", .stderr_tail = "" };

    (void)state;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 1. Its last words:\nusage: x");
}

static void last_words_are_bounded_and_whole_characters(void **state)
{
    AUTO_FREE char *long_tail = mem_alloc(9001), *got = NULL;
    struct ending e = { .status = 1 << 8, .stderr_tail = long_tail };
    const char *words;

    (void)state;
    for (size_t i = 0; i < 9000; i += 2)
        memcpy(long_tail + i, "\xc3\xa9", 2);
    long_tail[0] = 'x'; /* odd from here on: no cut at an even place is right by luck */
    long_tail[1] = 'y';
    (void)ending_reply(&e, ENDING_STOP_NONE, false, &limits, &got);
    words = strstr(got, "Its last words:\n");
    assert_non_null(words);
    words += strlen("Its last words:\n");
    assert_true(strlen(words) <= 2000);
    assert_int_equal((unsigned char)words[0], 0xc3);
}

static void last_words_are_whole_lines_and_at_most_twenty(void **state)
{
    char lines[100 * 4 + 1] = "", wide[3 * 1500 + 1];
    struct ending e = { .status = 1 << 8, .stderr_tail = lines };
    AUTO_FREE char *got = NULL, *got_wide = NULL;

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        const char line[] = { 'n', (char)('0' + i / 10), (char)('0' + i % 10), '\n' };

        memcpy(lines + i * sizeof line, line, sizeof line);
    }
    (void)ending_reply(&e, ENDING_STOP_NONE, false, &limits, &got);
    assert_non_null(strstr(got, "Its last words:\nn80\nn81\n"));
    assert_true(str_ends_with(got, "\nn99"));
    for (size_t i = 0; i < sizeof wide - 1; i++)
        wide[i] = (char)(i % 1500 == 1499 ? '\n' : 'a' + i / 1500);
    wide[sizeof wide - 1] = '\0';
    e.stderr_tail = wide;
    (void)ending_reply(&e, ENDING_STOP_NONE, false, &limits, &got_wide);
    assert_non_null(strstr(got_wide, "Its last words:\nccc")); /* not the half of b's line */
}

static void a_process_that_survives_is_named_in_the_reply(void **state)
{
    const struct ending e = { .ok = true, .text = "done", .stuck = true };

    (void)state;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ASSISTANT,
           "done\n\n[a process of this task could not be ended; the conversation can't go on "
           "here]");
}

static void signals_have_names(void **state)
{
    char buffer[16];

    (void)state;
    assert_string_equal(ending_signal_name(SIGKILL, buffer), "SIGKILL");
    assert_string_equal(ending_signal_name(SIGXCPU, buffer), "SIGXCPU");
    assert_string_equal(ending_signal_name(63, buffer), "signal 63");
}

static void shortening_says_what_is_missing_and_cuts_whole_characters(void **state)
{
    AUTO_FREE char *cut = ending_shorten("abc\xc3\xa9xyz", 4, "why"),
                   *whole = ending_shorten("abc", 3, "why");

    (void)state;
    assert_string_equal(cut, "abc\n\n[5 more bytes are left out: why]");
    assert_string_equal(whole, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_passed_on_as_it_is),
        cmocka_unit_test(an_answer_past_the_limit_says_how_much_is_missing),
        cmocka_unit_test(each_kind_of_end_has_its_own_words),
        cmocka_unit_test(each_limit_of_ours_has_its_own_words),
        cmocka_unit_test(what_a_failed_program_printed_serves_where_stderr_is_empty),
        cmocka_unit_test(last_words_are_bounded_and_whole_characters),
        cmocka_unit_test(last_words_are_whole_lines_and_at_most_twenty),
        cmocka_unit_test(a_process_that_survives_is_named_in_the_reply),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(shortening_says_what_is_missing_and_cuts_whole_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
