#include "egress/resolver.h"

#include <ares.h>
#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "loop/loop.h"
#include "util/err.h"
#include "util/mem.h"

enum { TIMEOUT_MS = 2000, TRIES = 3 }; /* each server, then doubled with each further try */

/* A socket of c-ares'. */
struct watched {
    struct watched *next;
    struct resolver *resolver;
    ares_socket_t fd;
    struct loop_fd *watcher;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct loop_timer *timer;
    struct watched *sockets;
};

struct resolver_query {
    resolver_fn fn; /* NULL: nobody waits any more */
    void *ctx;
    struct loop_timer *delivery; /* armed once the answer is there */
    struct resolver_answer answer;
};

/* ---- c-ares and the loop ---- */

static void arm(struct resolver *r)
{
    struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

    if (next)
        loop_timer_arm(r->timer,
                       (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1);
    else
        loop_timer_stop(r->timer);
}

static void on_socket(struct loop_fd *watcher, unsigned events, void *ctx)
{
    const struct watched *w = ctx;
    struct resolver *r = w->resolver;
    ares_socket_t fd = w->fd;

    (void)watcher;
    ares_process_fd(r->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD,
                    events & LOOP_WRITE ? fd : ARES_SOCKET_BAD); /* may free w */
    arm(r);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct resolver *r = ctx;

    (void)timer;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(r);
}

/* c-ares wants its socket watched so from now on; not at all: it will be closed. */
static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = ctx;
    unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);
    struct watched **at = &r->sockets, *w;

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    w = *at;
    if (w && events == 0) {
        *at = w->next;
        loop_fd_free(w->watcher);
        free(w);
    } else if (w) {
        loop_fd_set(w->watcher, events);
    } else if (events != 0) {
        w = mem_new(struct watched);
        w->resolver = r;
        w->fd = fd;
        w->watcher = loop_fd_new(r->loop, fd, events, on_socket, w);
        w->next = r->sockets;
        r->sockets = w;
    }
}

int resolver_new(struct loop *loop, struct resolver **ret_resolver, struct err *err)
{
    CLEANUP_PTR(resolver_free) struct resolver *r = mem_new(struct resolver);
    struct ares_options options = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                    .timeout = TIMEOUT_MS,
                                    .tries = TRIES,
                                    .sock_state_cb = on_state,
                                    .sock_state_cb_data = r };
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status == ARES_SUCCESS)
        status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS)
        return err_set(err, -EIO, "prepare to resolve names: %s; see /etc/resolv.conf",
                       ares_strerror(status));
    r->loop = loop;
    r->timer = loop_timer_new(loop, on_timer, r);
    *ret_resolver = TAKE_PTR(r);
    return 0;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    if (r->channel)
        ares_destroy(r->channel); /* takes its sockets from the loop */
    if (r->timer)
        loop_timer_free(r->timer);
    ares_library_cleanup();
    free(r);
}

/* ---- queries ---- */

static void query_free(struct resolver_query *q)
{
    loop_timer_free(q->delivery);
    free(q);
}

static void deliver(struct loop_timer *timer, void *ctx)
{
    struct resolver_query *q = ctx;

    (void)timer; /* one-shot */
    if (q->fn)
        q->fn(&q->answer, q->ctx);
    query_free(q);
}

static void take_address(struct resolver_answer *answer, const struct ares_addrinfo_node *node)
{
    union resolver_address *to = &answer->addresses[answer->count];

    if (answer->count == RESOLVER_ADDRESSES_MAX)
        return;
    if (node->ai_family == AF_INET && node->ai_addrlen == sizeof to->four)
        memcpy(&to->four, node->ai_addr, sizeof to->four);
    else if (node->ai_family == AF_INET6 && node->ai_addrlen == sizeof to->six)
        memcpy(&to->six, node->ai_addr, sizeof to->six);
    else
        return;
    answer->count++;
}

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return -ENOENT;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ENOMEM:
        return -ENOMEM;
    default:
        return -EHOSTUNREACH;
    }
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *found)
{
    struct resolver_query *q = ctx;

    (void)timeouts;
    q->answer.error = error_of(status);
    for (const struct ares_addrinfo_node *n = found ? found->nodes : NULL; n; n = n->ai_next)
        take_address(&q->answer, n);
    if (found)
        ares_freeaddrinfo(found);
    if (q->answer.error == 0 && q->answer.count == 0)
        q->answer.error = -ENOENT;
    loop_timer_arm(q->delivery, 0); /* it may have been known at once */
}

struct resolver_query *resolver_ask(struct resolver *r, const char *name, resolver_fn fn, void *ctx)
{
    static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
                                                      .ai_socktype = SOCK_STREAM };
    struct resolver_query *q = mem_new(struct resolver_query);

    q->fn = fn;
    q->ctx = ctx;
    q->delivery = loop_timer_new(r->loop, deliver, q);
    ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, q);
    arm(r);
    return q;
}

void resolver_forget(struct resolver_query *q)
{
    if (q)
        q->fn = NULL;
}
