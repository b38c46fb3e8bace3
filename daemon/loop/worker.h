/* worker.h - one thread that carries out jobs in batches, for work that may block (fsync).
 * Jobs are run in the order in which they were given. The thread takes everything that waits (at
 * most max_batch), calls begin, run for each, end; then done is called on the loop's thread for
 * each job in order, with end's result. So a transaction a batch gives group commit. Where begin
 * fails, no job of that batch is run, and end gets its errno to pass on. done may give more jobs
 * but not free the worker. The thread has all signals blocked.
 * A job is an opaque pointer; the worker never looks inside and never frees it. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct err;
struct loop;
struct worker;

struct worker_ops {
    int (*begin)(void *ctx);                        /* thread; negative errno fails the batch */
    void (*run)(void *job, void *ctx);              /* thread */
    int (*end)(int begin_result, void *ctx);        /* thread; its result goes to every done */
    void (*done)(void *job, int result, void *ctx); /* loop */
};

/* ops is borrowed. Negative errno with a sentence if the thread can't be made. */
int worker_new(struct loop *loop, const struct worker_ops *ops, void *ctx, size_t max_batch,
               struct worker **ret_worker, struct err *err);
/* On the loop's thread. The queue has no bound: who gives jobs bounds what waits. */
void worker_give(struct worker *w, void *job);
size_t worker_pending(const struct worker *w); /* given, and done not yet called */
/* Finishes what was given (calling done for it), then ends the thread. */
void worker_free(struct worker *w);
DEFINE_CLEANUP(struct worker *, worker_free);
