/* Jobs that nobody writes to any more, as the core knows, reports and keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "unit/core/events.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { HOUR_MS = 3600 * 1000, IDLE_MS = 25 * HOUR_MS };

static const struct core_options defaults = {
    .max_concurrency = 4,
    .max_queued = 4,
    .max_attempts = 3,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .job_idle_ms = IDLE_MS,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 3600,
    .workspace_retention_s = 7 * 24 * 3600,
    .runner = "claude",
    .program = "worker",
};

static void arrive(struct world *w, const char *job, const char *id)
{
    struct core_event ev = { .type = CORE_EV_MESSAGE, .seq = w->poll, .task = make(job, id) };
    const struct core_event job_ev = {
        .type = CORE_EV_JOB, .seq = w->poll, .job_id = job, .fence = 7
    };

    ev.task->fence = 7;
    tell(w, &ev);
    tell(w, &job_ev);
}

static void polled(struct world *w)
{
    const struct core_event ev = { .type = CORE_EV_POLLED, .seq = w->poll, .waited = true };

    tell(w, &ev);
}

static void sent(struct world *w, uint64_t seq)
{
    const struct core_event ev = { .type = CORE_EV_SENT, .seq = seq, .answer = CORE_ANSWER_OK };

    tell(w, &ev);
}

static void completed(struct world *w, uint64_t number, enum core_answer answer)
{
    const struct core_event ev = { .type = CORE_EV_COMPLETED, .seq = number, .answer = answer };

    tell(w, &ev);
}

static void pass(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    w->now.wall_ms += (int64_t)ms;
}

/* A message from its arrival to its acknowledgement. */
static void answer(struct world *w, const char *job, const char *id, uint64_t seq)
{
    const struct ending ending = { .ok = true, .text = "done" };
    const struct core_event started = { .type = CORE_EV_STARTED, .seq = seq };
    const struct core_event ended = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    arrive(w, job, id);
    polled(w);
    tell(w, &started);
    sent(w, seq); /* that it is being processed */
    tell(w, &ended);
    sent(w, seq);
    sent(w, seq);
}

static void begin(struct world *w)
{
    *w = (struct world){ .now = { .mono_ms = 1000, .wall_ms = 1000000000000 } };
    w->core = core_new(&defaults, 0);
}

static void end(struct world *w)
{
    core_free(w->core);
    core_commands_done(&w->commands);
}

/* To where one job is known and nothing is left to do. */
static void answer_one(struct world *w)
{
    begin(w);
    simple(w, CORE_EV_START);
    answer(w, "job_1", "m1", 1);
    assert_non_null(find(w, CORE_CMD_JOB));
    assert_false(core_has_job(w->core, "job_1"));
}

static void a_job_is_known_from_its_first_acknowledgement_on(void **state)
{
    const struct core_command *c;
    struct world w;

    (void)state;
    answer_one(&w);
    c = find(&w, CORE_CMD_JOB);
    assert_string_equal(c->job_id, "job_1");
    assert_true(c->fence == 7 && c->wall_ms == w.now.wall_ms && !c->leaving);
    end(&w);
}

static void an_idle_job_is_stored_as_complete_before_it_is_said(void **state)
{
    const struct core_command *c;
    uint64_t fence, number;
    int64_t used_ms;
    struct world w;

    (void)state;
    answer_one(&w);
    pass(&w, IDLE_MS - 1);
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE));
    pass(&w, 1);
    simple(&w, CORE_EV_TICK); /* nobody asked */
    assert_null(find(&w, CORE_CMD_COMPLETE));
    simple(&w, CORE_EV_IDLE);
    c = find(&w, CORE_CMD_JOB);
    assert_true(c && c->leaving && core_command_is_storing(c->type));
    c = find(&w, CORE_CMD_COMPLETE);
    assert_true(c && !core_command_is_storing(c->type));
    number = c->seq;
    assert_string_equal(core_leaving(w.core, number, &fence, &used_ms), "job_1");
    assert_true(fence == 7 && used_ms == w.now.wall_ms - IDLE_MS);
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE)); /* it is on its way */
    completed(&w, number, CORE_ANSWER_OK);
    assert_string_equal(find(&w, CORE_CMD_FORGET_JOB)->job_id, "job_1");
    pass(&w, IDLE_MS);
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE)); /* once */
    end(&w);
}

