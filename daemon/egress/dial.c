#include "egress/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/locals.h"
#include "egress/resolver.h"
#include "egress/rules.h"
#include "loop/loop.h"
#include "util/clock.h"
#include "util/mem.h"

enum {
    WHOLE_MS = 30 * 1000,   /* for all of it */
    ADDRESS_MS = 10 * 1000, /* for one address, where others follow */
};

struct dial {
    struct loop *loop;
    const struct locals *locals;
    struct hostname host;
    uint16_t port;
    unsigned grants;
    bool anywhere;
    dial_fn fn;
    void *ctx;
    struct resolver_query *query;
    struct resolver_answer answer; /* only what is permitted */
    size_t next;                   /* of its addresses */
    int fd;                        /* being connected; -1 */
    struct loop_fd *watcher;
    struct loop_timer *timer;
    uint64_t until_ms;
    struct dial_result result;
};

static void hang_up(struct dial *d)
{
    if (d->watcher)
        loop_fd_free(d->watcher);
    d->watcher = NULL;
    if (d->fd >= 0)
        (void)close(d->fd); /* it leads nowhere */
    d->fd = -1;
}

void dial_free(struct dial *d)
{
    if (!d)
        return;
    resolver_forget(d->query);
    hang_up(d);
    loop_timer_free(d->timer);
    free(d);
}

static void finish(struct dial *d)
{
    const struct dial_result result = d->result;

    d->fn(&result, d->ctx); /* frees d */
}

static void connect_next(struct dial *d);

static void on_writable(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct dial *d = ctx;
    int error = 0;
    socklen_t len = sizeof error;

    (void)watcher;
    (void)events;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error != 0) {
        d->result.error = -error;
        connect_next(d);
        return;
    }
    loop_fd_free(d->watcher);
    d->watcher = NULL;
    d->result = (struct dial_result){ .fd = TAKE_FD(d->fd) };
    finish(d);
}

static int begin_connect(struct dial *d, const union resolver_address *address)
{
    socklen_t len = address->any.sa_family == AF_INET ? sizeof address->four : sizeof address->six;
    int on = 1;

    d->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0)
        return -errno;
    (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* we only pass on */
    if (connect(d->fd, &address->any, len) < 0 && errno != EINPROGRESS)
        return -errno;
    d->watcher = loop_fd_new(d->loop, d->fd, LOOP_WRITE, on_writable, d);
    return 0;
}

static void connect_next(struct dial *d)
{
    hang_up(d);
    while (d->next < d->answer.count) {
        uint64_t now_ms = loop_now_ms(d->loop), left_ms;
        int r;

        if (now_ms >= d->until_ms)
            break;
        r = begin_connect(d, &d->answer.addresses[d->next++]);
        if (r == 0) {
            left_ms = d->until_ms - now_ms;
            loop_timer_arm(d->timer, d->next < d->answer.count && left_ms > ADDRESS_MS ? ADDRESS_MS
                                                                                       : left_ms);
            return;
        }
        d->result.error = r;
        hang_up(d);
    }
    finish(d);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct dial *d = ctx;

    (void)timer; /* one-shot */
    resolver_forget(d->query);
    d->query = NULL;
    if (d->fd >= 0 || d->next == 0)
        d->result.error = -ETIMEDOUT;
    connect_next(d);
}

/* The machine's own addresses are loopback, unless they are worse. */
static enum ipclass class_of(const struct dial *d, const struct sockaddr *address)
{
    enum ipclass class = ipclass_of(address);

    return class != IPCLASS_NEVER && locals_have(d->locals, address) ? IPCLASS_LOOPBACK : class;
}

/* Keeps of the addresses those that may be reached, with the port. */
static void judge(struct dial *d, const struct resolver_answer *found)
{
    for (size_t i = 0; i < found->count; i++) {
        union resolver_address *a = &d->answer.addresses[d->answer.count];
        enum ipclass class = class_of(d, &found->addresses[i].any);

        if (!d->anywhere && !rules_permit(&d->host, d->grants, class)) {
            if (d->result.error == 0)
                d->result = (struct dial_result){ .fd = -1, .error = -EACCES, .class = class };
            continue;
        }
        *a = found->addresses[i];
        if (a->any.sa_family == AF_INET)
            a->four.sin_port = htons(d->port);
        else
            a->six.sin6_port = htons(d->port);
        d->answer.count++;
    }
}

static void on_answer(const struct resolver_answer *found, void *ctx)
{
    struct dial *d = ctx;

    d->query = NULL;
    d->result.error = found->error;
    judge(d, found);
    connect_next(d);
}

/* A literal: nothing to resolve. */
static void on_literal(struct loop_timer *timer, void *ctx)
{
    struct resolver_answer found = { .count = 1 };
    union resolver_address *a = &found.addresses[0];
    struct dial *d = ctx;
    int family = d->host.kind == HOSTNAME_IPV4 ? AF_INET : AF_INET6;

    loop_timer_free(timer);
    d->timer = loop_timer_new(d->loop, on_timer, d);
    a->any.sa_family = (sa_family_t)family;
    (void)inet_pton(family, d->host.text,
                    family == AF_INET ? (void *)&a->four.sin_addr : (void *)&a->six.sin6_addr);
    judge(d, &found);
    connect_next(d);
}

struct dial *dial_new(const struct dial_order *order, dial_fn fn, void *ctx)
{
    struct dial *d = mem_new(struct dial);

    d->loop = order->loop;
    d->locals = order->locals;
    d->host = *order->host;
    d->port = order->port;
    d->grants = order->grants;
    d->anywhere = order->anywhere;
    d->fn = fn;
    d->ctx = ctx;
    d->fd = -1;
    d->result = (struct dial_result){ .fd = -1 };
    d->until_ms = loop_now_ms(d->loop) + WHOLE_MS;
    if (d->host.kind == HOSTNAME_NAME) {
        d->timer = loop_timer_new(d->loop, on_timer, d);
        loop_timer_arm(d->timer, WHOLE_MS);
        d->query = resolver_ask(order->resolver, d->host.text, on_answer, d);
    } else {
        d->timer = loop_timer_new(d->loop, on_literal, d);
        loop_timer_arm(d->timer, 0);
    }
    return d;
}
