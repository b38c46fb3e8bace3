/* cgroup.h - limits for a task as a whole: by a cgroup v2 subtree that the service manager gave us
 * (systemd's Delegate=yes), or else where cgroup v1 can be written (sandbox/legacy.h). Sources:
 * cgroups(7), the kernel's admin-guide/cgroup-v2.rst, systemd's CGROUP_DELEGATION document.
 * A v2 cgroup with processes in it can't hand controllers down, so we move into a leaf of the
 * subtree; each task gets another one. Blocking, but of a memory file system. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup;
struct err;
struct plan;

struct cgroup_usage {
    bool oom;            /* the kernel killed something in it for want of memory */
    uint64_t peak_bytes; /* 0: not known */
    uint64_t cpu_ms;     /* of all its processes ever; 0: not known */
};

/* What there is to use: changes nothing. A negative errno with the reason if there is nothing,
 * which is no failure: limits then are those of setrlimit(2) and what is measured.
 * mount, own: the cgroup v2 mount and the path of our cgroup in it, which the caller vouches for as
 * given to us; NULL for the machine's, which must bear systemd's mark (of a user's own systemd,
 * which leaves none, $CGROUP_DELEGATED says "yes"), and else v1. */
int cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup, struct err *err);
/* Moves the calling process into the leaf and hands the controllers down, or makes a folder for our
 * tasks with v1; ends and removes what an earlier run left, which takes a second at worst. A v2
 * subtree must have no other process in it. Where it fails there is nothing to use either. */
int cgroup_settle(struct cgroup *c, struct err *err);
/* In a forked process that has closed its descriptors: keeps others from taking what is ours for
 * what a dead process left. */
int cgroup_hold(struct cgroup *c, struct err *err);
/* Removes what cgroup_settle() made, when the last task is gone. */
void cgroup_leave(struct cgroup *c);
void cgroup_free(struct cgroup *c);
DEFINE_CLEANUP(struct cgroup *, cgroup_free);

/* The ways for a new process into a cgroup; -1 where there is none. To move another process takes
 * the kernel a grace period of RCU, milliseconds in which nobody may fork; neither of these does.
 */
enum { CGROUP_TASKS = 4 };
struct cgroup_doors {
    int clone;               /* v2: its directory, for clone3(2) */
    int tasks[CGROUP_TASKS]; /* v1: files to which it writes "0" before it does anything of weight
                              */
};
#define CGROUP_NO_DOORS ((struct cgroup_doors){ -1, { -1, -1, -1, -1 } })
void cgroup_doors_done(struct cgroup_doors *d); /* closes them */

/* Makes a task's cgroup, without limits, which come from the task's plan, later. */
int cgroup_make(const struct cgroup *c, uint64_t task, struct cgroup_doors *ret_doors,
                struct err *err);
int cgroup_limit(const struct cgroup *c, uint64_t task, const struct plan *plan, struct err *err);
void cgroup_read(const struct cgroup *c, uint64_t task, struct cgroup_usage *ret_usage);
/* The same without processor time. */
void cgroup_read_memory(const struct cgroup *c, uint64_t task, struct cgroup_usage *ret_usage);
/* Kills what is still in it and removes it. -EBUSY while something isn't reaped yet. */
int cgroup_remove(const struct cgroup *c, uint64_t task);
