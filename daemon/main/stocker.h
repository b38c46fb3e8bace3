/* stocker.h - fills sets of artifacts (workspace/staging.h) in a thread of its own, as the disk may
 * be slow. An order is carried out after those before it; each but feed and sweep is answered once,
 * and the next one waits for that. */
#pragma once
#include "util/err.h"
#include "workspace/shelf.h"
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct stocker;
struct strv;

struct stocker_ops {
    /* The order has been carried out, or err->code says that it couldn't be. */
    void (*done)(const struct err *err, void *ctx);
    /* What was fed is of no use any more: nothing more is needed. */
    void (*spoiled)(void *ctx);
};

/* crossed: as in staging_new(). Makes a thread. */
int stocker_new(struct loop *loop, const char *state_dir, bool crossed,
                const struct stocker_ops *ops, void *ctx, struct stocker **ret_stocker,
                struct err *err);
/* What was ordered is carried out; nobody is told. */
void stocker_free(struct stocker *s);

void stocker_begin(struct stocker *s);
/* As staging_add(); bytes are copied. extension: a literal. */
void stocker_add(struct stocker *s, enum shelf_part part, const char *name, const char *extension,
                 const char *bytes, size_t len);
void stocker_begin_skill(struct stocker *s, const char *name);
/* A piece of the crate (task/crate.h) with its files; no answer. */
void stocker_feed(struct stocker *s, const char *bytes, size_t len);
/* -ENODATA where the crate isn't whole. Then, and where anything else went wrong, the skill is
 * gone. */
void stocker_end_skill(struct stocker *s);
/* After that the set is for stocker_switch(). */
void stocker_finish(struct stocker *s, const char *manifest);
void stocker_switch(const struct stocker *s, struct shelf *shelf);
/* Gives up the set that was begun, if it isn't in force, and removes what isn't used, a bounded
 * number of entries; no answer. Takes over what *used holds. */
void stocker_sweep(struct stocker *s, struct strv *used);
