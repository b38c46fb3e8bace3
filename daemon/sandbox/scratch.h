/* scratch.h - what is private to a task where it has no mounts of its own: a directory of its user,
 * emptied before the program starts and when it has ended. For its process 1, behind all walls, so
 * that whatever the program left there costs the task and nobody else. Links are never followed.
 * Async-signal-safe. */
#pragma once
#include <stdint.h>

#define SCRATCH_TMP   "tmp"   /* TMPDIR */
#define SCRATCH_HOME  "home"  /* HOME, where the task has no other */
#define SCRATCH_BRIEF "brief" /* a file with the text of plan.h's brief, if there is one */

/* Makes it and what is in it; what was there is removed first. brief: "" for none. -ETIMEDOUT where
 * that takes longer than most_ms. Other negative errno: it can't be made or emptied. */
int scratch_make(const char *path, const char *brief, uint32_t most_ms);
/* A link at path to target ("" for none), in place of whatever link is there; what is there and no
 * link is moved aside (sandbox/aside.h). What is missing above path is made. Of what is below home
 * nothing is followed: a link or a file where a directory belongs is moved aside, too. */
int scratch_link(const char *home, const char *path, const char *target);
/* Empties it; what is left after most_ms stays for the next scratch_make(). */
void scratch_wipe(const char *path, uint32_t most_ms);
