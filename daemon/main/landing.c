#include "main/landing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/worker.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/filetype.h"
#include "util/mem.h"
#include "workspace/enclosed.h"

enum {
    PIECE_BYTES = 64 * 1024, /* written at a time */
    BATCH_MAX = 1,           /* each tells of its end at once */
};

struct landing_strip {
    struct loop *loop;
    struct upstream *upstream;
    struct worker *worker; /* NULL: nothing has come yet */
    struct landing *first;
};

struct landing {
    struct landing_strip *owner;
    struct landing *prev, *next;
    const struct landing_ops *ops;
    void *ctx;
    struct upstream_call *call; /* NULL: over */
    int folder_fd, fd;
    char part[ENCLOSED_PART_MAX];
    size_t n;
    struct filetype type;
    struct buf filling;
    uint64_t bytes;
    bool paused;
    bool whole;     /* all of it has come */
    bool abandoned; /* nobody waits for it: it goes once nothing writes it */
    /* the thread's, while it writes */
    bool writing, keeps;
    struct buf written;
    int result;
    char name[ENCLOSED_NAME_MAX];
};

static void landing_free(struct landing *l)
{
    if (l->prev)
        l->prev->next = l->next;
    else
        l->owner->first = l->next;
    if (l->next)
        l->next->prev = l->prev;
    if (l->fd >= 0)
        (void)close(l->fd); /* what was written is on disk, or is not wanted */
    (void)close(l->folder_fd);
    buf_done(&l->filling);
    buf_done(&l->written);
    free(l);
}

/* ---- the thread ---- */

static int begin_batch(void *ctx)
{
    (void)ctx;
    return 0;
}

static void write_piece(void *job, void *ctx)
{
    struct landing *l = job;

    (void)ctx;
    l->result = fd_write_all(l->fd, buf_str(&l->written), l->written.len);
    if (l->result == 0 && l->keeps)
        l->result = enclosed_keep(l->folder_fd, l->part, l->fd, l->n, filetype_extension(&l->type),
                                  l->name);
}

static int end_batch(int begin_result, void *ctx)
{
    (void)ctx;
    return begin_result;
}

/* ---- the end ---- */

/* The file that was begun is of no use any more. */
static void abandon(struct landing *l)
{
    if (l->call)
        upstream_cancel(TAKE_PTR(l->call));
    l->abandoned = true;
    if (!l->writing) {
        enclosed_drop(l->folder_fd, l->part);
        landing_free(l);
    }
}

static void report(struct landing *l, const struct landing_end *end)
{
    const struct landing_ops *ops = l->ops;
    void *ctx = l->ctx;
    struct landing_end copy = *end;
    char name[ENCLOSED_NAME_MAX];

    memcpy(name, l->name, sizeof name);
    copy.name = name;
    copy.bytes = l->bytes;
    if (end->verdict == UPSTREAM_OK)
        landing_free(l);
    else
        abandon(l); /* before who waits for it begins anew */
    ops->ended(&copy, ctx);
}

static void report_fault(struct landing *l, int fault)
{
    report(l, &(struct landing_end){
                  .verdict = UPSTREAM_FAILED, .fault = fault, .text = strerror(-fault) });
}

static void give_piece(struct landing *l, bool last)
{
    struct buf written = l->written;

    l->written = l->filling;
    l->filling = written;
    buf_clear(&l->filling);
    l->writing = true;
    l->keeps = last;
    worker_give(l->owner->worker, l);
}

static void on_written(void *job, int result, void *ctx)
{
    struct landing *l = job;

    (void)ctx;
    (void)result; /* of the batch; each has its own */
    l->writing = false;
    if (l->abandoned) {
        enclosed_drop(l->folder_fd, l->part); /* unless it just got its own name */
        landing_free(l);
    } else if (l->result < 0) {
        report_fault(l, l->result);
    } else if (l->keeps) {
        report(l, &(struct landing_end){ .verdict = UPSTREAM_OK, .text = "" });
    } else if (l->whole) {
        give_piece(l, true);
    } else {
        l->ops->moved(l->ctx);
        if (l->paused) {
            l->paused = false;
            upstream_resume(l->call);
        }
    }
}

/* ---- what comes ---- */

static bool has_room(size_t len, void *ctx)
{
    struct landing *l = ctx;

    if (l->filling.len > 0 && l->filling.len + len > PIECE_BYTES) {
        l->paused = l->writing;
        if (l->paused)
            return false;
        give_piece(l, false);
    }
    return true;
}

static int take(const void *bytes, size_t len, void *ctx)
{
    struct landing *l = ctx;
    int r = l->ops->took(len, l->ctx);

    if (r < 0)
        return r;
    filetype_feed(&l->type, bytes, len);
    buf_append(&l->filling, bytes, len);
    l->bytes += len;
    return 0;
}

static void on_answer(const struct upstream_answer *a, void *ctx)
{
    struct landing *l = ctx;

    l->call = NULL;
    l->whole = a->verdict == UPSTREAM_OK;
    if (!l->whole)
        report(l, &(struct landing_end){ .verdict = a->verdict,
                                         .status = a->status,
                                         .retry_after_ms = a->retry_after_ms,
                                         .text = a->text });
    else if (!l->writing)
        give_piece(l, true);
}

/* ---- the beginning ---- */

static int open_both(struct landing *l, const struct landing_wish *wish, struct err *err)
{
    static const struct worker_ops ops = {
        .begin = begin_batch, .run = write_piece, .end = end_batch, .done = on_written
    };
    struct landing_strip *owner = l->owner;
    int r =
        owner->worker ? 0 : worker_new(owner->loop, &ops, owner, BATCH_MAX, &owner->worker, err);

    if (r < 0)
        return r;
    l->folder_fd = fcntl(wish->folder_fd, F_DUPFD_CLOEXEC, 3);
    if (l->folder_fd < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    l->fd = enclosed_begin(l->folder_fd, wish->uid, l->part);
    return l->fd < 0 ? err_set(err, l->fd, "%s", strerror(-l->fd)) : 0;
}

struct landing *landing_start(struct landing_strip *owner, const struct landing_wish *wish,
                              const struct landing_ops *ops, void *ctx, int *ret_fault,
                              struct err *err)
{
    struct landing *l = mem_new(struct landing);
    const struct upstream_sink sink = { .has_room = has_room, .take = take, .ctx = l };
    int r;

    *l = (struct landing){
        .owner = owner, .ops = ops, .ctx = ctx, .folder_fd = -1, .fd = -1, .n = wish->n
    };
    r = open_both(l, wish, err);
    if (r < 0) {
        if (l->folder_fd >= 0)
            (void)close(l->folder_fd);
        free(l);
        *ret_fault = r;
        return NULL;
    }
    l->next = owner->first;
    if (l->next)
        l->next->prev = l;
    owner->first = l;
    l->call = upstream_download(owner->upstream, wish->id, wish->max_bytes, wish->timeout_ms, &sink,
                                on_answer, l);
    return l;
}

void landing_cancel(struct landing *l)
{
    abandon(l);
}

/* ---- all ---- */

struct landing_strip *landing_strip_new(struct loop *loop, struct upstream *upstream)
{
    struct landing_strip *l = mem_new(struct landing_strip);

    l->loop = loop;
    l->upstream = upstream;
    return l;
}

void landing_strip_free(struct landing_strip *l)
{
    struct landing *next;

    if (!l)
        return;
    for (struct landing *at = l->first; at; at = next) {
        next = at->next;
        if (!at->abandoned)
            abandon(at);
    }
    worker_free(l->worker); /* tells of what was being written, which then is gone, too */
    free(l);
}
