/* patrol.h - the spawner's round past its tasks: has one used up its processor time, did the kernel
 * end a part of it for want of memory, is there room left on the file systems that tasks fill. For
 * tasks in cgroups, and for what no single task can see; the rest is measured in each sandbox
 * (sandbox/gauge.h).
 * When room gets short, for bytes or for files, the task that added most there is ended, so that
 * the journal, which may lie on the same file system, and the other tasks can go on. One that added
 * next to nothing, or next to nothing of what has gone since it began, is not the cause and stays;
 * where none is, but some can't be seen whole (directories or processes that they hide from their
 * own user, descriptors on their way in a socket), the youngest of those that grew is ended, or
 * else the youngest of those since whose beginning as much has gone as it takes to be the cause.
 * Where nobody grew or hides, nobody is: the disk is others' work, and the store says that there is
 * no room. Source: statvfs(3). */
#pragma once
#include <stdint.h>

struct ward;

struct patrol {
    uint64_t due_ms; /* WARD_NEVER: nothing to look after */
};

/* Looks, if it is time, and says when the next time is. */
void patrol_walk(struct patrol *p, struct ward *wards, uint64_t now_ms);
