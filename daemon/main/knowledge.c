#include "main/knowledge.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "loop/worker.h"
#include "task/leftover.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/workspace.h"

enum { WAITING_BYTES_MAX = 32 << 20, BATCH_MAX = 8 };

/* One look or one change. Until it is done, only the thread touches the last three. */
struct slip {
    struct slip *prev, *next;
    char *root, *job_id;
    uint64_t number;
    bool writes;
    size_t cost_bytes; /* as it counts while it waits */
    struct buf bytes;
    int result;
    struct err err;
};

struct knowledge {
    struct worker *worker;
    knowledge_fn fn;
    void *ctx;
    struct slip *slips;
    size_t waiting_bytes;
};

static int begin(void *ctx)
{
    (void)ctx; /* each slip stands for itself */
    return 0;
}

static int end(int begin_result, void *ctx)
{
    (void)ctx; /* as in begin() */
    return begin_result;
}

static void run(void *job, void *ctx)
{
    struct slip *e = job;

    (void)ctx; /* the loop's */
    e->result =
        e->writes
            ? workspace_write_known(e->root, e->job_id, e->bytes.data, e->bytes.len, &e->err)
            : workspace_read_known(e->root, e->job_id, LEFTOVERS_BYTES_MAX, &e->bytes, &e->err);
}

static void done(void *job, int result, void *ctx)
{
    struct knowledge *k = ctx;
    struct slip *e = job;

    (void)result; /* each has its own */
    DL_DELETE(k->slips, e);
    k->waiting_bytes -= e->cost_bytes;
    if (!e->writes)
        k->fn(e->number, e->result, &e->bytes, &e->err, k->ctx);
    else if (e->result < 0)
        log_warning("survey_known_lost", "job", e->job_id, "error", e->err.text);
    free(e->root);
    free(e->job_id);
    buf_done(&e->bytes);
    free(e);
}

int knowledge_new(struct loop *loop, knowledge_fn fn, void *ctx, struct knowledge **ret_knowledge,
                  struct err *err)
{
    static const struct worker_ops ops = { .begin = begin, .run = run, .end = end, .done = done };
    struct knowledge *k = mem_new(struct knowledge);
    int r = worker_new(loop, &ops, k, BATCH_MAX, &k->worker, err);

    if (r < 0) {
        free(k);
        return r;
    }
    k->fn = fn;
    k->ctx = ctx;
    *ret_knowledge = k;
    return 0;
}

void knowledge_free(struct knowledge *k)
{
    if (!k)
        return;
    worker_free(k->worker);
    free(k);
}

/* NULL where too much waits. */
static struct slip *slip_new(struct knowledge *k, const char *root, const char *job_id,
                             size_t bytes)
{
    size_t cost_bytes = sizeof(struct slip) + strlen(root) + strlen(job_id) + bytes;
    struct slip *e;

    if (cost_bytes > WAITING_BYTES_MAX - k->waiting_bytes)
        return NULL;
    e = mem_new(struct slip);
    e->root = mem_strdup(root);
    e->job_id = mem_strdup(job_id);
    e->cost_bytes = cost_bytes;
    k->waiting_bytes += cost_bytes;
    DL_APPEND(k->slips, e);
    return e;
}

bool knowledge_read(struct knowledge *k, const char *root, const char *job_id, uint64_t number)
{
    struct slip *e = slip_new(k, root, job_id, 0);

    if (!e)
        return false;
    e->number = number;
    worker_give(k->worker, e);
    return true;
}

bool knowledge_write(struct knowledge *k, const char *root, const char *job_id, struct buf *bytes)
{
    struct slip *e = slip_new(k, root, job_id, bytes->len);

    if (!e) {
        buf_done(bytes);
        return false;
    }
    e->writes = true;
    e->bytes = *bytes;
    *bytes = (struct buf){ 0 };
    worker_give(k->worker, e);
    return true;
}

bool knowledge_concerns(const struct knowledge *k, const char *job_id)
{
    const struct slip *e;

    DL_FOREACH (k->slips, e)
        if (str_eq(e->job_id, job_id))
            return true;
    return false;
}
