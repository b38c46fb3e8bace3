/* Clients of the admin socket that stall, may not, or come when no descriptor is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/control.h"
#include "loop/loop.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"

enum { STALL_MS = 10000, SLACK_MS = 5000, BIG = 4 * 1024 * 1024 };

struct fixture {
    char *dir;
    struct loop *loop;
    struct loop_wake *stop;
    struct control *control;
    pthread_t thread;
    struct err err;
};

static int answer(const struct json *request, uint64_t number, struct json *ret, struct err *err,
                  void *ctx)
{
    AUTO_FREE char *text = mem_alloc(BIG + 1);

    (void)request;
    (void)number;
    (void)err;
    (void)ctx;
    memset(text, 'b', BIG);
    json_add_str(ret, "text", text);
    return 0;
}

static void on_stop(struct loop_wake *wake, void *ctx)
{
    struct fixture *f = ctx;

    (void)wake;
    loop_stop(f->loop);
}

static void *thread_main(void *ctx)
{
    struct fixture *f = ctx;

    loop_run(f->loop);
    return NULL;
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    assert_int_equal(loop_new(&f->loop, &f->err), 0);
    f->stop = loop_wake_new(f->loop, on_stop, f);
    assert_int_equal(control_new(f->loop, f->dir, answer, f, &f->control, &f->err), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, thread_main, f), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    loop_wake_send(f->stop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    control_free(f->control);
    loop_wake_free(f->stop);
    loop_free(f->loop);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static int connect_raw(const struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", f->dir);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        (void)close(fd);
        return -errno;
    }
    return fd;
}

/* Waits for the daemon to end the connection, which is when something is sent at each step in
 * between: the milliseconds that took. */
static uint64_t time_until_hung_up(int fd, const char *drip, uint64_t since_ms)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = 0 }; /* POLLHUP is told anyway */
        int n = poll(&p, 1, drip ? 500 : STALL_MS + SLACK_MS);

        if (n != 0 || !drip || clock_mono_ms() - since_ms > STALL_MS + SLACK_MS) {
            assert_true(n == 1 && (p.revents & POLLHUP));
            return clock_mono_ms() - since_ms;
        }
        (void)send(fd, drip, 1, MSG_NOSIGNAL); /* the poll tells if it is closed */
    }
}

static void a_client_that_stalls_is_dropped_in_ten_seconds(void **state)
{
    struct fixture *f = *state;
    uint64_t since_ms = clock_mono_ms();
    AUTO_CLOSE int silent = connect_raw(f);
    AUTO_CLOSE int dripping = connect_raw(f);
    AUTO_CLOSE int deaf = connect_raw(f);
    uint64_t took_ms;

    assert_true(silent >= 0 && dripping >= 0 && deaf >= 0);
    assert_int_equal(send(deaf, "{}\n", 3, MSG_NOSIGNAL), 3); /* and reads nothing */
    took_ms = time_until_hung_up(dripping, "x", since_ms);    /* each byte renews nothing */
    assert_in_range(took_ms, STALL_MS - 500, STALL_MS + SLACK_MS);
    took_ms = time_until_hung_up(silent, NULL, since_ms);
    assert_in_range(took_ms, STALL_MS - 500, STALL_MS + SLACK_MS);
    took_ms = time_until_hung_up(deaf, NULL, since_ms);
    assert_in_range(took_ms, STALL_MS - 500, STALL_MS + SLACK_MS);
}

/* The file's mode would keep them out; what asks the kernel does so without it. */
static void another_user_is_turned_away(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = NULL;
    pid_t pid;
    int status;

    if (geteuid() != 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    path = mem_printf("%s/control.sock", f->dir);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char text[256] = "";
        int fd = setuid(12345) == 0 ? connect_raw(f) : -1;

        (void)send(fd, "{}\n", 3, MSG_NOSIGNAL); /* it may be turned away before */
        _exit(read(fd, text, sizeof text - 1) > 0 && strstr(text, "its own user and root only") &&
                      read(fd, text, 1) <= 0
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_client_that_finds_no_descriptor_waits_until_there_is_one(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct rlimit old, none;
    uint64_t turns;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", f->dir);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 1; /* what is open stays open, and poll() of one is allowed */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, "{}\n", 3, MSG_NOSIGNAL), 3);
    turns = loop_turns(f->loop);
    assert_int_equal(poll(&p, 1, 2500), 0); /* not answered, and not asked for like mad */
    assert_in_range(loop_turns(f->loop) - turns, 2, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(p.revents & POLLIN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_client_that_stalls_is_dropped_in_ten_seconds),
        TEST(another_user_is_turned_away),
        TEST(a_client_that_finds_no_descriptor_waits_until_there_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
