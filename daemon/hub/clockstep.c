#include "hub/clockstep.h"

int64_t clockstep_find(const struct clockstep *c, int64_t wall_ms, uint64_t mono_ms,
                       int64_t *ret_unset_ms)
{
    int64_t unset_ms = c->mono_ms ? c->wall_ms + (int64_t)(mono_ms - c->mono_ms) : wall_ms;
    int64_t step_ms = wall_ms - unset_ms;

    *ret_unset_ms = unset_ms;
    return step_ms <= -CLOCKSTEP_LEAST_MS || step_ms >= CLOCKSTEP_LEAST_MS ? step_ms : 0;
}

void clockstep_note(struct clockstep *c, int64_t wall_ms, uint64_t mono_ms)
{
    *c = (struct clockstep){ .wall_ms = wall_ms, .mono_ms = mono_ms };
}
