/* held.h - what a task keeps in files that have no name any more, or never had one: open files that
 * were removed, and memfd_create(2). Each takes its room until the last descriptor is closed. For
 * process 1, by the descriptors of the task's processes in /proc, in bounded steps.
 * A file that several hold counts once, as far as a table of bits tells files apart: one among very
 * many may be taken for another and not count. Of what is on its way in a socket it is seen that
 * there is something, and where that is asked for of files that are only mapped, too: but for those
 * on file systems that /proc/PID/maps knows by other numbers than stat(2) (btrfs, overlayfs). Not
 * seen: descriptors that a thread keeps to itself, which the filter of system calls lets none do.
 * Async-signal-safe. Sources: proc(5), inode(7). */
#pragma once
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HELD_TABLE_BITS = 1 << 17, HELD_DEVICES = 2 };

/* Whether /proc/PID is to be looked at. */
typedef bool (*held_fn)(const char *pid, const void *ctx);

struct held {
    int proc; /* /proc, borrowed; where it is read from is nobody else's to change */
    held_fn is_meant;
    const void *ctx;
    dev_t devices[HELD_DEVICES]; /* the file systems that count */
    size_t device_count;
    uid_t uid;     /* whose files count */
    bool thorough; /* for the caller, before a pass: what is only mapped is looked for */
    bool walking;
    off_t at; /* in /proc */
    int fds;  /* the process's that is looked at; -1: none */
    int maps; /* likewise, after that */
    struct {
        unsigned field, major, minor, matched;
    } line;         /* of maps, as far as it was read */
    uint64_t bytes; /* of this pass so far */
    uint64_t files;
    bool hidden; /* in this pass not all could be seen, or some was on its way in a socket */
    uint8_t seen[HELD_TABLE_BITS / 8];
};

/* proc: a descriptor of /proc, used for nothing else. */
void held_init(struct held *h, int proc, held_fn is_meant, const void *ctx);
/* Files of one more file system count, at most HELD_DEVICES. */
void held_add(struct held *h, dev_t device);
/* The one that memfd_create(2) makes its files on; false where there is none. */
bool held_find_memory(dev_t *ret_device);
/* Looks at so many descriptors and processes at most. Returns whether the pass is over; the next
 * call begins another one. */
bool held_step(struct held *h, size_t entries);
