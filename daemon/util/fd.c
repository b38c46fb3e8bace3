#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

enum { FDS_MAX = 16, CHUNK = 64 * 1024 };

ssize_t fd_read_all(int fd, void *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, (char *)bytes + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int fd_write_all(int fd, const void *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, (const char *)bytes + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* Reads by chunks and not by st_size: the file may grow, and those of /proc say 0. */
static int read_up_to(int fd, size_t max, struct buf *b)
{
    size_t before = b->len;

    for (;;) {
        size_t left = max - (b->len - before);
        size_t want = left < CHUNK ? left + 1 : CHUNK;
        char *room = buf_reserve(b, want);
        ssize_t n = fd_read_all(fd, room, want);

        if (n < 0)
            return (int)n;
        if ((size_t)n > left)
            return -EMSGSIZE;
        b->len += (size_t)n;
        if ((size_t)n < want)
            return 0;
    }
}

int fd_read_file(const char *path, size_t max, struct buf *b, struct err *err)
{
    /* O_NONBLOCK: opening a FIFO that lies there must not hang us */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    size_t before = b->len;
    struct stat st;
    int r;

    if (fd < 0 && errno == ELOOP)
        return err_set(err, -ELOOP, "open '%s': it is a symbolic link; name the file itself", path);
    if (fd < 0)
        return err_set(err, -errno, "open '%s': %s", path, strerror(errno));
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' is not a regular file", path);
    r = read_up_to(fd, max, b);
    if (r < 0 && b->data != NULL) {
        b->len = before;
        b->data[before] = '\0';
    }
    if (r == -EMSGSIZE)
        return err_set(err, r, "'%s' is larger than the %zu bytes allowed", path, max);
    if (r < 0)
        return err_set(err, r, "read '%s': %s", path, strerror(-r));
    return 0;
}

static int sync_directory_of(const char *path)
{
    AUTO_FREE char *copy = mem_strdup(path);
    AUTO_CLOSE int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int fill_file(int fd, const void *bytes, size_t len, mode_t mode)
{
    int r = fd_write_all(fd, bytes, len);

    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int fd_write_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
    AUTO_FREE char *beside = mem_printf("%s.XXXXXX", path);
    AUTO_CLOSE int fd = mkostemp(beside, O_CLOEXEC);
    int r;

    if (fd < 0)
        return err_set(err, -errno, "create a file beside '%s': %s", path, strerror(errno));
    r = fill_file(fd, bytes, len, mode);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(beside); /* the first failure is the one to report */
        return err_set(err, r, "write '%s': %s", path, strerror(-r));
    }
    r = sync_directory_of(path);
    if (r < 0)
        return err_set(err, r, "sync the directory of '%s': %s", path, strerror(-r));
    return 0;
}

int fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int fd_set_cloexec(int fd, int on)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags < 0 || fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

int fd_memfile(const char *name, const void *bytes, size_t len)
{
    AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r;

    if (fd < 0)
        return -errno;
    r = fd_write_all(fd, bytes, len);
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return TAKE_FD(fd);
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int fd_send(int sock, const void *bytes, size_t len, const int *fds, size_t nfds)
{
    struct iovec iov = { .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union control control;
    ssize_t n;

    if (len == 0 || nfds > FDS_MAX) /* an empty datagram would read as EOF */
        return -EINVAL;
    memcpy(&iov.iov_base, &bytes, sizeof bytes); /* sendmsg() takes it without const */
    if (nfds > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
    }
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Puts what came into fds; what finds no place there is closed. Returns whether all found one. */
static bool take_fds(struct msghdr *msg, int *fds, size_t nfds)
{
    size_t count = 0;
    bool all = true;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < here; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < nfds) {
                fds[count++] = fd;
            } else {
                (void)close(fd); /* not ours to keep */
                all = false;
            }
        }
    }
    return all;
}

ssize_t fd_recv(int sock, void *bytes, size_t size, int *fds, size_t nfds)
{
    struct iovec iov = { .iov_base = bytes, .iov_len = size };
    union control control;
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes };
    bool all;
    ssize_t n;

    for (size_t i = 0; i < nfds; i++)
        fds[i] = -1;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    all = take_fds(&msg, fds, nfds);
    if (all && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return n;
    for (size_t i = 0; i < nfds; i++)
        if (fds[i] >= 0)
            (void)close(TAKE_FD(fds[i])); /* half a message is worth nothing */
    return -EMSGSIZE;
}
