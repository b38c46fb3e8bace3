#include "store/writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "store/batch.h"
#include "store/journal.h"
#include "store/record.h"
#include "store/schema.h"
#include "task/task.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_INSERT,
    STATEMENT_REPLACE, /* makes way for an INSERT: the core has forgotten a tombstone before us */
    STATEMENT_UPDATE,
    STATEMENT_ACK,
    STATEMENT_DELETE,
    STATEMENT_PURGE,
    STATEMENT_SESSION,
    STATEMENT_FORGET_SESSION,
    STATEMENT_JOB,
    STATEMENT_FORGET_JOB,
    STATEMENT_META,
    STATEMENT_COUNT
};

struct writer {
    sqlite3 *db;
    const char *path;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

/* clang-format off */
static const char *const statement_sql[] = {
    [STATEMENT_BEGIN]    = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT]   = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_INSERT]   = "INSERT INTO messages (seq, id, ack_id, job_id, kind, mode, state, prompt,"
                           " system_prompt, payload, fence, attempt, received_ms, updated_ms,"
                           " reply_kind, reply, shortened, cancelled, anew, unsurveyed, unsent,"
                           " attachment_ids, unsent_note, input_tokens, output_tokens,"
                           " cache_read_tokens, cache_write_tokens, cost_nano_usd, model) VALUES (:seq, :id, :ack_id,"
                           " :job_id, :kind, :mode, :state, :prompt, :system_prompt, :payload,"
                           " :fence, :attempt, :received_ms, :updated_ms, :reply_kind, :reply,"
                           " :shortened, :cancelled, :anew, :unsurveyed, :unsent,"
                           " :attachment_ids, :unsent_note, :input_tokens, :output_tokens,"
                           " :cache_read_tokens, :cache_write_tokens, :cost_nano_usd, :model)",
    [STATEMENT_REPLACE]  = "DELETE FROM messages WHERE id = :id AND state = 'acked'",
    [STATEMENT_UPDATE]   = "UPDATE messages SET state = :state, fence = :fence, attempt = :attempt,"
                           " updated_ms = :updated_ms, reply_kind = :reply_kind, reply = :reply,"
                           " shortened = :shortened, cancelled = :cancelled, anew = :anew,"
                           " unsurveyed = :unsurveyed, unsent = :unsent,"
                           " attachment_ids = :attachment_ids, unsent_note = :unsent_note,"
                           " input_tokens = :input_tokens, output_tokens = :output_tokens,"
                           " cache_read_tokens = :cache_read_tokens,"
                           " cache_write_tokens = :cache_write_tokens,"
                           " cost_nano_usd = :cost_nano_usd, model = :model WHERE id = :id",
    [STATEMENT_ACK]      = "UPDATE messages SET state = :state, fence = :fence, attempt = :attempt,"
                           " updated_ms = :updated_ms, reply_kind = :reply_kind, prompt = NULL,"
                           " system_prompt = NULL, payload = NULL,"
                           " reply = iif(state = 'refused', reply, NULL),"
                           " shortened = :shortened, cancelled = :cancelled, anew = :anew,"
                           " unsurveyed = :unsurveyed, unsent = :unsent,"
                           " attachment_ids = NULL, unsent_note = NULL,"
                           " input_tokens = :input_tokens, output_tokens = :output_tokens,"
                           " cache_read_tokens = :cache_read_tokens,"
                           " cache_write_tokens = :cache_write_tokens,"
                           " cost_nano_usd = :cost_nano_usd, model = :model WHERE id = :id",
    [STATEMENT_DELETE]   = "DELETE FROM messages WHERE id = :id",
    [STATEMENT_PURGE]    = "DELETE FROM messages WHERE seq IN (SELECT seq FROM messages"
                           " WHERE state = 'acked' AND updated_ms < :before_ms"
                           " ORDER BY updated_ms LIMIT :most)",
    [STATEMENT_SESSION]  = ("INSERT OR REPLACE INTO sessions (job_id, runner, session,"
                           " updated_ms) VALUES (?1, ?2, ?3, ?4)"),
    [STATEMENT_FORGET_SESSION] = "DELETE FROM sessions WHERE job_id = ?1",
    [STATEMENT_JOB]      = ("INSERT OR REPLACE INTO jobs (job_id, fence, used_ms, leaving)"
                           " VALUES (?1, ?2, ?3, ?4)"),
    [STATEMENT_FORGET_JOB] = "DELETE FROM jobs WHERE job_id = ?1",
    [STATEMENT_META]     = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
};
/* clang-format on */
static_assert(ARRAY_SIZE(statement_sql) == STATEMENT_COUNT, "every statement has its text");

int writer_new(sqlite3 *db, const char *path, struct writer **ret_writer, struct err *err)
{
    struct writer *w = mem_new(struct writer);

    w->db = db;
    w->path = path;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(w->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &w->statements[i], NULL) != SQLITE_OK) {
            int r = schema_fail_prepare(w->db, w->path, err);

            writer_free(w);
            return r;
        }
    *ret_writer = w;
    return 0;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(w->statements[i]); /* repeats a failure that was reported */
    free(w);
}

