#include "egress/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/clienthello.h"
#include "egress/dial.h"
#include "egress/head.h"
#include "egress/herald.h"
#include "egress/pump.h"
#include "egress/rules.h"
#include "egress/uplink.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    HEAD_MS = 10 * 1000,   /* for the whole head, from the connection's beginning */
    HELLO_MS = 30 * 1000,  /* for a client's first words in its tunnel */
    UPLINK_MS = 30 * 1000, /* for the proxy on the way */
    LINGER_MS = 2000,      /* for the client to read our last words */
    PIECE_BYTES = 16 * 1024,
    METHOD_MAX = 32,
};

enum state {
    AWAIT_HEAD,
    DIALING,
    AWAIT_UPLINK, /* the answer of the proxy on the way */
    AWAIT_HELLO,  /* the first words in a tunnel */
    AWAIT_INNER,  /* they are those of an HTTP request */
    RELAYING,
    LINGERING, /* our last words are written; its own are thrown away */
};

struct connection {
    struct connection *next;
    struct connections *all;
    enum state state;
    int client, server;
    bool by_uplink;
    struct buf answer;              /* of the uplink */
    struct loop_fd *server_watcher; /* only while we wait for it */
    struct loop_fd *watcher;        /* of the client, except while relaying */
    struct loop_timer *timer;
    struct buf in;   /* from the client, not yet used */
    size_t seen;     /* of it, at the last look for its end */
    struct buf head; /* the request that h points into */
    struct head *h;
    struct hostname host; /* where to */
    uint16_t port;
    unsigned grants;
    struct dial *dial;
    struct pump *pump;
};

static void connection_free(struct connection *c)
{
    struct connections *all = c->all;
    struct connection **at = &all->first;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    all->count--;
    pump_free(c->pump);
    dial_free(c->dial);
    if (c->watcher)
        loop_fd_free(c->watcher);
    if (c->server_watcher)
        loop_fd_free(c->server_watcher);
    loop_timer_free(c->timer);
    (void)close(c->client); /* it is done with */
    if (c->server >= 0)
        (void)close(c->server); /* likewise */
    buf_done(&c->in);
    buf_done(&c->answer);
    buf_done(&c->head);
    free(c->h);
    free(c);
    all->closed(all->ctx);
}

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx);

static void listen_to(struct connection *c)
{
    if (c->watcher)
        loop_fd_set(c->watcher, LOOP_READ);
    else
        c->watcher = loop_fd_new(c->all->loop, c->client, LOOP_READ, on_client, c);
}

/* ---- last words ---- */

static void linger(struct connection *c)
{
    c->state = LINGERING;
    (void)shutdown(c->client, SHUT_WR); /* it may be gone */
    if (c->server_watcher)
        loop_fd_free(c->server_watcher);
    c->server_watcher = NULL;
    if (c->server >= 0)
        (void)close(c->server); /* nothing more goes there */
    c->server = -1;
    buf_clear(&c->in);
    listen_to(c);
    loop_timer_arm(c->timer, LINGER_MS);
}

/* A short answer fits into a socket that nothing was written to yet. */
static void answer(struct connection *c, const char *status, const char *text)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_printf(&b,
               "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\nnairid: %s\n",
               status, strlen(text) + strlen("nairid: \n"), text);
    (void)send(c->client, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    linger(c);
}

static void answer_bad(struct connection *c, const char *status, const char *why)
{
    AUTO_FREE char *text = mem_printf("the request is refused: %s", why);

    answer(c, status, text);
}

static void refuse(struct connection *c, enum gateway_refusal why, const char *detail)
{
    struct gateway_word w = { .kind = GATEWAY_REFUSED, .why = why };
    char text[ERR_TEXT_MAX];

    herald_refuse(c->all->herald, why, &c->host, c->port, detail);
    (void)hostname_with_port(w.place, &c->host, c->port);
    (void)snprintf(w.detail, sizeof w.detail, "%s", detail ? detail : "");
    gateway_describe(&w, text, sizeof text);
    if (c->state == AWAIT_HEAD || c->state == DIALING || c->state == AWAIT_INNER)
        answer(c, "403 Forbidden", text);
    else
        connection_free(c); /* in a tunnel there is nobody to tell */
}

/* ---- passing on ---- */

static void on_over(enum pump_end end, void *ctx)
{
    struct connection *c = ctx;

    pump_free(c->pump);
    c->pump = NULL;
    if (end == PUMP_DONE && c->h->form != HEAD_CONNECT)
        linger(c); /* the client may still be sending what the server didn't want */
    else
        connection_free(c);
}

static bool on_spend(size_t bytes, void *ctx)
{
    struct connection *c = ctx;

    if (bytes > c->all->bytes_left)
        return false;
    c->all->bytes_left -= bytes;
    return true;
}

