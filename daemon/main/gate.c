#include "main/gate.h"

#include <stdlib.h>

#include "util/cleanup.h"
#include "util/mem.h"

bool gate_hold(struct gate *g, uint64_t seq)
{
    if (g->is_open)
        return false;
    g->held = mem_realloc(g->held, (g->held_count + 1) * sizeof g->held[0]);
    g->held[g->held_count++] = seq;
    return true;
}

bool gate_let_go(struct gate *g, uint64_t seq)
{
    for (size_t i = 0; i < g->held_count; i++) {
        if (g->held[i] != seq)
            continue;
        g->held[i] = g->held[--g->held_count];
        return true;
    }
    return false;
}

void gate_open(struct gate *g, gate_fn fn, void *ctx)
{
    AUTO_FREE uint64_t *held = TAKE_PTR(g->held);
    size_t count = g->held_count;

    g->is_open = true;
    g->held_count = 0;
    for (size_t i = 0; i < count; i++)
        fn(held[i], ctx);
}

void gate_done(struct gate *g)
{
    free(g->held);
    *g = (struct gate){ 0 };
}
