#include "hub/hub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hub/access.h"
#include "hub/call.h"
#include "hub/chore.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/deposit.h"
#include "hub/depot.h"
#include "hub/envoy.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/liaison.h"
#include "hub/lookout.h"
#include "hub/page.h"
#include "hub/petition.h"
#include "hub/porter.h"
#include "hub/route.h"
#include "hub/server.h"
#include "hub/storage.h"
#include "hub/submission.h"
#include "hub/waiter.h"
#include "loop/loop.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { SWEEP_RETRY_MS = 1000 };

struct hub {
    struct loop *loop;
    struct server *server;
    struct storage *storage;
    struct depot *depot;
    struct porter *porter;
    struct chore_list *chores;
    struct waiter_list *waiters;
    struct liaison_list *liaisons;
    struct loop_timer *lease_timer;
    struct conversation_sweep sweep;
    bool sweeping;
    struct loop_timer *stop_timer, *linger_timer;
    bool stopping;
    struct storage_op look; /* at who may come for an answer, before it stops */
    bool lingering;
};

const struct hub_settings hub_settings_default = {
    .limits = { .request_ms = 60 * 1000,
                .answer_ms = 120 * 1000,
                .connections = SERVER_CONNECTIONS_MAX },
    .attachment_max = 50 << 20,
    .agent_files_max = UINT64_C(10) << 30,
    .keep_free = 256 << 20,
    .chores = { .queue_timeout_ms = UINT64_C(24) * 3600 * 1000,
                .attachment_unused_ms =
                    UINT64_C(7) * 24 * 3600 * 1000 }, /* as long as a daemon keeps trying */
    .check_idle_ms = 60 * 1000,
};

/* ---- answers ---- */

/* Whether the instance must get this answer, as nothing will tell it again what stands there. */
static bool hands_out(const struct call *c)
{
    return c->granted_count > 0 || c->cancels;
}

/* Sends what the call came to; the call lives on until the request has ended. */
static void send_answer(struct hub *h, struct call *c)
{
    char fence[24], wait[32], link[80];
    struct server_header headers[] = {
        { "X-Nairi-Fence", c->fence_out ? str_u64(fence, c->fence_out) : NULL },
        { "Preference-Applied", c->wait_s ? wait : NULL },
        { "WWW-Authenticate", c->status == 401 ? "Bearer" : NULL },
        { "Link", c->more.limit ? link : NULL },
        { NULL, NULL },
    };

    if (c->envoy) {
        envoy_answered(c);
        return;
    }
    if (c->file.id[0] != '\0') {
        porter_send(h->porter, c);
        return;
    }
    snprintf(wait, sizeof wait, "wait=%u", c->wait_s);
    snprintf(link, sizeof link, "<?limit=%" PRId64 "&offset=%" PRId64 ">; rel=\"next\"",
             c->more.limit, c->more.offset);
    c->lost = hands_out(c) && server_request_is_gone(c->request);
    server_reply(c->request, c->status, TAKE_PTR(c->reply), headers);
}

static void answer_nothing(struct hub *h, struct call *c)
{
    c->reply = inbox_nothing(c);
    c->status = 200;
    send_answer(h, c);
}

/* ---- calls ---- */

static int run_call(struct storage_op *op, struct model *m)
{
    struct call *c = (struct call *)op;
    int rc;

    call_reset(c);
    rc = access_check(c, m, c->route->key);
    if (rc > 0 && c->route->key == KEY_AGENT && !c->woken &&
        lease_renew(m->leases, c->agent.seq, c->instance, m->now_ms, c->wait_s * 1000) < 0)
        rc = call_refuse(c, 503,
                         "more than %d instances of an agent, or %d of all, have called lately",
                         LEASE_AGENT_MAX, LEASE_TABLE_MAX);
    if (rc > 0)
        rc = c->route->handler(c, m);
    if (rc < 0)
        return rc;
    return c->status >= 200 && c->status < 300 ? 0 : STORAGE_DISCARD;
}

static void give(struct hub *h, struct call *c)
{
    c->running = true;
    storage_give(h->storage, &c->op);
}

static void wake(struct hub *h, int64_t agent, const char *instance)
{
    struct call *c;

    while ((c = waiter_take(h->waiters, agent, instance))) {
        c->woken = true;
        give(h, c);
    }
}

