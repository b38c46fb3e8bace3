#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/batch.h"
#include "store/instance.h"
#include "store/record.h"
#include "store/schema.h"
#include "store/writer.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"

#define FILE_NAME "journal.db"

enum { BUSY_TIMEOUT_MS = 2000, WAL_KEEP_BYTES = 8 * 1024 * 1024 };

struct journal {
    sqlite3 *db;
    struct writer *writer;
    char *path;
    char instance_id[ULID_ID_MAX];
    uint64_t max_seq;
    int wal_pages;    /* in the WAL after the last commit */
    int wal_next_try; /* a checkpoint that failed is tried again when the WAL has this many */
};

/* ---- opening ---- */

static int look_at_file(int fd, const char *path, long long *ret_size, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return schema_damaged(path, "it is not a regular file", err);
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM, "the journal '%s' belongs to user %u: chown it to user %u",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        return err_set(err, -errno, "chmod 0600 '%s': %s", path, strerror(errno));
    *ret_size = st.st_size;
    return 0;
}

/* Makes or checks the file before SQLite opens it: mode 0600 from the start (the WAL takes over
 * the mode), nobody else's, and not empty beside a WAL, which SQLite would then delete. Our
 * descriptor is closed before SQLite has one: closing it later would drop SQLite's locks. */
