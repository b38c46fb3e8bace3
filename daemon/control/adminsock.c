#include "control/adminsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/err.h"

#define SOCKET_NAME "control.sock"

enum { BACKLOG = 16 };

static struct sockaddr_un address_in(int dir_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" SOCKET_NAME,
                   dir_fd);
    return address;
}

static int connect_in(int fd, int dir_fd)
{
    struct sockaddr_un address = address_in(dir_fd);

    return connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

/* Makes way for ours, where what lies there is a socket that nobody listens on. */
static int remove_stale(int dir_fd, const char *dir, struct err *err)
{
    AUTO_CLOSE int probe = -1;
    struct stat st;
    int r;

    if (fstatat(dir_fd, SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT
                   ? 0
                   : err_set(err, -errno, "stat '%s/" SOCKET_NAME "': %s", dir, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST, "'%s/" SOCKET_NAME "' is not a socket: move it away", dir);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return err_set(err, -errno, "make a socket: %s", strerror(errno));
    r = connect_in(probe, dir_fd);
    if (r == 0 || r == -EAGAIN) /* EAGAIN: its queue is full */
        return err_set(err, -EADDRINUSE, "another daemon listens on '%s/" SOCKET_NAME "'", dir);
    if (r != -ECONNREFUSED)
        return err_set(err, r, "connect to '%s/" SOCKET_NAME "': %s", dir, strerror(-r));
    if (unlinkat(dir_fd, SOCKET_NAME, 0) < 0 && errno != ENOENT)
        return err_set(err, -errno, "remove '%s/" SOCKET_NAME "': %s", dir, strerror(errno));
    return 0;
}

static int bind_in(int dir_fd, const char *dir, struct err *err)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = address_in(dir_fd);

    if (fd < 0)
        return err_set(err, -errno, "make a socket: %s", strerror(errno));
    /* bind() gives the file the mode that the socket has: never open to others, not for a moment */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return err_set(err, -errno, "bind '%s/" SOCKET_NAME "': %s%s", dir, strerror(errno),
                       errno == ENOENT ? " (is /proc mounted?)" : "");
    if (listen(fd, BACKLOG) < 0)
        return err_set(err, -errno, "listen on '%s/" SOCKET_NAME "': %s", dir, strerror(errno));
    return TAKE_FD(fd);
}

int adminsock_listen(const char *dir, struct adminsock *ret_sock, struct err *err)
{
    AUTO_CLOSE int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    struct stat st;
    int r;

    if (dir_fd < 0)
        return err_set(err, -errno, "open the state directory '%s': %s", dir, strerror(errno));
    r = remove_stale(dir_fd, dir, err);
    if (r < 0)
        return r;
    fd = bind_in(dir_fd, dir, err);
    if (fd < 0)
        return fd;
    if (fstatat(dir_fd, SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, -errno, "stat '%s/" SOCKET_NAME "': %s", dir, strerror(errno));
    *ret_sock = (struct adminsock){ .dev = st.st_dev, .ino = st.st_ino };
    ret_sock->fd = TAKE_FD(fd);
    ret_sock->dir_fd = TAKE_FD(dir_fd);
    return 0;
}

void adminsock_done(struct adminsock *s)
{
    struct stat st;

    if (fstatat(s->dir_fd, SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == s->dev &&
        st.st_ino == s->ino)
        (void)unlinkat(s->dir_fd, SOCKET_NAME, 0); /* what stays is replaced by the next start */
    (void)close(s->fd);
    (void)close(s->dir_fd);
}

static int explain_connect(const char *dir, int code, struct err *err)
{
    switch (code) {
    case -ENOENT:
    case -ECONNREFUSED:
        return err_set(err, code,
                       "no nairid runs with the state directory '%s': start one, or name the "
                       "directory of one with --state",
                       dir);
    case -EACCES:
    case -EPERM:
        return err_set(err, code,
                       "the state directory '%s' is another user's: ask as that user or as root",
                       dir);
    case -EAGAIN:
        return err_set(err, -ETIMEDOUT,
                       "the nairid of '%s' takes no connection: it is busy or "
                       "hangs",
                       dir);
    default:
        return err_set(err, code, "connect to '%s/" SOCKET_NAME "': %s", dir, strerror(-code));
    }
}

int adminsock_connect(const char *dir, uint32_t timeout_ms, struct err *err)
{
    /* at least a moment: zero would mean no limit */
    struct timeval wait = { .tv_sec = timeout_ms / 1000,
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000 + 1 };
    AUTO_CLOSE int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    int r;

    if (dir_fd < 0)
        return explain_connect(dir, -errno, err);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, -errno, "make a socket: %s", strerror(errno));
    /* connect() waits as long as sending may: unix(7) has no other limit for a full queue */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0)
        return err_set(err, -errno, "set a socket's time limit: %s", strerror(errno));
    r = connect_in(fd, dir_fd);
    return r < 0 ? explain_connect(dir, r, err) : TAKE_FD(fd);
}
