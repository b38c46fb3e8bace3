/* treewipe.h - removes a directory and all beneath it, however hostile its maker was. For
 * workspace/, and for what main/ has made itself.
 * Depth costs neither stack nor descriptors nor long paths: a subdirectory that isn't empty is
 * moved up, beside the others right beneath the top, and emptied there. So each step is a few
 * calls, a removal that was cut short goes on where it stopped, and five descriptors are enough.
 * Nothing is followed (beneath.h). Directories that deny us access are opened up first. */
#pragma once
#include <stddef.h>

struct err;

/* Removes the directory name of parent_fd. *budget: how many entries may be removed or moved,
 * counted down. Returns 0 when it is gone, 1 when the budget ran out first, else a negative errno:
 * all that could go is gone, and err says why the rest could not (naming no hostile file). */
int treewipe(int parent_fd, const char *name, size_t *budget, struct err *err);
