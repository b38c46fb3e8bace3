/* legacy.h - limits for a task as a whole by cgroup v1, where its hierarchies of memory and pids
 * can be written. For sandbox/cgroup.c only.
 * Beside our own cgroup's children we make one folder in each hierarchy, nairid.PID.NUMBER, and in
 * it one for each task. It is ours for as long as we hold a shared lock (flock(2)) on it in the
 * memory hierarchy: a folder that nobody holds is what a daemon left that was killed, and whoever
 * starts next removes it. Pids would not tell, as two pid namespaces may share these files.
 * Sources: cgroups(7), the kernel's admin-guide/cgroup-v1, proc(5) on mountinfo. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>
#include <sys/types.h>

struct cgroup_doors;
struct cgroup_usage;
struct err;
struct legacy;
struct plan;

/* Changes nothing. -ENOENT or -EACCES with the reason where there is none to use.
 * proc: a directory with mountinfo and cgroup as in /proc/self. */
int legacy_find(const char *proc, struct legacy **ret_legacy, struct err *err);
/* Makes our folder, and ends and removes what others left. */
int legacy_settle(struct legacy *l, struct err *err);
/* In a forked process that has closed its descriptors: holds the folder by itself. */
int legacy_hold(struct legacy *l, struct err *err);
/* Removes our folder, when its last task is gone; what is busy stays for the next start. */
void legacy_leave(struct legacy *l);
void legacy_free(struct legacy *l);
DEFINE_CLEANUP(struct legacy *, legacy_free);

/* A task's folders, and the ways into them; see sandbox/cgroup.h. */
int legacy_make(const struct legacy *l, uint64_t task, struct cgroup_doors *ret_doors,
                struct err *err);
/* The plan's limits for them. */
int legacy_limit(const struct legacy *l, uint64_t task, const struct plan *plan, struct err *err);
/* Fills in what it knows. */
void legacy_read(const struct legacy *l, uint64_t task, struct cgroup_usage *usage);
void legacy_read_memory(const struct legacy *l, uint64_t task, struct cgroup_usage *usage);
/* Kills what is still in them and removes them. -EBUSY while something isn't reaped yet. */
int legacy_remove(const struct legacy *l, uint64_t task);