static void pass_on(struct connection *c)
{
    static const struct pump_ops ops = { .over = on_over, .spend = on_spend };
    CLEANUP(buf_done) struct buf b = { 0 };
    struct pump_order order = { .loop = c->all->loop,
                                .client = c->client,
                                .server = c->server,
                                .early = { buf_str(&c->in), c->in.len } };

    if (c->h->form != HEAD_CONNECT) {
        bool whole = c->by_uplink && c->h->form == HEAD_ABSOLUTE;

        head_print(c->h, whole, &b);
        buf_printf(&b, "%s\r\n", whole ? c->all->uplink->field : "");
        order.to_server = (struct head_text){ b.data, b.len };
        order.is_request = true;
        order.body = c->h->body;
        order.body_bytes = c->h->body_bytes;
    }
    c->state = RELAYING;
    loop_timer_stop(c->timer);
    loop_fd_free(c->watcher);
    c->watcher = NULL;
    c->pump = pump_new(&order, &ops, c);
    buf_done(&c->in);
}

static void begin(struct connection *c);

/* Takes from the uplink's socket no more than the head of its answer. */
static void on_uplink(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct connection *c = ctx;
    size_t before = c->answer.len;
    ssize_t n =
        recv(c->server, buf_reserve(&c->answer, UPLINK_ANSWER_MAX), UPLINK_ANSWER_MAX, MSG_PEEK);
    int end = -ECONNREFUSED;

    (void)watcher;
    (void)events; /* only LOOP_READ is watched */
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        c->answer.len += (size_t)n;
        end = uplink_read_answer(c->answer.data, c->answer.len);
        if (end > 0)
            n = end - (ssize_t)before;
        (void)recv(c->server, c->answer.data + before, (size_t)n, 0); /* it is there */
    }
    if (end == 0)
        return;
    loop_fd_free(c->server_watcher);
    c->server_watcher = NULL;
    if (end > 0)
        begin(c);
    else
        answer(c, "502 Bad Gateway", "the proxy on the way (server.proxy) refuses the connection");
}

/* By the proxy on the way a tunnel is asked for, as the client did of us. */
static void ask_uplink(struct connection *c)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    uplink_print_connect(c->all->uplink, &c->host, c->port, &b);
    if (send(c->server, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b.len) {
        answer(c, "502 Bad Gateway", "the proxy on the way (server.proxy) takes no request");
        return;
    }
    c->state = AWAIT_UPLINK;
    c->server_watcher = loop_fd_new(c->all->loop, c->server, LOOP_READ, on_uplink, c);
    loop_timer_arm(c->timer, UPLINK_MS);
}

static void on_dialed(const struct dial_result *result, void *ctx)
{
    struct connection *c = ctx;
    char where[HOSTNAME_WITH_PORT_SIZE];
    AUTO_FREE char *text = NULL;

    dial_free(c->dial);
    c->dial = NULL;
    c->server = result->fd;
    if (result->fd >= 0) {
        if (c->by_uplink && c->h->form == HEAD_CONNECT)
            ask_uplink(c);
        else
            begin(c);
        return;
    }
    if (result->error == -EACCES) {
        refuse(c, GATEWAY_ADDRESS_BAD, ipclass_text(result->class));
        return;
    }
    text =
        mem_printf("%s can't be reached%s: %s", hostname_with_port(where, &c->host, c->port),
                   c->by_uplink ? ", as the proxy on the way (server.proxy) can't be" : "",
                   result->error == -ENOENT ? "there is no such name" : strerror(-result->error));
    answer(c, result->error == -ETIMEDOUT ? "504 Gateway Timeout" : "502 Bad Gateway", text);
}

/* ---- the request ---- */

/* Takes the head out of what came in. False: it was refused. */
static bool take_head(struct connection *c, size_t len, bool in_tunnel)
{
    const char *why = NULL;
    int r;

    buf_append(&c->head, c->in.data, len);
    buf_consume(&c->in, len);
    c->h = c->h ? c->h : mem_new(struct head);
    r = head_parse(c->head.data, c->head.len, in_tunnel, c->h, &why);
    if (r == 0)
        return true;
    answer_bad(c, r == -EOPNOTSUPP ? "505 HTTP Version Not Supported" : "400 Bad Request", why);
    return false;
}

static void on_head(struct connection *c, size_t len)
{
    struct dial_order order = { .loop = c->all->loop,
                                .resolver = c->all->resolver,
                                .locals = c->all->locals };

    if (!take_head(c, len, false))
        return;
    c->host = c->h->host;
    c->port = c->h->port;
    if (!rules_find(c->all->rules, &c->host, c->port, &c->grants)) {
        refuse(c, GATEWAY_NOT_ALLOWED, NULL);
        return;
    }
    c->state = DIALING;
    loop_timer_stop(c->timer); /* dial has its own */
    loop_fd_set(c->watcher, 0);
    c->by_uplink = c->all->uplink && c->host.kind == HOSTNAME_NAME &&
                   !(c->grants & (ALLOW_PRIVATE | ALLOW_LOOPBACK));
    order.host = c->by_uplink ? &c->all->uplink->host : &c->host;
    order.port = c->by_uplink ? c->all->uplink->port : c->port;
    order.anywhere = c->by_uplink;
    order.grants = c->grants;
    c->dial = dial_new(&order, on_dialed, c);
}

