#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/adminclient.h"
#include "control/control.h"
#include "loop/loop.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

enum { WAIT_MS = 30000, BIG = 4 * 1024 * 1024 };

struct fixture {
    char *dir;
    struct loop *loop;
    struct loop_wake *stop;
    struct control *control;
    pthread_t thread; /* runs the loop; the tests are its clients */
    bool running;
    uint64_t held; /* the number of the request whose answer is */
    struct err err;
};

static int answer(const struct json *request, uint64_t number, struct json *ret, struct err *err,
                  void *ctx)
{
    const char *verb = json_get_str(request, "verb");
    struct fixture *f = ctx;

    if (str_eq(verb, "hold")) {
        json_add_str(ret, "text", "at last");
        f->held = number;
        return CONTROL_LATER;
    }
    if (str_eq(verb, "release")) { /* what it is about may be gone, or never have been */
        control_answer(f->control, f->held);
        control_answer(f->control, number + 1000);
        return 0;
    }
    if (str_eq(verb, "echo")) {
        json_add_str(ret, "text", json_get_str(request, "text"));
        return 0;
    }
    if (str_eq(verb, "big")) {
        AUTO_FREE char *text = mem_alloc(BIG + 1);

        memset(text, 'b', BIG);
        json_add_str(ret, "text", text);
        return 0;
    }
    json_add_str(ret, "half", "done");
    return err_set(err, -EINVAL, "there is no verb '%s'", verb ? verb : "");
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

static void start(struct fixture *f)
{
    if (control_new(f->loop, f->dir, answer, f, &f->control, &f->err) < 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(pthread_create(&f->thread, NULL, thread_main, f), 0);
    f->running = true;
}

static void stop(struct fixture *f)
{
    if (!f->running)
        return;
    loop_wake_send(f->stop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    f->running = false;
    control_free(TAKE_PTR(f->control));
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    assert_int_equal(loop_new(&f->loop, &f->err), 0);
    f->stop = loop_wake_new(f->loop, on_stop, f);
    *state = f;
    return 0;
}

static int set_up_running(void **state)
{
    (void)set_up(state);
    start(*state);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stop(f);
    loop_wake_free(f->stop);
    loop_free(f->loop);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

/* ---- clients ---- */

static int call(struct fixture *f, const char *request, struct json **ret)
{
    CLEANUP_PTR(json_free) struct json *node = NULL;

    assert_int_equal(json_parse(request, strlen(request), &node, NULL), 0);
    return adminclient_call(f->dir, node, WAIT_MS, ret, &f->err);
}

static void assert_says(const struct fixture *f, const char *words)
{
    if (!strstr(f->err.text, words))
        fail_msg("'%s' is not in: %s", words, f->err.text);
}

static int connect_raw(const struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", f->dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One line without its newline, or what came before the end. Returns whether there was a newline.
 */
static bool read_line(int fd, struct buf *line)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;

    buf_clear(line);
    for (;;) {
        ssize_t n;

        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        n = read(fd, &c, 1);
        if (n <= 0)
            return false;
        if (c == '\n')
            return true;
        buf_append_char(line, c);
    }
}

/* ---- one request ---- */

static void a_request_is_answered(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;
    bool ok = false;

    assert_int_equal(call(f, "{\"verb\":\"echo\",\"text\":\"gr\\u00fc\\u00dfe\"}", &node), 0);
    assert_string_equal(json_get_str(node, "text"), "gr\xc3\xbc\xc3\x9f"
                                                    "e");
    assert_int_equal(json_get_bool(node, "ok", &ok), 0);
    assert_true(ok);
}

static void a_refusal_comes_as_the_daemons_own_sentence(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf line = { 0 };
    AUTO_CLOSE int fd = connect_raw(f);
    struct json *node = NULL;

    assert_int_equal(call(f, "{\"verb\":\"sing\"}", &node), -EREMOTEIO);
    assert_null(node);
    assert_string_equal(f->err.text, "there is no verb 'sing'");
    /* and nothing of the half-made answer */
    send_text(fd, "{\"verb\":\"sing\"}\n");
    assert_true(read_line(fd, &line));
    assert_string_equal(line.data, "{\"ok\":false,\"error\":\"there is no verb 'sing'\"}");
}

static void what_is_no_request_gets_an_answer_too(void **state)
{
    static const char *const bad[] = {
        "hello\n", "\n", "[]\n", "1\n", "{\"verb\":\n", "{}{}\n", "\"verb\"\n", "{\"a\":\"\xff\"}\n"
    };
    struct fixture *f = *state;
    AUTO_CLOSE int fd = connect_raw(f);
    CLEANUP(buf_done) struct buf line = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        send_text(fd, bad[i]);
        assert_true(read_line(fd, &line));
        assert_true(str_starts_with(line.data, "{\"ok\":false,\"error\":\""));
        assert_true(strlen(line.data) > 30);
    }
    /* and the connection still works */
    send_text(fd, "{\"verb\":\"echo\",\"text\":\"x\"}\n");
    assert_true(read_line(fd, &line));
    assert_string_equal(line.data, "{\"text\":\"x\",\"ok\":true}");
}

static void a_request_may_come_in_pieces(void **state)
{
    static const char request[] = "{\"verb\":\"echo\",\"text\":\"slow\"}\n";
    struct fixture *f = *state;
    AUTO_CLOSE int slow = connect_raw(f);
    CLEANUP(buf_done) struct buf line = { 0 };

    for (size_t i = 0; i < sizeof request - 1; i++) {
        AUTO_CLOSE int other = connect_raw(f); /* answered in between: so the piece was read */

        assert_int_equal(send(slow, request + i, 1, MSG_NOSIGNAL), 1);
        send_text(other, "{\"verb\":\"echo\",\"text\":\"quick\"}\n");
        assert_true(read_line(other, &line));
    }
    assert_true(read_line(slow, &line));
    assert_string_equal(line.data, "{\"text\":\"slow\",\"ok\":true}");
}

static void requests_sent_ahead_are_answered_in_order(void **state)
{
    enum { COUNT = 2000 };
    struct fixture *f = *state;
    AUTO_CLOSE int fd = connect_raw(f);
    CLEANUP(buf_done) struct buf all = { 0 }, line = { 0 };

    for (int i = 0; i < COUNT; i++)
        buf_printf(&all, "{\"verb\":\"echo\",\"text\":\"%d\"}\n", i);
    assert_int_equal(send(fd, all.data, all.len, MSG_NOSIGNAL), all.len);
    assert_int_equal(shutdown(fd, SHUT_WR), 0); /* the end of requests is not the end of answers */
    for (int i = 0; i < COUNT; i++) {
        AUTO_FREE char *want = mem_printf("{\"text\":\"%d\",\"ok\":true}", i);

        assert_true(read_line(fd, &line));
        assert_string_equal(line.data, want);
    }
    assert_false(read_line(fd, &line));
    assert_int_equal(line.len, 0);
}

/* Whether nothing has come from the daemon, which has answered somebody else meanwhile. */
static bool is_silent(const struct fixture *f, int fd)
{
    AUTO_CLOSE int other = connect_raw(f);
    CLEANUP(buf_done) struct buf line = { 0 };
    struct pollfd p = { .fd = fd, .events = POLLIN };

    send_text(other, "{\"verb\":\"echo\",\"text\":\"quick\"}\n");
    assert_true(read_line(other, &line));
    return poll(&p, 1, 0) == 0;
}

static void an_answer_is_held_back_until_it_may_go(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = connect_raw(f);
    AUTO_CLOSE int other = connect_raw(f);
    CLEANUP(buf_done) struct buf line = { 0 };

    /* what is sent ahead waits for it, as does the end of what is sent */
    send_text(fd, "{\"verb\":\"hold\"}\n{\"verb\":\"echo\",\"text\":\"next\"}\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(is_silent(f, fd));
    assert_true(is_silent(f, fd));
    send_text(other, "{\"verb\":\"release\"}\n");
    assert_true(read_line(other, &line));
    assert_string_equal(line.data, "{\"ok\":true}");
    assert_true(read_line(fd, &line));
    assert_string_equal(line.data, "{\"text\":\"at last\",\"ok\":true}");
    assert_true(read_line(fd, &line));
    assert_string_equal(line.data, "{\"text\":\"next\",\"ok\":true}");
    assert_false(read_line(fd, &line));
}

static void an_answer_that_nobody_waits_for_any_more_is_dropped(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int other = connect_raw(f);
    CLEANUP(buf_done) struct buf line = { 0 };

    for (int i = 0; i < 3; i++) {
        int fd = connect_raw(f);

        send_text(fd, "{\"verb\":\"hold\"}\n");
        assert_true(is_silent(f, fd));
        (void)close(fd);
        send_text(other, "{\"verb\":\"release\"}\n");
        assert_true(read_line(other, &line));
        assert_string_equal(line.data, "{\"ok\":true}");
        send_text(other, "{\"verb\":\"release\"}\n"); /* once more than there is to send */
        assert_true(read_line(other, &line));
    }
}

static void an_answer_of_megabytes_arrives_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;
    CLEANUP_PTR(json_free) struct json *small = NULL;
    AUTO_CLOSE int lazy = connect_raw(f);

    send_text(lazy, "{\"verb\":\"big\"}\n"); /* and doesn't read it */
    assert_int_equal(call(f, "{\"verb\":\"big\"}", &node), 0);
    assert_int_equal(strlen(json_get_str(node, "text")), BIG);
    assert_int_equal(call(f, "{\"verb\":\"echo\"}", &small), 0);
}

static void a_request_over_the_limit_is_refused_and_its_sender_sent_away(void **state)
{
    enum { LIMIT = 65536 };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf big = { 0 }, line = { 0 };
    AUTO_CLOSE int fits = connect_raw(f);
    AUTO_CLOSE int over = connect_raw(f);

    buf_append_str(&big, "{\"verb\":\"echo\",\"pad\":\"");
    while (big.len < LIMIT - 2)
        buf_append_char(&big, 'x');
    buf_append_str(&big, "\"}");
    assert_int_equal(big.len, LIMIT);
    buf_append_char(&big, '\n');
    send_text(fits, big.data);
    assert_true(read_line(fits, &line));
    assert_string_equal(line.data, "{\"text\":null,\"ok\":true}");

    big.data[LIMIT] = ' ';
    send_text(over, big.data);
    assert_true(read_line(over, &line));
    assert_non_null(strstr(line.data, "65536 bytes at most"));
    assert_false(read_line(over, &line));
}

static void the_caller_learns_that_its_request_was_too_long(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf big = { 0 };
    struct json *node = NULL;

    buf_append_str(&big, "{\"verb\":\"echo\",\"pad\":\"");
    while (big.len < 3 * 1024 * 1024) /* more than the socket holds: it is cut off while sending */
        buf_append_char(&big, 'x');
    buf_append_str(&big, "\"}");
    assert_int_equal(call(f, big.data, &node), -EREMOTEIO);
    assert_says(f, "65536 bytes at most");
}

static void clients_beyond_the_limit_are_told_so(void **state)
{
    enum { CLIENTS = 16 };
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf line = { 0 };
    CLEANUP_PTR(json_free) struct json *node = NULL;
    int fds[CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = connect_raw(f);
        send_text(fds[i], "{\"verb\":\"echo\",\"text\":\"hi\"}\n");
        assert_true(read_line(fds[i], &line));
    }
    assert_int_equal(call(f, "{\"verb\":\"echo\"}", &node), -EREMOTEIO);
    assert_says(f, "too many clients");
    (void)close(fds[3]);
    /* the place is free as soon as the daemon has seen the end */
    for (int i = 0; i < 1000 && call(f, "{\"verb\":\"echo\"}", &node) < 0; i++)
        assert_says(f, "too many clients");
    assert_non_null(node);
    for (size_t i = 0; i < CLIENTS; i++)
        if (i != 3)
            (void)close(fds[i]);
}

static void a_client_that_goes_away_at_any_point_harms_nobody(void **state)
{
    static const char *const begun[] = { "", "{\"verb\"", "{\"verb\":\"big\"}\n",
                                         "x\nx\nx\nx\nx\n" };
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;

    for (int i = 0; i < 200; i++) {
        AUTO_CLOSE int fd = connect_raw(f);

        /* it may have been sent away already, where many are being cleared up */
        (void)send(fd, begun[i % 4], strlen(begun[i % 4]), MSG_NOSIGNAL);
    }
    for (int i = 0; i < 1000 && call(f, "{\"verb\":\"echo\"}", &node) < 0; i++)
        assert_says(f, "too many clients");
    assert_non_null(node);
}

/* ---- the socket's file ---- */

static void the_socket_is_ours_alone_and_goes_with_us(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/control.sock", f->dir);
    mode_t old = umask(0);
    struct stat st;

    start(f);
    (void)umask(old);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    stop(f);
    assert_int_equal(lstat(path, &st), -1);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) { /* dies without removing it */
        struct control *c = NULL;

        _exit(control_new(f->loop, f->dir, answer, f, &c, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(call(f, "{}", &node), -ECONNREFUSED);
    start(f);
    assert_int_equal(call(f, "{\"verb\":\"echo\"}", &node), 0);
}

static void a_live_socket_is_left_to_its_daemon(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;
    struct control *second = NULL;

    assert_int_equal(control_new(f->loop, f->dir, answer, f, &second, &f->err), -EADDRINUSE);
    assert_says(f, "another daemon");
    assert_says(f, f->dir);
    assert_int_equal(call(f, "{\"verb\":\"echo\"}", &node), 0);
}

static void what_is_no_socket_is_not_removed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/control.sock", f->dir);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct control *c = NULL;

    assert_true(fd >= 0);
    assert_int_equal(control_new(f->loop, f->dir, answer, f, &c, &f->err), -EEXIST);
    assert_says(f, path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(control_new(f->loop, f->dir, answer, f, &c, &f->err), -EEXIST);
}

static void a_file_put_in_its_place_is_not_removed_at_the_end(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/control.sock", f->dir);
    AUTO_CLOSE int fd = -1;

    start(f);
    assert_int_equal(unlink(path), 0);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    stop(f);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_directory_longer_than_any_address_works(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(json_free) struct json *node = NULL;
    CLEANUP(buf_done) struct buf path = { 0 };
    AUTO_FREE char *short_dir = f->dir;

    buf_append_str(&path, f->dir);
    for (int i = 0; i < 10; i++) {
        buf_append_str(&path, "/a-directory-with-a-rather-long-name-of-its-own");
        assert_int_equal(mkdir(path.data, 0700), 0);
    }
    f->dir = path.data;
    start(f);
    assert_int_equal(call(f, "{\"verb\":\"echo\",\"text\":\"far\"}", &node), 0);
    assert_string_equal(json_get_str(node, "text"), "far");
    stop(f);
    f->dir = TAKE_PTR(short_dir);
}

/* ---- nobody there, or nobody sensible ---- */

static void where_no_daemon_runs_the_caller_is_told_what_to_do(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *missing = mem_printf("%s/nowhere", f->dir);
    AUTO_FREE char *old = NULL;
    struct json *node = NULL;

    assert_int_equal(call(f, "{}", &node), -ENOENT);
    assert_says(f, "no nairid runs");
    assert_says(f, f->dir);
    assert_says(f, "--state");
    old = f->dir;
    f->dir = missing;
    assert_int_equal(call(f, "{}", &node), -ENOENT);
    assert_says(f, missing);
    f->dir = TAKE_PTR(old);
}

static int listen_raw(const struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", f->dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 0), 0);
    return fd;
}

static void a_daemon_that_hangs_is_given_up_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = listen_raw(f);
    CLEANUP_PTR(json_free) struct json *request = json_object();
    struct json *node = NULL;

    /* in its queue, never accepted: no answer */
    assert_int_equal(adminclient_call(f->dir, request, 50, &node, &f->err), -ETIMEDOUT);
    assert_says(f, "no answer within 50 ms");
    /* which fills the queue: the next one gets no connection either */
    assert_int_equal(adminclient_call(f->dir, request, 50, &node, &f->err), -ETIMEDOUT);
    assert_says(f, "takes no connection");
    assert_true(fd >= 0);
}

static void an_answer_that_is_none_is_refused(void **state)
{
    static const char *const answers[] = { "\n",           "{}\n",           "[]\n",
                                           "{\"ok\":1}\n", "HTTP/1.1 200\n", "{\"ok\":true" };
    struct fixture *f = *state;
    AUTO_CLOSE int fd = listen_raw(f);

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        CLEANUP_PTR(json_free) struct json *request = json_object();
        struct json *node = NULL;
        pid_t pid = fork();
        int r;

        assert_true(pid >= 0);
        if (pid == 0) {
            int client = accept(fd, NULL, NULL);
            char text[64];

            _exit(read(client, text, sizeof text) > 0 &&
                          write(client, answers[i], strlen(answers[i])) > 0
                      ? 0
                      : 1);
        }
        r = adminclient_call(f->dir, request, WAIT_MS, &node, &f->err);
        assert_int_equal(r, strchr(answers[i], '\n') ? -EPROTO : -ECONNRESET);
        assert_says(f, f->dir);
        assert_null(node);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define RUNNING(name) cmocka_unit_test_setup_teardown(name, set_up_running, tear_down)
    const struct CMUnitTest tests[] = {
        RUNNING(a_request_is_answered),
        RUNNING(a_refusal_comes_as_the_daemons_own_sentence),
        RUNNING(what_is_no_request_gets_an_answer_too),
        RUNNING(a_request_may_come_in_pieces),
        RUNNING(requests_sent_ahead_are_answered_in_order),
        RUNNING(an_answer_is_held_back_until_it_may_go),
        RUNNING(an_answer_that_nobody_waits_for_any_more_is_dropped),
        RUNNING(an_answer_of_megabytes_arrives_whole),
        RUNNING(a_request_over_the_limit_is_refused_and_its_sender_sent_away),
        RUNNING(the_caller_learns_that_its_request_was_too_long),
        RUNNING(clients_beyond_the_limit_are_told_so),
        RUNNING(a_client_that_goes_away_at_any_point_harms_nobody),
        TEST(the_socket_is_ours_alone_and_goes_with_us),
        TEST(a_stale_socket_is_replaced),
        RUNNING(a_live_socket_is_left_to_its_daemon),
        TEST(what_is_no_socket_is_not_removed),
        TEST(a_file_put_in_its_place_is_not_removed_at_the_end),
        TEST(a_directory_longer_than_any_address_works),
        TEST(where_no_daemon_runs_the_caller_is_told_what_to_do),
        TEST(a_daemon_that_hangs_is_given_up_at_the_deadline),
        TEST(an_answer_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
