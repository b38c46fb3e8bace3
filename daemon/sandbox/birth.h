/* birth.h - inner: a task's process 1 from its clone to the moment when all walls are up. For
 * apply.c only, which makes the process. Async-signal-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct cgroup_doors;
struct filter;
struct plan;

/* What it needs, prepared before it exists. */
struct birth {
    const struct plan *plan;
    const struct filter *filter;
    const struct filter *bare, *offline; /* on top of that, on the bare rung */
    const struct filter *first, *second; /* in place of filter, in one that waits; NULL: none */
    bool prepared;                       /* the first is loaded, and no bound or core is left */
    const struct plan *shared;           /* what one that waited was made of; else NULL */
    int ruleset;                         /* of Landlock, with the rules of that; -1: none */
    bool *allowed;                       /* room for each of them: which are in it */
    bool sure;                           /* APPLY_SURE was said, or needn't be */
    int plan_fd;                         /* to be moved on when the program begins; -1: none */
    int landlock_abi;
    int watch; /* a socket for the filter's listener; -1: nobody watches */
    const int *stdio;
    int places[3];                    /* for them, where they come later */
    int control;                      /* its end */
    const struct cgroup_doors *doors; /* NULL: it stays in its parent's cgroup */
    bool limited;
    bool opens; /* the host's paths, itself */
    int host;   /* of tree_keep_host(), for that; -1: none */
    int *trees; /* of tree_open(), one a step */
    int *keep;  /* in ascending order: all that it may keep open */
    size_t keep_count;
};

/* Fills in the real plan and all that belongs to it. Negative errno: there is none to come. */
typedef int (*birth_adopt_fn)(struct birth *b, const void *ctx);

/* A new process that waits for its task: b->plan is of plan_shared_of(), whose steps it carries out
 * at once; whatever else depends on a plan waits for adopt(). Then it goes on as birth_run(). */
_Noreturn void birth_wait(struct birth *b, birth_adopt_fn adopt, const void *ctx);
/* The new process: ends in sandbox/init.h's loop, or with a FAILED report. */
_Noreturn void birth_run(struct birth *b);
