#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/worker.h"
#include "store/batch.h"
#include "store/journal.h"
#include "store/statedir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"

enum {
    BATCHES_MAX = 64, /* in one transaction */
    LOOK_ID = 0,      /* of the store's own batch; the caller's numbers begin at 1 */
};

struct store {
    char *dir;
    int dir_fd;
    int lock_fd;
    uint64_t max_seq;
    struct worker *worker;
    store_done_fn fn;
    void *ctx;
    struct loop *loop;
    store_room_fn room_fn; /* NULL: nobody asks */
    void *room_ctx;
    bool told_tight;
    struct loop_timer *room_timer;
    struct store_batch *look; /* an empty one that is given for the disk to be looked at */
    atomic_bool tight;        /* written by the writing thread */
    /* from store_start() on the writing thread's alone */
    struct journal *journal;
    struct store_batch *batches[BATCHES_MAX];
    size_t batch_count;
    struct err failure; /* code 0: none yet. One failure ends all writing */
};

int store_open(const char *dir, struct store **ret_store, struct err *err)
{
    struct store *s = mem_new(struct store);
    int r;

    s->dir_fd = -1;
    s->lock_fd = -1;
    r = statedir_open(dir, &s->dir, &s->dir_fd, err);
    if (r == 0)
        r = statedir_lock(s->dir_fd, s->dir, &s->lock_fd, err);
    if (r == 0)
        r = journal_open(s->dir, s->dir_fd, &s->journal, err);
    if (r < 0) {
        store_free(s);
        return r;
    }
    s->max_seq = journal_max_seq(s->journal);
    /* after the journal, which on a full disk needs the room more */
    atomic_init(&s->tight, !statedir_reserve_make(s->dir_fd));
    if (atomic_load(&s->tight))
        log_warning("journal_reserve_missing", "dir", s->dir, "remedy",
                    "make room on this file system");
    *ret_store = s;
    return 0;
}

int store_lock_fd(const struct store *s)
{
    return s->lock_fd;
}

int store_load(struct store *s, store_row_fn row, store_tombstone_fn tombstone, void *ctx,
               struct err *err)
{
    assert(!s->worker); /* from then on the journal is the thread's */
    return journal_load(s->journal, row, tombstone, ctx, err);
}

int store_load_sessions(struct store *s, store_session_fn session, void *ctx, struct err *err)
{
    assert(!s->worker);
    return journal_load_sessions(s->journal, session, ctx, err);
}

int store_load_jobs(struct store *s, store_job_fn job, void *ctx, struct err *err)
{
    assert(!s->worker); /* as above */
    return journal_load_jobs(s->journal, job, ctx, err);
}

int store_bind(struct store *s, const char *machine, bool *ret_moved, struct err *err)
{
    assert(!s->worker); /* as above */
    return journal_bind(s->journal, machine, ret_moved, err);
}

int store_may_inherit(struct store *s, bool *ret_may, struct err *err)
{
    assert(!s->worker);
    return journal_may_inherit(s->journal, ret_may, err);
}

int store_inherit(struct store *s, struct store_batch *b, const char *instance_id,
                  const char *source, struct err *err)
{
    int r;

    assert(!s->worker);
    r = journal_inherit(s->journal, b, instance_id, source, err);
    if (r == 0)
        s->max_seq = journal_max_seq(s->journal);
    return r;
}

const char *store_instance_id(const struct store *s)
{
    return journal_instance_id(s->journal);
}

uint64_t store_max_seq(const struct store *s)
{
    return s->max_seq;
}

/* ---- on the writing thread ---- */

static int begin(void *ctx)
{
    struct store *s = ctx;

    s->batch_count = 0;
    return 0;
}

/* Only collects: a transaction that finds the disk full is run a second time, from the start. */
static void run(void *job, void *ctx)
{
    struct store *s = ctx;

    s->batches[s->batch_count++] = job;
}

