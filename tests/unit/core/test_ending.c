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
    .disk_bytes = 10240ULL << 20,
    .cpu_time_ms = 7200 * 1000,
    .pids = 512,
    .files = 4096,
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
    const struct ending unfit = { .failed_to_start = true,
                                  .unfit = true,
                                  .start_error = "the attachment att_1 is gone; send it again" };
    const struct ending unstartable = { .failed_to_start = true, .start_error = "clone3: EAGAIN" };
    const struct ending unknown = { .failed_to_start = true };
    const struct ending memory = { .status = SIGKILL, .oom = true, .stderr_tail = "" };
    const struct ending lost = { .status = SIGKILL, .egress_lost = true, .stderr_tail = "" };

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
    expect(&unfit, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "the attachment att_1 is gone; send it again");
    expect(&unstartable, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "the task could not be started: clone3: EAGAIN; the operator of the machine can run "
           "'nairid check'");
    expect(&unknown, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "the task could not be started: no reason known; the operator of the machine can run "
           "'nairid check'");
    expect(&lost, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended because the process that serves its network had died");
    expect(&memory, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended by the kernel because it needed more memory than it may use "
           "(sandbox.limits.memory is 4096 MiB)");
}

static void each_limit_of_the_sandbox_has_its_own_words(void **state)
{
    static const char *const words[] = {
        [LIMIT_NONE] = "worker was ended by SIGKILL (Killed)",
        [LIMIT_MEMORY] = "worker was ended because it needed more memory than it may use "
                         "(sandbox.limits.memory is 4096 MiB)",
        [LIMIT_CPU_TIME] = "worker was ended because it used up the processor time that it may "
                           "use (sandbox.limits.cpu_time is 2h)",
        [LIMIT_PIDS] = "worker was ended because it had more processes and threads than it may "
                       "(sandbox.limits.pids is 512)",
        [LIMIT_DISK] = "worker was ended because the conversation's files take more disk space "
                       "than they may (sandbox.limits.disk is 10240 MiB); they are still there, "
                       "and another message can have some removed",
        [LIMIT_ROOM] = "worker was ended because the machine's disk was nearly full, as it seems "
                       "by this task; the operator of the machine can make room or lower "
                       "sandbox.limits.disk",
    };

    (void)state;
    for (enum limit limit = LIMIT_NONE; limit < LIMIT_COUNT; limit++) {
        const struct ending e = { .status = SIGKILL, .limit = limit, .stderr_tail = "" };
        /* what it printed before is no answer, but the program's own result is one */
        const struct ending half = {
            .status = SIGKILL, .limit = limit, .ok = true, .text = "half", .stderr_tail = ""
        };
        const struct ending whole = { .status = SIGKILL,
                                      .limit = limit,
                                      .ok = true,
                                      .final = true,
                                      .text = "whole",
                                      .stderr_tail = "" };
        AUTO_FREE char *said = mem_printf("%s. Its last words:\nhalf", words[limit]);

        expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, words[limit]);
        expect(&half, ENDING_STOP_NONE, TASK_REPLY_ERROR, said);
        expect(&whole, ENDING_STOP_NONE, TASK_REPLY_ASSISTANT, "whole");
    }
}

static void files_that_were_removed_to_have_room_are_told_of(void **state)
{
    const struct ending e = {
        .status = SIGKILL, .limit = LIMIT_ROOM, .files_gone = true, .stderr_tail = ""
    };
    AUTO_FREE char *text = NULL;

    (void)state;
    (void)ending_reply(&e, ENDING_STOP_NONE, false, &limits, &text);
    assert_non_null(strstr(text, "; the files that it had made had to be removed"));
}

#define PIDS_NOTE  "the number of processes and threads of a task (sandbox.limits.pids is 512)"
#define FILES_NOTE "the number of open files of a process (sandbox.limits.files is 4096)"
#define SIZE_NOTE  "the size of a file (sandbox.limits.disk is 10240 MiB)"
#define ROOM_NOTE                                                                                  \
    "temporary files (/tmp, /dev/shm) have a share of the task's memory (sandbox.limits.memory "   \
    "is 4096 MiB); or the machine's disk is full"
