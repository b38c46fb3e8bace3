#include "egress/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/claim.h"
#include "egress/clienthello.h"
#include "egress/errand.h"
#include "egress/head.h"
#include "egress/herald.h"
#include "egress/pathway.h"
#include "egress/pump.h"
#include "egress/rules.h"
#include "egress/uplink.h"
#include "egress/wallet.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    HEAD_MS = 10 * 1000,  /* for the whole head, from the connection's beginning */
    HELLO_MS = 30 * 1000, /* for a client's first words in its tunnel */
    LINGER_MS = 2000,     /* for the client to read our last words */
    PIECE_BYTES = 16 * 1024,
    METHOD_MAX = 32,
};

enum state {
    AWAIT_HEAD,
    ROUTING,
    AWAIT_HELLO, /* the first words in a tunnel */
    AWAIT_INNER, /* they are those of an HTTP request */
    RELAYING,
    BROKERED,  /* an errand is under way */
    LINGERING, /* our last words are written; its own are thrown away */
};

struct connection {
    struct connection *next;
    struct connections *all;
    enum state state;
    int client, server;
    bool by_uplink;
    struct loop_fd *watcher; /* of the client, except while relaying */
    struct loop_timer *timer;
    struct buf in;   /* from the client, not yet used */
    size_t seen;     /* of it, at the last look for its end */
    struct buf head; /* the request that h points into */
    struct head *h;
    struct hostname host; /* where to */
    uint16_t port;
    unsigned grants;
    struct pathway *route;
    struct pump *pump;
    struct claim claim;
    struct errand *errand;
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
    errand_free(c->errand);
    pathway_free(c->route);
    if (c->watcher)
        loop_fd_free(c->watcher);
    loop_timer_free(c->timer);
    (void)close(c->client); /* it is done with */
    if (c->server >= 0)
        (void)close(c->server); /* likewise */
    buf_done(&c->in);
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

/* So that what was cut off can't be taken for all. */
static void connection_reset(struct connection *c)
{
    const struct linger now = { .l_onoff = 1 };

    (void)setsockopt(c->client, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* else just closed */
    connection_free(c);
}

/* ---- last words ---- */

static void linger(struct connection *c)
{
    c->state = LINGERING;
    (void)shutdown(c->client, SHUT_WR); /* it may be gone */
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
    if (c->state == AWAIT_HEAD || c->state == ROUTING || c->state == AWAIT_INNER)
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
    if (end == PUMP_SPENT)
        herald_refuse(c->all->herald, GATEWAY_SPENT, &c->host, c->port, NULL);
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

static void on_routed(const struct pathway_result *result, void *ctx)
{
    struct connection *c = ctx;
    AUTO_FREE char *text = NULL;

    pathway_free(c->route);
    c->route = NULL;
    c->server = result->fd;
    c->by_uplink = result->by_uplink;
    if (result->fd >= 0) {
        begin(c);
        return;
    }
    if (result->error == -EACCES) {
        refuse(c, GATEWAY_ADDRESS_BAD, ipclass_text(result->class));
        return;
    }
    text = pathway_describe(result, &c->host, c->port);
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

static struct pathway_order order_for(const struct connection *c)
{
    const struct connections *all = c->all;

    return (struct pathway_order){ .loop = all->loop,
                                   .resolver = all->resolver,
                                   .locals = all->locals,
                                   .uplink = all->uplink,
                                   .host = &c->host,
                                   .port = c->port,
                                   .grants = c->grants };
}

/* ---- brokers ---- */

static void on_errand_over(const struct errand_result *result, void *ctx)
{
    struct connection *c = ctx;
    bool is_whole = result->whole, is_told = *result->status && !result->answered;
    char where[HOSTNAME_WITH_PORT_SIZE];
    const char *status = result->status;
    AUTO_FREE char *text =
        mem_printf("the broker %s got no answer from %s: %s", c->claim.broker->name,
                   hostname_with_port(where, &c->host, c->port), result->text);

    if (*status == '5' || (result->answered && *result->text))
        herald_refuse(c->all->herald, GATEWAY_NO_ANSWER, &c->host, c->port, result->text);
    errand_free(c->errand); /* and result with it; status is a literal */
    c->errand = NULL;
    if (is_told && *status == '4')
        answer_bad(c, status, "its body is too long, or not as its head announces it");
    else if (is_told)
        answer(c, status, text);
    else if (is_whole)
        linger(c);
    else
        connection_reset(c);
}

static void run_errand(struct connection *c)
{
    static const struct errand_ops ops = { .over = on_errand_over, .spend = on_spend };
    const struct pathway_order route = order_for(c);
    const struct errand_order order = { .wallet = c->all->wallet,
                                        .claim = &c->claim,
                                        .head = c->h,
                                        .early = { buf_str(&c->in), c->in.len },
                                        .client = c->client,
                                        .route = &route };

    c->state = BROKERED;
    loop_timer_stop(c->timer);
    loop_fd_free(c->watcher);
    c->watcher = NULL;
    c->errand = errand_new(&order, &ops, c);
    buf_done(&c->in);
}

static void on_claim(struct connection *c)
{
    enum claim_verdict verdict = claim_judge(c->all->brokers, c->h, &c->claim);
    struct wallet_entry *entry =
        verdict == CLAIM_UNKNOWN ? NULL : wallet_find(c->all->wallet, c->claim.broker);
    AUTO_FREE char *asked = mem_printf("%.*s %.*s", (int)c->h->method.len, c->h->method.at,
                                       (int)c->claim.path.len, c->claim.path.at);

    if (entry) {
        c->host = entry->place.host;
        c->port = entry->place.port;
    }
    switch (verdict) {
    case CLAIM_UNKNOWN:
        answer(c, "404 Not Found", "there is no broker of that name (broker)");
        return;
    case CLAIM_BAD_PATH:
        answer_bad(c, "400 Bad Request", "its path could be read as another one");
        return;
    case CLAIM_NOT_LISTED:
        refuse(c, GATEWAY_NOT_LISTED, asked);
        return;
    case CLAIM_TOO_LARGE:
        answer_bad(c, "413 Content Too Large", "its body is longer than request_limit (broker)");
        return;
    case CLAIM_OK:
        break;
    }
    if (entry->left == 0) {
        answer(c, "429 Too Many Requests",
               "the task has asked as often as a task may (broker, requests)");
        return;
    }
    entry->left--;
    run_errand(c);
}

/* METHOD /..., which only a broker is asked. */
static bool is_origin(const struct buf *in)
{
    const char *space = memchr(in->data, ' ', in->len);

    return space && space + 1 < in->data + in->len && space[1] == '/';
}

/* Some clients ask their proxy for it, which we are as well. */
static bool is_own_address(const struct head *h)
{
    return h->form == HEAD_ABSOLUTE && h->port == GATEWAY_PORT &&
           str_eq(h->host.text, GATEWAY_ADDRESS);
}

static void on_head(struct connection *c, size_t len)
{
    bool has_brokers = c->all->brokers->len > 0;
    struct pathway_order order;

    if (!take_head(c, len, has_brokers && is_origin(&c->in)))
        return;
    if (has_brokers && (c->h->form == HEAD_ORIGIN || is_own_address(c->h))) {
        on_claim(c);
        return;
    }
    c->host = c->h->host;
    c->port = c->h->port;
    if (!rules_find(c->all->rules, &c->host, c->port, &c->grants)) {
        refuse(c, GATEWAY_NOT_ALLOWED, NULL);
        return;
    }
    c->state = ROUTING;
    loop_timer_stop(c->timer); /* pathway.has its own */
    loop_fd_set(c->watcher, 0);
    order = order_for(c);
    order.tunnel = c->h->form == HEAD_CONNECT;
    c->route = pathway_new(&order, on_routed, c);
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
    case ROUTING:
    case RELAYING:
    case BROKERED:
        return; /* not watched then */
    }
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct connection *c = ctx;

    (void)timer; /* one-shot */
    if (c->state == AWAIT_HEAD || c->state == AWAIT_INNER)
        answer_bad(c, "408 Request Timeout", "its head doesn't come to an end");
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
