#include "egress/pump.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "egress/body.h"
#include "loop/loop.h"
#include "util/mem.h"

enum {
    FLOW_BYTES = PUMP_EARLY_MAX,
    IDLE_MS = 15 * 60 * 1000,
};

/* One direction. */
struct flow {
    int from, to;
    char *bytes; /* FLOW_BYTES */
    size_t at, len;
    bool ended;  /* nothing more comes from there */
    bool closed; /* and the other side knows it */
};

struct pump {
    struct loop *loop;
    const struct pump_ops *ops;
    void *ctx;
    struct flow up, down;
    struct loop_fd *client, *server;
    struct loop_timer *timer; /* runs to the idle end, or at once to an early one */
    uint64_t moved_ms;
    bool is_request;
    struct body body;
    bool is_over;
    enum pump_end end;
};

static void over(struct pump *r, enum pump_end end)
{
    if (r->is_over)
        return;
    r->is_over = true;
    r->end = end;
    loop_fd_set(r->client, 0);
    loop_fd_set(r->server, 0);
    loop_timer_arm(r->timer, 0); /* whoever called us still looks at r */
}

/* How many of the client's bytes belong to the request; -EBADMSG if they are no body. */
static ssize_t accept_body(struct pump *r, const char *bytes, size_t len)
{
    bool ended = false;
    ssize_t n = body_accept(&r->body, bytes, len, &ended);

    if (ended) {
        r->up.ended = true;
        r->up.closed = true; /* with its content: some servers take a half-closed client for gone */
    }
    return n;
}

/* Bytes that were put behind what is in the buffer. False: they can't be sent on. */
static bool take_in(struct pump *r, struct flow *f, size_t len)
{
    ssize_t n = (ssize_t)len;

    if (r->is_request && f == &r->up)
        n = accept_body(r, f->bytes + f->len, len);
    if (n < 0) {
        over(r, PUMP_BROKEN);
        return false;
    }
    f->len += (size_t)n;
    r->moved_ms = loop_now_ms(r->loop);
    if (r->ops->spend((size_t)n, r->ctx))
        return true;
    over(r, PUMP_SPENT);
    return false;
}

static void fill(struct pump *r, struct flow *f)
{
    ssize_t n;

    if (f->ended || f->len == FLOW_BYTES)
        return;
    n = recv(f->from, f->bytes + f->len, FLOW_BYTES - f->len, 0);
    if (n > 0) {
        (void)take_in(r, f, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    f->ended = true;
    if (n < 0 || (r->is_request && f == &r->up)) /* its body isn't all there */
        over(r, PUMP_BROKEN);
}

static void drain(struct pump *r, struct flow *f)
{
    ssize_t n;

    if (f->at < f->len) {
        n = send(f->to, f->bytes + f->at, f->len - f->at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            over(r, PUMP_BROKEN);
            return;
        }
        f->at += n > 0 ? (size_t)n : 0;
    }
    if (f->at < f->len)
        return;
    f->at = f->len = 0;
    if (f->ended && !f->closed) {
        f->closed = true;
        (void)shutdown(f->to, SHUT_WR); /* it may be gone already */
    }
}

static bool is_spent(const struct flow *f)
{
    return f->closed && f->at == f->len;
}

static unsigned wanted(const struct flow *in, const struct flow *out)
{
    return (!in->ended && in->len < FLOW_BYTES ? (unsigned)LOOP_READ : 0u) |
           (out->at < out->len ? (unsigned)LOOP_WRITE : 0u);
}

static void settle(struct pump *r)
{
    if (r->is_over)
        return;
    if (is_spent(&r->down) && (r->is_request || is_spent(&r->up))) {
        over(r, PUMP_DONE);
        return;
    }
    loop_fd_set(r->client, wanted(&r->up, &r->down));
    loop_fd_set(r->server, wanted(&r->down, &r->up));
}

static void on_event(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct pump *r = ctx;
    struct flow *in = watcher == r->client ? &r->up : &r->down;
    struct flow *out = in == &r->up ? &r->down : &r->up;

    if (events & LOOP_WRITE)
        drain(r, out);
    if ((events & LOOP_READ) && !r->is_over)
        fill(r, in);
    if (!r->is_over)
        drain(r, in);
    settle(r);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct pump *r = ctx;
    uint64_t idle_ms = loop_now_ms(r->loop) - r->moved_ms;

    if (!r->is_over && idle_ms < IDLE_MS)
        loop_timer_arm(timer, IDLE_MS - idle_ms);
    else
        r->ops->over(r->is_over ? r->end : PUMP_IDLE, r->ctx); /* frees r */
}

static void put(struct flow *f, struct head_text text)
{
    assert(text.len <= FLOW_BYTES - f->len);
    memcpy(f->bytes + f->len, text.at, text.len);
}

struct pump *pump_new(const struct pump_order *order, const struct pump_ops *ops, void *ctx)
{
    struct pump *r = mem_new(struct pump);

    r->loop = order->loop;
    r->ops = ops;
    r->ctx = ctx;
    r->is_request = order->is_request;
    r->body = body_of(order->body, order->body_bytes);
    r->up = (struct flow){ .from = order->client, .to = order->server };
    r->down = (struct flow){ .from = order->server, .to = order->client };
    r->up.bytes = mem_alloc(FLOW_BYTES);
    r->down.bytes = mem_alloc(FLOW_BYTES);
    r->client = loop_fd_new(r->loop, order->client, 0, on_event, r);
    r->server = loop_fd_new(r->loop, order->server, 0, on_event, r);
    r->timer = loop_timer_new(r->loop, on_timer, r);
    r->moved_ms = loop_now_ms(r->loop);
    loop_timer_arm(r->timer, IDLE_MS);
    if (order->to_server.len > 0) {
        put(&r->up, order->to_server);
        r->up.len += order->to_server.len;
    }
    if (order->early.len > 0)
        put(&r->up, order->early);
    if (r->is_request || order->early.len > 0) /* also of no bytes: the body may be empty */
        (void)take_in(r, &r->up, order->early.len);
    if (!r->is_over)
        drain(r, &r->up);
    settle(r);
    return r;
}

void pump_free(struct pump *r)
{
    if (!r)
        return;
    loop_fd_free(r->client);
    loop_fd_free(r->server);
    loop_timer_free(r->timer);
    free(r->up.bytes);
    free(r->down.bytes);
    free(r);
}
