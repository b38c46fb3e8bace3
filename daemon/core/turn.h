/* turn.h - store, then act: holds the acting commands of a loop turn back until the storing ones
 * given before them are durable. Pure.
 * The storing commands go into the batch that the shell collects; turn_add() keeps the others, in
 * order. While a batch is being written, later turns gather behind it. */
#pragma once
#include "core/core.h"

struct turn;

struct turn *turn_new(void);
void turn_free(struct turn *t);
DEFINE_CLEANUP(struct turn *, turn_free);

/* The commands of one core_handle(). Those that store must have been put into the shell's batch by
 * the caller; here they only count. */
void turn_add(struct turn *t, const struct core_command *command);
/* The turn is over. Returns true if the shell is to submit its batch now (then turn_committed() is
 * due later). Otherwise nothing is to be stored, or a batch is on its way. */
bool turn_end(struct turn *t);
/* The batch is durable: what waited for it may be taken. Then call turn_end() again. */
void turn_committed(struct turn *t);
/* Everything that was decided so far is on disk: nothing to store waits or is being written. */
bool turn_is_durable(const struct turn *t);
/* The next command that may be carried out now; false: none. */
bool turn_take(struct turn *t, struct core_command *ret_command);