#define MEMORY_NOTE "the memory of a task (sandbox.limits.memory is 4096 MiB)"

/* As libc, shells, Python, node, Java, Go and C++ say it. */
static void a_call_that_failed_at_a_limit_is_recognised(void **state)
{
    static const struct {
        const char *said, *note;
    } cases[] = {
        { "sh: 1: Cannot fork", PIDS_NOTE },
        { "error: cannot fork() for fetch-pack", PIDS_NOTE },
        { "bash: fork: retry: No child processes", PIDS_NOTE },
        { "make: fork: Resource temporarily unavailable", PIDS_NOTE },
        { "zsh: fork failed: resource temporarily unavailable", PIDS_NOTE },
        { "BlockingIOError: [Errno 11] Resource temporarily unavailable", PIDS_NOTE },
        { "RuntimeError: can't start new thread", PIDS_NOTE },
        { "java.lang.OutOfMemoryError: unable to create native thread: x", PIDS_NOTE },
        { "runtime/cgo: pthread_create failed", PIDS_NOTE },
        { "OSError: [Errno 24] Too many open files: 'x'", FILES_NOTE },
        { "Error: EMFILE, open 'x'", FILES_NOTE },
        { "write: File too large", SIZE_NOTE },
        { "make: *** [x] File size limit exceeded", SIZE_NOTE },
        { "Error: EFBIG, write", SIZE_NOTE },
        { "dd: No space left on device", ROOM_NOTE },
        { "npm ERR! code ENOSPC", ROOM_NOTE },
        { "MemoryError", MEMORY_NOTE },
        { "fatal: mmap failed: Cannot allocate memory", MEMORY_NOTE },
        { "Error: spawn ENOMEM", MEMORY_NOTE },
        { "terminate called after throwing an instance of 'std::bad_alloc'", MEMORY_NOTE },
        { "fatal error: runtime: out of memory", MEMORY_NOTE },
        { "fatal: Out of memory, malloc failed", MEMORY_NOTE },
    };
    const struct ending large = { .status = SIGXFSZ, .stderr_tail = "" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct ending e = { .status = 1 << 8, .stderr_tail = cases[i].said };
        AUTO_FREE char *text = mem_printf("worker ended with exit status 1. Its last words:\n%s\n\n"
                                          "[a limit of the sandbox may be the cause: %s]",
                                          cases[i].said, cases[i].note);

        expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, text);
    }
    expect(&large, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended by SIGXFSZ (File size limit exceeded)\n\n[a limit of the sandbox may "
           "be the cause: " SIZE_NOTE "]");
}

static void expect_words(const struct ending_limits *some, enum limit limit, const char *words)
{
    const struct ending e = { .status = SIGKILL, .limit = limit, .stderr_tail = "" };
    AUTO_FREE char *got = NULL, *want = mem_printf("worker was ended because %s", words);

    (void)ending_reply(&e, ENDING_STOP_NONE, false, some, &got);
    assert_string_equal(got, want);
}

