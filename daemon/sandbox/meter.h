/* meter.h - how much disk space some directories take, measured in bounded steps.
 * For process 1, from inside the sandbox: the trees are hostile, and so they are read with the
 * rights of their maker, beneath its walls, at its expense. Nothing is followed and no other mount
 * entered. A directory that its owner may not read isn't counted. Depth costs a descriptor a level;
 * a tree deeper than METER_DEPTH, or than descriptors reach, counts as endless.
 * Async-signal-safe. Source: openat(2), getdents(2), inode(7). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    METER_ROOTS = 3,
    METER_DEPTH = 512,
    METER_ENTRY_BYTES = 4096, /* what an entry counts at least: it takes an inode */
};

struct meter {
    int roots[METER_ROOTS];
    dev_t devices[METER_ROOTS];
    size_t root_count;
    size_t root; /* the one that the pass is in */
    struct {
        int fd;
        off_t at; /* where reading goes on */
    } levels[METER_DEPTH];
    size_t depth;   /* 0: between two roots, or two passes */
    uint64_t bytes; /* of this pass so far; UINT64_MAX: endless */
    uint64_t names; /* of this pass so far: files and directories, as many as names lead to them */
    bool hidden;    /* in this pass some directory wasn't ours to read */
};

void meter_init(struct meter *m);
/* One more directory to measure; at most METER_ROOTS. */
int meter_add(struct meter *m, const char *path);
/* Looks at so many entries at most. Returns whether the pass is over; the next call begins another
 * one. */
bool meter_step(struct meter *m, size_t entries);
