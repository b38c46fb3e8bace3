#include "upstream/lister.h"

#include <stdbool.h>
#include <stdlib.h>

#include "loop/worker.h"
#include "upstream/listing.h"
#include "util/err.h"
#include "util/mem.h"

enum { BATCH_MAX = 1 };

struct lister {
    struct loop *loop;
    struct worker *worker; /* NULL: none so far */
    bool ends;
};

struct lister_job {
    lister_fn fn; /* NULL: nobody waits for it */
    void *ctx;
    char *text;
    size_t len;
    /* the thread's until it is done */
    struct listing listing;
    struct err err;
};

/* ---- on the thread ---- */

static int begin(void *ctx)
{
    (void)ctx;
    return 0;
}

static void run(void *item, void *ctx)
{
    struct lister_job *job = item;

    (void)ctx;
    (void)listing_parse(job->text, job->len, &job->listing, &job->err); /* err has it */
    free(job->text);
    job->text = NULL;
}

static int end(int begin_result, void *ctx)
{
    (void)ctx;
    return begin_result;
}

/* ---- on the loop ---- */

static void done(void *item, int result, void *ctx)
{
    const struct lister *l = ctx;
    struct lister_job *job = item;

    (void)result; /* each has its own */
    if (job->fn && !l->ends)
        job->fn(job->err.code < 0 ? NULL : &job->listing, job->err.code < 0 ? job->err.text : NULL,
                job->ctx);
    listing_done(&job->listing);
    free(job);
}

static const struct worker_ops ops = { .begin = begin, .run = run, .end = end, .done = done };

struct lister *lister_new(struct loop *loop)
{
    struct lister *l = mem_new(struct lister);

    l->loop = loop;
    return l;
}

void lister_free(struct lister *l)
{
    if (!l)
        return;
    l->ends = true;
    worker_free(l->worker);
    free(l);
}

struct lister_job *lister_give(struct lister *l, const char *text, size_t len, lister_fn fn,
                               void *ctx)
{
    struct lister_job *job;

    if (!l->worker && worker_new(l->loop, &ops, l, BATCH_MAX, &l->worker, NULL) < 0)
        return NULL;
    job = mem_new(struct lister_job);
    job->fn = fn;
    job->ctx = ctx;
    job->text = mem_dup(text, len);
    job->len = len;
    worker_give(l->worker, job);
    return job;
}

void lister_drop(struct lister_job *job)
{
    if (job)
        job->fn = NULL;
}
