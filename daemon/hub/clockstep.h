/* clockstep.h - whether the machine's clock was set. Pure.
 * What waits over restarts waits by the wall clock, and a clock that is set must not make it late
 * all at once. So whoever looks for what is late compares the wall clock with the monotonic one,
 * from one look to the next, and moves the times that are on record along with it. While the
 * machine sleeps the monotonic clock stands still: that is a step too. What happens while nobody
 * looks (the hub is down) counts by the wall clock. */
#pragma once
#include <stdint.h>

enum { CLOCKSTEP_LEAST_MS = 1000 }; /* less is left alone */

/* The last look. Zero: there was none. */
struct clockstep {
    int64_t wall_ms;
    uint64_t mono_ms;
};

/* By how much the clock was set since then, 0 if it wasn't. *ret_unset_ms: what it would show now,
 * had it not been set. */
int64_t clockstep_find(const struct clockstep *c, int64_t wall_ms, uint64_t mono_ms,
                       int64_t *ret_unset_ms);
void clockstep_note(struct clockstep *c, int64_t wall_ms, uint64_t mono_ms);
