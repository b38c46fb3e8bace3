/* A program's output by way of a file: all of it comes out, in order, however slowly it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/relay.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

struct fixture {
    int in; /* the reader's end */
    struct relay relay;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    f->in = ends[0];
    assert_int_equal(relay_open(&f->relay, "/tmp", ends[1]), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->in >= 0)
        (void)close(f->in);
    if (f->relay.out >= 0)
        (void)close(f->relay.out);
    (void)close(f->relay.file);
    free(f);
    return 0;
}

static void print(const struct fixture *f, const char *bytes, size_t len)
{
    assert_int_equal(write(f->relay.file, bytes, len), (ssize_t)len);
}

static ssize_t take(const struct fixture *f, struct buf *b)
{
    char piece[5000];
    ssize_t n = read(f->in, piece, sizeof piece);

    if (n > 0)
        buf_append(b, piece, (size_t)n);
    return n;
}

static void what_is_written_comes_out(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf b = { 0 };

    assert_false(relay_pass(&f->relay)); /* nothing yet */
    assert_int_equal(take(f, &b), -1);
    print(f, "one\n", 4);
    assert_false(relay_pass(&f->relay));
    print(f, "two\n", 4);
    assert_false(relay_pass(&f->relay));
    assert_int_equal(take(f, &b), 8);
    assert_string_equal(buf_str(&b), "one\ntwo\n");
}

static void more_than_the_pipe_holds_waits_for_the_reader_and_keeps_its_order(void **state)
{
    enum { NUMBERS = 500 * 1000 };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf want = { 0 }, got = { 0 };
    struct stat st;
    unsigned rounds = 0;

    for (unsigned i = 0; i < NUMBERS; i++)
        buf_printf(&want, "%u\n", i);
    print(f, want.data, want.len);
    while (relay_pass(&f->relay)) {
        rounds++;
        while (take(f, &got) > 0)
            ;
    }
    while (take(f, &got) > 0)
        ;
    assert_true(rounds > 10);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    assert_int_equal(fstat(f->relay.file, &st), 0);
    assert_true(st.st_blocks * 512 < 2 << 20); /* what is passed on takes no room any more */
}

static void a_program_that_cuts_its_file_only_harms_itself(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf b = { 0 };

    print(f, "lost and found", 14);
    assert_false(relay_pass(&f->relay));
    assert_int_equal(ftruncate(f->relay.file, 0), 0);
    assert_false(relay_pass(&f->relay));
    print(f, "!", 1); /* after what it had written */
    assert_false(relay_pass(&f->relay));
    while (take(f, &b) > 0)
        ;
    assert_string_equal(buf_str(&b), "lost and found!");
}

static void a_file_without_end_leaves_turns_to_others(void **state)
{
    const off_t size = (off_t)64 << 20; /* a hole, which costs the program nothing */
    struct fixture *f = *state;
    int turns = 1;

    (void)close(f->relay.out);
    f->relay.out = open("/dev/null", O_WRONLY | O_CLOEXEC); /* never full */
    assert_true(f->relay.out >= 0);
    assert_int_equal(ftruncate(f->relay.file, size), 0);
    for (; relay_pass(&f->relay); turns++)
        assert_true(f->relay.at < size);
    assert_int_equal(f->relay.at, size);
    assert_true(turns > 10);
}

static void without_a_reader_it_gives_up(void **state)
{
    struct fixture *f = *state;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(f->in);
    f->in = -1;
    print(f, "x", 1);
    assert_false(relay_pass(&f->relay));
    assert_int_equal(f->relay.out, -1);
    assert_false(relay_pass(&f->relay));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_comes_out),
        TEST(more_than_the_pipe_holds_waits_for_the_reader_and_keeps_its_order),
        TEST(a_program_that_cuts_its_file_only_harms_itself),
        TEST(a_file_without_end_leaves_turns_to_others),
        TEST(without_a_reader_it_gives_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
