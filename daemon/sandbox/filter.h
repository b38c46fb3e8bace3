/* filter.h - which system calls may be made, by seccomp(2). The sole home of libseccomp.
 * Lists of what is allowed, compiled once, loaded as often as wanted. What isn't listed gives
 * ENOSYS, so that programs fall back as on an older kernel; what would change the machine or reach
 * out of a sandbox gives EPERM; a call in another ABI (32 bit, x32) kills the process. Arguments
 * are looked at where it matters: clone's namespace flags, socket families, terminal ioctls that
 * type for the user, set-id modes, personality. What passes its arguments in memory can't be
 * looked at: clone3 and openat2 give ENOSYS, after which libc uses clone and openat. */
#pragma once
#include "util/cleanup.h"

struct err;
struct filter;

enum filter_kind {
    FILTER_TASK_STRICT, /* no debugging of one's own children */
    FILTER_TASK,
    FILTER_DAEMON,  /* threads, files, sockets; no process, no program */
    FILTER_SURVEY,  /* reads files, and process 1 above that: no program, no socket, no change */
    FILTER_EGRESS,  /* sockets and one file; no process, no thread, no program */
    FILTER_SPAWNER, /* what tasks may and what building their sandbox takes: they inherit it */
    FILTER_KIND_COUNT
};

/* The program of a kind, ready to be installed; negative errno with a sentence where libseccomp
 * can't make it for this machine. */
int filter_new(enum filter_kind kind, struct filter **ret_filter, struct err *err);
void filter_free(struct filter *f);
DEFINE_CLEANUP(struct filter *, filter_free);
/* For the calling thread and what it starts, for good. Needs no_new_privs. Async-signal-safe.
 * Returns 0 or a negative errno. */
int filter_load(const struct filter *f);
