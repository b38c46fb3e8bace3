/* trim.h - makes room in a tree by what came last: removes the files in it that were made after a
 * time, and nothing else. For workspace/. Nothing is followed (beneath.h); directories stay,
 * and so does what isn't reached, as it lies too deep or can't be opened, and where the file system
 * doesn't say when a file was made (statx(2), STATX_BTIME). */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Removes them beneath the directory name of parent_fd. *budget: how many entries may be looked at,
 * counted down. Returns how many bytes that freed. */
uint64_t trim(int parent_fd, const char *name, const struct timespec *since, size_t *budget);
