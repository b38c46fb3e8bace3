/* operator.h - those who meddle: people with a daemon's admin socket and its signals, and what
 * befalls its machine. */
#pragma once
#include <stdint.h>

struct side;
struct sim;

/* Draws when what of it happens. */
void operator_plan(struct sim *sim);
void operator_word(struct sim *sim, struct side *side);
void operator_mishap(struct sim *sim, struct side *side);
/* After an end: when it is started again, by service manager or person. */
uint32_t operator_restart_ms(struct sim *sim, const struct side *side);
/* The world heals: whatever lasts ends. */
void operator_heal(struct sim *sim);
