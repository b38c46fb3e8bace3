#include "store/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/journal.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/log.h"
#include "util/utf8.h"

/* "nair": tells a journal from any other SQLite file (PRAGMA application_id). */
#define APPLICATION_ID_TEXT "1851877746"
static const long long application_id = 0x6e616972;

/* migrations[n] leads from version n to n + 1. They are history: never edited, only added to.
 * AUTOINCREMENT keeps the highest seq ever in sqlite_sequence, so that none is reused. */
static const char *const migrations[] = {
    "CREATE TABLE messages ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " ack_id TEXT,"
    " job_id TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " mode TEXT NOT NULL,"
    " state TEXT NOT NULL,"
    " prompt TEXT,"
    " system_prompt TEXT,"
    " payload TEXT,"
    " fence INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " received_ms INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL,"
    " reply_kind TEXT NOT NULL,"
    " reply TEXT,"
    " shortened INTEGER NOT NULL,"
    " cancelled INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX messages_acked ON messages (updated_ms) WHERE state = 'acked';"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = " APPLICATION_ID_TEXT ";",
    /* 2: conversations that programs keep, and what attempts cost (all NULL: not known) */
    "CREATE TABLE sessions ("
    " job_id TEXT PRIMARY KEY,"
    " runner TEXT NOT NULL,"
    " session TEXT NOT NULL,"
    " updated_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "ALTER TABLE messages ADD COLUMN anew INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE messages ADD COLUMN input_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN output_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cache_read_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cache_write_tokens INTEGER;"
    "ALTER TABLE messages ADD COLUMN cost_nano_usd INTEGER;"
    "ALTER TABLE messages ADD COLUMN model TEXT;",
    /* 3: replies that wait for a look at what their task left */
    "ALTER TABLE messages ADD COLUMN unsurveyed INTEGER NOT NULL DEFAULT 0;",
    /* 4: replies that wait for the files that go with them */
    "ALTER TABLE messages ADD COLUMN unsent INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE messages ADD COLUMN attachment_ids TEXT;"
    "ALTER TABLE messages ADD COLUMN unsent_note TEXT;",
    /* 5: jobs, so that it can be told which are over */
    "CREATE TABLE jobs ("
    " job_id TEXT PRIMARY KEY,"
    " fence INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL,"
    " leaving INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO jobs (job_id, fence, used_ms, leaving)"
    " SELECT job_id, max(fence), max(updated_ms), 0 FROM messages GROUP BY job_id;",
};
static_assert(ARRAY_SIZE(migrations) == JOURNAL_SCHEMA, "one step for each version");

/* ---- what went wrong ---- */

enum { WORDS_SIZE = 121 }; /* of SQLite's own, which quote what is in the file */

int schema_damaged(const char *path, const char *detail, struct err *err)
{
    char words[WORDS_SIZE];

    return err_set(err, -EBADMSG,
                   "the journal '%s' can't be used: %s. It is left as it is; move it and its "
                   "-wal file aside to start with a new one. The server sends again what was not "
                   "acknowledged, but replies not yet delivered are lost, and messages that were "
                   "answered may run once more",
                   path, utf8_line(words, sizeof words, detail));
}

static int last_errno_of(sqlite3_file *file)
{
    int n = 0;

    if (file && file->pMethods)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &n); /* n says it */
    return n;
}

/* The errno that the log's file, or the journal's, last met; 0 for none. */
static int files_errno(sqlite3 *db)
{
    sqlite3_file *log = NULL, *file = NULL;
    int n;

    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log); /* NULL if not */
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    n = last_errno_of(log);
    return n != 0 ? n : last_errno_of(file);
}

/* The errno behind a failure. What sqlite3_system_errno() has is the thread's errno some calls
 * later, so each file is asked for its own first. */
static int find_errno(sqlite3 *db)
{
    int n = files_errno(db);

    return n != 0 ? n : sqlite3_system_errno(db);
}

/* SQLite takes EIO on a read for a damaged file (SQLITE_IOERR_CORRUPTFS becomes SQLITE_CORRUPT). To
 * move the journal aside would then be the wrong remedy. */
static bool is_unreadable(sqlite3 *db)
{
    int os = files_errno(db);

    return os == EIO || os == ENXIO || os == ERANGE;
}

static int is_full(int rc, int os)
{
    return (rc & 0xff) == SQLITE_FULL || os == ENOSPC || os == EDQUOT;
}

static int fail_io(const char *path, const char *what, int os, const char *words, struct err *err)
{
    int code = os > 0 ? os : EIO;

    return err_set(err, -code,
                   "%s: '%s': %s (%s); look for disk errors in the kernel's log, and for limits on "
                   "the size of files",
                   what, path, strerror(code), words);
}

