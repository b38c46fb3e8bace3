/* batch.h - what one struct store_batch holds (store.h has its functions). For store/ only. */
#pragma once
#include "util/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

enum batch_op_type {
    BATCH_INSERT,
    BATCH_UPDATE,
    BATCH_DELETE,
    BATCH_PURGE,
    BATCH_SESSION,
    BATCH_FORGET_SESSION,
    BATCH_JOB,
    BATCH_FORGET_JOB,
    BATCH_META
};

struct batch_op {
    enum batch_op_type type;
    struct task *task;               /* of a message: owned copy; of a DELETE only the id */
    char *job_id, *runner, *session; /* of a session: owned; of a job, and to FORGET, only
                                        that; META: its name is the job_id, its value the session */
    int64_t wall_ms;                 /* PURGE: before that; SESSION, JOB: its time */
    uint64_t fence;                  /* JOB */
    bool leaving;                    /* JOB */
};

struct store_batch {
    struct batch_op *ops;
    size_t len, cap;
    uint64_t id;      /* the caller's number for it, set by store_submit() */
    uint64_t max_seq; /* of its inserts, 0 without any */
    struct err err;   /* why it failed, set by the writing thread */
};

/* One of the journal's own words about itself. */
void batch_meta(struct store_batch *b, const char *name, const char *value);
