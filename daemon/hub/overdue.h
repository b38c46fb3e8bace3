/* overdue.h - messages that wait for an agent too long.
 * A message says "queued" as long as no living instance of its agent has it: from the beginning,
 * and again from the end of the lease of the instance that had it. One that has been so for the
 * queue's timeout is failed with its error message, which says what to do. As all that happens to
 * a message does, this happens in a transaction of the storage's one thread, so that a hand-over
 * either came before it (and the message is pending) or finds the message failed; the time counts
 * over restarts, by the wall clock, but not what that is set forward by, or the machine sleeps,
 * while the hub runs (clockstep.h). */
#pragma once
#include "hub/clockstep.h"
#include "hub/storage.h"
#include <stddef.h>
#include <stdint.h>

enum { OVERDUE_SWEEP_MAX = 100 };

struct overdue_sweep {
    struct storage_op op;    /* must be first; run and kept are set by overdue_sweep_init() */
    uint64_t timeout_ms;     /* > 0 */
    struct clockstep *clock; /* of the sweep before; noted once this one is kept */
    size_t count; /* of messages that were failed: at OVERDUE_SWEEP_MAX there may be more */
};
void overdue_sweep_init(struct overdue_sweep *sweep, uint64_t timeout_ms, struct clockstep *clock);

/* Pending messages that no instance has are queued again: after leases have ended. 0 or a negative
 * errno. */
int overdue_requeue(struct model *m);
