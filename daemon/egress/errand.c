#include "egress/errand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/body.h"
#include "egress/censor.h"
#include "egress/pathway.h"
#include "egress/reply.h"
#include "egress/wallet.h"
#include "loop/loop.h"
#include "net/tls.h"
#include "settings/values.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"

enum {
    FLOW_BYTES = 64 * 1024,   /* under way in one direction */
    PIECE_BYTES = 16 * 1024,  /* a TLS record */
    PIECES_A_TURN = 8,        /* then others get theirs */
    IDLE_MS = 15 * 60 * 1000, /* once the answer has begun */
    GREET_MS = 30 * 1000,     /* for the TLS handshake */
    IGNORED_MAX = 64 * 1024,  /* of what a client sends behind its request */
};

struct errand {
    struct loop *loop;
    const struct errand_ops *ops;
    void *ctx;
    struct wallet *wallet;
    struct wallet_entry *entry;
    int client, server; /* server: -1 until there is one */
    struct pathway *route;
    struct tls *tls; /* NULL: none yet, or in the clear */
    bool greeted;    /* the handshake is over */
    struct loop_fd *client_watcher, *server_watcher;
    struct loop_timer *timer;
    struct buf up; /* to the server; holds the key at first */
    size_t up_at;
    struct body body;
    bool body_ended, up_broken;
    uint64_t request_left, response_left;
    size_t ignored;
    struct buf raw; /* from the server, until the head of its answer is there */
    struct censor censor;
    struct buf down; /* to the client */
    size_t down_at;
    bool answered, server_ended;
    struct body answer; /* of which no more is known if it is HEAD_NO_BODY */
    bool asks_head, got_all;
    uint64_t moved_ms;
    bool is_over;
    struct errand_result result;
    struct err err;
};

void errand_free(struct errand *e)
{
    if (!e)
        return;
    pathway_free(e->route);
    if (e->client_watcher)
        loop_fd_free(e->client_watcher);
    if (e->server_watcher)
        loop_fd_free(e->server_watcher);
    loop_timer_free(e->timer);
    tls_free(e->tls);
    if (e->server >= 0)
        (void)close(e->server); /* it is done with */
    secret_wipe_buf(&e->up);
    buf_done(&e->raw);
    buf_done(&e->down);
    free(e);
}

/* ---- the end ---- */

