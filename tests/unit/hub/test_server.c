#include "hub/server.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/address.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"

/* What stalls takes LONG_MS; a busy machine may take some time for what doesn't. */
enum { REQUEST_MS = 300, ANSWER_MS = 400, SOON_MS = 2000, LONG_MS = 20000, MOMENT_MS = 50 };

static const char get[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

/* A server that answers "{}" at once, or keeps the request in `kept`; and one client on the same
 * loop. */
struct fixture {
    struct loop *loop;
    struct server *server;
    struct loop_timer *limit;
    struct address address;
    bool keep;
    struct server_request *kept;
    unsigned arrived, ended, gone;
    bool delivered;
    int client;
    struct loop_fd *watcher;
    struct buf got; /* by the client */
    bool closed;    /* the client saw the end */
    const char *until;
};

static void on_arrived(struct server_request *r, void *ctx)
{
    struct fixture *f = ctx;

    f->arrived++;
    f->kept = r;
    if (!f->keep)
        server_reply(r, 200, mem_strdup("{}"), NULL);
    else
        loop_stop(f->loop);
}

static void on_gone(struct server_request *r, void *ctx)
{
    struct fixture *f = ctx;

    f->gone++;
    server_reply(r, 200, mem_strdup("{}"), NULL);
}

static void on_ended(struct server_request *r, bool delivered, void *ctx)
{
    struct fixture *f = ctx;

    (void)r;
    f->ended++;
    f->delivered = delivered;
    f->kept = NULL;
    if (f->gone || !delivered)
        loop_stop(f->loop);
}

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct fixture *f = ctx;
    char bytes[4096];
    ssize_t n = recv(f->client, bytes, sizeof bytes, MSG_DONTWAIT);

    (void)events;
    if (n > 0)
        buf_append(&f->got, bytes, (size_t)n);
    f->closed = n <= 0;
    if (f->closed)
        loop_fd_set(watcher, 0);
    if (f->closed || (f->until && strstr(buf_str(&f->got), f->until)))
        loop_stop(f->loop);
}

static void on_limit(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    (void)timer;
    loop_stop(f->loop);
}

static int setup(void **state)
{
    static const struct server_ops ops = { on_arrived, on_gone, on_ended, NULL, NULL };
    static const struct server_limits limits = { REQUEST_MS, ANSWER_MS, 2 };
    struct fixture *f = mem_new(struct fixture);
    int fd = -1;

    f->client = -1;
    if (loop_new(&f->loop, NULL) < 0 || address_parse("127.0.0.1:0", &f->address, NULL) < 0 ||
        address_listen(&f->address, &fd, NULL) < 0 ||
        server_new(f->loop, fd, &limits, &ops, f, &f->server, NULL) < 0)
        return -1;
    f->limit = loop_timer_new(f->loop, on_limit, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_fd_free(f->watcher);
    server_free(f->server);
    loop_timer_free(f->limit);
    loop_free(f->loop);
    if (f->client >= 0)
        close(f->client);
    buf_done(&f->got);
    free(f);
    return 0;
}

static int connect_one(const struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&f->address.sa, f->address.len), 0);
    return fd;
}

static void send_text(struct fixture *f, const char *text)
{
    if (f->client < 0) {
        f->client = connect_one(f);
        f->watcher = loop_fd_new(f->loop, f->client, LOOP_READ, on_client, f);
    }
    assert_int_equal(fd_write_all(f->client, text, strlen(text)), 0);
}

/* Runs the loop until something stops it or limit_ms are over; returns how long that took. */
static uint64_t run(struct fixture *f, uint64_t limit_ms)
{
    uint64_t began_ms = loop_now_ms(f->loop);

    loop_timer_arm(f->limit, limit_ms);
    loop_run(f->loop);
    loop_timer_stop(f->limit);
    return loop_now_ms(f->loop) - began_ms;
}

static void a_request_is_answered_at_once(void **state)
{
    struct fixture *f = *state;

    f->until = "{}";
    send_text(f, get);
    assert_true(run(f, LONG_MS) < SOON_MS);
    assert_non_null(strstr(buf_str(&f->got), "HTTP/1.1 200"));
    assert_non_null(strstr(buf_str(&f->got), "Content-Type: application/json"));
    assert_int_equal(f->arrived, 1);
}

static void a_kept_request_is_answered_as_soon_as_the_answer_is_given(void **state)
{
    struct fixture *f = *state;

    f->keep = true;
    f->until = "{}";
    send_text(f, get);
    (void)run(f, LONG_MS);
    assert_non_null(f->kept);
    for (int i = 0; i < 3; i++) { /* on one connection: its end must not be what wakes us */
        buf_clear(&f->got);
        server_reply(f->kept, 200, mem_strdup("{}"), NULL);
        assert_true(run(f, LONG_MS) < SOON_MS);
        assert_non_null(strstr(buf_str(&f->got), "{}"));
        send_text(f, get);
        (void)run(f, LONG_MS);
        assert_non_null(f->kept);
    }
    server_reply(f->kept, 200, mem_strdup("{}"), NULL);
}

static void a_client_that_says_nothing_is_closed(void **state)
{
    struct fixture *f = *state;
    uint64_t took_ms;

    send_text(f, "");
    took_ms = run(f, LONG_MS);
    assert_true(f->closed);
    assert_true(took_ms >= REQUEST_MS - 50 && took_ms < REQUEST_MS + SOON_MS);
}

static void on_drip(struct loop_timer *timer, void *ctx)
{
    struct fixture *f = ctx;

    (void)send(f->client, "A", 1, MSG_NOSIGNAL); /* fails once it is closed */
    loop_timer_arm(timer, 20);
}

