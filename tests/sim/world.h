/* world.h - the life of one schedule: from its seed to its end. */
#pragma once
#include "sim/sim.h"

/* Runs it, with the members seed, sabotage, blind and trace as they are. Afterwards finding and
 * tally are set; nothing is left to be freed. */
void world_run(struct sim *sim);
