/* confine.h - our own processes behind walls: what a bug in one of them can still reach.
 * All set no_new_privs and make the process non-dumpable: no core, no ptrace, no reading of its
 * /proc entries by the same user. Not to be undone. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct filter;
struct plan_ground;

/* What the daemon needs besides the system's libraries, names and certificates. Directories rather
 * than files: a rule on a file stays with the old file when another is renamed over it. */
struct confine_paths {
    const char *const *writable; /* NULL-terminated; state, workspaces */
    const char *const *readable; /* NULL-terminated; config, credentials */
    bool without_landlock;       /* as the operator accepts: then files are what its user may */
};

/* The daemon: no process and no program any more, files only in those places. Call once everything
 * is started and before the first thread: a thread that is there already stays outside. */
int confine_daemon(const struct confine_paths *paths, struct err *err);
/* The spawner. What it starts inherits this, so Landlock can't be among it where there is something
 * to mount: file rules forbid every mount, and a ruleset without them every rename across
 * directories, which no later one can allow again. ground: what building a sandbox takes depends on
 * it. is_watching: tasks' refused calls are answered by somebody (sandbox/witness.h); then it has
 * no filter of its own, which would answer first. */
int confine_spawner(const struct plan_ground *ground, bool is_watching, struct err *err);
/* A task's egress process: sockets, and of files only /etc/hosts. filter: FILTER_EGRESS, compiled
 * before. uid: to become first, with the group of the same number and no other, if not 0. It dies
 * with its parent. without_landlock: as above. */
int confine_egress(const struct filter *filter, uid_t uid, bool without_landlock, struct err *err);
