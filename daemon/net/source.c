#include "net/source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop/worker.h"
#include "util/err.h"
#include "util/mem.h"

enum { BLOCK_BYTES = 128 * 1024, BATCH_MAX = 4 };

struct source_pool {
    struct loop *loop;
    struct worker *worker; /* NULL: none so far */
};

struct source {
    struct source_pool *owner;
    int fd;
    uint64_t bytes;
    source_ready_fn fn;
    void *ctx;
    int failure;
    bool reading; /* the thread has it: nothing below is ours meanwhile */
    bool freed;   /* and nobody wants it any more */
    uint64_t block_at;
    size_t block_len;
    int result;
    char block[BLOCK_BYTES];
};

/* ---- on the thread ---- */

static int begin(void *ctx)
{
    (void)ctx;
    return 0;
}

static void run(void *job, void *ctx)
{
    struct source *source = job;
    ssize_t n;

    (void)ctx;
    do
        n = pread(source->fd, source->block, sizeof source->block, (off_t)source->block_at);
    while (n < 0 && errno == EINTR);
    source->result = n < 0 ? -errno : (n == 0 ? -ENODATA : 0);
    source->block_len = n > 0 ? (size_t)n : 0;
}

static int end(int begin_result, void *ctx)
{
    (void)ctx;
    return begin_result;
}

/* ---- on the loop ---- */

static void destroy(struct source *source)
{
    (void)close(source->fd); /* only read */
    free(source);
}

static void done(void *job, int result, void *ctx)
{
    struct source *source = job;

    (void)result;
    (void)ctx;
    source->reading = false;
    if (source->freed) {
        destroy(source);
        return;
    }
    source->failure = source->result;
    source->fn(source->ctx);
}

static const struct worker_ops ops = { .begin = begin, .run = run, .end = end, .done = done };

struct source_pool *source_pool_new(struct loop *loop)
{
    struct source_pool *s = mem_new(struct source_pool);

    s->loop = loop;
    return s;
}

void source_pool_free(struct source_pool *s)
{
    if (!s)
        return;
    worker_free(s->worker);
    free(s);
}

struct source *source_new(struct source_pool *s, int fd, uint64_t bytes, source_ready_fn fn,
                          void *ctx)
{
    struct source *source = mem_new(struct source);

    source->owner = s;
    source->fd = fd;
    source->bytes = bytes;
    source->fn = fn;
    source->ctx = ctx;
    return source;
}

void source_free(struct source *source)
{
    if (!source)
        return;
    source->freed = true;
    if (!source->reading)
        destroy(source);
}

int source_failure(const struct source *source)
{
    return source->reading ? 0 : source->failure;
}

/* To the thread, where the disk is to be waited for. */
static ssize_t ask(struct source *source, uint64_t offset)
{
    struct source_pool *s = source->owner;
    int r = s->worker ? 0 : worker_new(s->loop, &ops, s, BATCH_MAX, &s->worker, NULL);

    if (r < 0) {
        source->failure = r;
        return r == -EAGAIN ? -ENOMEM : r; /* no thread now is none for this file */
    }
    source->block_at = offset;
    source->block_len = 0;
    source->reading = true;
    worker_give(s->worker, source);
    return -EAGAIN;
}

ssize_t source_read(uint64_t offset, char *bytes, size_t len, void *ctx)
{
    struct source *source = ctx;
    struct iovec place = { .iov_base = bytes, .iov_len = len };
    ssize_t n;

    if (source->reading)
        return -EAGAIN;
    if (source->failure < 0)
        return source->failure;
    if (offset >= source->block_at && offset - source->block_at < source->block_len) {
        size_t from = (size_t)(offset - source->block_at);
        size_t have = source->block_len - from;

        len = have < len ? have : len;
        memcpy(bytes, source->block + from, len);
        return (ssize_t)len;
    }
    n = preadv2(source->fd, &place, 1, (off_t)offset, RWF_NOWAIT);
    return n > 0 ? n : ask(source, offset); /* the thread finds out what is wrong, too */
}
