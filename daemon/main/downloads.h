/* downloads.h - the files that come with messages, fetched before their tasks begin: a few at a
 * time, again where the server failed at it, and never twice what is there already.
 * What can't be fetched is said in one sentence that names the attachment, the cause and what can
 * be done. */
#pragma once
#include "task/attached.h"
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct downloads;
struct err;
struct task;

/* attached: with the paths at which the task finds them. error: NULL, or why it has to do without;
 * then attached is NULL. Both borrowed for the call. */
typedef void (*downloads_fn)(uint64_t seq, const struct attached *attached, const char *error,
                             void *ctx);

/* d->upstream outlives it. */
struct downloads *downloads_new(struct daemon *d, downloads_fn fn, void *ctx);
void downloads_free(struct downloads *w); /* gives up what is under way */
/* Takes ownership of what is in *attached, also on failure. fn is called once, maybe before this
 * returns, where it returns 0. A negative errno: the job's directory can't be used. */
int downloads_start(struct downloads *w, const struct task *t, struct attached *attached,
                    struct err *err);
/* Whether there was something to give up: then fn is not called. */
bool downloads_cancel(struct downloads *w, uint64_t seq);
