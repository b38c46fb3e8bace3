/* attempts.h - the shell side of running tasks: from a message to a plan and a child, from its
 * output and end to events. What a task prints passes the mask here, before anyone stores or sends
 * it. */
#pragma once
#include "spawner/spawner.h"
#include <stdint.h>

struct attempts;
struct daemon;

/* d outlives it. */
struct attempts *attempts_new(struct daemon *d);
void attempts_free(struct attempts *a);
extern const struct spawner_ops attempts_ops; /* ctx: struct attempts */
/* The order CORE_CMD_SPAWN; a start that fails becomes an ending. */
void attempts_spawn(struct attempts *a, uint64_t seq);
