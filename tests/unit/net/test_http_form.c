/* A file as the one part of a form: read as it is sent, from memory or from the disk. */
#include "unit/net/http_fixture.h"

#include <fcntl.h>
#include <stdlib.h>

#include "net/source.h"
#include "support/tempdir.h"

enum { BYTES = 300 * 1000 };

/* What gives the contents here: digits by their offset. */
struct giver {
    struct fixture *fixture;
    struct http_call *call;
    struct loop_timer *later;
    uint64_t given;
    uint64_t pause_at, stop_at; /* offsets, 0: never */
    bool pause_first;           /* before anything is given, for no time at all */
    bool paused;
};

static void on_later(struct loop_timer *timer, void *ctx)
{
    struct giver *g = ctx;

    (void)timer;
    assert_true(g->paused);
    g->paused = false;
    http_resume(g->call);
}

static ssize_t give(uint64_t offset, char *bytes, size_t len, void *ctx)
{
    struct giver *g = ctx;

    assert_false(g->paused); /* nothing is asked for meanwhile */
    if (g->pause_first || (g->pause_at > 0 && offset >= g->pause_at)) {
        g->pause_at = 0;
        g->paused = true;
        loop_timer_arm(g->later, g->pause_first ? 0 : 50);
        g->pause_first = false;
        return -EAGAIN;
    }
    if (g->stop_at > 0 && offset >= g->stop_at)
        return -EIO;
    len = len < 1000 ? len : 1000;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('0' + (offset + i) % 10);
    g->given = offset + len;
    return (ssize_t)len;
}

static const struct result *send_form(struct fixture *f, http_source_fn source, void *ctx,
                                      uint64_t bytes, struct http_call **ret_call)
{
    const struct http_form form = {
        .name = "file", .filename = "a b.txt", .bytes = bytes, .source = source, .source_ctx = ctx
    };
    const struct http_request request = { .method = "POST", .form = &form, .stall_ms = 20 * 1000 };

    *ret_call = start(f, &request);
    loop_run(f->loop);
    assert_true(f->result.called);
    return &f->result;
}

static const struct result *give_form(struct fixture *f, struct giver *g)
{
    g->fixture = f;
    g->later = loop_timer_new(f->loop, on_later, g);
    (void)send_form(f, give, g, BYTES, &g->call);
    loop_timer_free(g->later);
    return &f->result;
}

/* What the server has read is the form, with the digits as its one part. */
static void assert_form(struct fixture *f, size_t n)
{
    const char *request = script_request(f->script, n), *from, *part;

    assert_non_null(request);
    assert_non_null(strstr(request, "Content-Type: multipart/form-data; boundary="));
    assert_non_null(strstr(request, "Content-Disposition: form-data; name=\"file\"; "
                                    "filename=\"a b.txt\"\r\n"));
    part = strstr(request, "Content-Type: application/octet-stream\r\n\r\n");
    assert_non_null(part);
    from = strstr(part, "\r\n\r\n") + 4;
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(from[i], '0' + (int)(i % 10));
    assert_int_equal(strncmp(from + BYTES, "\r\n--", 4), 0);
}

#define CREATED "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"

static void a_file_is_sent_as_the_one_part_of_a_form(void **state)
{
    struct fixture *f = *state;
    struct giver g = { 0 };

    SERVE(f, SCRIPT_ANSWER(CREATED));
    give_form(f, &g);
    assert_int_equal(f->result.status, 201);
    assert_true(g.given == BYTES);
    assert_form(f, 0);
}

static void a_pause_of_the_source_holds_the_request_up(void **state)
{
    struct fixture *f = *state;
    struct giver g = { .pause_at = 100 * 1000 };

    SERVE(f, SCRIPT_ANSWER(CREATED));
    give_form(f, &g);
    assert_int_equal(f->result.status, 201);
    assert_form(f, 0);
}

static void a_pause_at_the_very_beginning_does_so_too(void **state)
{
    struct fixture *f = *state;
    struct giver g = { .pause_at = 1 };

    SERVE(f, SCRIPT_ANSWER(CREATED));
    g.pause_at = 1;
    give_form(f, &g);
    assert_int_equal(f->result.status, 201);
    assert_form(f, 0);
}

