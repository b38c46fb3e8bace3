#include "control/adminclient.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/adminsock.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/str.h"

enum { ANSWER_MAX = 16 * 1024 * 1024, CHUNK = 16 * 1024 };

/* 0 once fd is ready, -ETIMEDOUT at the deadline. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);

        if (n > 0)
            return 0;
        if (n == 0 && left_ms == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int send_all(int fd, const char *bytes, size_t len, uint64_t deadline_ms)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = send(fd, bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            int r = wait_for(fd, POLLOUT, deadline_ms);

            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Up to the first newline, which is cut off. */
static int receive_line(int fd, struct buf *line, uint64_t deadline_ms)
{
    while (line->len <= ANSWER_MAX) {
        int r = wait_for(fd, POLLIN, deadline_ms);
        char *room = buf_reserve(line, CHUNK);
        char *newline;
        ssize_t n;

        if (r < 0)
            return r;
        n = recv(fd, room, CHUNK, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        newline = memchr(room, '\n', (size_t)n);
        line->len += newline ? (size_t)(newline - room) : (size_t)n;
        if (newline)
            return 0;
    }
    return -EMSGSIZE;
}

static int exchange(int fd, const struct json *request, uint64_t deadline_ms, struct buf *answer)
{
    CLEANUP(buf_done) struct buf out = { 0 };
    AUTO_FREE char *text = json_print(request);
    int r;

    buf_append_str(&out, text);
    buf_append_char(&out, '\n');
    r = send_all(fd, out.data, out.len, deadline_ms);
    /* one that sent us away without reading may have said why */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        r = receive_line(fd, answer, deadline_ms);
    return r;
}

static int judge(struct json *answer, const char *dir, struct json **ret_answer, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *held = answer;
    const char *words = json_get_str(answer, "error");
    bool ok = false;

    if (json_get_bool(answer, "ok", &ok) < 0)
        return err_set(err, -EPROTO, "the nairid of '%s' gave an answer that is none", dir);
    if (!ok)
        return err_set(err, -EREMOTEIO, "%s",
                       str_is_empty(words) ? "the daemon gave no reason" : words);
    *ret_answer = TAKE_PTR(held);
    return 0;
}

int adminclient_call(const char *dir, const struct json *request, uint32_t timeout_ms,
                     struct json **ret_answer, struct err *err)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    CLEANUP(buf_done) struct buf line = { 0 };
    AUTO_CLOSE int fd = adminsock_connect(dir, timeout_ms, err);
    struct json *answer = NULL;
    int r;

    if (fd < 0)
        return fd;
    r = exchange(fd, request, deadline_ms, &line);
    if (r == -ETIMEDOUT)
        return err_set(err, r,
                       "the nairid of '%s' gave no answer within %u ms: it is busy or hangs", dir,
                       (unsigned)timeout_ms);
    if (r < 0)
        return err_set(err, r, "ask the nairid of '%s': %s", dir, strerror(-r));
    r = json_parse(line.data, line.len, &answer, err);
    if (r < 0) {
        (void)err_prefix(err, "the answer of the nairid of '%s'", dir);
        return -EPROTO;
    }
    return judge(answer, dir, ret_answer, err);
}
