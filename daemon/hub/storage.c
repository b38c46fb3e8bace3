#include "hub/storage.h"

#include <errno.h>
#include <stdio.h>

#include "hub/db.h"
#include "hub/lease.h"
#include "hub/lookout.h"
#include "loop/worker.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"

enum { BATCH_MAX = 256 };

struct storage {
    struct worker *worker;
    void *ctx;
    /* the thread's alone once it runs */
    struct model model;
    struct storage_op *batch[BATCH_MAX];
    size_t count;
    bool relaxed; /* synchronous=NORMAL is set */
};

static int fail(struct storage *s, struct storage_op *op, int rc)
{
    snprintf(op->error, sizeof op->error, "%s", db_error(s->model.db));
    op->result = rc;
    return rc;
}

static void roll_back(struct storage *s)
{
    if (db_in_transaction(s->model.db))
        (void)db_run(s->model.db, "ROLLBACK", ""); /* what fails here, the next BEGIN reports */
}

/* 0 also where the operation failed by itself; negative if the transaction is gone. */
static int run_one(struct storage *s, struct storage_op *op)
{
    struct db *db = s->model.db;
    int64_t rc = db_run(db, "SAVEPOINT op", "");

    if (rc < 0)
        return fail(s, op, (int)rc);
    op->result = op->run(op, &s->model);
    if (op->result < 0)
        fail(s, op, op->result);
    if (!db_in_transaction(db))
        return op->result < 0 ? op->result : fail(s, op, -EIO);
    if (op->result != 0)
        rc = db_run(db, "ROLLBACK TO op", "");
    if (rc >= 0)
        rc = db_run(db, "RELEASE op", "");
    if (rc < 0)
        return fail(s, op, (int)rc);
    if (op->result == STORAGE_DISCARD)
        op->result = 0;
    return 0;
}

/* The operations first .. first + count in one transaction. Negative: none of it is kept. */
static int run_together(struct storage *s, size_t first, size_t count)
{
    struct db *db = s->model.db;
    int64_t rc = db_run(db, "BEGIN IMMEDIATE", "");

    for (size_t i = first; rc >= 0 && i < first + count; i++)
        rc = run_one(s, s->batch[i]);
    if (rc >= 0)
        rc = db_run(db, "COMMIT", "");
    if (rc >= 0)
        return 0;
    for (size_t i = first; i < first + count; i++)
        if (s->batch[i]->result >= 0)
            fail(s, s->batch[i], (int)rc);
    roll_back(s);
    return (int)rc;
}

static void set_durability(struct storage *s)
{
    bool durable = false;

    for (size_t i = 0; i < s->count; i++)
        durable = durable || s->batch[i]->durable;
    if (durable != s->relaxed)
        return;
    if (db_script(s->model.db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") <
        0)
        return; /* as it was: relaxed only ever follows a success, and FULL is tried again */
    s->relaxed = !durable;
}

/* worker_ops: operations are only collected, as the transaction's kind depends on all of them. */

static int on_begin(void *ctx)
{
    struct storage *s = ctx;

    s->count = 0;
    return 0;
}

static void on_run(void *job, void *ctx)
{
    struct storage *s = ctx;

    s->batch[s->count++] = job;
}

static int on_end(int begin_result, void *ctx)
{
    struct storage *s = ctx;

    s->model.wall_ms = clock_wall_ms();
    s->model.now_ms = clock_mono_ms();
    set_durability(s);
    if (run_together(s, 0, s->count) < 0 && s->count > 1)
        for (size_t i = 0; i < s->count; i++)
            (void)run_together(s, i, 1); /* the result stands in the operation */
    for (size_t i = 0; i < s->count; i++)
        if (s->batch[i]->result >= 0 && s->batch[i]->kept)
            s->batch[i]->kept(s->batch[i], &s->model);
    for (size_t i = 0; i < s->count; i++) {
        s->batch[i]->lease_end_ms = lease_next_end(s->model.leases);
        s->batch[i]->lookout_ms = lookout_until(s->model.lookout, s->model.now_ms);
    }
    return begin_result;
}

static void on_done(void *job, int result, void *ctx)
{
    struct storage *s = ctx;
    struct storage_op *op = job;

    (void)result; /* each operation has its own */
    op->done(op, op->result, s->ctx);
}

int storage_new(struct loop *loop, struct db *db, const struct cipher *cipher, void *ctx,
                struct storage **ret_storage, struct err *err)
{
    static const struct worker_ops ops = {
        .begin = on_begin, .run = on_run, .end = on_end, .done = on_done
    };
    CLEANUP_PTR(storage_free) struct storage *s = mem_new(struct storage);
    int rc;

    s->ctx = ctx;
    s->model.db = db;
    s->model.cipher = cipher;
    s->model.leases = lease_table_new(clock_mono_ms());
    s->model.lookout = lookout_new();
    rc = worker_new(loop, &ops, s, BATCH_MAX, &s->worker, err);
    if (rc < 0)
        return rc;
    *ret_storage = TAKE_PTR(s);
    return 0;
}

void storage_set_terms(struct storage *s, uint32_t check_idle_ms, int64_t agent_files_max)
{
    s->model.check_idle_ms = check_idle_ms;
    s->model.agent_files_max = agent_files_max;
}

void storage_give(struct storage *s, struct storage_op *op)
{
    worker_give(s->worker, op);
}

size_t storage_pending(const struct storage *s)
{
    return worker_pending(s->worker);
}

void storage_free(struct storage *s)
{
    if (!s)
        return;
    worker_free(s->worker);
    lease_table_free(s->model.leases);
    lookout_free(s->model.lookout);
    db_close(s->model.db);
    free(s);
}
