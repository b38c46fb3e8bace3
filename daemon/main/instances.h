/* instances.h - the daemons of several agents, each with a state directory of its own below the
 * usual one (settings/predecessor.h). */
#pragma once
#include <stdint.h>

struct err;

/* The state directory, below dir's SETTINGS_INSTANCES, of the one daemon that answers there; to be
 * freed. -ENOENT: none does, of which nothing is said; -ENOTUNIQ with a sentence that names them:
 * several do. */
int instances_find(const char *dir, uint32_t timeout_ms, char **ret_dir, struct err *err);
