/* birth.h - inner: a task's process 1 from its clone to the moment when all walls are up. For
 * apply.c only, which makes the process. Async-signal-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct filter;
struct plan;

/* What it needs, prepared before it exists. */
struct birth {
    const struct plan *plan;
    const struct filter *filter;
    const struct filter *bare, *offline; /* on top of that, on the bare rung */
    int landlock_abi;
    int watch; /* a socket for the filter's listener; -1: nobody watches */
    const int *stdio;
    int control; /* its end */
    bool limited;
    bool opens; /* the host's paths, itself */
    int *trees; /* of tree_open(), one a step */
    int *keep;  /* in ascending order: all that it may keep open */
    size_t keep_count;
};

/* The new process: ends in sandbox/init.h's loop, or with a FAILED report. */
_Noreturn void birth_run(const struct birth *b);
