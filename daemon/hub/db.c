#include "hub/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/err.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { QUERY_MAX = 224, BUSY_MS = 10000 };

struct query {
    struct db *db;
    const char *sql;
    sqlite3_stmt *stmt;
    int failed; /* errno of preparing or binding, given out by query_next() */
    bool busy;
};

struct db {
    sqlite3 *sqlite;
    struct query queries[QUERY_MAX];
    size_t query_count;
    char words[161]; /* of db_error() */
};

static int file_errno(sqlite3_file *file)
{
    int n = 0;

    if (file && file->pMethods)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &n); /* n says it */
    return n;
}

/* What the machine said, as far as SQLite knows: the log's file and the database's remember what
 * they met, a failure to open one is remembered by the connection. */
static int machine_errno(sqlite3 *sqlite)
{
    sqlite3_file *log = NULL, *file = NULL;
    int n;

    (void)sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    (void)sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    n = file_errno(log);
    if (n == 0)
        n = file_errno(file);
    if (n == 0)
        n = sqlite3_system_errno(sqlite);
    return n > 0 ? -n : -EIO;
}

static int code_to_errno(sqlite3 *sqlite, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return machine_errno(sqlite);
    default:
        return -EIO;
    }
}

static int describe_open(struct err *err, int rc, const char *path, const char *why)
{
    if (rc == -EBADMSG)
        return err_set(
            err, rc,
            "'%s' is damaged or no database of nairi-hub (%s): restore it from a backup, "
            "or move it away to begin with an empty one",
            path, why);
    if (rc == -EBUSY)
        return err_set(err, rc, "'%s' is locked by another program (%s): end that one first", path,
                       why);
    return err_set(err, rc, "open the database '%s': %s", path, why);
}

/* SQLite would make the file with the umask's mode, and gives its -wal and -shm the file's. */
static int make_private(const char *path, bool create, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | (create ? O_CREAT : 0), 0600);
    struct stat st;

    if (fd < 0)
        return err_set(err, -errno, "open the database '%s': %s", path, strerror(errno));
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat the database '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "the database '%s' is no regular file", path);
    if ((st.st_mode & 077) != 0 && fchmod(fd, st.st_mode & 0700) < 0)
        return err_set(err, -errno, "others may read the database '%s', and chmod 0600 fails: %s",
                       path, strerror(errno));
    return 0;
}

int db_open(const char *path, bool create, struct db **ret_db, struct err *err)
{
    CLEANUP_PTR(db_close) struct db *db = mem_new(struct db);
    int rc = make_private(path, create, err);

    if (rc < 0)
        return rc;
    rc = sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return describe_open(err, code_to_errno(db->sqlite, rc), path, db_error(db));
    (void)sqlite3_busy_timeout(db->sqlite, BUSY_MS); /* fails only without a connection */
    rc = db_script(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                       "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; "
                       "PRAGMA wal_autocheckpoint=1000;");
    if (rc < 0)
        return describe_open(err, rc, path, db_error(db));
    *ret_db = TAKE_PTR(db);
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->query_count; i++)
        (void)sqlite3_finalize(db->queries[i].stmt); /* repeats an error already reported */
    (void)sqlite3_close(db->sqlite);                 /* can't be busy: all statements are gone */
    free(db);
}

static struct query *find(struct db *db, const char *sql)
{
    struct query *q;

    for (size_t i = 0; i < db->query_count; i++)
        if (db->queries[i].sql == sql)
            return &db->queries[i];
    assert(db->query_count < QUERY_MAX);
    q = &db->queries[db->query_count++];
    *q = (struct query){ .db = db, .sql = sql };
    return q;
}

