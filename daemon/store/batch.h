/* batch.h - what one struct store_batch holds (store.h has its functions). For store/ only. */
#pragma once
#include "util/err.h"
#include <stddef.h>
#include <stdint.h>

struct task;

enum batch_op_type { BATCH_INSERT, BATCH_UPDATE, BATCH_DELETE, BATCH_PURGE };

struct batch_op {
    enum batch_op_type type;
    struct task *task; /* owned copy; of a DELETE only the id; NULL for PURGE */
    int64_t before_ms; /* PURGE */
};

struct store_batch {
    struct batch_op *ops;
    size_t len, cap;
    uint64_t id;      /* the caller's number for it, set by store_submit() */
    uint64_t max_seq; /* of its inserts, 0 without any */
    struct err err;   /* why it failed, set by the writing thread */
};
