#include "egress/egress.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "egress/connection.h"
#include "egress/herald.h"
#include "egress/locals.h"
#include "egress/resolver.h"
#include "egress/rules.h"
#include "egress/uplink.h"
#include "egress/wallet.h"
#include "loop/loop.h"
#include "sandbox/confine.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum { ACCEPTED_A_TURN = 16 };
static const uint64_t bytes_max = UINT64_C(64) << 30; /* of one task, both ways */

struct egress {
    const struct gateway *gateway;
    struct herald herald;
    struct loop *loop;
    struct resolver *resolver;
    struct locals *locals;
    struct rules *rules;
    struct uplink uplink;
    struct wallet *wallet;
    struct connections connections;
    struct loop_fd *listener, *words;
};

static void on_listener(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct egress *e = ctx;

    (void)events; /* only LOOP_READ is watched */
    for (int i = 0; i < ACCEPTED_A_TURN && e->connections.count < CONNECTIONS_MAX; i++) {
        int fd = accept4(e->gateway->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            break; /* none waits; or one that is gone already */
        connection_new(&e->connections, fd);
    }
    if (e->connections.count >= CONNECTIONS_MAX)
        loop_fd_set(watcher, 0); /* further ones wait in its queue */
}

static void on_closed(void *ctx)
{
    struct egress *e = ctx;

    if (e->listener)
        loop_fd_set(e->listener, LOOP_READ);
}

/* Nothing is ever said to us: it is the end. */
static void on_words(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct egress *e = ctx;

    (void)watcher;
    (void)events;
    loop_stop(e->loop);
}

static int prepare(struct egress *e, struct err *err)
{
    int r = rules_new(e->gateway->hosts, &e->rules, err);

    if (r == 0 && *e->gateway->proxy)
        r = uplink_parse(e->gateway->proxy, &e->uplink, err);
    if (r == 0)
        r = wallet_new(e->gateway->brokers, e->gateway->keys, e->gateway->ca_file, &e->wallet, err);
    if (r == 0)
        r = loop_new(&e->loop, err);
    if (r == 0)
        r = resolver_new(e->loop, &e->resolver, err);
    if (r == 0)
        r = locals_new(&e->locals, err);
    if (r < 0)
        return r;
    r = fd_set_nonblock(e->gateway->listener);
    if (r < 0)
        return err_set(err, r, "prepare the task's listener: %s", strerror(-r));
    return confine_egress(e->gateway->filter, e->gateway->uid, e->gateway->without_landlock, err);
}

static void serve(struct egress *e)
{
    struct err err;
    int r;

    e->connections = (struct connections){ .loop = e->loop,
                                           .resolver = e->resolver,
                                           .locals = e->locals,
                                           .rules = e->rules,
                                           .herald = &e->herald,
                                           .uplink = e->uplink.field ? &e->uplink : NULL,
                                           .brokers = e->gateway->brokers,
                                           .wallet = e->wallet,
                                           .bytes_left = bytes_max,
                                           .closed = on_closed,
                                           .ctx = e };
    e->listener = loop_fd_new(e->loop, e->gateway->listener, LOOP_READ, on_listener, e);
    e->words = loop_fd_new(e->loop, e->gateway->words, LOOP_READ, on_words, e);
    r = herald_ready(&e->herald);
    if (r == 0) {
        loop_run(e->loop);
    } else {
        (void)err_set(&err, r, "tell that the task's egress process is ready: %s", strerror(-r));
        herald_fail(&e->herald, &err);
    }
    loop_fd_free(e->listener);
    e->listener = NULL;
    loop_fd_free(e->words);
    connection_end_all(&e->connections);
}

void egress_run(const struct gateway *g)
{
    struct egress e = { .gateway = g, .herald = { .words = g->words } };
    struct err err = { 0 };

    if (prepare(&e, &err) < 0)
        herald_fail(&e.herald, &err);
    else
        serve(&e);
    resolver_free(e.resolver);
    locals_free(e.locals);
    loop_free(e.loop);
    rules_free(e.rules);
    uplink_done(&e.uplink);
    wallet_free(e.wallet);
}
