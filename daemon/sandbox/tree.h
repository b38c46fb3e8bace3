/* tree.h - the file system that a task sees, built from a plan's steps with the new mount calls
 * (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)) and made the root by pivot_root(2).
 * Async-signal-safe, in a mount namespace of one's own; the steps' host paths may be opened before,
 * by a process that has rights there which the task has not. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct plan;

/* Opens the host paths of all steps as detached copies of their mount trees: fds[i] belongs to step
 * i, -1 where it needs none or the host has none and it is optional. fds has room for all steps and
 * is filled also on failure; the caller closes. Needs CAP_SYS_ADMIN over the mount namespace.
 * Returns 0, or a negative errno with the step's index in *ret_step. */
int tree_open(const struct plan *plan, int *fds, size_t *ret_step);
/* Carries out the steps beneath a new root and enters it; the old one is then gone. Closes no fds.
 * Returns 0, or a negative errno with the step's index in *ret_step; step_count where making the
 * root, step_count + 1 where entering it failed. */
int tree_build(const struct plan *plan, const int *fds, size_t *ret_step);
