/* process.h - the spawner process: a loop over poll(2) that starts tasks, reaps them by pidfd and
 * carries out the kill ladder. Single-threaded; it never waits for anything else than its
 * descriptors and the next deadline. It ends when the daemon's end of the socket is closed and its
 * last task is reaped. */
#pragma once
#include "sandbox/gateway.h"
#include "util/cleanup.h"
#include <stdbool.h>

struct apply;
struct cgroup;

struct process_means {
    const struct apply *apply;
    struct cgroup *cgroup; /* where tasks get theirs; NULL for none */
    bool is_watching;      /* the descriptor that is kept is that of apply_watch() */
    gateway_fn egress;     /* NULL: network mode allowlist is refused */
};

enum { PROCESS_KEPT = 4 };

/* sock: its end of the socket to the daemon. kept_fd: kept open until the end, as PROCESS_KEPT, -1
 * for none. */
_Noreturn void process_run(const struct process_means *means, int sock, int kept_fd);
