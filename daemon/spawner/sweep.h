/* sweep.h - the end of what a task without a pid namespace may have left: its process 1 has ended,
 * orderly or not, and whoever outlived it is now our child (the spawner is a subreaper, prctl(2))
 * or runs as the task's user. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* Whether pid is a child of ours that is meant to live. */
typedef bool (*sweep_fn)(pid_t pid, void *ctx);

/* Kills and reaps until nothing is left. uid: as root the task's own, which nothing else may have;
 * 0 where it has none of its own. 0, or -EBUSY when something still lives after a short while, or
 * another negative errno where it can't be looked for. */
int sweep_task(uid_t uid, sweep_fn is_meant, void *ctx);
