/* db.h - SQLite as the hub uses it; the only home of sqlite3.h here.
 * One connection, used by one thread at a time (it may be handed from one thread to another).
 * Statements are prepared once and kept: sql must be a string literal, its address is the key.
 * SQLITE_* codes become errno: FULL -ENOSPC, CORRUPT and NOTADB -EBADMSG, BUSY and LOCKED -EBUSY,
 * CONSTRAINT -EEXIST, READONLY -EROFS, CANTOPEN -ENOENT, the rest -EIO. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct err;
struct query;

/* Opens, or with create makes, the file (mode 0600) in WAL mode with synchronous=FULL. Errors say
 * what is wrong with the file and what to do. */
int db_open(const char *path, bool create, struct db **ret_db, struct err *err);
void db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close);

/* Arguments follow types, one letter each: 't' const char * (NULL is SQL's NULL), 'i' int64_t,
 * 'b' const void * and size_t. Bytes are borrowed until the call (db_run) or query_end() is over.
 */
/* Runs a statement that gives no rows. Returns the count of changed rows. */
int64_t db_run(struct db *db, const char *sql, const char *types, ...);
/* Starts a query. Errors come out of query_next(). The same sql can't be in use twice. */
struct query *db_query(struct db *db, const char *sql, const char *types, ...);
/* 1 and a row, 0 at the end, or a negative errno. */
int query_next(struct query *q);
void query_end(struct query *q);
/* Columns of the row, from 0. Texts are valid until the next call on q; NULL is SQL's NULL. */
int64_t query_i64(struct query *q, int column);
const char *query_text(struct query *q, int column);
size_t query_bytes(struct query *q, int column); /* length of the text or blob */
size_t query_size(struct query *q);              /* of all texts and blobs of the row */
const void *query_blob(struct query *q, int column);
bool query_is_null(struct query *q, int column);

/* The one whole number that a query gives: 1 and *ret_n, 0 if there is no row, or a negative
 * errno. */
int db_get(struct db *db, int64_t *ret_n, const char *sql, const char *types, ...);

int64_t db_last_id(const struct db *db); /* rowid of the last insert */
/* Several statements of no result, not kept: for the schema and settings. */
int db_script(struct db *db, const char *sql);
/* False once SQLite has ended the transaction by itself, as it does on a full disk. */
bool db_in_transaction(const struct db *db);
/* SQLite's words for the last failure, on one line. Valid until the next call. */
const char *db_error(struct db *db);