static void a_client_that_drips_its_headers_is_closed_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *drip = loop_timer_new(f->loop, on_drip, f);

    send_text(f, "GET /x HTTP/1.1\r\nA: ");
    loop_timer_arm(drip, 20);
    assert_true(run(f, LONG_MS) < REQUEST_MS + SOON_MS);
    assert_true(f->closed);
    assert_int_equal(f->arrived, 0);
    loop_timer_free(drip);
}

static void a_client_that_ends_in_the_middle_is_closed(void **state)
{
    struct fixture *f = *state;

    send_text(f, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    assert_int_equal(shutdown(f->client, SHUT_WR), 0);
    assert_true(run(f, LONG_MS) < REQUEST_MS + SOON_MS);
    assert_true(f->closed);
    assert_int_equal(f->arrived, 0);
}

static void an_idle_connection_is_closed_after_its_last_answer(void **state)
{
    struct fixture *f = *state;

    f->until = "{}";
    send_text(f, get);
    (void)run(f, LONG_MS);
    f->until = NULL;
    assert_true(run(f, LONG_MS) < REQUEST_MS + SOON_MS);
    assert_true(f->closed);
}

static void a_request_that_waits_for_its_answer_has_no_deadline(void **state)
{
    struct fixture *f = *state;

    f->keep = true;
    send_text(f, get);
    (void)run(f, LONG_MS);
    assert_true(run(f, REQUEST_MS + ANSWER_MS) >= REQUEST_MS + ANSWER_MS - 50);
    assert_false(f->closed);
    f->until = "{}";
    server_reply(f->kept, 200, mem_strdup("{}"), NULL);
    (void)run(f, LONG_MS);
    assert_non_null(strstr(buf_str(&f->got), "{}"));
}

static void a_client_that_does_not_read_its_answer_is_closed(void **state)
{
    enum { HUGE = 64 << 20 };
    struct fixture *f = *state;
    char *huge = mem_alloc(HUGE + 1);

    memset(huge, ' ', HUGE);
    f->keep = true;
    send_text(f, get);
    (void)run(f, LONG_MS);
    loop_fd_set(f->watcher, 0);
    server_reply(f->kept, 200, huge, NULL);
    assert_true(run(f, LONG_MS) < ANSWER_MS + SOON_MS);
    assert_int_equal(f->ended, 1);
    assert_false(f->delivered);
}

static void a_watched_client_that_leaves_is_reported(void **state)
{
    struct fixture *f = *state;

    f->keep = true;
    send_text(f, get);
    (void)run(f, LONG_MS);
    server_request_watch(f->kept);
    assert_false(server_request_is_gone(f->kept));
    loop_fd_free(TAKE_PTR(f->watcher));
    close(TAKE_FD(f->client));
    assert_true(run(f, LONG_MS) < SOON_MS);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->ended, 1);
}

static void past_the_limit_a_connection_waits_until_another_ends(void **state)
{
    struct fixture *f = *state;
    struct server_request *kept[2];
    int clients[2];

    f->keep = true;
    for (int i = 0; i < 2; i++) {
        clients[i] = connect_one(f);
        assert_int_equal(fd_write_all(clients[i], get, strlen(get)), 0);
        (void)run(f, LONG_MS);
        assert_int_equal(f->arrived, i + 1);
        kept[i] = f->kept;
        server_request_trust(kept[i]);
    }
    send_text(f, get);
    (void)run(f, MOMENT_MS);
    assert_int_equal(f->arrived, 2);
    f->keep = false;
    f->until = "{}";
    server_reply(kept[0], 200, mem_strdup("{}"), NULL);
    close(clients[0]);
    while (!strstr(buf_str(&f->got), "{}"))
        assert_true(run(f, LONG_MS) < LONG_MS);
    assert_int_equal(f->arrived, 3);
    server_reply(kept[1], 200, mem_strdup("{}"), NULL);
    (void)run(f, MOMENT_MS);
    close(clients[1]);
}

static void past_the_limit_the_stranger_that_is_there_for_longest_makes_place(void **state)
{
    struct fixture *f = *state;
    int first = connect_one(f), second = connect_one(f);
    char byte;

    f->until = "{}";
    send_text(f, get);
    assert_true(run(f, LONG_MS) < SOON_MS);
    assert_int_equal(f->arrived, 1);
    assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(second, &byte, 1, MSG_DONTWAIT), 0);
    close(first);
    close(second);
}

static void a_quiet_server_takes_no_new_connection(void **state)
{
    struct fixture *f = *state;
    int fd;

    f->until = "{}";
    send_text(f, get);
    (void)run(f, LONG_MS);
    server_quiet(f->server);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&f->address.sa, f->address.len), -1);
    close(fd);
}

int main(void)
{
#define SERVER_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(a_request_is_answered_at_once),
        SERVER_TEST(a_kept_request_is_answered_as_soon_as_the_answer_is_given),
        SERVER_TEST(a_client_that_says_nothing_is_closed),
        SERVER_TEST(a_client_that_drips_its_headers_is_closed_all_the_same),
        SERVER_TEST(a_client_that_ends_in_the_middle_is_closed),
        SERVER_TEST(an_idle_connection_is_closed_after_its_last_answer),
        SERVER_TEST(a_request_that_waits_for_its_answer_has_no_deadline),
        SERVER_TEST(a_client_that_does_not_read_its_answer_is_closed),
        SERVER_TEST(a_watched_client_that_leaves_is_reported),
        SERVER_TEST(past_the_limit_a_connection_waits_until_another_ends),
        SERVER_TEST(past_the_limit_the_stranger_that_is_there_for_longest_makes_place),
        SERVER_TEST(a_quiet_server_takes_no_new_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
