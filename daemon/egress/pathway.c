#include "egress/pathway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/dial.h"
#include "egress/uplink.h"
#include "loop/loop.h"
#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { UPLINK_MS = 30 * 1000 }; /* for the proxy's answer */

struct pathway {
    struct loop *loop;
    const struct uplink *uplink;
    struct hostname host;
    uint16_t port;
    bool tunnel;
    pathway_fn fn;
    void *ctx;
    struct dial *dial;
    struct loop_fd *watcher;
    struct loop_timer *timer;
    struct buf answer; /* of the uplink */
    int fd;
    struct pathway_result result;
};

void pathway_free(struct pathway *r)
{
    if (!r)
        return;
    dial_free(r->dial);
    if (r->watcher)
        loop_fd_free(r->watcher);
    loop_timer_free(r->timer);
    if (r->fd >= 0)
        (void)close(r->fd); /* it leads nowhere */
    buf_done(&r->answer);
    free(r);
}

static void finish(struct pathway *r, int error)
{
    struct pathway_result result = r->result;

    result.error = error;
    result.fd = error == 0 ? TAKE_FD(r->fd) : -1;
    if (r->watcher)
        loop_fd_free(r->watcher);
    r->watcher = NULL;
    r->fn(&result, r->ctx); /* frees r */
}

/* Takes from the uplink's socket no more than the head of its answer. */
static void on_uplink(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct pathway *r = ctx;
    size_t before = r->answer.len;
    ssize_t n =
        recv(r->fd, buf_reserve(&r->answer, UPLINK_ANSWER_MAX), UPLINK_ANSWER_MAX, MSG_PEEK);
    int end = -ECONNREFUSED;

    (void)watcher;
    (void)events; /* only LOOP_READ is watched */
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        r->answer.len += (size_t)n;
        end = uplink_read_answer(r->answer.data, r->answer.len);
        if (end > 0)
            n = end - (ssize_t)before;
        (void)recv(r->fd, r->answer.data + before, (size_t)n, 0); /* it is there */
    }
    if (end != 0)
        finish(r, end > 0 ? 0 : -ECONNABORTED);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* one-shot */
    finish(ctx, -ETIMEDOUT);
}

/* By the proxy on the way a tunnel is asked for, as the client did of us. */
static void ask_uplink(struct pathway *r)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    uplink_print_connect(r->uplink, &r->host, r->port, &b);
    if (send(r->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b.len) {
        finish(r, -ECONNABORTED);
        return;
    }
    r->watcher = loop_fd_new(r->loop, r->fd, LOOP_READ, on_uplink, r);
    loop_timer_arm(r->timer, UPLINK_MS);
}

static void on_dialed(const struct dial_result *result, void *ctx)
{
    struct pathway *r = ctx;

    dial_free(r->dial);
    r->dial = NULL;
    r->fd = result->fd;
    r->result.class = result->class;
    if (r->fd >= 0 && r->result.by_uplink && r->tunnel)
        ask_uplink(r);
    else
        finish(r, r->fd >= 0 ? 0 : result->error);
}

struct pathway *pathway_new(const struct pathway_order *order, pathway_fn fn, void *ctx)
{
    struct pathway *r = mem_new(struct pathway);
    bool by_uplink = order->uplink && order->host->kind == HOSTNAME_NAME &&
                     !(order->grants & (ALLOW_PRIVATE | ALLOW_LOOPBACK));
    struct dial_order dial = { .loop = order->loop,
                               .resolver = order->resolver,
                               .locals = order->locals,
                               .host = by_uplink ? &order->uplink->host : order->host,
                               .port = by_uplink ? order->uplink->port : order->port,
                               .grants = order->grants,
                               .anywhere = by_uplink };

    *r = (struct pathway){ .loop = order->loop,
                           .uplink = order->uplink,
                           .host = *order->host,
                           .port = order->port,
                           .tunnel = order->tunnel,
                           .fn = fn,
                           .ctx = ctx,
                           .fd = -1,
                           .result = { .by_uplink = by_uplink } };
    r->timer = loop_timer_new(order->loop, on_timer, r);
    r->dial = dial_new(&dial, on_dialed, r);
    return r;
}

char *pathway_describe(const struct pathway_result *result, const struct hostname *host,
                       uint16_t port)
{
    char where[HOSTNAME_WITH_PORT_SIZE];

    if (result->error == -ECONNABORTED)
        return mem_strdup("the proxy on the way (server.proxy) refuses the connection");
    return mem_printf("%s can't be reached%s: %s", hostname_with_port(where, host, port),
                      result->by_uplink ? ", as the proxy on the way (server.proxy) can't be" : "",
                      result->error == -ENOENT ? "there is no such name"
                                               : strerror(-result->error));
}