static int prepare_file(const struct journal *j, int dir_fd, long long *ret_size, struct err *err)
{
    AUTO_CLOSE int fd =
        openat(dir_fd, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat wal;
    int r;

    if (fd < 0 && errno == ELOOP)
        return schema_damaged(j->path, "it is a symbolic link", err);
    if (fd < 0)
        return err_set(err, -errno, "open '%s': %s", j->path, strerror(errno));
    r = look_at_file(fd, j->path, ret_size, err);
    if (r < 0)
        return r;
    if (*ret_size == 0 && fstatat(dir_fd, FILE_NAME "-wal", &wal, AT_SYMLINK_NOFOLLOW) == 0 &&
        wal.st_size > 0)
        return schema_damaged(j->path, "it is missing or empty, and its -wal file is not", err);
    return 0;
}

static int connect_file(struct journal *j, struct err *err)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;

    if (sqlite3_open_v2(j->path, &j->db, flags, NULL) != SQLITE_OK)
        return j->db ? schema_fail(j->db, j->path, "open the journal", err)
                     : err_set(err, -ENOMEM, "open '%s': out of memory", j->path);
    /* It was opened for writing a moment ago: SQLite falls back to reading for any failure. */
    if (sqlite3_db_readonly(j->db, "main") == 1)
        return err_set(err, -EAGAIN,
                       "'%s' could be opened for reading only, though it may be written: too many "
                       "open files, no memory, or a disk that fails?",
                       j->path);
    (void)sqlite3_busy_timeout(j->db, BUSY_TIMEOUT_MS); /* fails only on misuse, as those below */
    /* A file that is refused must stay as it is, so closing may not carry its WAL over. */
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    /* Our schema has neither: one that a foreign hand put there must not run. */
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Before the first read: the WAL's index is then kept in memory and not in a shared file. No
     * temporary file is ever written: the confined daemon has no place for one. */
    if (sqlite3_exec(j->db,
                     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;"
                     "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return schema_fail(j->db, j->path, "open the journal", err);
    return 0;
}

static int on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct journal *j = ctx;

    (void)db;
    (void)name;
    j->wal_pages = pages; /* replaces SQLite's own checkpoints, whose failures nobody would see */
    return SQLITE_OK;
}

static int use_wal(struct journal *j, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    bool is_wal = false;
    int rc = sqlite3_prepare_v2(j->db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        if (sqlite3_step(stmt) == SQLITE_ROW)
            is_wal = str_eq((const char *)sqlite3_column_text(stmt, 0), "wal");
        rc = sqlite3_finalize(stmt);
    }
    if (rc != SQLITE_OK)
        return schema_fail(j->db, j->path, "open the journal", err);
    if (!is_wal)
        return err_set(err, -EIO, "'%s': SQLite can't keep a write-ahead log there", j->path);
    (void)sqlite3_wal_hook(j->db, on_wal, j); /* returns the context of the hook before */
    if (sqlite3_exec(j->db, "PRAGMA journal_size_limit = 8388608", NULL, NULL, NULL) != SQLITE_OK)
        return schema_fail(j->db, j->path, "open the journal", err);
    return 0;
}
static_assert(WAL_KEEP_BYTES == 8388608, "as in the PRAGMA above");

static int read_max_seq(struct journal *j, struct err *err)
{
    long long n;

    if (schema_query_i64(j->db,
                         "SELECT max(coalesce((SELECT max(seq) FROM messages), 0),"
                         " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0))",
                         &n) != SQLITE_OK)
        return schema_fail(j->db, j->path, "read the journal", err);
    if (n < 0)
        return schema_damaged(j->path, "it holds a negative number of a message", err);
    j->max_seq = (uint64_t)n;
    return 0;
}

/* What a failed fsync left in the page cache may look committed now and be gone after a power
 * failure: once carried over and synced as a whole, what we read is what is on the disk. A full
 * disk is no reason not to start. */
static int settle_wal(struct journal *j, struct err *err)
{
    int rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    int r;

    if (rc == SQLITE_OK)
        return 0;
    r = schema_fail(j->db, j->path, "carry over the journal's log", err);
    return r == -ENOSPC ? 0 : r;
}

static int read_contents(struct journal *j, struct err *err)
{
    int r = writer_new(j->db, j->path, &j->writer, err);

    if (r == 0)
        r = instance_read(j->db, j->path, j->instance_id, err);
    return r == 0 ? read_max_seq(j, err) : r;
}

static int open_checked(struct journal *j, int dir_fd, struct err *err)
{
    long long size = 0;
    int r = prepare_file(j, dir_fd, &size, err);

    if (r == 0)
        r = connect_file(j, err);
    if (r == 0)
        r = schema_check(j->db, j->path, size, err);
    /* All that can be refused is looked at before the first write. */
    if (r == 0 && schema_is_current(j->db))
        r = read_contents(j, err);
    if (r == 0)
        r = use_wal(j, err);
    if (r == 0)
        r = schema_migrate(j->db, j->path, err);
    if (r == 0 && !j->writer)
        r = read_contents(j, err);
    if (r == 0 && !j->instance_id[0])
        r = instance_make(j->db, j->path, j->instance_id, err);
    if (r == 0)
        r = settle_wal(j, err);
    return r;
}

int journal_open(const char *dir, int dir_fd, struct journal **ret_journal, struct err *err)
{
    struct journal *j = mem_new(struct journal);
    int r;

    j->path = mem_printf("%s/" FILE_NAME, dir);
    j->wal_next_try = JOURNAL_CHECKPOINT_PAGES;
    r = open_checked(j, dir_fd, err);
    if (r < 0) {
        journal_close(j, false);
        return r;
    }
    *ret_journal = j;
    return 0;
}

void journal_close(struct journal *j, bool tidy)
{
    if (!j)
        return;
    writer_free(j->writer);
    if (tidy)
        (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    (void)sqlite3_close(j->db); /* fails only where statements are left, and none is */
    free(j->path);
    free(j);
}

int journal_bind(struct journal *j, const char *machine, bool *ret_moved, struct err *err)
{
    return instance_bind(j->db, j->path, machine, j->instance_id, ret_moved, err);
}

const char *journal_instance_id(const struct journal *j)
{
    return j->instance_id;
}

uint64_t journal_max_seq(const struct journal *j)
{
    return j->max_seq;
}

/* ---- reading ---- */

static int read_rows(struct journal *j, sqlite3_stmt *stmt, store_row_fn row, void *ctx,
                     struct err *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct task *t = NULL;
        char why[RECORD_WHY_MAX];

        if (record_read(stmt, &t, why) < 0)
            return schema_damaged(j->path, why, err);
        row(t, ctx);
    }
    return rc == SQLITE_DONE ? 0 : schema_fail(j->db, j->path, "read the journal", err);
}

static int read_tombstones(struct journal *j, sqlite3_stmt *stmt, store_tombstone_fn tombstone,
                           void *ctx, struct err *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(stmt, 0);

        if (str_is_empty(id))
            return schema_damaged(j->path, "an acknowledged message in it has no id", err);
        tombstone(id, sqlite3_column_int64(stmt, 1), ctx);
    }
    return rc == SQLITE_DONE ? 0 : schema_fail(j->db, j->path, "read the journal", err);
}

int journal_load(struct journal *j, store_row_fn row, store_tombstone_fn tombstone, void *ctx,
                 struct err *err)
{
    sqlite3_stmt *rows = NULL, *stones = NULL;
    int r = 0;

