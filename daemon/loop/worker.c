#include "loop/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "loop/loop.h"
#include "util/err.h"
#include "util/mem.h"

struct item {
    struct item *next;
    void *job;
    int result;
};

struct list {
    struct item *head, *tail;
};

struct worker {
    struct worker_ops ops;
    void *ctx;
    size_t max_batch;
    struct loop_wake *wake;
    size_t pending; /* loop's thread only */
    pthread_t thread;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t given; /* todo or quit changed */
    pthread_cond_t ended; /* finished changed */
    struct list todo, finished;
    bool quit;
};

static void list_push(struct list *l, struct item *item)
{
    item->next = NULL;
    if (l->tail)
        l->tail->next = item;
    else
        l->head = item;
    l->tail = item;
}

static struct item *list_pop(struct list *l)
{
    struct item *item = l->head;

    if (!item)
        return NULL;
    l->head = item->next;
    if (!l->head)
        l->tail = NULL;
    return item;
}

static struct list list_take(struct list *l, size_t max)
{
    struct list taken = { NULL, NULL };

    for (size_t i = 0; i < max && l->head; i++)
        list_push(&taken, list_pop(l));
    return taken;
}

static void lock(struct worker *w)
{
    int rc = pthread_mutex_lock(&w->lock);

    assert(rc == 0);
    (void)rc; /* unused where assertions are off */
}

static void unlock(struct worker *w)
{
    int rc = pthread_mutex_unlock(&w->lock);

    assert(rc == 0);
    (void)rc; /* as above */
}

static void run_batch(struct worker *w, struct list *batch)
{
    int result = w->ops.begin(w->ctx);

    if (result >= 0)
        for (struct item *i = batch->head; i; i = i->next)
            w->ops.run(i->job, w->ctx);
    result = w->ops.end(result, w->ctx);
    for (struct item *i = batch->head; i; i = i->next)
        i->result = result;
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    struct item *item;

    lock(w);
    for (;;) {
        struct list batch;

        while (!w->todo.head && !w->quit)
            (void)pthread_cond_wait(&w->given, &w->lock); /* cannot fail on what we initialised */
        if (!w->todo.head)
            break;
        batch = list_take(&w->todo, w->max_batch);
        unlock(w);
        run_batch(w, &batch);
        lock(w);
        while ((item = list_pop(&batch)))
            list_push(&w->finished, item);
        (void)pthread_cond_signal(&w->ended); /* cannot fail, as above */
        loop_wake_send(w->wake);
    }
    unlock(w);
    return NULL;
}

/* Takes what is finished so far, then calls done without the lock, which may give more. */
static void dispatch(struct worker *w, bool wait)
{
    struct list finished;
    struct item *item;

    lock(w);
    while (wait && !w->finished.head)
        (void)pthread_cond_wait(&w->ended, &w->lock); /* cannot fail, as above */
    finished = w->finished;
    w->finished = (struct list){ NULL, NULL };
    unlock(w);
    while ((item = list_pop(&finished))) {
        void *job = item->job;
        int result = item->result;

        free(item);
        w->pending--;
        w->ops.done(job, result, w->ctx);
    }
}

static void on_wake(struct loop_wake *wake, void *ctx)
{
    (void)wake;
    dispatch(ctx, false);
}

/* The thread takes no signals: the loop's handlers belong to the loop's thread. */
static int start_thread(struct worker *w)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all); /* cannot fail on a valid set */
    rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc != 0)
        return -rc;
    rc = pthread_create(&w->thread, NULL, thread_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* a mask that was in force before */
    return -rc;
}

int worker_new(struct loop *loop, const struct worker_ops *ops, void *ctx, size_t max_batch,
               struct worker **ret_worker, struct err *err)
{
    struct worker *w = mem_new(struct worker);
    int rc;

    assert(max_batch > 0);
    w->ops = *ops;
    w->ctx = ctx;
    w->max_batch = max_batch;
    (void)pthread_mutex_init(&w->lock, NULL); /* glibc's default kinds never fail */
    (void)pthread_cond_init(&w->given, NULL);
    (void)pthread_cond_init(&w->ended, NULL);
    w->wake = loop_wake_new(loop, on_wake, w);
    rc = start_thread(w);
    if (rc < 0) {
        loop_wake_free(w->wake);
        free(w);
        return err_set(err, rc,
                       "start a worker thread: %s; is the limit on processes (ulimit -u, the "
                       "unit's TasksMax) too low?",
                       strerror(-rc));
    }
    *ret_worker = w;
    return 0;
}

void worker_give(struct worker *w, void *job)
{
    struct item *item = mem_new(struct item);

    item->job = job;
    w->pending++;
    lock(w);
    list_push(&w->todo, item);
    (void)pthread_cond_signal(&w->given); /* cannot fail on what we initialised */
    unlock(w);
}

size_t worker_pending(const struct worker *w)
{
    return w->pending;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    while (w->pending > 0)
        dispatch(w, true);
    lock(w);
    w->quit = true;
    (void)pthread_cond_signal(&w->given); /* cannot fail on what we initialised */
    unlock(w);
    (void)pthread_join(w->thread, NULL); /* our own joinable thread: cannot fail */
    loop_wake_free(w->wake);
    (void)pthread_cond_destroy(&w->ended); /* nobody waits any more */
    (void)pthread_cond_destroy(&w->given);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}
