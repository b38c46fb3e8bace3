/* handover.h - how a process 1 that was made before its task gets to know it: over its control
 * socket, from the spawner. It is the only thread of its process, and nobody shares its memory. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct plan;

struct handover {
    struct plan *plan; /* owned */
    int stdio[3];
    bool limited; /* see struct apply_cgroup */
    bool opens;   /* it opens the plan's host paths itself */
    int *trees;   /* of tree_open(), one a step; -1 for those that didn't come; owned */
    int plan_fd;  /* what it was read from, at offset 0 */
};

/* The spawner's side; what is sent stays the caller's. h->plan_fd: the encoded plan in a memory
 * file; h->plan: not used. step_count: as many as trees. Negative errno; part of it may be sent
 * then. */
int handover_send(int control, const struct handover *h, size_t step_count);
/* Process 1's: waits for it. -EPIPE when the spawner is gone or wants none of it any more. */
int handover_recv(int control, struct handover *ret_handover);
