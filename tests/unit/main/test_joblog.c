#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "main/joblog.h"
#include "util/buf.h"

static void collect(const char *line, void *ctx)
{
    buf_append_str(ctx, line);
    buf_append_char(ctx, '\n');
}

static void a_job_has_its_own_lines_in_order(void **state)
{
    CLEANUP_PTR(joblog_free) struct joblog *l = joblog_new();
    CLEANUP(buf_done) struct buf got = { 0 };
    bool forgot = true;

    (void)state;
    joblog_add("job_1", "one", l);
    joblog_add("job_2", "other", l);
    joblog_add("job_1", "two", l);
    assert_int_equal(joblog_visit(l, "job_1", collect, &got, &forgot), 2);
    assert_string_equal(buf_str(&got), "one\ntwo\n");
    assert_false(forgot);
    assert_int_equal(joblog_visit(l, "job_3", collect, &got, &forgot), 0);
    assert_int_equal(joblog_visit(l, "job", collect, &got, &forgot), 0);
}

static void count_bytes(const char *line, void *ctx)
{
    size_t *sum = ctx;

    *sum += strlen(line);
}

static void the_oldest_are_forgotten_and_it_says_so(void **state)
{
    CLEANUP_PTR(joblog_free) struct joblog *l = joblog_new();
    CLEANUP(buf_done) struct buf got = { 0 };
    char line[1025];
    size_t sum = 0, n;
    bool forgot = false;

    (void)state;
    joblog_add("job_1", "first", l);
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    for (unsigned i = 0; i < 2000; i++)
        joblog_add("job_2", line, l);
    assert_int_equal(joblog_visit(l, "job_1", collect, &got, &forgot), 0);
    assert_true(forgot);
    n = joblog_visit(l, "job_2", count_bytes, &sum, &forgot);
    assert_true(n > 400 && sum <= JOBLOG_MAX_BYTES);
    for (unsigned i = 0; i < JOBLOG_MAX_BYTES; i++) /* nothing but their own cost */
        joblog_add("", "", l);
    assert_true(joblog_visit(l, "", count_bytes, &sum, &forgot) < JOBLOG_MAX_BYTES / 16);
    joblog_add("job_3", "last", l);
    assert_int_equal(joblog_visit(l, "job_3", collect, &got, &forgot), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_has_its_own_lines_in_order),
        cmocka_unit_test(the_oldest_are_forgotten_and_it_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
