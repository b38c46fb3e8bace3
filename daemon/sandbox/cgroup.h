/* cgroup.h - limits for a task as a whole, where the service manager gave us a cgroup v2 subtree of
 * our own (systemd's Delegate=yes). Sources: cgroups(7), the kernel's admin-guide/cgroup-v2.rst,
 * systemd's CGROUP_DELEGATION document.
 * A cgroup with processes in it can't hand controllers down, so we move into a leaf of the subtree;
 * each task gets another one. Blocking, but of a memory file system. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stdint.h>

struct cgroup;
struct err;
struct plan;

struct cgroup_usage {
    bool oom;            /* the kernel killed something in it for want of memory */
    uint64_t peak_bytes; /* 0: not known */
};

/* The subtree, if there is one to use: changes nothing. -ENOENT or -EOPNOTSUPP with the reason if
 * not, which is no failure: limits then are those of setrlimit(2).
 * mount, own: the cgroup v2 mount and the path of our cgroup in it, which the caller vouches for as
 * given to us; NULL for the machine's, which must bear systemd's mark. */
int cgroup_find(const char *mount, const char *own, struct cgroup **ret_cgroup, struct err *err);
/* Moves the calling process into the leaf, hands the controllers down, ends and removes what an
 * earlier run left. Needs a subtree in which no other process is. */
int cgroup_settle(struct cgroup *c, struct err *err);
void cgroup_free(struct cgroup *c);
DEFINE_CLEANUP(struct cgroup *, cgroup_free);

/* Makes a task's cgroup with the plan's limits; returns a descriptor for clone3(2). */
int cgroup_make(const struct cgroup *c, uint64_t task, const struct plan *plan, struct err *err);
void cgroup_read(const struct cgroup *c, uint64_t task, struct cgroup_usage *ret_usage);
/* Kills what is still in it and removes it. -EBUSY while something isn't reaped yet. */
int cgroup_remove(const struct cgroup *c, uint64_t task);
