/* schema.h - what the journal's file must be, and how it becomes that. For store/ only. */
#pragma once
#include <sqlite3.h>
#include <stdbool.h>

struct err;

/* Says what SQLite's last failure on db means, as a negative errno with a sentence; path is the
 * file, what the doing ("store a batch"). */
int schema_fail(sqlite3 *db, const char *path, const char *what, struct err *err);
/* The same for a statement of ours that can't be prepared: the file may lack what it names. */
int schema_fail_prepare(sqlite3 *db, const char *path, struct err *err);
/* The sentence for a file that can't be used: detail says why. Returns -EBADMSG. */
int schema_damaged(const char *path, const char *detail, struct err *err);

/* Refuses what isn't a journal, is damaged, or is of a newer nairid; writes nothing. size: of the
 * file, 0 for a new one. */
int schema_check(sqlite3 *db, const char *path, long long size, struct err *err);
/* Whether it is of the version written here. */
bool schema_is_current(sqlite3 *db);
/* Brings a new or older journal up to JOURNAL_SCHEMA in one transaction. */
int schema_migrate(sqlite3 *db, const char *path, struct err *err);
/* The single integer that sql selects, 0 where there is no row. SQLITE_OK or its code. */
int schema_query_i64(sqlite3 *db, const char *sql, long long *ret_n);
