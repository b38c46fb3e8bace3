/* writer.h - what writes the journal: a statement for each kind of change, prepared once, and the
 * transaction around them. For store/ only. */
#pragma once
#include <sqlite3.h>
#include <stddef.h>

struct err;
struct store_batch;
struct writer;

/* db, of the version written here, and path, the file's for messages, outlive it. */
int writer_new(sqlite3 *db, const char *path, struct writer **ret_writer, struct err *err);
void writer_free(struct writer *w); /* before db is closed */
/* See journal_commit(). */
int writer_commit(struct writer *w, struct store_batch *const *batches, size_t count,
                  struct err *err);