static void what_the_journal_says_is_complete_is_said_at_the_next_start(void **state)
{
    uint64_t fence;
    int64_t used_ms;
    struct world w;

    (void)state;
    begin(&w);
    core_restore_job(w.core, "job_1", 9, 4711, true);
    core_restore_job(w.core, "job_2", 9, w.now.wall_ms, false);
    simple(&w, CORE_EV_START);
    assert_int_equal(count(&w, CORE_CMD_COMPLETE), 1);
    assert_string_equal(core_leaving(w.core, find(&w, CORE_CMD_COMPLETE)->seq, &fence, &used_ms),
                        "job_1");
    assert_true(fence == 9 && used_ms == 4711); /* the same id on the wire as before */
    end(&w);
}

static void what_fails_is_said_again_and_what_is_refused_is_over(void **state)
{
    static const struct {
        enum core_answer answer;
        bool final;
    } cases[] = {
        { CORE_ANSWER_OK, true },       { CORE_ANSWER_REFUSED, true },
        { CORE_ANSWER_CONFLICT, true }, { CORE_ANSWER_TOO_LARGE, true },
        { CORE_ANSWER_FAILED, false },  { CORE_ANSWER_BUSY, false },
        { CORE_ANSWER_DOWN, false },    { CORE_ANSWER_KEY_REFUSED, false },
        { CORE_ANSWER_DROPPED, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t number;
        struct world w;

        answer_one(&w);
        pass(&w, IDLE_MS);
        simple(&w, CORE_EV_IDLE);
        number = find(&w, CORE_CMD_COMPLETE)->seq;
        completed(&w, number, cases[i].answer);
        assert_int_equal(find(&w, CORE_CMD_FORGET_JOB) != NULL, cases[i].final);
        pass(&w, 10 * 60 * 1000);
        if (!find(&w, CORE_CMD_COMPLETE)) /* what was dropped comes again at once */
            simple(&w, CORE_EV_TICK);
        assert_int_equal(find(&w, CORE_CMD_COMPLETE) != NULL, !cases[i].final);
        end(&w);
    }
}

static void a_job_with_an_open_message_is_never_complete(void **state)
{
    struct world w;

    (void)state;
    answer_one(&w);
    pass(&w, IDLE_MS);
    arrive(&w, "job_1", "m2");
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE));
    assert_null(find(&w, CORE_CMD_JOB));
    end(&w);
}

static void a_message_in_time_keeps_the_job(void **state)
{
    uint64_t fence, number;
    int64_t used_ms;
    struct world w;

    (void)state;
    answer_one(&w);
    pass(&w, IDLE_MS);
    simple(&w, CORE_EV_IDLE);
    number = find(&w, CORE_CMD_COMPLETE)->seq;
    arrive(&w, "job_1", "m2");
    assert_null(core_leaving(w.core, number, &fence, &used_ms)); /* not sent, if it isn't yet */
    completed(&w, number, CORE_ANSWER_OK);
    assert_null(find(&w, CORE_CMD_FORGET_JOB));
    end(&w);
    /* and after a crash, where the message was stored and the report not yet sent */
    begin(&w);
    core_restore_job(w.core, "job_1", 7, 4711, true);
    {
        struct task *t = task_new();

        t->seq = 3;
        t->id = mem_strdup("m3");
        t->ack_id = mem_strdup("m3");
        t->job_id = mem_strdup("job_1");
        core_restore(w.core, t);
    }
    simple(&w, CORE_EV_START);
    assert_null(find(&w, CORE_CMD_COMPLETE));
    assert_false(find(&w, CORE_CMD_JOB)->leaving);
    end(&w);
}

