#include "spawner/remnant.h"

#include <unistd.h>

void remnant_add(struct remnant *r, struct apply_task *task)
{
    for (size_t i = 0; i < APPLY_HELD_COUNT; i++) {
        if (task->held[i] < 0 || r->count == REMNANT_MAX)
            continue;
        r->fds[r->count++] = task->held[i];
        task->held[i] = -1;
    }
    apply_let_loose(task);
}

bool remnant_is_empty(const struct remnant *r)
{
    return r->count == 0;
}

void remnant_lessen(struct remnant *r)
{
    if (r->count > 0)
        (void)close(r->fds[--r->count]); /* nothing was written to it */
}
