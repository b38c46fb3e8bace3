#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/mem.h"

static void memory_comes_zeroed_and_even_empty_is_unique(void **state)
{
    AUTO_FREE unsigned char *a = mem_alloc(1000);
    AUTO_FREE unsigned char *b = mem_calloc(10, 100);
    AUTO_FREE void *none = mem_alloc(0);
    AUTO_FREE void *none_too = mem_calloc(5, 0);

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(a[i] | b[i], 0);
    assert_non_null(none);
    assert_non_null(none_too);
    assert_ptr_not_equal(none, none_too);
}

static void growing_keeps_what_was_there(void **state)
{
    char *p = mem_strdup("abc");

    (void)state;
    p = mem_realloc(p, 100000);
    assert_string_equal(p, "abc");
    p = mem_realloc(p, 0);
    assert_non_null(p);
    free(p);
}

static void copies_end_in_a_nul(void **state)
{
    AUTO_FREE char *whole = mem_strdup("hello");
    AUTO_FREE char *cut = mem_strndup("hello", 2);
    AUTO_FREE char *early = mem_strndup("he\0lo", 5);
    AUTO_FREE char *bytes = mem_dup("a\0b", 3);
    AUTO_FREE char *nothing = mem_dup(NULL, 0);
    AUTO_FREE char *made = mem_printf("%s-%d", "x", 5);

    (void)state;
    assert_null(mem_strdup(NULL));
    assert_string_equal(whole, "hello");
    assert_string_equal(cut, "he");
    assert_string_equal(early, "he");
    assert_memory_equal(bytes, "a\0b", 4);
    assert_string_equal(nothing, "");
    assert_string_equal(made, "x-5");
}

enum demand { DEMAND_PRODUCT, DEMAND_REALLOC, DEMAND_DUP };

/* What the process, made with these flags of clone(2), said on stderr, and its wait status. */
static int end_of(enum demand demand, int flags, char *words, size_t size)
{
    int pipe_fds[2], status = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(pipe_fds), 0);
    pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        volatile size_t huge = SIZE_MAX;

        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(pipe_fds[1], STDERR_FILENO);
        if (demand == DEMAND_PRODUCT)
            free(mem_calloc(huge / 2, 3));
        else if (demand == DEMAND_REALLOC)
            free(mem_realloc(NULL, huge));
        else
            free(mem_dup("", huge / 2));
        _exit(0);
    }
    (void)close(pipe_fds[1]);
    n = read(pipe_fds[0], words, size - 1);
    words[n > 0 ? n : 0] = '\0';
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void an_impossible_size_aborts_with_a_sentence(void **state)
{
    char words[256];

    (void)state;
    for (int d = DEMAND_PRODUCT; d <= DEMAND_DUP; d++) {
        assert_int_equal(WTERMSIG(end_of((enum demand)d, 0, words, sizeof words)), SIGABRT);
        assert_non_null(strstr(words, "out of memory"));
    }
}

static void process_1_exits_as_it_is_sent_no_signal_of_its_own(void **state)
{
    int status, flags = geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWPID | CLONE_NEWUSER;
    char words[256];

    (void)state;
    status = end_of(DEMAND_DUP, flags, words, sizeof words);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_TEMPFAIL);
    assert_non_null(strstr(words, "out of memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_zeroed_and_even_empty_is_unique),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(copies_end_in_a_nul),
        cmocka_unit_test(an_impossible_size_aborts_with_a_sentence),
        cmocka_unit_test(process_1_exits_as_it_is_sent_no_signal_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
