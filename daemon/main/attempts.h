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
/* The order CORE_CMD_SPAWN; a start that fails becomes an ending. It may wait for what the control
 * plane provides (main/provisions.h), and comes from there once more then. The files that came with
 * the message are fetched first, which for the core is a part of the attempt: it has begun, and is
 * not silent. */
void attempts_spawn(struct attempts *a, uint64_t seq);
/* CORE_CMD_KILL, for an attempt; or what is being fetched for it is given up. */
void attempts_kill(struct attempts *a, uint64_t seq, uint32_t grace_ms);
