/* store.h - the journal: every message and its state, and every job's session, in one SQLite file.
 * WAL, synchronous=FULL. Opened and read on the caller's thread; written by one thread of its own
 * (loop/worker): a batch is one transaction, and its callback comes after the commit is durable.
 * Schema versions are PRAGMA user_version; older ones are migrated in one transaction, a newer one
 * is refused. A file that isn't a journal or fails the integrity check (made up to 64 MiB) is never
 * touched: the error says how to set it aside. The journal holds message texts: its directory is
 * made 0700, and refused if others may write to it; each file in it is 0600. */
#pragma once
#include "task/task.h"
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct store;
struct store_batch;

/* A row at start-up. t is handed over: the callback owns it. */
typedef void (*store_row_fn)(struct task *t, void *ctx);
/* acked_ms: wall time of the acknowledgement. */
typedef void (*store_tombstone_fn)(const char *id, int64_t acked_ms, void *ctx);
/* Texts are borrowed for the call. updated_ms: wall time, as it was stored. */
typedef void (*store_session_fn)(const char *job_id, const char *runner, const char *session,
                                 int64_t updated_ms, void *ctx);
/* As they were stored; the text is borrowed for the call. */
typedef void (*store_job_fn)(const char *job_id, uint64_t fence, int64_t used_ms, bool leaving,
                             void *ctx);
/* result: 0 once durable, else a negative errno (-ENOSPC, -EIO, ...) and err the sentence: nothing
 * of the batch may be carried out. A failure is final: every later batch fails with it too, and
 * what the next start loads is the truth (of a batch whose fsync failed: all of it, or nothing). */
typedef void (*store_done_fn)(uint64_t batch_id, int result, const struct err *err, void *ctx);
/* tight: the reserve is given up, so a disk that is full once more ends all writing. */
typedef void (*store_room_fn)(bool tight, void *ctx);

/* Takes the directory's lock file first ("nairid.lock", flock, close-on-exec, holding our pid):
 * -EWOULDBLOCK names the holder's pid. Then opens DIR/journal.db: -EBADMSG damaged or not a
 * journal, -ENOTSUP of a newer nairid, -EBUSY open in another program, -EPERM the directory is
 * another's or open to others, else what the system said. A reserve file (DIR/reserve, 1 MiB) is
 * kept and given up once on a full disk, so that finishing work still fits; it is made again when
 * there is room: see store_watch_room(). A child that is forked with the store open closes its
 * descriptors and calls nothing here. */
int store_open(const char *dir, struct store **ret_store, struct err *err);
int store_lock_fd(const struct store *s); /* borrowed; the spawner keeps a duplicate */
/* Every row that is not a tombstone, ordered by seq; and then every tombstone, oldest first. Before
 * store_start(). */
int store_load(struct store *s, store_row_fn row, store_tombstone_fn tombstone, void *ctx,
               struct err *err);
/* Every session, the one that was stored longest ago first. Before store_start(). */
int store_load_sessions(struct store *s, store_session_fn session, void *ctx, struct err *err);
/* Every job that is known, the one that was used longest ago first. Before store_start(). */
int store_load_jobs(struct store *s, store_job_fn job, void *ctx, struct err *err);
/* Binds the state to this machine: machine is a text that only it has, of which a hash is kept.
 * What was bound to another one gets a new instance id, as its copy there may be in use, and two
 * daemons with one id would take each other's jobs; *ret_moved says so. Before store_start(). */
int store_bind(struct store *s, const char *machine, bool *ret_moved, struct err *err);
/* Whether nothing was ever in the journal, so that it may take over what another daemon left. */
int store_may_inherit(struct store *s, bool *ret_may, struct err *err);
/* Takes it over, once, in one transaction: what is in b, which stays the caller's, and the instance
 * id unless that is NULL. source: where it is from, a note. Before store_load(). */
int store_inherit(struct store *s, struct store_batch *b, const char *instance_id,
                  const char *source, struct err *err);
/* The persistent instance id ("ccaid_" ULID), made at first open. Borrowed until store_bind(). */
const char *store_instance_id(const struct store *s);
uint64_t store_max_seq(const struct store *s); /* over all rows ever */

/* Starts the writing thread. After spawner_fork(), before the first batch. */
int store_start(struct store *s, struct loop *loop, store_done_fn fn, void *ctx, struct err *err);

/* After store_start(). Calls fn at each change, the first time if it is tight already; while it is,
 * the disk is looked at every STORE_ROOM_MS. */
enum { STORE_ROOM_MS = 2000 };
void store_watch_room(struct store *s, store_room_fn fn, void *ctx);

struct store_batch *store_batch_new(void);
/* Copies what it needs of t: id, job_id and seq must be there. A batch that contradicts the journal
 * (an id twice, an update of what isn't there) fails with -EPROTO. A tombstone with the same id
 * gives way: it may be here longer than in the caller's memory. */
void store_batch_insert(struct store_batch *b, const struct task *t);
/* Everything that can change after arrival: state, fence, attempt, reply, usage, shortened,
 * cancelled, anew, unsurveyed, unsent and what goes with that. A row that turns ACKED loses its
 * texts, but for a reply that was refused: that is the only copy. */
void store_batch_update(struct store_batch *b, const struct task *t);
void store_batch_delete(struct store_batch *b, const char *task_id);
/* Tombstones that were acked before that wall time; the oldest 50000 of them at a time. */
void store_batch_purge(struct store_batch *b, int64_t acked_before_ms);
/* The job's session from now on, instead of the one before. All is copied. */
void store_batch_session(struct store_batch *b, const char *job_id, const char *runner,
                         const char *session, int64_t updated_ms);
void store_batch_forget_session(struct store_batch *b, const char *job_id); /* if there is one */
/* What is known of a job from now on, instead of what was before: its fence, when it was used last
 * (wall time), and whether it is complete and the server is still to know. */
void store_batch_job(struct store_batch *b, const char *job_id, uint64_t fence, int64_t used_ms,
                     bool leaving);
void store_batch_forget_job(struct store_batch *b, const char *job_id); /* if it is known */
bool store_batch_is_empty(const struct store_batch *b);
void store_batch_free(struct store_batch *b);
/* Takes ownership. Batches commit in order. batch_id: the caller's number for it, not 0. */
void store_submit(struct store *s, struct store_batch *b, uint64_t batch_id);

void store_free(struct store *s); /* waits for what was submitted; then the lock is released */
DEFINE_CLEANUP(struct store *, store_free);
