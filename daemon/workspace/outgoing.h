/* outgoing.h - the files that a job's tasks leave for people. While a task runs it puts them into
 * the directory OUTGOING_PLACE of its home, which each attempt finds empty; what goes with a reply
 * is taken out of every task's reach in one step, to ROOT/JOB/.out.SEQ, SEQ being the number of the
 * reply's message. There nothing changes any more, but it is what a hostile task has made: no
 * name, type, mode or size is trusted, nothing is followed, and only ordinary files are read. All
 * calls are bounded; whole trees are left for workspace_sweep() to remove. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define OUTGOING_PLACE "outbox"

enum {
    OUTGOING_FILES_MAX = 10,   /* with one reply */
    OUTGOING_TOTAL_FACTOR = 4, /* so many times the largest file may they be together */
    OUTGOING_LOOK_MAX = 200    /* entries that are looked at */
};
#define OUTGOING_NO_NUMBER UINT32_MAX

struct outgoing_file {
    char *name; /* as the directory has it: any bytes */
    uint64_t bytes;
    uint32_t number;     /* from 0 on among those that might be sent, the same for any max_bytes;
                            OUTGOING_NO_NUMBER for what never can be */
    const char *why_not; /* it can't be sent, in words; static, NULL: it can */
};

struct outgoing_list {
    struct outgoing_file *files; /* by name */
    size_t len;
    bool cut; /* there are more than are looked at */
};

struct outgoing_turn {
    const struct outgoing_file *file; /* of the list; NULL: none is left that can be sent */
    uint32_t number;                  /* the file's; OUTGOING_NO_NUMBER where there is none */
    bool more;                        /* another that can be sent comes later */
};

/* Before an attempt: an empty directory, uid's. What was set aside for a reply stays if keep() says
 * so. 1: there is something for workspace_sweep(). The job's directories must be there. */
int outgoing_begin(const char *root, const char *job_id, uid_t uid,
                   bool (*keep)(uint64_t seq, void *ctx), void *ctx, struct err *err);
/* Whether something lies in the place, or is in its place. */
bool outgoing_is_there(const char *root, const char *job_id);
/* Sets aside what is in the place; once only for each seq, however often it is called. -ENOTDIR:
 * the task has put something else there. */
int outgoing_gather(const char *root, const char *job_id, uint64_t seq, struct err *err);
/* What was set aside, in the order of the names, the first OUTGOING_FILES_MAX that can be sent, and
 * why the others can't. max_bytes: of one file; with the same it is the same each time. */
int outgoing_read(const char *root, const char *job_id, uint64_t seq, uint64_t max_bytes,
                  struct outgoing_list *ret, struct err *err);
void outgoing_list_done(struct outgoing_list *l);
/* Whose turn it is once the files with numbers below done are dealt with. */
struct outgoing_turn outgoing_next(const struct outgoing_list *l, uint32_t done);
/* One of those that can, for reading. A descriptor, or a negative errno. */
int outgoing_open(const char *root, const char *job_id, uint64_t seq,
                  const struct outgoing_file *file, struct err *err);
/* It is not needed any more. 1: there is something for workspace_sweep(). */
int outgoing_discard(const char *root, const char *job_id, uint64_t seq);