/* libcurl has the part's headers to send then, and notices the pause only after them. */
static void a_pause_that_is_over_before_it_was_noticed_holds_nothing_up(void **state)
{
    struct fixture *f = *state;
    struct giver g = { .pause_first = true };

    SERVE(f, SCRIPT_ANSWER(CREATED));
    give_form(f, &g);
    assert_int_equal(f->result.status, 201);
    assert_form(f, 0);
}

static void a_source_that_has_no_more_ends_the_call(void **state)
{
    struct fixture *f = *state;
    struct giver g = { .stop_at = 50 * 1000 };

    SERVE(f, STEP(ACCEPT), STEP(HOLD));
    give_form(f, &g);
    assert_int_equal(f->result.outcome, HTTP_STOPPED);
}

static void a_server_may_answer_before_it_has_read_everything(void **state)
{
    struct fixture *f = *state;
    struct giver g = { .pause_at = BYTES / 2 };

    SERVE(f, STEP(ACCEPT),
          SEND_TEXT("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
          STEP(HOLD));
    give_form(f, &g);
    assert_int_equal(f->result.status, 413);
}

static void a_name_that_would_end_its_line_is_not_sent(void **state)
{
    struct fixture *f = *state;
    struct giver g = { 0 };
    const struct http_form form = {
        .name = "file", .filename = "a\r\nX: y", .bytes = 1, .source = give, .source_ctx = &g
    };

    SERVE(f, STEP(ACCEPT), STEP(HOLD));
    (void)start(f, &(struct http_request){ .method = "POST", .form = &form });
    loop_run(f->loop);
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_true(g.given == 0);
}

/* ---- from a file ---- */

static void on_ready(void *ctx)
{
    http_resume(*(struct http_call **)ctx);
}

static int file_of_digits(const char *dir, const char *name, size_t bytes)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(write(fd, &"0123456789"[i % 10], 1), 1);
    assert_int_equal(fdatasync(fd), 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* so that the thread has something to do */
    return fd;
}

static void a_file_is_read_whole_wherever_it_lies(void **state)
{
    struct fixture *f = *state;
    char *dir = tempdir_new();
    struct source_pool *pool = source_pool_new(f->loop);
    struct http_call *call = NULL;
    struct source *source =
        source_new(pool, file_of_digits(dir, "a", BYTES), BYTES, on_ready, &call);

    SERVE(f, SCRIPT_ANSWER(CREATED));
    (void)send_form(f, source_read, source, BYTES, &call);
    assert_int_equal(f->result.status, 201);
    assert_form(f, 0);
    assert_int_equal(source_failure(source), 0);
    source_free(source);
    source_pool_free(pool);
    tempdir_free(dir);
}

static void a_file_that_is_shorter_than_it_was_ends_the_call(void **state)
{
    struct fixture *f = *state;
    char *dir = tempdir_new();
    struct source_pool *pool = source_pool_new(f->loop);
    struct http_call *call = NULL;
    struct source *source =
        source_new(pool, file_of_digits(dir, "a", BYTES / 2), BYTES, on_ready, &call);

    SERVE(f, STEP(ACCEPT), STEP(HOLD));
    (void)send_form(f, source_read, source, BYTES, &call);
    assert_int_equal(f->result.outcome, HTTP_STOPPED);
    assert_int_equal(source_failure(source), -ENODATA);
    source_free(source);
    source_pool_free(pool);
    tempdir_free(dir);
}

static void a_source_may_go_while_the_thread_has_it(void **state)
{
    struct fixture *f = *state;
    char *dir = tempdir_new(), byte;
    struct source_pool *pool = source_pool_new(f->loop);
    struct source *source = source_new(pool, file_of_digits(dir, "a", 10), 20, on_ready, NULL);

    assert_int_equal(source_read(15, &byte, 1, source), -EAGAIN); /* nothing is there to be had */
    source_free(source);
    source_pool_free(pool);
    tempdir_free(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_sent_as_the_one_part_of_a_form),
        TEST(a_pause_of_the_source_holds_the_request_up),
        TEST(a_pause_at_the_very_beginning_does_so_too),
        TEST(a_pause_that_is_over_before_it_was_noticed_holds_nothing_up),
        TEST(a_source_that_has_no_more_ends_the_call),
        TEST(a_server_may_answer_before_it_has_read_everything),
        TEST(a_name_that_would_end_its_line_is_not_sent),
        TEST(a_file_is_read_whole_wherever_it_lies),
        TEST(a_file_that_is_shorter_than_it_was_ends_the_call),
        TEST(a_source_may_go_while_the_thread_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
