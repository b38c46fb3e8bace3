/* tree.h - the file system that a task sees, built from a plan's steps with the new mount calls
 * (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)) and made the root by pivot_root(2).
 * Async-signal-safe, in a mount namespace of one's own; the steps' host paths may be opened before,
 * by a process that has rights there which the task has not. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct plan;

/* What a step's host path was, to see whether it is still the same. */
struct tree_mark {
    uint64_t mount, inode;
    uint32_t major, minor;
    struct timespec changed; /* of a link */
    bool is_there;
};

/* Opens the host paths of the steps from first on as detached copies of their mount trees: fds[i]
 * belongs to step i, -1 where it needs none or the host has none and it is optional. fds has room
 * for all steps and is filled from first on also on failure; the caller closes. host: of
 * tree_keep_host(), or -1 where the host's root is ours. Needs CAP_SYS_ADMIN over the mount
 * namespace. Returns 0, or a negative errno with the step's index in *ret_step. */
int tree_open(const struct plan *plan, size_t first, int host, int *fds, size_t *ret_step);
/* A detached copy of all that is mounted, for tree_open() once another root is ours. Negative errno
 * where the kernel makes no copies of a copy (before Linux 6.15). */
int tree_keep_host(void);
/* What they are now, for each step of the plan. */
void tree_mark(const struct plan *plan, struct tree_mark *marks);
bool tree_is_as_marked(const struct plan *plan, const struct tree_mark *marks);
/* A new root on top of the old one; what is below is reached by *ret_root only. */
int tree_begin(int *ret_root);
/* Carries out the steps from first on beneath it. Closes no fds. Returns 0, or a negative errno
 * with the step's index in *ret_step. */
int tree_fill(const struct plan *plan, size_t first, const int *fds, int root, size_t *ret_step);
/* Makes it the root; the old one is then gone. */
int tree_enter(int root);
/* Makes it read-only, when all steps are carried out. */
int tree_seal(int root);
