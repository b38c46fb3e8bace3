/* gate.h - tasks that wait until it opens, which it does for good. Pure. A plain value; { 0 } is a
 * closed one before which nobody waits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate {
    bool is_open;
    uint64_t *held;
    size_t held_count;
};

typedef void (*gate_fn)(uint64_t seq, void *ctx);

/* Whether the task has to wait; it is told of when the gate opens. */
bool gate_hold(struct gate *g, uint64_t seq);
/* Whether it waited; it doesn't any more. */
bool gate_let_go(struct gate *g, uint64_t seq);
/* Opens it, and then calls fn for each that waited. */
void gate_open(struct gate *g, gate_fn fn, void *ctx);
void gate_done(struct gate *g);