static void park(struct hub *h, struct call *c)
{
    struct call *older;

    if (h->stopping || c->deadline_ms <= loop_now_ms(h->loop) ||
        (c->request && server_request_is_gone(c->request))) { /* while its poll ran */
        answer_nothing(h, c);
        return;
    }
    if (c->request)
        server_request_watch(c->request);
    older = waiter_add(h->waiters, c);
    if (older)
        answer_nothing(h, older);
}

static void watch_leases(struct hub *h, uint64_t end_ms, uint64_t least_ms)
{
    uint64_t now_ms = loop_now_ms(h->loop), delay_ms;

    if (h->sweeping || h->stopping || end_ms == UINT64_MAX)
        return;
    delay_ms = end_ms > now_ms ? end_ms - now_ms : 0;
    loop_timer_arm(h->lease_timer, delay_ms > least_ms ? delay_ms : least_ms);
}

static void linger(struct hub *h, uint64_t until_ms);

static void on_call_done(struct storage_op *op, int result, void *ctx)
{
    struct hub *h = ctx;
    struct call *c = (struct call *)op;
    struct call_wake waking;
    uint64_t op_lookout_ms = op->lookout_ms; /* op may be gone when it is looked at */

    c->running = false;
    call_trust(c, result);
    watch_leases(h, op->lease_end_ms, 0);
    if (c->closed) {
        call_free(c);
        return;
    }
    if (result < 0) {
        call_reset(c);
        call_fail(c, result);
    }
    if (c->deposit && c->status == 201)
        deposit_keep(c->deposit);
    if (c->orphan[0] != '\0' && c->status < 300)
        depot_remove(h->depot, c->orphan);
    waking = c->wake;
    c->wake = (struct call_wake){ 0 };
    if (c->park)
        park(h, c);
    else
        send_answer(h, c);
    if (waking.agent)
        wake(h, waking.agent, waking.instance);
    free(waking.instance);
    if (h->lingering)
        linger(h, op_lookout_ms);
}

/* ---- what didn't arrive ---- */

static int run_return(struct storage_op *op, struct model *m)
{
    return inbox_return(m, (struct call *)op);
}

static void on_return_done(struct storage_op *op, int result, void *ctx)
{
    struct hub *h = ctx;
    struct call *c = (struct call *)op;

    if (result < 0)
        log_error("database_failed", "path", c->route->path, "error", op->error);
    else
        wake(h, c->agent.seq, NULL);
    call_free(c);
}

/* The answer is lost: what it handed out must go out again. */
static void take_back(struct hub *h, struct call *c)
{
    if (!h->storage) { /* the next start does */
        call_free(c);
        return;
    }
    c->op.run = run_return;
    c->op.done = on_return_done;
    storage_give(h->storage, &c->op);
}

/* ---- requests ---- */

static void launch(struct hub *h, struct call *c)
{
    c->deadline_ms = loop_now_ms(h->loop) + c->wait_s * UINT64_C(1000);
    c->op.run = run_call;
    c->op.done = on_call_done;
    c->op.durable = c->route->handler == inbox_poll || !str_eq(c->route->method, "GET");
    if (c->route->handler == submission_post && submission_is_progress(c->body, c->body_len))
        c->op.durable = false;
    give(h, c);
}

static void start_call(struct hub *h, struct call *c)
{
    c->body = server_request_take_body(c->request, &c->body_len);
    if (c->route->handler == inbox_poll)
        c->wait_s = inbox_parse_prefer(server_request_header(c->request, "Prefer"));
    server_request_set_data(c->request, c);
    launch(h, c);
}

static void on_begins(struct server_request *r, void *ctx)
{
    struct hub *h = ctx;
    struct route_match match = { 0 };
    struct call *c = NULL;

    if (liaison_has_path(server_request_path(r))) {
        server_request_limit(r, liaison_body_max(h->liaisons, r));
        return;
    }
    if (route_find(server_request_method(r), server_request_path(r), &match) != ROUTE_FOUND) {
        server_request_limit(r, SERVER_SHORT_MAX);
        return;
    }
    if (route_is_upload(match.route)
            ? server_request_stream(r, porter_upload_max(h->porter, match.route))
            : server_request_is_long(r))
        c = petition_call(r, &match);
    free(match.target);
    free(match.item);
    if (c)
        porter_admit(h->porter, c);
}

static void on_part(struct server_request *r, const char *bytes, size_t len, void *ctx)
{
    (void)ctx;
    porter_take(server_request_data(r), bytes, len);
}

