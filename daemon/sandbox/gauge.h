/* gauge.h - what a task uses up, measured by its process 1 for as long as the kernel doesn't limit
 * the task as a whole: memory and processor time of all its processes from its own /proc, where it
 * has no cgroup; how many they are where setrlimit(2) would count other processes of its user, too;
 * and always the disk space of what its job keeps, as no quota holds that.
 * Each step is bounded, and what is expensive is done seldom: memory that processes share is told
 * apart only when what they have is too much otherwise, and trees are walked only when their file
 * system has changed, and not for more than a small share of the time.
 * Files without a name that the task holds open count as well (sandbox/held.h): on the file systems
 * of its trees as disk space, and in memory where it has no cgroup. Of memory files and what is
 * mapped as shared the larger counts, as one may be the other.
 * Not counted: what held.h doesn't see, and what waits in sockets and pipes; processor time of
 * children that nobody waited for (SIGCHLD ignored) and that were gone between two looks.
 * Async-signal-safe. Sources: proc(5), statfs(2). */
#pragma once
#include "sandbox/held.h"
#include "sandbox/meter.h"
#include "task/limit.h"
#include <stdbool.h>
#include <stdint.h>

struct plan;

struct gauge {
    uint64_t memory_bytes, cpu_time_ms, threads, tree_bytes; /* limits; 0: not measured here */
    int proc;
    bool shares_proc; /* others' processes are there, too */
    uint64_t self;    /* our number there */
    long ticks_per_s;
    uint64_t processes_due_ms;
    uint64_t cpu_total_ms, cpu_used_ms; /* what was seen last; all that ever was */
    struct meter meter;
    bool walking, known; /* the first pass is over */
    uint64_t tree_due_ms, tree_pause_ms, walk_began_ms;
    uint64_t fs_state[METER_ROOTS]; /* of the last walk's beginning */
    uint64_t tree_first, tree_used; /* bytes */
    uint64_t names_first, names_used;
    bool tree_hides, hid_before; /* not all of it could be looked at, twice and once */
    bool tree_news;              /* one of these is new; for the caller to clear */
    uint32_t over_walks;         /* so many in a row found too much */
    struct held held_disk;
    bool counts_held, holding; /* it is looked at, before the trees */
    struct held held_memory;
    bool counts_lent, near;                      /* the latter: of the limit a quarter is used */
    uint64_t lent_bytes, lent_passes, lent_over; /* the pass after which it was too much; 0: none */
    uint64_t lent_due_ms, lent_began_ms;
};

/* Before the program runs. g: nothing but zeroes (it is large, and most of it isn't touched for
 * most tasks). limited: memory and processor time are, by a cgroup. */
void gauge_init(struct gauge *g, const struct plan *plan, bool limited);
/* Until gauge_step() has something to do; -1: never. */
int gauge_wait_ms(const struct gauge *g);
/* The limit that the task has gone past, if any. */
enum limit gauge_step(struct gauge *g);
