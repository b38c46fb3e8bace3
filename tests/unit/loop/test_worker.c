#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "loop/worker.h"

enum { BATCH = 3, JOBS = 64 };

struct fixture {
    struct loop *loop;
    struct worker *worker;
    struct loop_timer *guard;
    sem_t begun, gate;
    bool gated;
    int begin_result;
    /* written by the thread within a batch, read by the loop after its done */
    char trace[256];
    bool signals_blocked;
    int done[JOBS], results[JOBS];
    size_t done_count, wanted;
    int more; /* given from within done */
};

static void trace(struct fixture *f, const char *text)
{
    size_t len = strlen(f->trace);

    (void)snprintf(f->trace + len, sizeof f->trace - len, "%s", text);
}

static int on_begin(void *ctx)
{
    struct fixture *f = ctx;
    sigset_t set;

    if (f->gated) {
        sem_post(&f->begun);
        sem_wait(&f->gate);
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    f->signals_blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGCHLD);
    trace(f, "(");
    return f->begin_result;
}

static void on_run(void *job, void *ctx)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", *(int *)job);
    trace(ctx, text);
}

static int on_end(int begin_result, void *ctx)
{
    trace(ctx, ")");
    return begin_result < 0 ? begin_result : 7;
}

static int numbers[JOBS];

static void on_done(void *job, int result, void *ctx)
{
    struct fixture *f = ctx;

    f->results[f->done_count] = result;
    f->done[f->done_count++] = *(int *)job;
    if (f->more > 0) {
        f->more--;
        worker_give(f->worker, &numbers[f->done_count]);
    }
    if (f->done_count == f->wanted)
        loop_stop(f->loop);
}

static void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    fail_msg("the jobs were not done in time");
}

static int setup(void **state)
{
    static const struct worker_ops ops = { on_begin, on_run, on_end, on_done };
    static struct fixture f;

    memset(&f, 0, sizeof f);
    for (int i = 0; i < JOBS; i++)
        numbers[i] = i;
    sem_init(&f.begun, 0, 0);
    sem_init(&f.gate, 0, 0);
    if (loop_new(&f.loop, NULL) < 0 || worker_new(f.loop, &ops, &f, BATCH, &f.worker, NULL) < 0)
        return -1;
    f.guard = loop_timer_new(f.loop, on_guard, &f);
    loop_timer_arm(f.guard, 20 * 1000);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    worker_free(f->worker);
    loop_timer_free(f->guard);
    loop_free(f->loop);
    return 0;
}

static void what_waits_is_done_in_batches_and_in_order(void **state)
{
    struct fixture *f = *state;

    f->gated = true;
    worker_give(f->worker, &numbers[0]);
    sem_wait(&f->begun); /* the thread is in its first batch: the rest has to wait */
    for (int i = 1; i < 6; i++)
        worker_give(f->worker, &numbers[i]);
    assert_int_equal(worker_pending(f->worker), 6);
    f->gated = false;
    f->wanted = 6;
    sem_post(&f->gate);
    loop_run(f->loop);
    assert_string_equal(f->trace, "(0)(123)(45)");
    for (int i = 0; i < 6; i++) {
        assert_int_equal(f->done[i], i);
        assert_int_equal(f->results[i], 7);
    }
    assert_int_equal(worker_pending(f->worker), 0);
    assert_true(f->signals_blocked);
}

static void a_failed_begin_runs_nothing_and_reaches_every_done(void **state)
{
    struct fixture *f = *state;

    f->begin_result = -ENOSPC;
    f->wanted = 1;
    worker_give(f->worker, &numbers[5]);
    loop_run(f->loop);
    assert_string_equal(f->trace, "()");
    assert_int_equal(f->done[0], 5);
    assert_int_equal(f->results[0], -ENOSPC);
}

static void done_may_give_more(void **state)
{
    struct fixture *f = *state;

    f->more = 20;
    f->wanted = 21;
    worker_give(f->worker, &numbers[0]);
    loop_run(f->loop);
    for (int i = 0; i < 21; i++)
        assert_int_equal(f->done[i], i);
}

static void free_finishes_what_was_given_and_what_done_gives(void **state)
{
    struct fixture *f = *state;

    f->more = 2;
    f->wanted = JOBS + 1; /* never */
    for (int i = 0; i < 10; i++)
        worker_give(f->worker, &numbers[i]);
    worker_free(f->worker);
    f->worker = NULL;
    assert_int_equal(f->done_count, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(what_waits_is_done_in_batches_and_in_order),
        T(a_failed_begin_runs_nothing_and_reaches_every_done),
        T(done_may_give_more),
        T(free_finishes_what_was_given_and_what_done_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