static void a_limit_is_told_in_its_own_unit_or_not_where_there_is_none(void **state)
{
    struct ending_limits some = { .program = "worker", .memory_bytes = 1536 << 10, .pids = 7 };

    (void)state;
    expect_words(&some, LIMIT_MEMORY,
                 "it needed more memory than it may use (sandbox.limits.memory is 1536 KiB)");
    some.memory_bytes = 1000;
    expect_words(&some, LIMIT_MEMORY,
                 "it needed more memory than it may use (sandbox.limits.memory is 1000 bytes)");
    some.memory_bytes = 0;
    expect_words(&some, LIMIT_MEMORY, "it needed more memory than it may use");
    expect_words(&some, LIMIT_PIDS,
                 "it had more processes and threads than it may (sandbox.limits.pids is 7)");
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

static void the_programs_own_result_decides_whatever_its_exit_status(void **state)
{
    static const int statuses[] = { 0, 1 << 8, 143 << 8, SIGTERM, SIGKILL };
    struct ending good = { .ok = true, .final = true, .text = "done", .stderr_tail = "" };
    struct ending bad = { .final = true, .error = "the model is overloaded", .stderr_tail = "" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        for (int oom = 0; oom < 2; oom++) {
            good.status = bad.status = statuses[i];
            good.oom = bad.oom = oom == 1;
            expect(&good, ENDING_STOP_NONE, TASK_REPLY_ASSISTANT, "done");
            expect(&good, ENDING_STOP_FINAL, TASK_REPLY_ASSISTANT, "done");
            expect(&bad, ENDING_STOP_NONE, TASK_REPLY_ERROR, "the model is overloaded");
            expect(&bad, ENDING_STOP_FINAL, TASK_REPLY_ERROR, "the model is overloaded");
        }
}

static void without_a_result_of_its_own_a_killed_program_is_what_it_is(void **state)
{
    struct ending e = { .ok = true, .text = "half", .error = "no result", .stderr_tail = "" };

    (void)state;
    e.status = SIGKILL;
    expect(&e, ENDING_STOP_FINAL, TASK_REPLY_ERROR,
           "worker was ended by SIGKILL (Killed). Its last words:\nno result");
    e.oom = true;
    e.ok = false;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker was ended by the kernel because it needed more memory than it may use "
           "(sandbox.limits.memory is 4096 MiB). Its last words:\nno result");
    e = (struct ending){ .status = 1 << 8, .ok = true, .text = "half", .stderr_tail = "" };
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 1. Its last words:\nhalf");
}

static void the_runners_error_comes_before_the_exit_status(void **state)
{
    struct ending e = { .status = 1 << 8, .error = "not logged in\n", .stderr_tail = "" };

    (void)state;
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, "not logged in");
    e.text = "printed"; /* what the error was read from */
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, "not logged in");
    e.stderr_tail = "Error: not logged in\n"; /* says the same */
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, "not logged in");
    e.stderr_tail = "logged in\n";
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, "not logged in");
    e.stderr_tail = "not logged in\nproxy refused\n"; /* says more */
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "not logged in. Its last words:\nnot logged in\nproxy refused");
    e.error = "Log in first.";
    e.stderr_tail = "proxy refused";
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR, "Log in first. Its last words:\nproxy refused");
    e.error = " \n"; /* is none */
    expect(&e, ENDING_STOP_NONE, TASK_REPLY_ERROR,
           "worker ended with exit status 1. Its last words:\nproxy refused");
}

static void a_limit_that_struck_is_named_with_what_the_runner_knew(void **state)
{
    const struct ending e = { .status = SIGTERM,
                              .error = "the model is overloaded, trying again",
                              .text = "half",
                              .stderr_tail = " \n" };

    (void)state;
    expect(&e, ENDING_STOP_IDLE, TASK_REPLY_ERROR,
           "worker printed nothing for 10m (task.idle_timeout) and was ended. Its last words:\n"
           "the model is overloaded, trying again");
}

static void a_result_without_words_is_named(void **state)
{
    const struct ending empty = { .ok = true, .final = true, .text = "\n", .stderr_tail = "" };
    const struct ending silent = { .final = true, .text = "half", .stderr_tail = "" };

    (void)state;
    expect(&empty, ENDING_STOP_FINAL, TASK_REPLY_ERROR,
           "worker finished but wrote nothing to answer with");
    expect(&silent, ENDING_STOP_FINAL, TASK_REPLY_ERROR,
           "worker failed and didn't say why. Its last words:\nhalf");
}

static void a_runners_error_is_bounded(void **state)
{
    AUTO_FREE char *huge = mem_alloc(100001), *got = NULL;
    const struct ending e = { .final = true, .error = huge, .stderr_tail = "" };

    (void)state;
    for (size_t i = 0; i < 100000; i += 2)
        memcpy(huge + i, "\xc3\xa9", 2);
    assert_int_equal(ending_reply(&e, ENDING_STOP_NONE, false, &limits, &got), TASK_REPLY_ERROR);
    assert_int_equal(strlen(got), 4000);
}

