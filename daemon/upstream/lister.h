/* lister.h - long listings (upstream/listing.h), parsed by a thread so that the loop goes on. The
 * thread is made with the first of them. */
#pragma once
#include <stddef.h>

struct listing;
struct lister;
struct lister_job;
struct loop;

/* On the loop, once. listing: borrowed for the call, which may take messages out of it; NULL where
 * error says why the text is none. */
typedef void (*lister_fn)(struct listing *listing, const char *error, void *ctx);

struct lister *lister_new(struct loop *loop);
/* Waits for what is being parsed; who asked for it is not told any more. */
void lister_free(struct lister *l);
/* text is copied. NULL: there is no thread to be had. Otherwise valid until fn is called. */
struct lister_job *lister_give(struct lister *l, const char *text, size_t len, lister_fn fn,
                               void *ctx);
/* fn is not called. */
void lister_drop(struct lister_job *job);
