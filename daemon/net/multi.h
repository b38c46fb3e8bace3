/* multi.h - curl's multi handle driven by our loop.
 * Internal to net/. The done callback comes from the loop after curl has returned, never from
 * within one of curl's own callbacks, so it may add, remove and clean up any handle. */
#pragma once
#include <curl/curl.h>

#include "util/cleanup.h"

struct err;
struct loop;
struct multi;

/* easy is already removed from the multi handle; it stays the caller's. */
typedef void (*multi_done_fn)(CURL *easy, CURLcode result, void *ctx);

/* max_connections: open at a time, 0 for no bound. -ENOMEM with a sentence. */
int multi_new(struct loop *loop, long max_connections, multi_done_fn fn, void *ctx,
              struct multi **ret_multi, struct err *err);
int multi_add(struct multi *m, CURL *easy); /* -EIO if curl refuses the handle */
/* Gives it up; fn is not called. */
void multi_remove(struct multi *m, CURL *easy);
void multi_free(struct multi *m); /* every handle must have been removed */
DEFINE_CLEANUP(struct multi *, multi_free);
