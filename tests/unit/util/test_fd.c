#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"

/* A temporary directory, which is also the current one. */
static int enter_folder(void **state)
{
    char name[] = "/tmp/test_fd.XXXXXX";

    if (mkdtemp(name) == NULL || chdir(name) < 0)
        return -1;
    *state = strdup(name);
    return 0;
}

static int leave_folder(void **state)
{
    DIR *d = opendir(".");

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        (void)unlink(e->d_name); /* . and .. aren't removed by that */
    if (d != NULL)
        (void)closedir(d);
    if (chdir("/") < 0 || rmdir(*state) < 0)
        return -1;
    free(*state);
    return 0;
}

static size_t open_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static size_t files_here(void)
{
    DIR *d = opendir(".");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    (void)closedir(d);
    return n - 2;
}

static bool is_cloexec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void a_written_file_reads_back_with_its_mode(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };
    struct stat st;
    mode_t old = umask(077);

    (void)state;
    buf_append_str(&b, "before:");
    assert_int_equal(fd_write_file("f", "a\0b", 3, 0640, &err), 0);
    (void)umask(old);
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640); /* whatever the umask */
    assert_int_equal(fd_read_file("f", 3, &b, &err), 0);
    assert_memory_equal(b.data, "before:a\0b", 11);
    assert_int_equal(b.len, 10);
    assert_int_equal(fd_write_file("f", "", 0, 0600, &err), 0); /* over the old one */
    buf_clear(&b);
    assert_int_equal(fd_read_file("f", 0, &b, &err), 0);
    assert_int_equal(b.len, 0);
    assert_int_equal(files_here(), 1);
}

static void a_file_past_the_limit_is_refused_and_leaves_the_buffer(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 }, big = { 0 };
    struct err err = { 0 };

    (void)state;
    (void)buf_reserve(&big, 200000);
    big.len = 200000;
    assert_int_equal(fd_write_file("big", big.data, big.len, 0600, NULL), 0);
    buf_append_str(&b, "kept");
    assert_int_equal(fd_read_file("big", 199999, &b, &err), -EMSGSIZE);
    assert_non_null(strstr(err.text, "'big' is larger than the 199999 bytes"));
    assert_string_equal(buf_str(&b), "kept");
    assert_int_equal(fd_read_file("big", 200000, &b, &err), 0);
    assert_int_equal(b.len, 200004);
    buf_clear(&b);
    assert_int_equal(fd_read_file("big", SIZE_MAX, &b, &err), 0);
    assert_int_equal(b.len, 200000);
}

static void files_without_a_size_are_read_to_their_end(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    assert_int_equal(fd_read_file("/proc/self/status", 1 << 20, &b, NULL), 0);
    assert_non_null(strstr(buf_str(&b), "Name:"));
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(fd_write_file("real", "x", 1, 0600, NULL), 0);
    assert_int_equal(symlink("real", "link"), 0);
    assert_int_equal(fd_read_file("fifo", 10, &b, &err), -EINVAL);
    assert_int_equal(fd_read_file(".", 10, &b, &err), -EINVAL);
    assert_string_equal(err.text, "'.' is not a regular file");
    assert_int_equal(fd_read_file("link", 10, &b, &err), -ELOOP);
    assert_non_null(strstr(err.text, "symbolic link"));
    assert_int_equal(fd_read_file("none", 10, &b, &err), -ENOENT);
    assert_non_null(strstr(err.text, "open 'none': No such file"));
    assert_null(b.data);
}

static void a_failed_write_leaves_the_old_file_and_nothing_beside(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_int_equal(fd_write_file("directory", "x", 1, 0600, &err), -EISDIR);
    assert_non_null(strstr(err.text, "write 'directory'"));
    assert_int_equal(files_here(), 1);
    assert_int_equal(rmdir("directory"), 0);
    assert_int_equal(fd_write_file("no/such/place", "x", 1, 0600, &err), -ENOENT);
    assert_non_null(strstr(err.text, "beside 'no/such/place'"));
    assert_int_equal(fd_write_file("/dev/full/x", "x", 1, 0600, &err), -ENOTDIR);
    assert_int_equal(fd_read_file("directory", 1, &b, NULL), -ENOENT);
}

static void whole_reads_and_writes_over_a_pipe(void **state)
{
    char bytes[16] = "";
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_write_all(fds[1], "abc", 3), 0);
    assert_int_equal(fd_write_all(fds[1], "def", 3), 0);
    assert_int_equal(fd_read_all(fds[0], bytes, 4), 4);
    assert_memory_equal(bytes, "abcd", 4);
    assert_int_equal(fd_read_all(fds[0], bytes, 0), 0);
    (void)close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], bytes, sizeof bytes), 2);
    assert_memory_equal(bytes, "ef", 2);
    (void)close(fds[0]);
    assert_int_equal(fd_read_all(fds[0], bytes, 1), -EBADF);
    assert_int_equal(fd_write_all(fds[0], bytes, 1), -EBADF);
    assert_int_equal(fd_write_all(fds[0], bytes, 0), 0);
}