    if (sqlite3_prepare_v2(j->db,
                           "SELECT " RECORD_COLUMNS
                           " FROM messages WHERE state IS NOT 'acked' ORDER BY seq",
                           -1, &rows, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(
            j->db, "SELECT id, updated_ms FROM messages WHERE state = 'acked' ORDER BY updated_ms",
            -1, &stones, NULL) != SQLITE_OK)
        r = schema_fail_prepare(j->db, j->path, err);
    if (r == 0)
        r = read_rows(j, rows, row, ctx, err);
    if (r == 0)
        r = read_tombstones(j, stones, tombstone, ctx, err);
    (void)sqlite3_finalize(rows); /* their failures are in r already */
    (void)sqlite3_finalize(stones);
    return r;
}

static int read_sessions(struct journal *j, sqlite3_stmt *stmt, store_session_fn session, void *ctx,
                         struct err *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *job_id = (const char *)sqlite3_column_text(stmt, 0);
        const char *runner = (const char *)sqlite3_column_text(stmt, 1);
        const char *id = (const char *)sqlite3_column_text(stmt, 2);

        if (job_id && runner && id) /* NULL: out of memory, which the next step reports */
            session(job_id, runner, id, sqlite3_column_int64(stmt, 3), ctx);
    }
    return rc == SQLITE_DONE ? 0 : schema_fail(j->db, j->path, "read the journal", err);
}

int journal_load_sessions(struct journal *j, store_session_fn session, void *ctx, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int r;

    if (sqlite3_prepare_v2(
            j->db, "SELECT job_id, runner, session, updated_ms FROM sessions ORDER BY updated_ms",
            -1, &stmt, NULL) != SQLITE_OK)
        return schema_fail_prepare(j->db, j->path, err);
    r = read_sessions(j, stmt, session, ctx, err);
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

static int read_jobs(struct journal *j, sqlite3_stmt *stmt, store_job_fn job, void *ctx,
                     struct err *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *job_id = (const char *)sqlite3_column_text(stmt, 0);

        if (job_id) /* NULL: out of memory, which the next step reports */
            job(job_id, (uint64_t)sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2),
                sqlite3_column_int(stmt, 3) != 0, ctx);
    }
    return rc == SQLITE_DONE ? 0 : schema_fail(j->db, j->path, "read the journal", err);
}

int journal_load_jobs(struct journal *j, store_job_fn job, void *ctx, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int r;

    if (sqlite3_prepare_v2(j->db,
                           "SELECT job_id, fence, used_ms, leaving FROM jobs ORDER BY used_ms", -1,
                           &stmt, NULL) != SQLITE_OK)
        return schema_fail_prepare(j->db, j->path, err);
    r = read_jobs(j, stmt, job, ctx, err);
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

/* ---- writing ---- */

int journal_commit(struct journal *j, struct store_batch *const *batches, size_t count,
                   struct err *err)
{
    return writer_commit(j->writer, batches, count, err);
}

int journal_checkpoint(struct journal *j, struct err *err)
{
    int r;

    if (j->wal_pages < j->wal_next_try)
        return 0;
    if (sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) !=
        SQLITE_OK) {
        r = schema_fail(j->db, j->path, "carry over the journal's log", err);
        j->wal_next_try = j->wal_pages + JOURNAL_CHECKPOINT_PAGES;
        return r;
    }
    j->wal_pages = 0; /* the next commit starts it over */
    j->wal_next_try = JOURNAL_CHECKPOINT_PAGES;
    return 1;
}

/* ---- what another daemon's state was ---- */

int journal_may_inherit(struct journal *j, bool *ret_may, struct err *err)
{
    long long n;

    if (schema_query_i64(j->db,
                         "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM sessions)"
                         " + (SELECT count(*) FROM meta WHERE name = 'inherited')",
                         &n) != SQLITE_OK)
        return schema_fail(j->db, j->path, "read the journal", err);
    *ret_may = n == 0 && j->max_seq == 0;
    return 0;
}

int journal_inherit(struct journal *j, struct store_batch *b, const char *instance_id,
                    const char *source, struct err *err)
{
    int r;

    if (instance_id)
        batch_meta(b, "instance_id", instance_id);
    batch_meta(b, "inherited", source);
    r = journal_commit(j, &b, 1, err);
    if (r == 0)
        r = instance_read(j->db, j->path, j->instance_id, err);
    return r == 0 ? read_max_seq(j, err) : r;
}