int schema_fail(sqlite3 *db, const char *path, const char *what, struct err *err)
{
    int rc = sqlite3_extended_errcode(db), os = find_errno(db);
    char buffer[WORDS_SIZE];
    const char *words = utf8_line(buffer, sizeof buffer, sqlite3_errmsg(db));

    if (is_full(rc, (rc & 0xff) == SQLITE_IOERR ? os : 0))
        return err_set(err, -ENOSPC,
                       "%s: '%s': no space left on the device, or the quota is used up: make room "
                       "on that file system",
                       what, path);
    switch (rc & 0xff) {
    case SQLITE_CANTOPEN:
        if (os == ENOENT) /* of its second try, without O_CREAT; the first one's is lost */
            return err_set(err, -EIO,
                           "%s: '%s': SQLite can't make or open its -wal file beside it: is the "
                           "directory still there, the disk full, or are too many files open?",
                           what, path);
        return fail_io(path, what, os, words, err);
    case SQLITE_IOERR:
        return fail_io(path, what, os, words, err);
    case SQLITE_CORRUPT:
        return is_unreadable(db) ? fail_io(path, what, os, words, err)
                                 : schema_damaged(path, words, err);
    case SQLITE_NOTADB:
        return schema_damaged(path, words, err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, -EBUSY, "%s: '%s' is open in another program: end that one", what,
                       path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return err_set(err, -EACCES, "%s: '%s' can't be written: %s", what, path, words);
    case SQLITE_CONSTRAINT:
        return err_set(err, -EPROTO, "%s: '%s': %s", what, path, words);
    case SQLITE_TOOBIG:
        return err_set(err, -EMSGSIZE, "%s: '%s': %s", what, path, words);
    case SQLITE_NOMEM:
        return err_set(err, -ENOMEM, "%s: '%s': out of memory", what, path);
    default:
        return err_set(err, -EIO, "%s: '%s': %s (SQLite's code %d)", what, path, words, rc);
    }
}

int schema_fail_prepare(sqlite3 *db, const char *path, struct err *err)
{
    return (sqlite3_errcode(db) & 0xff) == SQLITE_ERROR /* no such table or column */
               ? schema_damaged(path, sqlite3_errmsg(db), err)
               : schema_fail(db, path, "read the journal", err);
}

/* ---- checks ---- */

int schema_query_i64(sqlite3 *db, const char *sql, long long *ret_n)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    *ret_n = 0;
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            *ret_n = sqlite3_column_int64(stmt, 0);
        rc = sqlite3_finalize(stmt); /* OK, or the step's failure again */
    }
    return rc;
}

/* The first thing that quick_check finds; it also proves NOT NULL and STRICT's types. */
static int check_integrity(sqlite3 *db, const char *path, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int r = 0;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
        return schema_fail(db, path, "check the journal", err);
    if (sqlite3_step(stmt) != SQLITE_ROW) {
        r = schema_fail(db, path, "check the journal", err);
    } else {
        const char *found = (const char *)sqlite3_column_text(stmt, 0);

        if (found && strcmp(found, "ok") != 0 && is_unreadable(db))
            r = fail_io(path, "check the journal", files_errno(db), found, err);
        else if (!found || strcmp(found, "ok") != 0)
            r = schema_damaged(path, found ? found : "the check gave no answer", err);
    }
    (void)sqlite3_finalize(stmt); /* its failure is in r already */
    return r;
}

int schema_check(sqlite3 *db, const char *path, long long size, struct err *err)
{
    long long version = 0, app = 0, tables = 0;

    if (schema_query_i64(db, "PRAGMA user_version", &version) != SQLITE_OK ||
        schema_query_i64(db, "PRAGMA application_id", &app) != SQLITE_OK ||
        schema_query_i64(db, "SELECT count(*) FROM sqlite_schema", &tables) != SQLITE_OK)
        return schema_fail(db, path, "open the journal", err);
    /* a file that was being made when its daemon died looks like this */
    if (version == 0 && app == 0 && tables == 0)
        return 0;
    if (app != application_id)
        return schema_damaged(path, "it is an SQLite file, but not a journal of nairid", err);
    if (version > JOURNAL_SCHEMA)
        return err_set(err, -ENOTSUP,
                       "the journal '%s' was written by a newer nairid (its version %lld, known "
                       "here up to %d): run that one, or name another directory with --state",
                       path, version, JOURNAL_SCHEMA);
    if (version < 1)
        return schema_damaged(path, "it has no valid version", err);
    if (size <= (long long)JOURNAL_CHECK_MAX_MIB * 1024 * 1024)
        return check_integrity(db, path, err);
    return 0;
}

/* ---- versions ---- */

bool schema_is_current(sqlite3 *db)
{
    long long version = 0;

    return schema_query_i64(db, "PRAGMA user_version", &version) == SQLITE_OK &&
           version == JOURNAL_SCHEMA;
}

static int migrate_from(sqlite3 *db, long long version)
{
    char sql[64];
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    for (long long v = version; v < JOURNAL_SCHEMA && rc == SQLITE_OK; v++)
        rc = sqlite3_exec(db, migrations[v], NULL, NULL, NULL);
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", JOURNAL_SCHEMA);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc;
}

int schema_migrate(sqlite3 *db, const char *path, struct err *err)
{
    long long version = 0;
    int r;

    if (schema_query_i64(db, "PRAGMA user_version", &version) != SQLITE_OK)
        return schema_fail(db, path, "open the journal", err);
    if (version == JOURNAL_SCHEMA)
        return 0;
    if (migrate_from(db, version) == SQLITE_OK) {
        if (version > 0)
            log_notice("journal_migrated", "from", LOG_N(version), "to", LOG_N(JOURNAL_SCHEMA));
        return 0;
    }
    r = schema_fail(db, path, "bring the journal to this version", err);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* closing does it too */
    return r;
}