/* W22: the check of the daemon that we replace writes back a stale copy of the job. */
static void a_check_for_idle_jobs_changes_nothing_of_any_message(void **state)
{
    struct world w;

    (void)state;
    answer_one(&w);
    answer(&w, "job_2", "m2", 2);
    arrive(&w, "job_3", "m3");
    polled(&w);
    pass(&w, IDLE_MS);
    simple(&w, CORE_EV_TICK); /* whatever else is due */
    simple(&w, CORE_EV_IDLE);
    assert_int_equal(count(&w, CORE_CMD_COMPLETE), 2);
    for (size_t i = 0; i < w.commands.len; i++)
        if (core_command_is_storing(w.commands.items[i].type))
            assert_int_equal(w.commands.items[i].type, CORE_CMD_JOB);
    assert_int_equal(core_task(w.core, 3)->state, TASK_RUNNING);
    end(&w);
}

static void a_clock_that_jumps_ends_no_job_of_a_moment_ago(void **state)
{
    struct world w;

    (void)state;
    answer_one(&w);
    w.now.wall_ms += 10 * (int64_t)IDLE_MS;
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE));
    pass(&w, HOUR_MS);
    simple(&w, CORE_EV_IDLE);
    assert_non_null(find(&w, CORE_CMD_COMPLETE));
    end(&w);
}

static void nothing_is_reported_on_the_way_out(void **state)
{
    struct world w;

    (void)state;
    answer_one(&w);
    arrive(&w, "job_2", "m2"); /* keeps the drain waiting */
    polled(&w);
    pass(&w, IDLE_MS);
    simple(&w, CORE_EV_DRAIN);
    simple(&w, CORE_EV_IDLE);
    assert_null(find(&w, CORE_CMD_COMPLETE));
    assert_null(find(&w, CORE_CMD_JOB));
    end(&w);
}

static void a_lost_lease_loses_the_job_too(void **state)
{
    struct core_event ev = { .type = CORE_EV_SENT, .answer = CORE_ANSWER_CONFLICT };
    struct world w;

    (void)state;
    answer_one(&w);
    arrive(&w, "job_1", "m2");
    polled(&w);
    ev.seq = 2;
    tell(&w, &ev); /* to its processing */
    assert_string_equal(find(&w, CORE_CMD_FORGET_JOB)->job_id, "job_1");
    end(&w);
}

static void what_nobody_asks_for_is_forgotten_in_the_end(void **state)
{
    struct world w;

    (void)state;
    answer_one(&w);
    pass(&w, 25 * (uint64_t)HOUR_MS);
    simple(&w, CORE_EV_TICK);
    assert_null(find(&w, CORE_CMD_FORGET_JOB));
    pass(&w, 31 * 24 * (uint64_t)HOUR_MS);
    simple(&w, CORE_EV_TICK);
    assert_non_null(find(&w, CORE_CMD_FORGET_JOB));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_known_from_its_first_acknowledgement_on),
        cmocka_unit_test(an_idle_job_is_stored_as_complete_before_it_is_said),
        cmocka_unit_test(what_the_journal_says_is_complete_is_said_at_the_next_start),
        cmocka_unit_test(what_fails_is_said_again_and_what_is_refused_is_over),
        cmocka_unit_test(a_job_with_an_open_message_is_never_complete),
        cmocka_unit_test(a_message_in_time_keeps_the_job),
        cmocka_unit_test(a_check_for_idle_jobs_changes_nothing_of_any_message),
        cmocka_unit_test(a_clock_that_jumps_ends_no_job_of_a_moment_ago),
        cmocka_unit_test(nothing_is_reported_on_the_way_out),
        cmocka_unit_test(a_lost_lease_loses_the_job_too),
        cmocka_unit_test(what_nobody_asks_for_is_forgotten_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
