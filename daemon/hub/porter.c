#include "hub/porter.h"

#include "hub/access.h"
#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/delivery.h"
#include "hub/deposit.h"
#include "hub/depot.h"
#include "hub/petition.h"
#include "hub/route.h"
#include "hub/server.h"
#include "hub/skill.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/random.h"

struct porter {
    struct storage *storage; /* NULL: it stops */
    struct depot *depot;
    uint64_t attachment_max;
    struct porter_ops ops;
    void *ctx;
    size_t files; /* that haven't come or gone to their end */
};

/* ---- files that go out ---- */

static void on_file_ready(unsigned status, const char *why, const struct server_source *source,
                          void *ctx)
{
    struct call *c = ctx;

    c->running = false;
    if (status != 0)
        petition_refuse(c->request, status, why, NULL);
    else
        server_reply_from(c->request, 200, "application/json", source, NULL);
}

static void reply_busy(struct server_request *r)
{
    static const struct server_header headers[] = { { "Retry-After", "5" }, { NULL, NULL } };

    petition_refuse(r, 503, "too many attachments come and go at a time: try again", headers);
}

/* False: the call has been answered. */
static bool count_file(struct porter *p, struct call *c)
{
    if (p->files >= PORTER_FILES_MAX) {
        reply_busy(c->request);
        return false;
    }
    p->files++;
    c->counted = true;
    return true;
}

void porter_send(struct porter *p, struct call *c)
{
    if (!count_file(p, c))
        return;
    c->running = true;
    delivery_start(p->depot, c->request, c->file.id, c->file.size, c->reply, on_file_ready, c);
}

/* ---- files that come in ---- */

static uint64_t file_max(const struct porter *p, const struct route *route)
{
    return route->handler == skill_create ? SKILL_FILE_MAX : p->attachment_max;
}

/* A skill's archive has been looked into. */
static void on_looked(struct call *c, void *ctx)
{
    struct porter *p = ctx;

    c->running = false;
    if (c->closed)
        call_free(c);
    else if (c->skill && p->storage)
        p->ops.launch(c, p->ctx);
    else if (c->skill)
        petition_refuse(c->request, 503, "the hub is stopping", NULL);
    else
        p->ops.answer(c, p->ctx);
}

static void on_deposited(unsigned status, const char *why, void *ctx)
{
    struct call *c = ctx;
    struct porter *p = c->porter;

    if (status == 0 && p->storage) {
        c->deposited = deposit_look(c->deposit);
        c->running = c->route->handler == skill_create;
        if (c->running)
            skill_look(p->depot, c, on_looked, p);
        else
            p->ops.launch(c, p->ctx);
        return;
    }
    petition_refuse(c->request, status ? status : 503, status ? why : "the hub is stopping", NULL);
}

static int run_admission(struct storage_op *op, struct model *m)
{
    struct call *c = (struct call *)op;
    int rc;

    call_reset(c);
    rc = access_check(c, m, c->route->key);
    if (rc > 0 && route_is_upload(c->route))
        rc = attachment_check_room(c, m, 0);
    return rc < 0 ? rc : STORAGE_DISCARD;
}

static void on_admission_done(struct storage_op *op, int result, void *ctx)
{
    struct call *c = (struct call *)op;
    struct porter *p = c->porter;
    char id[ULID_ID_MAX];
    uint8_t entropy[10];

    (void)ctx; /* the hub's */
    c->running = false;
    if (c->closed) {
        call_free(c);
        return;
    }
    if (result < 0) {
        call_reset(c);
        call_fail(c, result);
    }
    call_trust(c, result);
    if (c->status != 0) {
        p->ops.answer(c, p->ctx);
    } else if (route_is_upload(c->route) && count_file(p, c)) {
        random_bytes(entropy, sizeof entropy);
        ulid_make(id, ATTACHMENT_PREFIX, clock_wall_ms(), entropy);
        c->deposit =
            deposit_new(p->depot, c->request, server_request_header(c->request, "Content-Type"), id,
                        file_max(p, c->route));
    }
    server_request_go(c->request);
}

void porter_admit(struct porter *p, struct call *c)
{
    c->porter = p;
    c->running = true;
    server_request_set_data(c->request, c);
    server_request_hold(c->request);
    c->op.run = run_admission;
    c->op.done = on_admission_done;
    storage_give(p->storage, &c->op);
}

uint64_t porter_upload_max(const struct porter *p, const struct route *route)
{
    return file_max(p, route) + DEPOSIT_FORM_MAX;
}

void porter_take(struct call *c, const char *bytes, size_t len)
{
    if (c->deposit)
        deposit_take(c->deposit, bytes, len);
}

void porter_finish(struct call *c)
{
    deposit_finish(c->deposit, on_deposited, c);
}

void porter_release(struct porter *p, struct call *c)
{
    p->files -= c->counted;
    c->counted = false;
}

/* ---- life ---- */

struct porter *porter_new(struct storage *storage, struct depot *depot, uint64_t attachment_max,
                          const struct porter_ops *ops, void *ctx)
{
    struct porter *p = mem_new(struct porter);

    *p = (struct porter){ .storage = storage,
                          .depot = depot,
                          .attachment_max = attachment_max,
                          .ops = *ops,
                          .ctx = ctx };
    return p;
}

void porter_close(struct porter *p)
{
    if (p)
        p->storage = NULL;
}

void porter_free(struct porter *p)
{
    free(p);
}
