/* children.h - who a process's children are, for tests that look from outside. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Those of parent, of this pid namespace, in no order; returns how many, at most as many as there
 * is room for. */
size_t children_of(pid_t parent, pid_t *pids, size_t most);
