#include "hub/chore.h"

#include <stdbool.h>

#include "hub/attachment.h"
#include "hub/depot.h"
#include "hub/overdue.h"
#include "hub/storage.h"
#include "loop/loop.h"
#include "util/log.h"
#include "util/mem.h"

enum {
    PARTS = 8, /* of its span: how late a chore may be */
    PERIOD_MIN_MS = 250,
    PERIOD_MAX_MS = 60 * 1000,
};

/* The sweeps come first, so that an operation leads back to what it is in. */
struct queue_chore {
    struct overdue_sweep sweep;
    struct clockstep clock;
    struct chore_list *list;
    struct loop_timer *timer;
};

struct upload_chore {
    struct attachment_sweep sweep;
    struct clockstep clock;
    struct chore_list *list;
    struct loop_timer *timer;
};

struct chore_list {
    struct storage *storage;
    struct depot *depot;
    struct chore_settings settings;
    void (*stirred)(void *ctx);
    void *ctx;
    struct queue_chore queue;
    struct upload_chore uploads;
    bool stopped;
};

static void arm(const struct chore_list *list, struct loop_timer *timer, uint64_t span_ms,
                bool at_once)
{
    uint64_t period_ms = span_ms / PARTS;

    if (list->stopped)
        return;
    period_ms = period_ms < PERIOD_MIN_MS ? PERIOD_MIN_MS : period_ms;
    period_ms = period_ms > PERIOD_MAX_MS ? PERIOD_MAX_MS : period_ms;
    loop_timer_arm(timer, at_once ? 0 : period_ms);
}

static void complain(const struct storage_op *op, int result, const char *at)
{
    if (result < 0) /* the next time may do better */
        log_error("database_failed", "at", at, "error", op->error);
}

/* ---- messages that wait too long ---- */

static void on_queue_swept(struct storage_op *op, int result, void *ctx)
{
    struct queue_chore *chore = (struct queue_chore *)op;
    struct chore_list *list = chore->list;
    size_t count = result < 0 ? 0 : chore->sweep.count;

    (void)ctx;
    complain(op, result, "messages that wait");
    if (count > 0)
        log_notice("messages_overdue", "count", LOG_N(count));
    arm(list, chore->timer, list->settings.queue_timeout_ms, count == OVERDUE_SWEEP_MAX);
    if (count > 0)
        list->stirred(list->ctx);
}

static void on_queue_timer(struct loop_timer *timer, void *ctx)
{
    struct chore_list *list = ctx;

    (void)timer; /* armed again once it is done */
    overdue_sweep_init(&list->queue.sweep, list->settings.queue_timeout_ms, &list->queue.clock);
    list->queue.sweep.op.done = on_queue_swept;
    storage_give(list->storage, &list->queue.sweep.op);
}

/* ---- uploads that nobody refers to ---- */

static void on_uploads_swept(struct storage_op *op, int result, void *ctx)
{
    struct upload_chore *chore = (struct upload_chore *)op;
    struct chore_list *list = chore->list;
    size_t count = result < 0 ? 0 : chore->sweep.count;

    (void)ctx;
    complain(op, result, "old uploads");
    for (size_t i = 0; i < count; i++)
        depot_remove(list->depot, chore->sweep.ids[i]);
    arm(list, chore->timer, list->settings.attachment_unused_ms, count == ATTACHMENT_SWEEP_MAX);
}

static void on_upload_timer(struct loop_timer *timer, void *ctx)
{
    struct chore_list *list = ctx;

    (void)timer; /* as above */
    attachment_sweep_init(&list->uploads.sweep, list->settings.attachment_unused_ms,
                          &list->uploads.clock);
    list->uploads.sweep.op.done = on_uploads_swept;
    storage_give(list->storage, &list->uploads.sweep.op);
}

/* ---- life ---- */

struct chore_list *chore_list_new(struct loop *loop, struct storage *storage, struct depot *depot,
                                  const struct chore_settings *settings, void (*stirred)(void *ctx),
                                  void *ctx)
{
    struct chore_list *list = mem_new(struct chore_list);

    *list = (struct chore_list){
        .storage = storage, .depot = depot, .settings = *settings, .stirred = stirred, .ctx = ctx
    };
    list->queue.list = list;
    list->queue.timer = loop_timer_new(loop, on_queue_timer, list);
    list->uploads.list = list;
    list->uploads.timer = loop_timer_new(loop, on_upload_timer, list);
    if (settings->queue_timeout_ms > 0)
        arm(list, list->queue.timer, settings->queue_timeout_ms, false);
    arm(list, list->uploads.timer, settings->attachment_unused_ms, false);
    return list;
}

void chore_list_stop(struct chore_list *list)
{
    if (!list)
        return;
    list->stopped = true;
    loop_timer_stop(list->queue.timer);
    loop_timer_stop(list->uploads.timer);
}

void chore_list_free(struct chore_list *list)
{
    if (!list)
        return;
    loop_timer_free(list->queue.timer);
    loop_timer_free(list->uploads.timer);
    free(list);
}