static void flags_are_set_one_by_one(void **state)
{
    int fds[2], flags;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    flags = fcntl(fds[0], F_GETFL);
    assert_int_equal(fd_set_nonblock(fds[0]), 0);
    assert_int_equal(fcntl(fds[0], F_GETFL), flags | O_NONBLOCK);
    assert_false(is_cloexec(fds[0]));
    assert_int_equal(fd_set_cloexec(fds[0], 1), 0);
    assert_true(is_cloexec(fds[0]));
    assert_int_equal(fd_set_cloexec(fds[0], 0), 0);
    assert_false(is_cloexec(fds[0]));
    (void)close(fds[0]);
    (void)close(fds[1]);
    assert_int_equal(fd_set_nonblock(fds[0]), -EBADF);
    assert_int_equal(fd_set_cloexec(fds[0], 1), -EBADF);
}

static void a_memory_file_is_sealed_and_starts_at_its_beginning(void **state)
{
    AUTO_CLOSE int fd = fd_memfile("prompt", "hello", 5), empty = fd_memfile("empty", "", 0);
    char bytes[8] = "";

    (void)state;
    assert_true(fd >= 0 && empty >= 0);
    assert_true(is_cloexec(fd));
    assert_int_equal(fd_read_all(fd, bytes, sizeof bytes), 5);
    assert_string_equal(bytes, "hello");
    assert_int_equal(fd_write_all(fd, "x", 1), -EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 100), -1);
    assert_int_equal(fd_read_all(empty, bytes, sizeof bytes), 0);
}

static void datagrams_carry_descriptors(void **state)
{
    AUTO_CLOSE int file = fd_memfile("x", "payload", 7);
    int pair[2], fds[3], sent[2] = { file, file };
    size_t before;
    char bytes[16] = "";

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    before = open_fds();
    assert_int_equal(fd_send(pair[0], "one", 3, sent, 2), 0);
    assert_int_equal(fd_send(pair[0], "two", 3, NULL, 0), 0);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, fds, 3), 3);
    assert_memory_equal(bytes, "one", 3);
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    assert_int_equal(fds[2], -1);
    assert_true(is_cloexec(fds[0]) && is_cloexec(fds[1]));
    assert_int_equal(pread(fds[1], bytes, 7, 0), 7);
    assert_memory_equal(bytes, "payload", 7);
    (void)close(fds[0]);
    (void)close(fds[1]);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, fds, 3), 3);
    assert_memory_equal(bytes, "two", 3);
    assert_int_equal(fds[0], -1);
    assert_int_equal(open_fds(), before);
    (void)close(pair[0]);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, NULL, 0), 0);
    assert_int_equal(fd_send(pair[1], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
    (void)close(pair[1]);
}

static void what_does_not_fit_is_refused_and_nothing_leaks(void **state)
{
    int pair[2], fds[2], many[17];
    size_t before;
    char bytes[4];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = pair[0];
    before = open_fds();
    assert_int_equal(fd_send(pair[0], "", 0, NULL, 0), -EINVAL);
    assert_int_equal(fd_send(pair[0], "x", 1, many, 17), -EINVAL);
    assert_int_equal(fd_send(pair[0], "x", 1, (int[]){ -1 }, 1), -EBADF);

    assert_int_equal(fd_send(pair[0], "too long", 8, many, 1), 0);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, fds, 2), -EMSGSIZE);
    assert_int_equal(fds[0], -1);
    assert_int_equal(fd_send(pair[0], "ok", 2, many, 16), 0);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, fds, 2), -EMSGSIZE);
    assert_int_equal(fd_send(pair[0], "ok", 2, many, 1), 0);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, NULL, 0), -EMSGSIZE);
    assert_int_equal(open_fds(), before);
    assert_int_equal(fd_set_nonblock(pair[1]), 0);
    assert_int_equal(fd_recv(pair[1], bytes, sizeof bytes, fds, 2), -EAGAIN);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* More than our own sender allows: what a hostile peer may do. */
static void more_descriptors_than_there_is_room_for_are_closed(void **state)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(100 * sizeof(int))];
    } control = { .bytes = { 0 } };
    struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int pair[2], fds[16];
    size_t before;
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(100 * sizeof(int));
    for (size_t i = 0; i < 100; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
    before = open_fds();
    assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
    assert_int_equal(fd_recv(pair[1], &byte, 1, fds, 16), -EMSGSIZE);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(fds[i], -1);
    assert_int_equal(open_fds(), before);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_written_file_reads_back_with_its_mode),
        IN_FOLDER(a_file_past_the_limit_is_refused_and_leaves_the_buffer),
        cmocka_unit_test(files_without_a_size_are_read_to_their_end),
        IN_FOLDER(what_is_no_regular_file_is_refused_without_waiting),
        IN_FOLDER(a_failed_write_leaves_the_old_file_and_nothing_beside),
        cmocka_unit_test(whole_reads_and_writes_over_a_pipe),
        cmocka_unit_test(flags_are_set_one_by_one),
        cmocka_unit_test(a_memory_file_is_sealed_and_starts_at_its_beginning),
        cmocka_unit_test(datagrams_carry_descriptors),
        cmocka_unit_test(what_does_not_fit_is_refused_and_nothing_leaks),
        cmocka_unit_test(more_descriptors_than_there_is_room_for_are_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
