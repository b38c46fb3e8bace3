/* limit.h - the limits of a task that end it from outside when it goes past them, as far as they
 * aren't the daemon's own (time, silence, output). A value: the spawner finds, the core tells. */
#pragma once

enum limit {
    LIMIT_NONE,
    LIMIT_MEMORY,   /* of all its processes */
    LIMIT_CPU_TIME, /* of all its processes ever */
    LIMIT_PIDS,     /* how many processes and threads it has */
    LIMIT_DISK,     /* what its job keeps */
    LIMIT_ROOM,     /* the machine's disk was nearly full, and this task had added most */
    LIMIT_COUNT
};