static void a_conversation_that_began_anew_says_so_in_each_reply_but_the_users_own(void **state)
{
    static const char note[] = "[the earlier conversation could not be found: the agent began anew "
                               "and doesn't know what was said before]";
    const struct ending good = { .ok = true, .text = "hello", .stderr_tail = "" };
    const struct ending bad = { .final = true, .error = "overloaded", .stderr_tail = "" };
    AUTO_FREE char *answer = NULL, *failure = NULL, *stopped = NULL;
    AUTO_FREE char *want_answer = mem_printf("%s\n\nhello", note);
    AUTO_FREE char *want_failure = mem_printf("overloaded\n\n%s", note);

    (void)state;
    assert_int_equal(ending_reply(&good, ENDING_STOP_NONE, true, &limits, &answer),
                     TASK_REPLY_ASSISTANT);
    assert_string_equal(answer, want_answer);
    assert_int_equal(ending_reply(&bad, ENDING_STOP_FINAL, true, &limits, &failure),
                     TASK_REPLY_ERROR);
    assert_string_equal(failure, want_failure);
    (void)ending_reply(&good, ENDING_STOP_CANCEL, true, &limits, &stopped);
    assert_string_equal(stopped, "stopped by the user");
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

static void a_note_comes_after_the_reply_and_stays_within_its_limit(void **state)
{
    char text[2001];
    AUTO_FREE char *with = ending_add_note(mem_strdup("done"), "nairid noticed a.", 4096);
    AUTO_FREE char *none = ending_add_note(mem_strdup("done"), NULL, 4096);
    AUTO_FREE char *cut = NULL;

    (void)state;
    assert_string_equal(with, "done\n\n[nairid noticed a.]");
    assert_string_equal(none, "done");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cut = ending_add_note(mem_strdup(text), "nairid noticed a.", 2000);
    assert_in_range(strlen(cut), 1500, 2000);
    assert_non_null(strstr(cut, "more bytes are left out"));
    assert_string_equal(cut + strlen(cut) - strlen("[nairid noticed a.]"), "[nairid noticed a.]");
}

/* Or a task could have its reply made so long that the note is what goes. */
static void a_shortened_reply_keeps_its_note(void **state)
{
    char text[2001];
    AUTO_FREE char *with = NULL, *cut = NULL;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    with = ending_add_note(mem_strdup(text), "nairid noticed a.", 8192);
    cut = ending_shorten(with, 500, "why");
    assert_in_range(strlen(cut), 400, 560);
    assert_string_equal(cut + strlen(cut) - strlen("[nairid noticed a.]"), "[nairid noticed a.]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_comes_after_the_reply_and_stays_within_its_limit),
        cmocka_unit_test(a_shortened_reply_keeps_its_note),
        cmocka_unit_test(an_answer_is_passed_on_as_it_is),
        cmocka_unit_test(an_answer_past_the_limit_says_how_much_is_missing),
        cmocka_unit_test(each_kind_of_end_has_its_own_words),
        cmocka_unit_test(each_limit_of_the_sandbox_has_its_own_words),
        cmocka_unit_test(files_that_were_removed_to_have_room_are_told_of),
        cmocka_unit_test(a_call_that_failed_at_a_limit_is_recognised),
        cmocka_unit_test(a_limit_is_told_in_its_own_unit_or_not_where_there_is_none),
        cmocka_unit_test(each_limit_of_ours_has_its_own_words),
        cmocka_unit_test(what_a_failed_program_printed_serves_where_stderr_is_empty),
        cmocka_unit_test(the_programs_own_result_decides_whatever_its_exit_status),
        cmocka_unit_test(without_a_result_of_its_own_a_killed_program_is_what_it_is),
        cmocka_unit_test(the_runners_error_comes_before_the_exit_status),
        cmocka_unit_test(a_limit_that_struck_is_named_with_what_the_runner_knew),
        cmocka_unit_test(a_result_without_words_is_named),
        cmocka_unit_test(a_runners_error_is_bounded),
        cmocka_unit_test(a_conversation_that_began_anew_says_so_in_each_reply_but_the_users_own),
        cmocka_unit_test(last_words_are_bounded_and_whole_characters),
        cmocka_unit_test(last_words_are_whole_lines_and_at_most_twenty),
        cmocka_unit_test(a_process_that_survives_is_named_in_the_reply),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(shortening_says_what_is_missing_and_cuts_whole_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
