/* cover.h - which cells of the state tables the real core has stood in, over all schedules.
 * The linker puts us between the core and its tables (--wrap): nothing in the daemon knows of it.
 */
#pragma once
#include "core/core.h"
#include "core/phase.h"
#include <stdbool.h>
#include <stdio.h>

/* From here on steps of a phase are those of the daemon whose phase is kept in *phase. */
void cover_enter(enum phase_state *phase);
/* An event that the core is given now. */
void cover_event(enum core_event_type type, enum phase_state phase);
/* Prints the tables. True if every legal cell and every possible pair was reached, and no illegal
 * cell ever moved. */
bool cover_report(FILE *to);
