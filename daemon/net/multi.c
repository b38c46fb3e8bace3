#include "net/multi.h"

#include <assert.h>
#include <errno.h>

#include "loop/loop.h"
#include "util/err.h"
#include "util/mem.h"

struct multi {
    struct loop *loop;
    CURLM *curl;
    struct loop_timer *timer;
    multi_done_fn fn;
    void *ctx;
};

/* One per socket that curl watches; belongs to curl's socket table (curl_multi_assign). */
struct watch {
    struct multi *multi;
    struct loop_fd *fd;
    curl_socket_t socket;
};

static void report_finished(struct multi *m)
{
    CURLMsg *msg;
    int left;

    /* Asked anew each time: the callback may have removed the next handle. */
    while ((msg = curl_multi_info_read(m->curl, &left))) {
        CURL *easy = msg->easy_handle;
        CURLcode result = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_multi_remove_handle(m->curl, easy); /* fails only for a foreign handle */
        m->fn(easy, result, m->ctx);
    }
}

static void act(struct multi *m, curl_socket_t socket, int events)
{
    int running;

    /* What can go wrong belongs to single transfers and is reported with them. */
    (void)curl_multi_socket_action(m->curl, socket, events, &running);
    report_finished(m);
}

static void on_socket_event(struct loop_fd *fd, unsigned events, void *ctx)
{
    const struct watch *watch = ctx;
    int flags = ((events & LOOP_READ) ? CURL_CSELECT_IN : 0) |
                ((events & LOOP_WRITE) ? CURL_CSELECT_OUT : 0);

    (void)fd;
    act(watch->multi, watch->socket, flags);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* curl arms it again when it needs it */
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    struct multi *m = ctx;
    struct watch *watch = socket_ctx;
    unsigned events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            loop_fd_free(watch->fd);
            free(watch);
            (void)curl_multi_assign(m->curl, socket, NULL); /* curl itself named the socket */
        }
        return 0;
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= LOOP_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= LOOP_WRITE;
    if (watch) {
        loop_fd_set(watch->fd, events);
        return 0;
    }
    watch = mem_new(struct watch);
    *watch = (struct watch){ .multi = m, .socket = socket };
    watch->fd = loop_fd_new(m->loop, socket, events, on_socket_event, watch);
    (void)curl_multi_assign(m->curl, socket, watch); /* as above */
    return 0;
}

static int on_curl_timer(CURLM *curl, long timeout_ms, void *ctx)
{
    struct multi *m = ctx;

    (void)curl;
    if (timeout_ms < 0)
        loop_timer_stop(m->timer);
    else
        loop_timer_arm(m->timer, (uint64_t)timeout_ms);
    return 0;
}

int multi_new(struct loop *loop, long max_connections, multi_done_fn fn, void *ctx,
              struct multi **ret_multi, struct err *err)
{
    struct multi *m = mem_new(struct multi);
    CURLMcode rc;

    *m = (struct multi){ .loop = loop, .curl = curl_multi_init(), .fn = fn, .ctx = ctx };
    if (!m->curl) {
        free(m);
        return err_set(err, -ENOMEM, "libcurl made no multi handle");
    }
    rc = curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(m->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, max_connections);
    if (rc != CURLM_OK) {
        (void)curl_multi_cleanup(m->curl); /* nothing is in it */
        free(m);
        return err_set(err, -ENOSYS, "libcurl refuses its set-up: %s", curl_multi_strerror(rc));
    }
    m->timer = loop_timer_new(loop, on_timer, m);
    *ret_multi = m;
    return 0;
}

int multi_add(struct multi *m, CURL *easy)
{
    return curl_multi_add_handle(m->curl, easy) == CURLM_OK ? 0 : -EIO;
}

void multi_remove(struct multi *m, CURL *easy)
{
    (void)curl_multi_remove_handle(m->curl, easy); /* fails only for a foreign handle */
}

void multi_free(struct multi *m)
{
    CURLMcode rc;

    if (!m)
        return;
    rc = curl_multi_cleanup(m->curl); /* closes idle connections, through on_curl_socket() */
    assert(rc == CURLM_OK);
    (void)rc; /* unused where assertions are off */
    loop_timer_free(m->timer);
    free(m);
}
