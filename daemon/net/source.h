/* source.h - a file as the contents of a form (net/http.h), read piece by piece and never on the
 * loop where the disk is to be waited for: what isn't in memory one thread reads, for all of them.
 */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct loop;
struct source;
struct source_pool;

/* The thread; it is made with the first piece that takes one. */
struct source_pool *source_pool_new(struct loop *loop);
/* When no source of it is left. */
void source_pool_free(struct source_pool *s);
DEFINE_CLEANUP(struct source_pool *, source_pool_free);

/* On the loop: the piece that wasn't there is, so http_resume() is due; or can't be had, which the
 * next source_read() says. Not after source_free(). */
typedef void (*source_ready_fn)(void *ctx);

/* Takes over fd, an ordinary file of that many bytes that doesn't change. */
struct source *source_new(struct source_pool *s, int fd, uint64_t bytes, source_ready_fn fn,
                          void *ctx);
void source_free(struct source *source);
/* An http_source_fn; ctx is the source. */
ssize_t source_read(uint64_t offset, char *bytes, size_t len, void *ctx);
/* Why it said no, 0: it didn't. */
int source_failure(const struct source *source);