static void on_arrived(struct server_request *r, void *ctx)
{
    struct hub *h = ctx;
    struct call *known = server_request_data(r);
    struct route_match match = { 0 };
    struct server_header allow[] = { { "Allow", match.allow }, { NULL, NULL } };
    struct call *c;

    if (known) { /* let in since its headers came */
        if (known->deposit)
            porter_finish(known);
        else
            start_call(h, known);
        return;
    }
    if (liaison_has_path(server_request_path(r))) {
        liaison_arrived(h->liaisons, r);
        return;
    }
    if (page_answer(r))
        return;
    switch (route_find(server_request_method(r), server_request_path(r), &match)) {
    case ROUTE_NO_PATH:
        petition_refuse(r, 404, "no such path in this API", NULL);
        return;
    case ROUTE_NO_METHOD:
        petition_refuse(r, 405, "this path doesn't know that method: see the header Allow", allow);
        return;
    case ROUTE_BAD_PATH:
        petition_refuse(r, 400, "the path is not percent-encoded UTF-8", NULL);
        return;
    case ROUTE_FOUND:
        break;
    }
    c = petition_call(r, &match);
    free(match.target);
    free(match.item);
    if (c)
        start_call(h, c);
}

static void on_gone(struct server_request *r, void *ctx)
{
    struct hub *h = ctx;
    struct call *c = server_request_data(r);

    if (!c) {
        liaison_gone(h->liaisons, r);
        return;
    }
    if (!c->parked)
        return; /* woken meanwhile: its answer will be found to be lost */
    waiter_remove(h->waiters, c);
    answer_nothing(h, c);
}

static void finish_stop(struct hub *h)
{
    if (h->stopping && server_requests(h->server) == 0)
        loop_stop(h->loop);
}

static void on_ended(struct server_request *r, bool delivered, void *ctx)
{
    struct hub *h = ctx;
    struct call *c = server_request_data(r);

    finish_stop(h);
    if (!c) { /* answered without the storage */
        liaison_ended(h->liaisons, r, delivered);
        return;
    }
    c->request = NULL;
    porter_release(h->porter, c);
    if (c->running)
        c->closed = true; /* an upload is let in, or the server is being freed */
    else if ((!delivered || c->lost) && hands_out(c))
        take_back(h, c);
    else
        call_free(c);
}

/* ---- time ---- */

static void on_expired(struct call *c, void *ctx)
{
    answer_nothing(ctx, c);
}

static void on_sweep_done(struct storage_op *op, int result, void *ctx)
{
    struct hub *h = ctx;

    h->sweeping = false;
    if (result < 0)
        log_error("database_failed", "at", "end of leases", "error", op->error);
    watch_leases(h, op->lease_end_ms, result < 0 ? SWEEP_RETRY_MS : 0);
    wake(h, -1, NULL);
}

static void on_lease_end(struct loop_timer *timer, void *ctx)
{
    struct hub *h = ctx;

    (void)timer; /* armed again by what follows */
    if (h->sweeping)
        return;
    h->sweeping = true;
    conversation_sweep_init(&h->sweep);
    h->sweep.op.done = on_sweep_done;
    storage_give(h->storage, &h->sweep.op);
}

/* Failed messages may have been what a request to stop waited for. */
static void on_stirred(void *ctx)
{
    wake(ctx, -1, NULL);
}

static void on_stop_timer(struct loop_timer *timer, void *ctx)
{
    struct hub *h = ctx;

    (void)timer; /* one shot */
    log_warning("stopping_late", "requests", LOG_N(server_requests(h->server)));
    loop_stop(h->loop);
}

/* ---- what the porter and the realtime channel need ---- */

static void porter_launch(struct call *c, void *ctx)
{
    launch(ctx, c);
}

static void porter_answer(struct call *c, void *ctx)
{
    send_answer(ctx, c);
}

static const struct porter_ops porter_ops = { .launch = porter_launch, .answer = porter_answer };

static void envoy_give(struct call *c, void *ctx)
{
    launch(ctx, c);
}

static void envoy_unpark(struct call *c, void *ctx)
{
    struct hub *h = ctx;

    waiter_remove(h->waiters, c);
}

static void envoy_take_back(struct call *c, void *ctx)
{
    take_back(ctx, c);
}

static const struct envoy_ops envoy_ops = { .give = envoy_give,
                                            .unpark = envoy_unpark,
                                            .take_back = envoy_take_back };

/* ---- the end ---- */