/* Inside a tunnel: the same place, in so many words. */
static void on_inner_head(struct connection *c, size_t len)
{
    buf_clear(&c->head);
    if (!take_head(c, len, true))
        return;
    if (!str_eq(c->h->host.text, c->host.text) || c->h->port != c->port) {
        refuse(c, GATEWAY_OTHER_NAME, c->h->host.text);
        return;
    }
    pass_on(c);
}

/* Whether there is nothing more to wait for. */
static void look_for_head(struct connection *c)
{
    ssize_t end = head_find_end(c->in.data, c->in.len, c->seen);

    c->seen = c->in.len;
    if (end == -EMSGSIZE)
        answer_bad(c, "431 Request Header Fields Too Large", "its head is too long");
    else if (end < 0)
        answer_bad(c, "400 Bad Request", "a line that doesn't end in CRLF");
    else if (end > 0 && c->state == AWAIT_HEAD)
        on_head(c, (size_t)end);
    else if (end > 0)
        on_inner_head(c, (size_t)end);
}

/* Whether it may be the beginning of an HTTP request: a method, which no TLS record begins with. */
static bool is_method(const struct buf *in)
{
    size_t len = 0;

    while (len < in->len && in->data[len] >= 'A' && in->data[len] <= 'Z')
        len++;
    return len > 0 && (len == in->len || in->data[len] == ' ');
}

static void look_for_hello(struct connection *c)
{
    struct hostname name;

    if (is_method(&c->in)) {
        if (!memchr(c->in.data, ' ', c->in.len) && c->in.len < METHOD_MAX)
            return;
        c->state = AWAIT_INNER;
        look_for_head(c);
        return;
    }
    switch (clienthello_read(c->in.data, c->in.len, &name)) {
    case CLIENTHELLO_MORE:
        return;
    case CLIENTHELLO_NAME:
        if (str_eq(name.text, c->host.text))
            pass_on(c);
        else
            refuse(c, GATEWAY_OTHER_NAME, name.text);
        return;
    case CLIENTHELLO_NO_NAME:
        if (c->host.kind != HOSTNAME_NAME)
            pass_on(c);
        else
            refuse(c, GATEWAY_NO_NAME, NULL);
        return;
    case CLIENTHELLO_BAD:
        refuse(c, GATEWAY_NOT_TLS, NULL);
        return;
    }
}

static void begin(struct connection *c)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

    if (c->h->form != HEAD_CONNECT) {
        pass_on(c);
        return;
    }
    if (send(c->client, established, sizeof established - 1, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        sizeof established - 1) {
        connection_free(c);
        return;
    }
    if (c->grants & ALLOW_RAW) {
        pass_on(c);
        return;
    }
    c->state = AWAIT_HELLO;
    c->seen = 0;
    loop_timer_arm(c->timer, HELLO_MS);
    listen_to(c);
    if (c->in.len > 0)
        look_for_hello(c);
}

/* ---- the client ---- */

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct connection *c = ctx;
    ssize_t n = recv(c->client, buf_reserve(&c->in, PIECE_BYTES), PIECE_BYTES, 0);

    (void)watcher;
    (void)events; /* only LOOP_READ is watched */
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_free(c);
        return;
    }
    c->in.len += (size_t)n;
    switch (c->state) {
    case AWAIT_HEAD:
    case AWAIT_INNER:
        look_for_head(c);
        return;
    case AWAIT_HELLO:
        look_for_hello(c);
        return;
    case LINGERING:
        buf_clear(&c->in);
        return;
    case DIALING:
    case AWAIT_UPLINK:
    case RELAYING:
        return; /* not watched then */
    }
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct connection *c = ctx;

    (void)timer; /* one-shot */
    if (c->state == AWAIT_HEAD || c->state == AWAIT_INNER)
        answer_bad(c, "408 Request Timeout", "its head doesn't come to an end");
    else if (c->state == AWAIT_UPLINK)
        answer(c, "504 Gateway Timeout", "the proxy on the way (server.proxy) doesn't answer");
    else
        connection_free(c);
}

void connection_new(struct connections *all, int client)
{
    struct connection *c = mem_new(struct connection);

    c->all = all;
    c->client = client;
    c->server = -1;
    c->timer = loop_timer_new(all->loop, on_timer, c);
    c->next = all->first;
    all->first = c;
    all->count++;
    loop_timer_arm(c->timer, HEAD_MS);
    listen_to(c);
}

void connection_end_all(struct connections *all)
{
    while (all->first)
        connection_free(all->first);
}
