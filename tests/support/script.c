#include "support/script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/mem.h"

enum { REQUESTS_MAX = 64 };

struct script {
    const struct script_step *steps;
    size_t count;
    int listener, conn, stop, parked;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;
    char *requests[REQUESTS_MAX];
    size_t request_count;
    struct buf input; /* read ahead on the current connection */
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Whether fd became ready; false once the script is to stop, or after timeout_ms. */
static bool ready(const struct script *s, int fd, short events, int timeout_ms)
{
    struct pollfd fds[2] = { { .fd = s->stop, .events = POLLIN }, { .fd = fd, .events = events } };
    int n;

    do
        n = poll(fds, 2, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0 && !(fds[0].revents & POLLIN);
}

static void drop_connection(struct script *s)
{
    if (s->conn >= 0)
        close(s->conn);
    s->conn = -1;
    buf_clear(&s->input);
}

static bool do_accept(struct script *s)
{
    drop_connection(s);
    if (!ready(s, s->listener, POLLIN, -1))
        return false;
    s->conn = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    return s->conn >= 0;
}

static bool read_more(struct script *s)
{
    char bytes[16384];
    ssize_t n;

    if (s->conn < 0 || !ready(s, s->conn, POLLIN, -1))
        return false;
    n = recv(s->conn, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    buf_append(&s->input, bytes, (size_t)n);
    return true;
}

static size_t content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\ncontent-length:");

    return line ? (size_t)strtoul(line + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

static bool do_read(struct script *s)
{
    const char *end;
    size_t total;

    while (!(end = strstr(buf_str(&s->input), "\r\n\r\n")))
        if (!read_more(s))
            return false;
    total = (size_t)(end - s->input.data) + 4 + content_length(s->input.data);
    while (s->input.len < total)
        if (!read_more(s))
            return false;
    pthread_mutex_lock(&s->lock);
    must(s->request_count < REQUESTS_MAX, "too many requests");
    s->requests[s->request_count++] = mem_strndup(s->input.data, total);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    buf_consume(&s->input, total);
    return true;
}

static bool do_send(struct script *s, const struct script_step *step)
{
    size_t len = step->len ? step->len : strlen(step->text);

    for (size_t i = 0; i < (step->repeat ? step->repeat : 1); i++)
        for (size_t done = 0; done < len;) {
            ssize_t n;

            if (s->conn < 0 || !ready(s, s->conn, POLLOUT, -1))
                return false;
            n = send(s->conn, step->text + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                return true; /* the client went away: that may be what is tested */
            done += n > 0 ? (size_t)n : 0;
        }
    return true;
}

static bool do_hold(struct script *s)
{
    while (read_more(s))
        buf_clear(&s->input);
    return true;
}

static bool do_reset(struct script *s)
{
    const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    if (s->conn >= 0)
        must(setsockopt(s->conn, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0, "SO_LINGER");
    drop_connection(s);
    return true;
}

static bool run_step(struct script *s, const struct script_step *step)
{
    switch (step->action) {
    case SCRIPT_ACCEPT:
        return do_accept(s);
    case SCRIPT_READ:
        return do_read(s);
    case SCRIPT_SEND:
        return do_send(s, step);
    case SCRIPT_CLOSE:
        drop_connection(s);
        return true;
    case SCRIPT_RESET:
        return do_reset(s);
    case SCRIPT_HOLD:
        return do_hold(s);
    case SCRIPT_PARK:
        must(s->parked < 0, "one connection can be parked");
        s->parked = s->conn;
        s->conn = -1;
        return true;
    case SCRIPT_WAIT:
        (void)ready(s, -1, 0, step->ms);
        return true;
    case SCRIPT_ACTION_COUNT:
        break;
    }
    return false;
}

static void *thread_main(void *arg)
{
    struct script *s = arg;

    for (size_t i = 0; i < s->count; i++)
        if (!run_step(s, &s->steps[i]))
            break;
    drop_connection(s);
    pthread_mutex_lock(&s->lock);
    s->finished = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct script *script_start(const struct script_step *steps, size_t count)
{
    struct script *s = mem_new(struct script);
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof addr;

    s->steps = steps;
    s->count = count;
    s->conn = s->parked = -1;
    s->stop = eventfd(0, EFD_CLOEXEC);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s->stop >= 0 && s->listener >= 0, "socket");
    must(bind(s->listener, (struct sockaddr *)&addr, sizeof addr) == 0, "bind");
    must(listen(s->listener, 64) == 0, "listen");
    must(getsockname(s->listener, (struct sockaddr *)&addr, &len) == 0, "getsockname");
    s->port = ntohs(addr.sin_port);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    must(pthread_create(&s->thread, NULL, thread_main, s) == 0, "pthread_create");
    return s;
}

unsigned script_port(const struct script *s)
{
    return s->port;
}

int script_wait(struct script *s, int ms)
{
    struct timespec until;
    int finished, rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000 + 1;
    pthread_mutex_lock(&s->lock);
    while (!s->finished && rc == 0)
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    finished = s->finished;
    pthread_mutex_unlock(&s->lock);
    return finished;
}

size_t script_requests(struct script *s)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->request_count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const char *script_request(struct script *s, size_t n)
{
    return n < script_requests(s) ? s->requests[n] : NULL;
}

void script_stop(struct script *s)
{
    const uint64_t one = 1;

    must(write(s->stop, &one, sizeof one) == sizeof one, "eventfd");
    must(pthread_join(s->thread, NULL) == 0, "pthread_join");
    close(s->listener);
    if (s->parked >= 0)
        close(s->parked);
    close(s->stop);
    for (size_t i = 0; i < s->request_count; i++)
        free(s->requests[i]);
    buf_done(&s->input);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}