static void stop_now(struct hub *h)
{
    struct call *c;

    if (h->stopping)
        return;
    h->stopping = true;
    h->lingering = false;
    loop_timer_stop(h->linger_timer);
    server_quiet(h->server);
    chore_list_stop(h->chores);
    loop_timer_stop(h->lease_timer);
    loop_timer_arm(h->stop_timer, HUB_STOP_MS);
    liaison_list_stop(h->liaisons);
    while ((c = waiter_take(h->waiters, -1, NULL)))
        answer_nothing(h, c);
    finish_stop(h);
}

/* Whoever has seen his message open, and it is answered now, asks once more, soon. */
static void linger(struct hub *h, uint64_t until_ms)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    if (h->stopping)
        return;
    if (until_ms <= now_ms)
        stop_now(h);
    else
        loop_timer_arm(h->linger_timer, until_ms - now_ms);
}

static void on_linger_timer(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* one shot */
    stop_now(ctx);
}

static int run_look(struct storage_op *op, struct model *m)
{
    (void)op; /* what it is to learn comes with every operation */
    (void)m;
    return 0;
}

static void on_look_done(struct storage_op *op, int result, void *ctx)
{
    struct hub *h = ctx;

    (void)result; /* it knows without the database */
    if (op->lookout_ms > loop_now_ms(h->loop))
        log_notice("lingering", "why", "somebody is about to come for his answer");
    linger(h, op->lookout_ms);
}

void hub_stop(struct hub *h)
{
    if (h->lingering || h->stopping) {
        stop_now(h);
        return;
    }
    h->lingering = true;
    loop_timer_arm(h->linger_timer, LOOKOUT_MS); /* whatever keeps the storage */
    h->look = (struct storage_op){ .run = run_look, .done = on_look_done };
    storage_give(h->storage, &h->look);
}

/* ---- life ---- */

int hub_new(struct loop *loop, struct db *db, const struct cipher *cipher, const char *path,
            int listen_fd, const struct hub_settings *settings, struct hub **ret_hub,
            struct err *err)
{
    static const struct server_ops ops = { .arrived = on_arrived,
                                           .gone = on_gone,
                                           .ended = on_ended,
                                           .begins = on_begins,
                                           .part = on_part };
    AUTO_CLOSE int fd = listen_fd;
    CLEANUP_PTR(db_close) struct db *base = db;
    AUTO_FREE char *dir = depot_path(path);
    CLEANUP_PTR(hub_free) struct hub *h = mem_new(struct hub);
    int rc;

    h->loop = loop;
    h->waiters = waiter_list_new(loop, on_expired, h);
    h->liaisons = liaison_list_new(loop, &envoy_ops, h);
    h->lease_timer = loop_timer_new(loop, on_lease_end, h);
    h->stop_timer = loop_timer_new(loop, on_stop_timer, h);
    h->linger_timer = loop_timer_new(loop, on_linger_timer, h);
    rc = depot_new(loop, base, dir, settings->keep_free, &h->depot, err);
    if (rc >= 0)
        rc = storage_new(loop, TAKE_PTR(base), cipher, h, &h->storage, err);
    if (rc >= 0)
        storage_set_terms(h->storage, (uint32_t)settings->check_idle_ms,
                          (int64_t)settings->agent_files_max);
    if (rc >= 0)
        h->porter = porter_new(h->storage, h->depot, settings->attachment_max, &porter_ops, h);
    if (rc >= 0)
        rc = server_new(loop, TAKE_FD(fd), &settings->limits, &ops, h, &h->server, err);
    if (rc < 0)
        return rc;
    h->chores = chore_list_new(loop, h->storage, h->depot, &settings->chores, on_stirred, h);
    loop_timer_arm(h->lease_timer, LEASE_MS); /* the time of grace, should nobody call */
    *ret_hub = TAKE_PTR(h);
    return 0;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    h->stopping = true;
    /* First the storage: what it still has is answered, so that no connection stays suspended. What
     * the end of the server then finds undelivered is handed out again by the next start. */
    liaison_list_stop(h->liaisons);
    chore_list_stop(h->chores);
    porter_close(h->porter);
    storage_free(TAKE_PTR(h->storage));
    chore_list_free(h->chores);
    depot_close(h->depot);
    server_free(h->server);
    depot_free(h->depot);
    porter_free(h->porter);
    liaison_list_free(h->liaisons);
    waiter_list_free(h->waiters);
    loop_timer_free(h->lease_timer);
    loop_timer_free(h->stop_timer);
    loop_timer_free(h->linger_timer);
    free(h);
}
