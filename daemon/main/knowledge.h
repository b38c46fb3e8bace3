/* knowledge.h - what is known of jobs' files (workspace_read_known()), read and written by a thread
 * of its own: a disk that is slow, or that hangs, keeps nothing else waiting.
 * What waits is carried out in the order in which it was given, so a job is never read before what
 * was written of it. What waits is bounded, in bytes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;
struct knowledge;
struct loop;

/* result: 0, and bytes are what is known, the callee's to take; or the negative errno of
 * workspace_read_known(), with err. number: as given to knowledge_read(). */
typedef void (*knowledge_fn)(uint64_t number, int result, struct buf *bytes, const struct err *err,
                             void *ctx);

/* Starts the thread, which has no more rights than its caller by then. */
int knowledge_new(struct loop *loop, knowledge_fn fn, void *ctx, struct knowledge **ret_knowledge,
                  struct err *err);
/* Finishes what was given, calling fn for it. */
void knowledge_free(struct knowledge *k);
/* Both return false, and do nothing, where too much waits already. fn follows a read. A write that
 * fails is logged; bytes are taken in any case. root, job_id: as in workspace.h. */
bool knowledge_read(struct knowledge *k, const char *root, const char *job_id, uint64_t number);
bool knowledge_write(struct knowledge *k, const char *root, const char *job_id, struct buf *bytes);
/* Whether something about the job waits: its directories must stay what they are. */
bool knowledge_concerns(const struct knowledge *k, const char *job_id);