/* Runs one statement to its end. A reset repeats the step's failure, so it isn't looked at. */
static int run(struct writer *w, enum statement which, struct err *err)
{
    sqlite3_stmt *stmt = w->statements[which];
    int r = 0;

    if (sqlite3_step(stmt) != SQLITE_DONE)
        r = schema_fail(w->db, w->path, "store", err);
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt); /* always SQLITE_OK */
    return r;
}

static int apply_purge(struct writer *w, int64_t before_ms, struct err *err)
{
    sqlite3_stmt *stmt = w->statements[STATEMENT_PURGE];

    if (sqlite3_bind_int64(stmt, 1, before_ms) != SQLITE_OK ||
        sqlite3_bind_int(stmt, 2, JOURNAL_PURGE_MAX) != SQLITE_OK)
        return schema_fail(w->db, w->path, "store", err);
    return run(w, STATEMENT_PURGE, err);
}

static int apply_session(struct writer *w, const struct batch_op *op, struct err *err)
{
    enum statement which = op->type == BATCH_SESSION ? STATEMENT_SESSION : STATEMENT_FORGET_SESSION;
    sqlite3_stmt *stmt = w->statements[which];
    bool bound = sqlite3_bind_text(stmt, 1, op->job_id, -1, SQLITE_STATIC) == SQLITE_OK;

    if (op->type == BATCH_SESSION)
        bound = bound && sqlite3_bind_text(stmt, 2, op->runner, -1, SQLITE_STATIC) == SQLITE_OK &&
                sqlite3_bind_text(stmt, 3, op->session, -1, SQLITE_STATIC) == SQLITE_OK &&
                sqlite3_bind_int64(stmt, 4, op->wall_ms) == SQLITE_OK;
    return bound ? run(w, which, err) : schema_fail(w->db, w->path, "store", err);
}

static int apply_job(struct writer *w, const struct batch_op *op, struct err *err)
{
    enum statement which = op->type == BATCH_JOB ? STATEMENT_JOB : STATEMENT_FORGET_JOB;
    sqlite3_stmt *stmt = w->statements[which];
    bool bound = sqlite3_bind_text(stmt, 1, op->job_id, -1, SQLITE_STATIC) == SQLITE_OK;

    if (op->type == BATCH_JOB)
        bound = bound && sqlite3_bind_int64(stmt, 2, (int64_t)op->fence) == SQLITE_OK &&
                sqlite3_bind_int64(stmt, 3, op->wall_ms) == SQLITE_OK &&
                sqlite3_bind_int(stmt, 4, op->leaving) == SQLITE_OK;
    return bound ? run(w, which, err) : schema_fail(w->db, w->path, "store", err);
}

static int apply_meta(struct writer *w, const struct batch_op *op, struct err *err)
{
    sqlite3_stmt *stmt = w->statements[STATEMENT_META];

    if (sqlite3_bind_text(stmt, 1, op->job_id, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(stmt, 2, op->session, -1, SQLITE_STATIC) != SQLITE_OK)
        return schema_fail(w->db, w->path, "store", err);
    return run(w, STATEMENT_META, err);
}

static int apply_task(struct writer *w, enum statement which, const struct task *t, struct err *err)
{
    if (record_bind(w->statements[which], t) != SQLITE_OK)
        return schema_fail(w->db, w->path, "store", err);
    return run(w, which, err);
}

/* A state that has no row to go to would be lost without a word. */
static int apply_update(struct writer *w, const struct task *t, struct err *err)
{
    int r = apply_task(w, t->state == TASK_ACKED ? STATEMENT_ACK : STATEMENT_UPDATE, t, err);

    if (r == 0 && sqlite3_changes(w->db) != 1)
        return err_set(err, -EPROTO, "store: '%s' has no message %s to update", w->path, t->id);
    return r;
}

static int apply(struct writer *w, const struct batch_op *op, struct err *err)
{
    int r;

    switch (op->type) {
    case BATCH_INSERT:
        r = apply_task(w, STATEMENT_REPLACE, op->task, err);
        return r < 0 ? r : apply_task(w, STATEMENT_INSERT, op->task, err);
    case BATCH_UPDATE:
        return apply_update(w, op->task, err);
    case BATCH_DELETE:
        return apply_task(w, STATEMENT_DELETE, op->task, err);
    case BATCH_PURGE:
        return apply_purge(w, op->wall_ms, err);
    case BATCH_JOB:
    case BATCH_FORGET_JOB:
        return apply_job(w, op, err);
    case BATCH_META:
        return apply_meta(w, op, err);
    case BATCH_SESSION:
    case BATCH_FORGET_SESSION:
        break;
    }
    return apply_session(w, op, err);
}

static int apply_all(struct writer *w, struct store_batch *const *batches, size_t count,
                     struct err *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < batches[i]->len; k++) {
            int r = apply(w, &batches[i]->ops[k], err);

            if (r < 0)
                return r;
        }
    return 0;
}

int writer_commit(struct writer *w, struct store_batch *const *batches, size_t count,
                  struct err *err)
{
    int r = run(w, STATEMENT_BEGIN, err);

    if (r < 0)
        return r;
    r = apply_all(w, batches, count, err);
    if (r == 0)
        r = run(w, STATEMENT_COMMIT, err);
    /* Some failures have rolled back by themselves; ours to undo is what is still open. */
    if (r < 0 && !sqlite3_get_autocommit(w->db))
        (void)run(w, STATEMENT_ROLLBACK, NULL); /* the first failure is the one to report */
    return r;
}