/* Told by the timer: whoever called us still looks at e. */
static void end(struct errand *e, bool whole, const char *status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void end(struct errand *e, bool whole, const char *status, const char *fmt, ...)
{
    va_list ap;

    if (e->is_over)
        return;
    e->is_over = true;
    va_start(ap, fmt);
    (void)err_setv(&e->err, -EIO, fmt, ap);
    va_end(ap);
    e->result = (struct errand_result){
        .answered = e->answered, .whole = whole, .status = status, .text = e->err.text
    };
    if (e->client_watcher)
        loop_fd_set(e->client_watcher, 0);
    if (e->server_watcher)
        loop_fd_set(e->server_watcher, 0);
    loop_timer_arm(e->timer, 0);
}

static void fail(struct errand *e, const char *what)
{
    end(e, false, "502 Bad Gateway", "%s", what);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct errand *e = ctx;
    uint64_t idle_ms = loop_now_ms(e->loop) - e->moved_ms;
    char text[VALUES_TEXT_MAX];

    if (e->is_over) {
        struct errand_result result = e->result;

        e->ops->over(&result, e->ctx); /* frees e */
        return;
    }
    if (e->server_watcher && !e->greeted)
        end(e, false, "504 Gateway Timeout", "the TLS handshake didn't come to an end");
    else if (!e->answered)
        end(e, false, "504 Gateway Timeout", "it didn't begin to answer in %s (timeout)",
            values_duration_text(text, e->entry->broker->timeout_ms));
    else if (idle_ms < IDLE_MS)
        loop_timer_arm(timer, IDLE_MS - idle_ms);
    else
        end(e, false, "", "its answer stopped for %s", values_duration_text(text, IDLE_MS));
}

static bool spend(struct errand *e, size_t bytes)
{
    e->moved_ms = loop_now_ms(e->loop);
    if (e->ops->spend(bytes, e->ctx))
        return true;
    fail(e, "the task has passed as many bytes as a task may");
    return false;
}

/* ---- to the server ---- */

static ssize_t put(struct errand *e, const char *bytes, size_t len)
{
    ssize_t n;

    if (e->tls)
        return tls_send(e->tls, bytes, len);
    n = send(e->server, bytes, len, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static void flush_up(struct errand *e)
{
    while (!e->is_over && !e->up_broken && e->up_at < e->up.len) {
        ssize_t n = put(e, e->up.data + e->up_at, e->up.len - e->up_at);

        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n < 0) /* it may have answered before it stopped to read */
            e->up_broken = true;
        else
            e->up_at += (size_t)n;
    }
    secret_wipe(e->up.data, e->up.len);
    e->up_at = e->up.len = 0;
}

/* False: that is not what the head announced, or too much. */
static bool take_body(struct errand *e, const char *bytes, size_t len)
{
    ssize_t n = body_accept(&e->body, bytes, len, &e->body_ended);

    if (n < 0) {
        end(e, false, "400 Bad Request", "the request's body isn't chunked as it should be");
        return false;
    }
    if ((uint64_t)n > e->request_left) {
        end(e, false, "413 Content Too Large", "the request is longer than request_limit");
        return false;
    }
    e->request_left -= (uint64_t)n;
    buf_append(&e->up, bytes, (size_t)n); /* there is room: it isn't moved */
    return spend(e, (size_t)n);
}

/* ---- from the server ---- */

/* Many servers end TLS without a word. That is no matter where the answer said how long it is. */
static void count_answer(struct errand *e, const char *bytes, size_t len)
{
    if (e->answer.kind != HEAD_NO_BODY && !e->got_all &&
        body_accept(&e->answer, bytes, len, &e->got_all) < 0)
        e->answer = body_of(HEAD_NO_BODY, 0);
}

static void begin_answer(struct errand *e, const struct buf *head)
{
    uint64_t bytes = 0;
    enum head_body kind = reply_body(buf_str(head), head->len, &bytes);

    e->answered = true;
    e->answer = body_of(kind, bytes);
    e->got_all = e->asks_head;
    count_answer(e, e->raw.data, e->raw.len);
}

static void take_head(struct errand *e)
{
    while (!e->is_over && !e->answered && e->raw.len > 0) {
        CLEANUP(buf_done) struct buf head = { 0 };
        ssize_t used = reply_read(e->raw.data, e->raw.len, &head);

        if (used == 0)
            return;
        if (used == -ELOOP)
            fail(e, "it answers with a redirect, which is not followed: upstream has to be where "
                    "the API is");
        else if (used < 0)
            fail(e, "what it answers is no HTTP/1.1");
        if (used < 0)
            return;
        buf_consume(&e->raw, (size_t)used);
        if (head.len > 0)
            begin_answer(e, &head);
        censor_feed(&e->censor, head.data ? head.data : "", head.len, &e->down);
    }
    if (!e->answered)
        return;
    censor_feed(&e->censor, e->raw.data, e->raw.len, &e->down);
    buf_done(&e->raw);
    loop_timer_arm(e->timer, IDLE_MS);
}

static void take_answer(struct errand *e, const char *bytes, size_t len)
{
    if (len > e->response_left) {
        fail(e, "its answer is longer than response_limit");
        return;
    }
    e->response_left -= len;
    if (!spend(e, len))
        return;
    if (e->answered) {
        count_answer(e, bytes, len);
        censor_feed(&e->censor, bytes, len, &e->down);
        return;
    }
    buf_append(&e->raw, bytes, len);
    take_head(e);
}

static void server_ended(struct errand *e, ssize_t how)
{
    e->server_ended = true;
    if (!e->answered)
        fail(e, how == 0 ? "it ended the connection without an answer" : strerror((int)-how));
    else if (how < 0 && !e->got_all)
        fail(e, "its answer was cut off");
    else
        censor_end(&e->censor, &e->down);
}

/* As much as there is and has room. TLS may hold more than the socket knows of. */
static void read_server(struct errand *e)
{
    char bytes[PIECE_BYTES];

    for (int i = 0; i < PIECES_A_TURN; i++) {
        ssize_t n;

        if (e->is_over || e->server_ended || e->down.len - e->down_at >= FLOW_BYTES)
            return;
        if (e->tls) {
            n = tls_recv(e->tls, bytes, sizeof bytes);
        } else {
            n = recv(e->server, bytes, sizeof bytes, 0);
            n = n < 0 ? -errno : n;
        }
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n > 0)
            take_answer(e, bytes, (size_t)n);
        else
            server_ended(e, n);
    }
    loop_fd_feed(e->server_watcher, LOOP_READ);
}

/* ---- the client ---- */

static void flush_down(struct errand *e)
{
    while (!e->is_over && e->down_at < e->down.len) {
        ssize_t n =
            send(e->client, e->down.data + e->down_at, e->down.len - e->down_at, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            end(e, false, "", "%s", ""); /* as it likes */
            return;
        }
        e->down_at += (size_t)n;
        e->moved_ms = loop_now_ms(e->loop);
    }
    buf_clear(&e->down);
    e->down_at = 0;
    if (e->server_ended)
        end(e, true, "", "%s", "");
}

/* A client that hangs up wants no answer any more, which would cost. */
static void read_client(struct errand *e)
{
    char bytes[PIECE_BYTES];
    size_t room = e->up.len < FLOW_BYTES ? FLOW_BYTES - e->up.len : 0;
    ssize_t n;

    if (e->is_over || (!e->body_ended && room == 0))
        return;
    n = recv(e->client, bytes, e->body_ended || room > sizeof bytes ? sizeof bytes : room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        end(e, false, "", "%s", ""); /* as it likes */
    else if (e->body_ended)
        e->ignored += (size_t)n;
    else
        (void)take_body(e, bytes, (size_t)n);
}

/* ---- both ---- */

static void watch_client(struct errand *e)
{
    bool wants = e->body_ended ? e->ignored < IGNORED_MAX : e->up.len < FLOW_BYTES;

    if (!e->is_over)
        loop_fd_set(e->client_watcher, (wants ? (unsigned)LOOP_READ : 0u) |
                                           (e->down_at < e->down.len ? (unsigned)LOOP_WRITE : 0u));
}

static void watch_server(struct errand *e)
{
    bool wants = e->down.len - e->down_at < FLOW_BYTES && !e->server_ended;
    bool has = e->up_at < e->up.len || (e->tls && tls_wants_write(e->tls));

    if (!e->is_over)
        loop_fd_set(e->server_watcher,
                    (wants ? (unsigned)LOOP_READ : 0u) | (has ? (unsigned)LOOP_WRITE : 0u));
}

static void turn(struct errand *e)
{
    flush_up(e);
    read_server(e);
    flush_down(e);
    watch_client(e);
    watch_server(e);
}

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct errand *e = ctx;

    (void)watcher;
    if (events & LOOP_READ)
        read_client(e);
    if (e->greeted) {
        turn(e);
        return;
    }
    flush_down(e);
    watch_client(e);
}

static void greet(struct errand *e)
{
    int r = e->tls ? tls_handshake(e->tls, &e->err) : 0;

    if (r == -EAGAIN) {
        loop_fd_set(e->server_watcher, tls_wants_write(e->tls) ? LOOP_WRITE : LOOP_READ);
        return;
    }
    if (r < 0) {
        struct err err = e->err;

        fail(e, err.text);
        return;
    }
    e->greeted = true;
    loop_timer_arm(e->timer, e->entry->broker->timeout_ms);
    turn(e);
}

static void on_server(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct errand *e = ctx;

    (void)watcher;
    (void)events; /* either way all that can be done is */
    if (e->greeted)
        turn(e);
    else
        greet(e);
}

static int begin_tls(struct errand *e, struct err *err)
{
    struct tls_trust *trust = NULL;
    int r = wallet_trust(e->wallet, e->entry, &trust, err);

    return r < 0 ? r : tls_new(trust, e->server, &e->entry->place.host, &e->tls, err);
}

static void on_routed(const struct pathway_result *result, void *ctx)
{
    struct errand *e = ctx;
    const struct broker_place *place = &e->entry->place;
    struct err err = { 0 };

    pathway_free(e->route);
    e->route = NULL;
    if (e->is_over) {
        if (result->fd >= 0)
            (void)close(result->fd); /* nobody wants it any more */
        return;
    }
    e->server = result->fd;
    if (result->error == -EACCES) {
        end(e, false, "502 Bad Gateway", "its name leads to %s, which addresses doesn't allow",
            ipclass_text(result->class));
        return;
    }
    if (result->error != 0) {
        AUTO_FREE char *text = pathway_describe(result, &place->host, place->port);

        end(e, false, result->error == -ETIMEDOUT ? "504 Gateway Timeout" : "502 Bad Gateway", "%s",
            text);
        return;
    }
    if (place->is_tls && begin_tls(e, &err) < 0) {
        fail(e, err.text);
        return;
    }
    e->server_watcher = loop_fd_new(e->loop, e->server, 0, on_server, e);
    loop_timer_arm(e->timer, e->entry->broker->timeout_ms < GREET_MS ? e->entry->broker->timeout_ms
                                                                     : GREET_MS);
    greet(e);
}

static void take_route(struct errand *e, const struct pathway_order *given)
{
    struct pathway_order order = *given;

    order.host = &e->entry->place.host;
    order.port = e->entry->place.port;
    order.grants = e->entry->broker->grants;
    order.tunnel = true;
    e->route = pathway_new(&order, on_routed, e);
}

struct errand *errand_new(const struct errand_order *order, const struct errand_ops *ops, void *ctx)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct errand *e = mem_new(struct errand);
    const struct broker *broker = order->claim->broker;

    e->loop = order->route->loop;
    e->ops = ops;
    e->ctx = ctx;
    e->wallet = order->wallet;
    e->entry = wallet_find(order->wallet, broker);
    e->client = order->client;
    e->server = -1;
    e->timer = loop_timer_new(e->loop, on_timer, e);
    e->client_watcher = loop_fd_new(e->loop, e->client, 0, on_client, e);
    e->request_left = broker->request_limit_bytes;
    e->response_left = broker->response_limit_bytes;
    e->censor = (struct censor){ .forms = e->entry->forms };
    e->body = body_of(order->head->body, order->head->body_bytes);
    e->asks_head = order->head->method.len == 4 && memcmp(order->head->method.at, "HEAD", 4) == 0;
    e->moved_ms = loop_now_ms(e->loop);
    loop_timer_arm(e->timer, broker->timeout_ms);
    (void)buf_reserve(&e->up, CLAIM_PRINT_MAX + secret_len(e->entry->key) + FLOW_BYTES);
    claim_print(order->claim, order->head, &e->entry->place, secret_text(e->entry->key), &e->up);
    if (order->head->expects)
        buf_append(&e->down, go_on, sizeof go_on - 1);
    if (take_body(e, order->early.at, order->early.len)) {
        flush_down(e);
        watch_client(e);
        take_route(e, order->route);
    }
    return e;
}
