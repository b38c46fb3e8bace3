/* storage.h - the hub's one thread that touches the database, with group commit.
 * Operations run in the order in which they were given. All that wait run in one transaction, each
 * behind a savepoint of its own, so that one's failure leaves the others alone; `done` comes after
 * the commit, so what an operation answers is on disk (WAL, synchronous=FULL). Where a whole
 * transaction fails (a full disk ends it), each operation is run once more by itself, so `run` must
 * begin by forgetting what it did before. A batch in which nothing is `durable` is committed
 * without waiting for the disk: it is kept after a kill of the program, and a power cut loses it
 * only together with everything later. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cipher;
struct db;
struct err;
struct lease_table;
struct lookout;
struct loop;
struct storage;

/* What an operation works on; the times are those of its batch. */
struct model {
    struct db *db;
    struct lease_table *leases;
    struct lookout *lookout;
    uint32_t check_idle_ms;      /* between questions for idle jobs to one instance; 0: never */
    int64_t agent_files_max;     /* bytes of what one agent has uploaded, together */
    const struct cipher *cipher; /* for what is sealed in the database */
    int64_t wall_ms;
    uint64_t now_ms;
};

enum { STORAGE_DISCARD = 1, STORAGE_ERROR_MAX = 160 };

struct storage_op {
    /* The storage thread. 0; STORAGE_DISCARD: not a failure, but nothing of it is to be kept; or a
     * negative errno, the same as far as the database goes. */
    int (*run)(struct storage_op *op, struct model *model);
    /* The storage thread, once what run did is on disk; may be NULL. */
    void (*kept)(struct storage_op *op, struct model *model);
    /* The loop. result: 0 or a negative errno, then with error set. May free op. */
    void (*done)(struct storage_op *op, int result, void *ctx);
    bool durable;
    int result;                    /* the storage's */
    char error[STORAGE_ERROR_MAX]; /* SQLite's words */
    uint64_t lease_end_ms;         /* lease_next_end() after this batch */
    uint64_t lookout_ms;           /* lookout_until() after it */
};

/* Takes ownership of db, also on failure. cipher is borrowed for as long as the storage lives; NULL
 * where nothing is to be sealed. ctx: for done. */
int storage_new(struct loop *loop, struct db *db, const struct cipher *cipher, void *ctx,
                struct storage **ret_storage, struct err *err);
/* The model's, before the first operation. */
void storage_set_terms(struct storage *s, uint32_t check_idle_ms, int64_t agent_files_max);
void storage_give(struct storage *s, struct storage_op *op);
size_t storage_pending(const struct storage *s);
void storage_free(struct storage *s); /* finishes what was given, calling done */
DEFINE_CLEANUP(struct storage *, storage_free);
