/* journal.h - the SQLite file behind the store: open with checks, migrate, read, commit.
 * One connection, used by one thread at a time (the caller's until the writing thread starts).
 * Exclusive locking: no other program reads or writes the file meanwhile, and there is no shared
 * memory file. For store/ only. */
#pragma once
#include "store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct journal;

enum {
    JOURNAL_SCHEMA = 5,              /* the version written here */
    JOURNAL_PURGE_MAX = 50000,       /* tombstones removed by one purge; the rest by the next */
    JOURNAL_CHECK_MAX_MIB = 64,      /* larger files are not checked as a whole when opened */
    JOURNAL_CHECKPOINT_PAGES = 1000, /* of the WAL, after which it is carried over */
};

/* dir: absolute, without links in it. -EBADMSG: damaged, or not a journal; -ENOTSUP: of a newer
 * nairid; -EBUSY: open elsewhere. On any failure the files are as they were; but one of an older
 * version, or without any, may be in WAL mode afterwards. */
int journal_open(const char *dir, int dir_fd, struct journal **ret_journal, struct err *err);
/* See store_bind(). */
int journal_bind(struct journal *j, const char *machine, bool *ret_moved, struct err *err);
const char *journal_instance_id(const struct journal *j);
uint64_t journal_max_seq(const struct journal *j); /* when it was opened */
int journal_load(struct journal *j, store_row_fn row, store_tombstone_fn tombstone, void *ctx,
                 struct err *err);
int journal_load_sessions(struct journal *j, store_session_fn session, void *ctx, struct err *err);
int journal_load_jobs(struct journal *j, store_job_fn job, void *ctx, struct err *err);
/* All of the batches as one transaction, durable on return of 0. On -ENOSPC nothing of it was kept
 * and it may be tried again; after any other failure the journal is not to be written any more. */
int journal_commit(struct journal *j, struct store_batch *const *batches, size_t count,
                   struct err *err);
/* Carries the WAL over into the file if it has grown enough. Returns 1 if it did, 0 if it had no
 * need to, a negative errno otherwise; what was committed stays durable in any case. */
int journal_checkpoint(struct journal *j, struct err *err);
/* See store_inherit(). */
int journal_may_inherit(struct journal *j, bool *ret_may, struct err *err);
int journal_inherit(struct journal *j, struct store_batch *b, const char *instance_id,
                    const char *source, struct err *err);
/* tidy: leave one file behind, without a WAL. Not after a failure. */
void journal_close(struct journal *j, bool tidy);