static int commit(struct store *s, struct err *err)
{
    int r = journal_commit(s->journal, s->batches, s->batch_count, err);

    if (r == -ENOSPC && statedir_reserve_release(s->dir_fd)) {
        log_warning("journal_reserve_used", "dir", s->dir, "error", err->text, "remedy",
                    "make room now: the next full disk stops nairid");
        atomic_store(&s->tight, true);
        r = journal_commit(s->journal, s->batches, s->batch_count, err);
    }
    return r;
}

static void tend(struct store *s)
{
    struct err err = { 0 };
    int r = journal_checkpoint(s->journal, &err);

    if (r == -ENOSPC)
        log_warning("journal_checkpoint_failed", "error", err.text);
    else if (r < 0)
        s->failure = err; /* what is committed is safe; on such a disk nothing more is */
    if (r > 0 || atomic_load(&s->tight)) /* if it was used and there is room again */
        atomic_store(&s->tight, !statedir_reserve_make(s->dir_fd));
}

static int end(int begin_result, void *ctx)
{
    struct store *s = ctx;
    struct err failure = s->failure;

    (void)begin_result; /* always 0 */
    /* What comes after a failed batch builds on it, and after a failed fsync nobody knows what is
     * on the disk: the next start finds out. */
    if (failure.code == 0 && commit(s, &failure) < 0)
        s->failure = failure;
    for (size_t i = 0; i < s->batch_count; i++)
        s->batches[i]->err = s->failure;
    if (s->failure.code < 0)
        return s->failure.code;
    tend(s);
    return 0;
}

/* ---- on the loop's thread ---- */

static void tell_room(struct store *s)
{
    bool tight = atomic_load(&s->tight);

    if (!s->room_fn)
        return;
    if (tight)
        loop_timer_arm(s->room_timer, STORE_ROOM_MS);
    if (tight == s->told_tight)
        return;
    s->told_tight = tight;
    s->room_fn(tight, s->room_ctx);
}

static void on_room_timer(struct loop_timer *timer, void *ctx)
{
    struct store *s = ctx;

    (void)timer; /* armed again when the thread has looked */
    if (s->look)
        worker_give(s->worker, TAKE_PTR(s->look));
}

static void done(void *job, int result, void *ctx)
{
    struct store_batch *b = job;
    struct store *s = ctx;

    if (b->id == LOOK_ID) {
        s->look = b;
    } else {
        s->fn(b->id, result, &b->err, s->ctx);
        store_batch_free(b);
    }
    tell_room(s);
}

int store_start(struct store *s, struct loop *loop, store_done_fn fn, void *ctx, struct err *err)
{
    static const struct worker_ops ops = { .begin = begin, .run = run, .end = end, .done = done };

    assert(!s->worker);
    s->fn = fn;
    s->ctx = ctx;
    s->loop = loop;
    return worker_new(loop, &ops, s, BATCHES_MAX, &s->worker, err);
}

void store_watch_room(struct store *s, store_room_fn fn, void *ctx)
{
    assert(s->worker && !s->room_fn);
    s->room_fn = fn;
    s->room_ctx = ctx;
    s->room_timer = loop_timer_new(s->loop, on_room_timer, s);
    s->look = store_batch_new();
    s->look->id = LOOK_ID;
    tell_room(s);
}

void store_submit(struct store *s, struct store_batch *b, uint64_t batch_id)
{
    assert(batch_id != LOOK_ID);
    b->id = batch_id;
    if (b->max_seq > s->max_seq)
        s->max_seq = b->max_seq;
    worker_give(s->worker, b);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    worker_free(s->worker);
    loop_timer_free(s->room_timer);
    store_batch_free(s->look);
    journal_close(s->journal, s->failure.code == 0);
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd);
    /* Closed and not unlocked: the spawner's duplicate holds the lock for as long as it lives. */
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    free(s->dir);
    free(s);
}
