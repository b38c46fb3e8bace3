#include "support/journalprobe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "util/mem.h"
#include "util/str.h"

static void on_row(struct task *t, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_true(p->row_count < PROBE_ROWS_MAX);
    p->rows[p->row_count++] = t;
}

static void on_tombstone(const char *id, int64_t acked_ms, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_true(p->tombstone_count < PROBE_ROWS_MAX);
    p->acked_ms[p->tombstone_count] = acked_ms;
    p->tombstones[p->tombstone_count++] = mem_strdup(id);
}

static void on_job(const char *job_id, uint64_t fence, int64_t used_ms, bool leaving, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_true(p->job_count < PROBE_SESSIONS_MAX);
    p->jobs[p->job_count++] = (struct probe_job){
        .job_id = mem_strdup(job_id), .fence = fence, .used_ms = used_ms, .leaving = leaving
    };
}

static void on_session(const char *job_id, const char *runner, const char *session,
                       int64_t updated_ms, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_true(p->session_count < PROBE_SESSIONS_MAX);
    p->sessions[p->session_count++] = (struct probe_session){ .job_id = mem_strdup(job_id),
                                                              .runner = mem_strdup(runner),
                                                              .session = mem_strdup(session),
                                                              .updated_ms = updated_ms };
}

static void on_done(uint64_t batch_id, int result, const struct err *err, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_true(batch_id > p->last_done); /* in order */
    p->last_done = batch_id;
    p->done_count++;
    p->result = result;
    p->err = *err;
    if (batch_id == p->wanted)
        loop_stop(p->loop);
}

static void on_room(bool tight, void *ctx)
{
    struct journalprobe *p = ctx;

    assert_int_not_equal(tight, p->tight); /* told once */
    p->tight = tight;
    p->room_changes++;
    if (p->wants_room)
        loop_stop(p->loop);
}

static void on_guard(struct loop_timer *timer, void *ctx)
{
    struct journalprobe *p = ctx;

    (void)timer;
    p->timed_out = true;
    loop_stop(p->loop);
}

int journalprobe_open(struct journalprobe *p, const char *dir, struct err *err)
{
    *p = (struct journalprobe){ 0 };
    return store_open(dir, &p->store, err);
}

int journalprobe_load(struct journalprobe *p, struct err *err)
{
    int r = store_load(p->store, on_row, on_tombstone, p, err);

    if (r == 0)
        r = store_load_sessions(p->store, on_session, p, err);
    return r < 0 ? r : store_load_jobs(p->store, on_job, p, err);
}

void journalprobe_start(struct journalprobe *p)
{
    struct err err = { 0 };

    assert_int_equal(loop_new(&p->loop, &err), 0);
    p->guard = loop_timer_new(p->loop, on_guard, p);
    assert_int_equal(store_start(p->store, p->loop, on_done, p, &err), 0);
    store_watch_room(p->store, on_room, p);
}

void journalprobe_begin(struct journalprobe *p, const char *dir)
{
    struct err err = { 0 };

    if (journalprobe_open(p, dir, &err) < 0 || journalprobe_load(p, &err) < 0)
        fail_msg("%s", err.text);
    journalprobe_start(p);
}

void journalprobe_wait(struct journalprobe *p, uint64_t batch_id)
{
    if (p->last_done >= batch_id)
        return;
    p->wanted = batch_id;
    loop_timer_arm(p->guard, PROBE_WAIT_MS);
    loop_run(p->loop);
    loop_timer_stop(p->guard);
    assert_false(p->timed_out);
}

void journalprobe_wait_room(struct journalprobe *p, bool tight)
{
    if (p->tight == tight)
        return;
    p->wants_room = true;
    loop_timer_arm(p->guard, PROBE_WAIT_MS);
    loop_run(p->loop);
    loop_timer_stop(p->guard);
    p->wants_room = false;
    assert_false(p->timed_out);
}

int journalprobe_commit(struct journalprobe *p, struct store_batch *b)
{
    uint64_t id = p->last_done + 1;

    store_submit(p->store, b, id);
    journalprobe_wait(p, id);
    return p->result;
}

const struct task *journalprobe_find(const struct journalprobe *p, const char *id)
{
    for (size_t i = 0; i < p->row_count; i++)
        if (str_eq(p->rows[i]->id, id))
            return p->rows[i];
    return NULL;
}

void journalprobe_end(struct journalprobe *p)
{
    store_free(p->store);
    if (p->loop) {
        loop_timer_free(p->guard);
        loop_free(p->loop);
    }
    for (size_t i = 0; i < p->row_count; i++)
        task_free(p->rows[i]);
    for (size_t i = 0; i < p->tombstone_count; i++)
        free(p->tombstones[i]);
    for (size_t i = 0; i < p->job_count; i++)
        free(p->jobs[i].job_id);
    for (size_t i = 0; i < p->session_count; i++) {
        free(p->sessions[i].job_id);
        free(p->sessions[i].runner);
        free(p->sessions[i].session);
    }
    *p = (struct journalprobe){ 0 };
}

struct task *journalprobe_task(uint64_t seq)
{
    struct task *t = task_new();

    t->seq = seq;
    t->id = mem_printf("msg_%llu", (unsigned long long)seq);
    t->ack_id = mem_printf("ack_%llu", (unsigned long long)seq);
    t->job_id = mem_strdup("job_A");
    t->prompt = mem_printf("do the %lluth thing", (unsigned long long)seq);
    t->payload = mem_strdup("{\"message\":\"do it\"}");
    t->received_ms = 1000 + (int64_t)seq;
    t->updated_ms = t->received_ms;
    return t;
}
