#include "store/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "store/store.h"
#include "util/mem.h"

struct store_batch *store_batch_new(void)
{
    return mem_new(struct store_batch);
}

static void add(struct store_batch *b, const struct batch_op *op)
{
    if (b->len == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 4;
        b->ops = mem_realloc(b->ops, b->cap * sizeof *b->ops);
    }
    b->ops[b->len++] = *op;
}

/* Only what an update writes: the texts of arrival never change. */
static struct task *copy_changing(const struct task *t)
{
    struct task *copy = task_new();

    *copy = *t;
    copy->id = mem_strdup(t->id);
    copy->ack_id = NULL;
    copy->job_id = NULL;
    copy->prompt = NULL;
    copy->system_prompt = NULL;
    copy->payload = NULL;
    /* what is acked loses its texts on disk, so they need not travel there */
    copy->reply = t->state == TASK_ACKED ? NULL : mem_strdup(t->reply);
    copy->attachment_ids = t->state == TASK_ACKED ? NULL : mem_strdup(t->attachment_ids);
    copy->unsent_note = t->state == TASK_ACKED ? NULL : mem_strdup(t->unsent_note);
    return copy;
}

static struct task *copy_whole(const struct task *t)
{
    struct task *copy = copy_changing(t);

    copy->ack_id = mem_strdup(t->ack_id);
    copy->job_id = mem_strdup(t->job_id);
    copy->prompt = mem_strdup(t->prompt);
    copy->system_prompt = mem_strdup(t->system_prompt);
    copy->payload = mem_strdup(t->payload);
    return copy;
}

void store_batch_insert(struct store_batch *b, const struct task *t)
{
    assert(t->id && t->job_id && t->seq > 0 && t->seq <= INT64_MAX && t->state < TASK_GONE);
    if (t->seq > b->max_seq)
        b->max_seq = t->seq;
    add(b, &(struct batch_op){ .type = BATCH_INSERT, .task = copy_whole(t) });
}

void store_batch_update(struct store_batch *b, const struct task *t)
{
    assert(t->id && t->state < TASK_GONE);
    add(b, &(struct batch_op){ .type = BATCH_UPDATE, .task = copy_changing(t) });
}

void store_batch_delete(struct store_batch *b, const char *task_id)
{
    struct task *t = task_new();

    assert(task_id);
    t->id = mem_strdup(task_id);
    add(b, &(struct batch_op){ .type = BATCH_DELETE, .task = t });
}

void store_batch_purge(struct store_batch *b, int64_t acked_before_ms)
{
    add(b, &(struct batch_op){ .type = BATCH_PURGE, .wall_ms = acked_before_ms });
}

void store_batch_session(struct store_batch *b, const char *job_id, const char *runner,
                         const char *session, int64_t updated_ms)
{
    assert(job_id && runner && session);
    add(b, &(struct batch_op){ .type = BATCH_SESSION,
                               .job_id = mem_strdup(job_id),
                               .runner = mem_strdup(runner),
                               .session = mem_strdup(session),
                               .wall_ms = updated_ms });
}

void store_batch_forget_session(struct store_batch *b, const char *job_id)
{
    assert(job_id);
    add(b, &(struct batch_op){ .type = BATCH_FORGET_SESSION, .job_id = mem_strdup(job_id) });
}

void store_batch_job(struct store_batch *b, const char *job_id, uint64_t fence, int64_t used_ms,
                     bool leaving)
{
    assert(job_id);
    add(b, &(struct batch_op){ .type = BATCH_JOB,
                               .job_id = mem_strdup(job_id),
                               .fence = fence,
                               .wall_ms = used_ms,
                               .leaving = leaving });
}

void store_batch_forget_job(struct store_batch *b, const char *job_id)
{
    assert(job_id);
    add(b, &(struct batch_op){ .type = BATCH_FORGET_JOB, .job_id = mem_strdup(job_id) });
}

void batch_meta(struct store_batch *b, const char *name, const char *value)
{
    add(b, &(struct batch_op){
               .type = BATCH_META, .job_id = mem_strdup(name), .session = mem_strdup(value) });
}

bool store_batch_is_empty(const struct store_batch *b)
{
    return b->len == 0;
}

void store_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->len; i++) {
        task_free(b->ops[i].task);
        free(b->ops[i].job_id);
        free(b->ops[i].runner);
        free(b->ops[i].session);
    }
    free(b->ops);
    free(b);
}