static int bind(struct query *q, int index, char type, va_list *ap)
{
    switch (type) {
    case 't':
        return sqlite3_bind_text(q->stmt, index, va_arg(*ap, const char *), -1, SQLITE_STATIC);
    case 'i':
        return sqlite3_bind_int64(q->stmt, index, va_arg(*ap, int64_t));
    case 'b': {
        const void *bytes = va_arg(*ap, const void *);

        return sqlite3_bind_blob64(q->stmt, index, bytes, va_arg(*ap, size_t), SQLITE_STATIC);
    }
    default:
        assert(false && "a letter of types");
        return SQLITE_MISUSE;
    }
}

static struct query *prepare(struct db *db, const char *sql, const char *types, va_list *ap)
{
    struct query *q = find(db, sql);
    int rc = SQLITE_OK;

    assert(!q->busy);
    q->busy = true;
    if (!q->stmt)
        rc = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    for (int i = 0; rc == SQLITE_OK && types[i]; i++)
        rc = bind(q, i + 1, types[i], ap);
    q->failed = code_to_errno(q->db->sqlite, rc);
    return q;
}

struct query *db_query(struct db *db, const char *sql, const char *types, ...)
{
    struct query *q;
    va_list ap;

    va_start(ap, types);
    q = prepare(db, sql, types, &ap);
    va_end(ap);
    return q;
}

int query_next(struct query *q)
{
    int rc;

    if (q->failed)
        return q->failed;
    rc = sqlite3_step(q->stmt);
    if (rc == SQLITE_ROW)
        return 1;
    q->failed = code_to_errno(q->db->sqlite, rc);
    return q->failed;
}

void query_end(struct query *q)
{
    if (q->stmt) {
        (void)sqlite3_reset(q->stmt); /* repeats what query_next() said */
        (void)sqlite3_clear_bindings(q->stmt);
    }
    q->busy = false;
}

int64_t query_i64(struct query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

const char *query_text(struct query *q, int column)
{
    return (const char *)sqlite3_column_text(q->stmt, column);
}

size_t query_bytes(struct query *q, int column)
{
    return (size_t)sqlite3_column_bytes(q->stmt, column);
}

size_t query_size(struct query *q)
{
    size_t size = 0;

    for (int i = 0; i < sqlite3_data_count(q->stmt); i++) {
        int type = sqlite3_column_type(q->stmt, i);

        if (type == SQLITE_TEXT || type == SQLITE_BLOB)
            size += query_bytes(q, i);
    }
    return size;
}

const void *query_blob(struct query *q, int column)
{
    return sqlite3_column_blob(q->stmt, column);
}

bool query_is_null(struct query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

int64_t db_run(struct db *db, const char *sql, const char *types, ...)
{
    struct query *q;
    va_list ap;
    int rc;

    va_start(ap, types);
    q = prepare(db, sql, types, &ap);
    va_end(ap);
    rc = query_next(q);
    assert(rc <= 0);
    query_end(q);
    return rc < 0 ? rc : sqlite3_changes64(db->sqlite);
}

int db_get(struct db *db, int64_t *ret_n, const char *sql, const char *types, ...)
{
    struct query *q;
    va_list ap;
    int rc;

    va_start(ap, types);
    q = prepare(db, sql, types, &ap);
    va_end(ap);
    rc = query_next(q);
    if (rc > 0)
        *ret_n = query_i64(q, 0);
    query_end(q);
    return rc;
}

int64_t db_last_id(const struct db *db)
{
    return sqlite3_last_insert_rowid(db->sqlite);
}

int db_script(struct db *db, const char *sql)
{
    return code_to_errno(db->sqlite, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

bool db_in_transaction(const struct db *db)
{
    return sqlite3_get_autocommit(db->sqlite) == 0;
}

const char *db_error(struct db *db)
{
    int code = sqlite3_errcode(db->sqlite) & 0xff;
    AUTO_FREE char *words = NULL;

    if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
        words =
            mem_printf("%s: %s", sqlite3_errmsg(db->sqlite), strerror(-machine_errno(db->sqlite)));
    else
        words = mem_strdup(sqlite3_errmsg(db->sqlite));
    return utf8_line(db->words, sizeof db->words, words); /* they quote what is in the file */
}
