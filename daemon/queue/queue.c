#include "queue/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "task/task.h"
#include "util/hash.h"
#include "util/mem.h"

struct item {
    struct task *task; /* borrowed */
    TAILQ_ENTRY(item) link;
};

struct job {
    char *id;
    TAILQ_HEAD(items, item) items; /* by seq */
    bool busy;
    bool quarantined;
    bool ready; /* on the ready list: has items, is neither busy nor quarantined */
    TAILQ_ENTRY(job) ready_link;
    UT_hash_handle hh;
};

struct queue {
    uint32_t slots;
    uint32_t busy;
    size_t waiting;
    struct job *jobs;             /* by id */
    TAILQ_HEAD(ready, job) ready; /* by the seq of their first item */
};

struct queue *queue_new(uint32_t slots)
{
    struct queue *q = mem_new(struct queue);

    assert(slots > 0);
    q->slots = slots;
    TAILQ_INIT(&q->ready);
    return q;
}

static struct job *job_find(const struct queue *q, const char *id)
{
    struct job *job = NULL;

    HASH_FIND_STR(q->jobs, id, job);
    return job;
}

static struct job *job_get(struct queue *q, const char *id)
{
    struct job *job = job_find(q, id);

    if (job)
        return job;
    job = mem_new(struct job);
    job->id = mem_strdup(id);
    TAILQ_INIT(&job->items);
    HASH_ADD_KEYPTR(hh, q->jobs, job->id, strlen(job->id), job);
    return job;
}

static void job_drop(struct queue *q, struct job *job)
{
    HASH_DEL(q->jobs, job);
    free(job->id);
    free(job);
}

static uint64_t job_head_seq(const struct job *job)
{
    return TAILQ_FIRST(&job->items)->task->seq;
}

/* Puts the job on, moves it on, or takes it off the ready list, as its members say; drops a job
 * that holds nothing. New jobs are the youngest, so the search from the end is short. */
static void job_settle(struct queue *q, struct job *job)
{
    struct job *at;

    if (job->ready) {
        TAILQ_REMOVE(&q->ready, job, ready_link);
        job->ready = false;
    }
    if (job->busy || job->quarantined)
        return;
    if (TAILQ_EMPTY(&job->items)) {
        job_drop(q, job);
        return;
    }
    TAILQ_FOREACH_REVERSE (at, &q->ready, ready, ready_link) {
        if (job_head_seq(at) < job_head_seq(job))
            break;
    }
    if (at)
        TAILQ_INSERT_AFTER(&q->ready, at, job, ready_link);
    else
        TAILQ_INSERT_HEAD(&q->ready, job, ready_link);
    job->ready = true;
}

static struct task *item_take(struct queue *q, struct job *job, struct item *item)
{
    struct task *t = item->task;

    TAILQ_REMOVE(&job->items, item, link);
    free(item);
    q->waiting--;
    return t;
}

void queue_free(struct queue *q)
{
    struct job *job, *next;

    if (!q)
        return;
    HASH_ITER (hh, q->jobs, job, next) {
        while (!TAILQ_EMPTY(&job->items))
            (void)item_take(q, job, TAILQ_FIRST(&job->items));
        job_drop(q, job);
    }
    free(q);
}

void queue_set_slots(struct queue *q, uint32_t slots)
{
    assert(slots > 0);
    q->slots = slots;
}

void queue_add(struct queue *q, struct task *t)
{
    struct job *job = job_get(q, t->job_id);
    struct item *item = mem_new(struct item), *at;

    item->task = t;
    TAILQ_FOREACH_REVERSE (at, &job->items, items, link) {
        if (at->task->seq < t->seq)
            break;
    }
    if (at)
        TAILQ_INSERT_AFTER(&job->items, at, item, link);
    else
        TAILQ_INSERT_HEAD(&job->items, item, link);
    q->waiting++;
    job_settle(q, job);
}

bool queue_remove(struct queue *q, struct task *t)
{
    struct job *job = job_find(q, t->job_id);
    struct item *item;

    if (!job)
        return false;
    TAILQ_FOREACH (item, &job->items, link) {
        if (item->task == t) {
            (void)item_take(q, job, item);
            job_settle(q, job);
            return true;
        }
    }
    return false;
}

struct task *queue_next(struct queue *q)
{
    struct job *job = TAILQ_FIRST(&q->ready);
    struct task *t;

    if (!job || q->busy >= q->slots)
        return NULL;
    t = item_take(q, job, TAILQ_FIRST(&job->items));
    job->busy = true;
    q->busy++;
    job_settle(q, job);
    return t;
}

bool queue_occupy(struct queue *q, const char *job_id)
{
    struct job *job = job_get(q, job_id);

    if (job->busy || job->quarantined)
        return false;
    job->busy = true;
    q->busy++;
    job_settle(q, job);
    return true;
}

void queue_release(struct queue *q, const char *job_id)
{
    struct job *job = job_find(q, job_id);

    if (!job || !job->busy || job->quarantined)
        return;
    job->busy = false;
    q->busy--;
    job_settle(q, job);
}

void queue_quarantine(struct queue *q, const char *job_id)
{
    struct job *job = job_get(q, job_id);

    job->quarantined = true;
    job_settle(q, job);
}

bool queue_is_quarantined(const struct queue *q, const char *job_id)
{
    const struct job *job = job_find(q, job_id);

    return job && job->quarantined;
}

struct task *queue_pop_quarantined(struct queue *q, const char *job_id)
{
    struct job *job = job_find(q, job_id);

    if (!job || !job->quarantined || TAILQ_EMPTY(&job->items))
        return NULL;
    return item_take(q, job, TAILQ_FIRST(&job->items));
}

size_t queue_waiting(const struct queue *q)
{
    return q->waiting;
}

uint32_t queue_busy(const struct queue *q)
{
    return q->busy;
}
