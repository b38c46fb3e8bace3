/* filter.h - which system calls may be made, by seccomp(2). The sole home of libseccomp.
 * Lists of what is allowed, compiled once, loaded as often as wanted. What isn't listed gives
 * ENOSYS, so that programs fall back as on an older kernel; what would change the machine or reach
 * out of a sandbox gives EPERM; a call in another ABI (32 bit, x32) kills the process. Arguments
 * are looked at where it matters: clone's namespace flags, socket families and protocols, terminal
 * ioctls that type for the user, set-id modes, prctl, personality, what is done to process 1. What
 * passes its arguments in memory can't be looked at: clone3 and openat2 give ENOSYS, after which
 * libc uses clone and openat.
 */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct filter;

enum filter_kind {
    FILTER_TASK,    /* what its profile names */
    FILTER_DAEMON,  /* threads, files, sockets; no process, no program */
    FILTER_SURVEY,  /* reads files, and process 1 above that: no program, no socket, no change */
    FILTER_EGRESS,  /* sockets and one file; no process, no thread, no program */
    FILTER_SPAWNER, /* what tasks may and what building their sandbox takes: they inherit it */
    /* On top of a task's, where it has no namespaces. Neither looks at anything else. */
    FILTER_BARE,    /* no local socket, as none that others listen on may be reached; no IPC object;
                       no word to the kernel about other processes of the same user */
    FILTER_OFFLINE, /* no internet socket */
    FILTER_KIND_COUNT
};

/* A call as the kernel sees it, in the machine's own ABI. */
struct filter_call {
    int number;
    uint64_t arguments[6];
};

enum filter_answer { FILTER_ALLOWED, FILTER_REFUSED, FILTER_KILLED };

/* The program of a kind, ready to be installed; negative errno with a sentence where libseccomp
 * can't make it for this machine. calls: of FILTER_TASK the groups that settings/profile.h names,
 * else 0. */
int filter_new(enum filter_kind kind, uint32_t calls, struct filter **ret_filter, struct err *err);
void filter_free(struct filter *f);
DEFINE_CLEANUP(struct filter *, filter_free);
/* For the calling thread and what it starts, for good. Needs no_new_privs. Async-signal-safe.
 * Returns 0 or a negative errno. */
int filter_load(const struct filter *f);
/* The same, but whoever holds the descriptor that is returned answers what would be refused
 * (sandbox/witness.h); once it is closed, all of that gives ENOSYS. A process can have only one
 * such filter. */
int filter_load_watched(const struct filter *f);
/* The program of filter_load(), struct sock_filter after struct sock_filter, for another program
 * that loads it (seccomp(2)); borrowed. */
const void *filter_bytes(const struct filter *f, size_t *ret_len);
/* A task's filter in two parts, which together give the same answers as it does; for one that has
 * some steps of its plan to carry out still when it is loaded, as that is what takes long. The
 * first part allows the calls for that besides; the second one, which takes no time, is loaded on
 * top when that is done, and refuses them. */
struct filter *filter_first_part(const struct filter *task);
struct filter *filter_second_part(void);
/* What the program says of a call, found by running it here. ret_error: of FILTER_REFUSED the
 * errno, 0 where the program is told that all is well. */
enum filter_answer filter_decide(const struct filter *f, const struct filter_call *call,
                                 int *ret_error);

/* ---- in words; of a task with these groups of calls ---- */

/* A line for each group of allowed calls, each condition on arguments, and what the others give;
 * origin: of the groups, put at the ends of their lines. */
void filter_explain(uint32_t calls, const char *origin, struct buf *b);
/* A refused call as a person would say it: "clone that makes a namespace", "keyctl". */
void filter_name(const struct filter_call *call, struct buf *b);
/* "EPERM", or the number where it is none that a filter gives; "success, ..." for 0. */
const char *filter_error_name(int error);
