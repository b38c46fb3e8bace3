/* The decisions, event by event. A small world keeps the clock and the last commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "unit/core/events.h"
#include "util/cleanup.h"
#include "util/mem.h"

static const struct core_options defaults = {
    .max_concurrency = 2,
    .max_queued = 4,
    .max_attempts = 3,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .start_limit_ms = 60000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .output_limit_bytes = 1 << 20,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 3600,
    .program = "worker",
};

static void arrive(struct world *w, const char *job, const char *id)
{
    const struct core_event ev = { .type = CORE_EV_MESSAGE, .seq = w->poll, .task = make(job, id) };

    tell(w, &ev);
}

static void lease(struct world *w, const char *job, uint64_t fence)
{
    const struct core_event ev = {
        .type = CORE_EV_JOB, .seq = w->poll, .job_id = job, .fence = fence
    };

    tell(w, &ev);
}

static void polled(struct world *w, enum core_answer answer, uint32_t retry_after_ms)
{
    const struct core_event ev = { .type = CORE_EV_POLLED,
                                   .seq = w->poll,
                                   .answer = answer,
                                   .retry_after_ms = retry_after_ms,
                                   .waited = true };

    tell(w, &ev);
}

static void sent(struct world *w, uint64_t seq, enum core_answer answer)
{
    const struct core_event ev = { .type = CORE_EV_SENT, .seq = seq, .answer = answer };

    tell(w, &ev);
}

static void started(struct world *w, uint64_t seq)
{
    const struct core_event ev = { .type = CORE_EV_STARTED, .seq = seq };

    tell(w, &ev);
}

static void progress(struct world *w, uint64_t seq)
{
    const struct progress line = { .text = "line" };
    const struct core_event ev = { .type = CORE_EV_PROGRESS, .seq = seq, .progress = &line };

    tell(w, &ev);
}

static void ended_as(struct world *w, uint64_t seq, const struct ending *ending)
{
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = ending };

    tell(w, &ev);
}

static void ended(struct world *w, uint64_t seq, const char *answer)
{
    const struct ending ending = { .ok = true, .text = answer, .stderr_tail = "" };

    ended_as(w, seq, &ending);
}

static void later(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    w->now.wall_ms += (int64_t)ms;
    simple(w, CORE_EV_TICK);
}

static void expect_send(const struct world *w, uint64_t seq, enum core_post post)
{
    const struct core_command *c = find_of(w, CORE_CMD_SEND, seq);

    assert_non_null(c);
    assert_int_equal(c->post, post);
}

/* From its arrival to where its program runs and the server knows. */
static void begin(struct world *w, const char *job, const char *id, uint64_t seq)
{
    arrive(w, job, id);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, seq));
    expect_send(w, seq, CORE_POST_PROCESSING);
    sent(w, seq, CORE_ANSWER_OK);
    started(w, seq);
}

static void world_with(struct world *w, const struct core_options *options)
{
    *w = (struct world){ .now = { .mono_ms = 1000, .wall_ms = 1000000000 } };
    w->core = core_new(options, 0);
}

static int setup(void **state)
{
    struct world *w = mem_new(struct world);

    world_with(w, &defaults);
    simple(w, CORE_EV_START);
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0); /* everything that is ours first */
    polled(w, CORE_ANSWER_OK, 0);
    assert_non_null(find_of(w, CORE_CMD_READY, 0));
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 50000);
    *state = w;
    return 0;
}

static struct task *stored(uint64_t seq, const char *job, const char *id, const char *in,
                           uint32_t attempt)
{
    struct task *t = make(job, id);

    t->seq = seq;
    t->attempt = attempt;
    assert_int_equal(task_restore(t, in), 0);
    if (t->state >= TASK_FINISHED) {
        t->reply_kind = TASK_REPLY_ASSISTANT;
        t->reply = mem_strdup("stored answer");
    }
    return t;
}

static void a_message_goes_from_arrival_to_acknowledgement(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 1));
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->attempt, 1);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 1));
    expect_send(w, 1, CORE_POST_PROCESSING);
    sent(w, 1, CORE_ANSWER_OK);
    started(w, 1);
    ended(w, 1, "the answer");
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_FINISHED);
    assert_string_equal(core_task(w->core, 1)->reply, "the answer");
    expect_send(w, 1, CORE_POST_REPLY);
    sent(w, 1, CORE_ANSWER_OK);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_DELIVERED);
    expect_send(w, 1, CORE_POST_ACK);
    sent(w, 1, CORE_ANSWER_OK);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_ACKED);
    assert_null(core_task(w->core, 1));
}

static void a_message_that_is_known_is_not_taken_twice(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    arrive(w, "j", "m");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    ended(w, 1, "a");
    arrive(w, "j", "m");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void an_answered_message_that_is_listed_again_is_only_acknowledged_again(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_OK);
    sent(w, 1, CORE_ANSWER_OK);
    arrive(w, "j", "m");
    assert_int_equal(w->commands.len, 1);
    expect_send(w, 2, CORE_POST_ACK);
    sent(w, 2, CORE_ANSWER_OK);
    assert_int_equal(w->commands.len, 0); /* nothing to store: the tombstone stands */
    assert_null(core_task(w->core, 2));
}

static void a_restored_tombstone_is_only_acknowledged_again(void **state)
{
    struct world *w = *state;

    core_restore_tombstone(w->core, "old", 999999999);
    arrive(w, "j", "old");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    expect_send(w, 1, CORE_POST_ACK);
}

static void one_post_is_in_flight_per_job_and_replies_keep_their_order(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m1", 1);
    arrive(w, "j", "m2");
    ended(w, 1, "first");
    expect_send(w, 1, CORE_POST_REPLY);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 2));
    assert_int_equal(count(w, CORE_CMD_SEND), 1); /* the notice of m2 waits */
    started(w, 2);
    ended(w, 2, "second");
    assert_int_equal(count(w, CORE_CMD_SEND), 0);
    sent(w, 1, CORE_ANSWER_OK);
    expect_send(w, 1, CORE_POST_ACK);
    assert_int_equal(count(w, CORE_CMD_SEND), 1);
    sent(w, 1, CORE_ANSWER_OK);
    expect_send(w, 2, CORE_POST_REPLY);
}

static void jobs_run_in_parallel_up_to_the_limit(void **state)
{
    struct world *w = *state;

    begin(w, "a", "m1", 1);
    begin(w, "b", "m2", 2);
    arrive(w, "c", "m3");
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    ended(w, 1, "x");
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 3));
}

static void a_full_queue_leaves_messages_at_the_server_and_asks_again_later(void **state)
{
    struct world *w = *state;
    char id[8] = "m0";

    begin(w, "a", "x", 1);
    begin(w, "b", "y", 2);
    for (int i = 0; i < 4; i++) {
        id[1] = (char)('0' + i);
        arrive(w, "a", id);
        assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
    }
    arrive(w, "a", "surplus");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    assert_string_equal(find_of(w, CORE_CMD_NOTE, 0)->name, "queue_full");
    arrive(w, "a", "surplus2"); /* said once */
    assert_int_equal(w->commands.len, 0);
    ended(w, 2, "x"); /* room, but a message that came later must not overtake */
    arrive(w, "a", "surplus3");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    polled(w, CORE_ANSWER_OK, 0);
    for (uint64_t seq = 1; seq < 4 && !find_of(w, CORE_CMD_POLL_CANCEL, 0); seq += seq == 1 ? 2 : 1)
        ended(w, seq, "x");
    /* at half of max_queued: the long poll that is open is replaced by a plain one */
    assert_non_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0);
    arrive(w, "a", "surplus");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void a_job_is_here_as_long_as_anything_of_it_is(void **state)
{
    struct world *w = *state;

    assert_false(core_has_job(w->core, "a"));
    begin(w, "a", "m1", 1);
    assert_true(core_has_job(w->core, "a"));
    assert_true(core_can_cancel(w->core, "a"));
    assert_false(core_can_cancel(w->core, "b"));
    ended(w, 1, "x"); /* the reply is on its way: nothing left to stop */
    assert_true(core_has_job(w->core, "a"));
    assert_false(core_can_cancel(w->core, "a"));
    sent(w, 1, CORE_ANSWER_OK);
    sent(w, 1, CORE_ANSWER_OK); /* the ack */
    assert_false(core_has_job(w->core, "a"));
}

static void room(struct world *w, bool tight)
{
    const struct core_event ev = { .type = CORE_EV_ROOM, .tight = tight };

    tell(w, &ev);
}

static void a_full_disk_leaves_new_messages_at_the_server_until_it_has_room(void **state)
{
    struct world *w = *state;

    begin(w, "a", "m1", 1);
    arrive(w, "a", "m2"); /* waits behind it */
    room(w, true);
    assert_int_equal(w->commands.len, 0);
    arrive(w, "b", "new");
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    assert_string_equal(find_of(w, CORE_CMD_NOTE, 0)->name, "disk_full");
    arrive(w, "b", "new");
    assert_int_equal(w->commands.len, 0); /* said once a minute */
    polled(w, CORE_ANSWER_OK, 0);
    ended(w, 1, "x"); /* what is here is finished */
    expect_send(w, 1, CORE_POST_REPLY);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 2));
    started(w, 2);
    later(w, 60 * 1000);
    arrive(w, "b", "new");
    assert_string_equal(find_of(w, CORE_CMD_NOTE, 0)->name, "disk_full");
    assert_null(find_of(w, CORE_CMD_POLL_CANCEL, 0)); /* nothing to ask for yet */
    polled(w, CORE_ANSWER_OK, 0);
    later(w, 60 * 1000);
    room(w, false);
    assert_string_equal(find_of(w, CORE_CMD_NOTE, 0)->name, "disk_has_room");
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0); /* it lists what was left */
    arrive(w, "b", "new");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void a_poll_that_was_given_up_brings_nothing(void **state)
{
    struct world *w = *state;
    struct core_event late = { .seq = w->poll, .answer = CORE_ANSWER_OK, .waited = true };
    char id[8] = "m0";

    begin(w, "a", "x", 1);
    begin(w, "b", "y", 2);
    for (; id[1] < '5'; id[1]++)
        arrive(w, "a", id);
    polled(w, CORE_ANSWER_OK, 0);
    late.seq = w->poll; /* a long one */
    ended(w, 1, "x");
    ended(w, 3, "x");
    assert_non_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    assert_int_not_equal(w->poll, late.seq);
    /* its answer came before the cancel was carried out: what it lists may be later messages than
     * the one that was left at the server */
    late.type = CORE_EV_MESSAGE;
    late.task = make("a", "m6");
    tell(w, &late);
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    late.type = CORE_EV_POLLED;
    tell(w, &late);
    assert_null(find_of(w, CORE_CMD_POLL, 0)); /* the new one is on its way */
    arrive(w, "a", "m5");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void a_refused_reply_is_kept_and_acknowledged(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_REFUSED);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_REFUSED);
    assert_string_equal(find_of(w, CORE_CMD_NOTE, 0)->name, "reply_refused");
    expect_send(w, 1, CORE_POST_ACK);
    sent(w, 1, CORE_ANSWER_REFUSED);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_ACKED);
}

static void a_reply_that_is_too_large_is_shortened_once_then_given_up(void **state)
{
    struct world *w = *state;
    AUTO_FREE char *huge = mem_alloc(100001);

    memset(huge, 'x', 100000);
    begin(w, "j", "m", 1);
    ended(w, 1, huge);
    sent(w, 1, CORE_ANSWER_TOO_LARGE);
    assert_true(find_of(w, CORE_CMD_UPDATE, 1)->task->shortened);
    assert_true(strlen(core_task(w->core, 1)->reply) < 17000);
    expect_send(w, 1, CORE_POST_REPLY);
    sent(w, 1, CORE_ANSWER_TOO_LARGE);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_REFUSED);
}

static void a_lost_lease_ends_the_task_and_forgets_the_message(void **state)
{
    struct world *w = *state;
    begin(w, "j", "m1", 1);
    arrive(w, "j", "m2");
    lease(w, "j", 5);
    progress(w, 1);
    expect_send(w, 1, CORE_POST_PROGRESS);
    sent(w, 1, CORE_ANSWER_CONFLICT);
    assert_int_equal(count(w, CORE_CMD_DELETE), 2);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    assert_null(core_task(w->core, 2));
    ended(w, 1, "too late");
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    assert_null(core_task(w->core, 1));
    /* it may be ours again: then it is new */
    arrive(w, "j", "m1");
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 0));
}

static void nothing_of_a_job_is_taken_back_while_its_lost_task_still_ends(void **state)
{
    struct world *w = *state;

    lease(w, "j", 5);
    begin(w, "j", "m1", 1);
    lease(w, "j", 5);
    arrive(w, "j", "m2");
    ended(w, 1, "a");
    started(w, 2);
    sent(w, 1, CORE_ANSWER_CONFLICT); /* m2 still runs */
    arrive(w, "j", "m1");
    arrive(w, "j", "m2");
    lease(w, "j", 7);
    assert_null(core_task(w->core, 3)); /* else m1 would start, and m2 not be behind it */
    polled(w, CORE_ANSWER_OK, 0);
    ended(w, 2, "too late");
    polled(w, CORE_ANSWER_OK, 0);
    later(w, 1000);
    assert_non_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0); /* lists what was passed over */
    arrive(w, "j", "m1");
    assert_string_equal(core_task(w->core, 3)->id, "m1");
    arrive(w, "j", "m2");
    assert_string_equal(core_task(w->core, 4)->id, "m2");
}

static void an_answer_to_an_old_fence_says_nothing_about_the_new_one(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    lease(w, "j", 5);
    ended(w, 1, "a");
    expect_send(w, 1, CORE_POST_REPLY);
    lease(w, "j", 7); /* lost and taken again while the reply was on its way */
    assert_int_equal(core_fence(w->core, 1), 5);
    sent(w, 1, CORE_ANSWER_CONFLICT);
    assert_null(find_of(w, CORE_CMD_DELETE, 0));
    expect_send(w, 1, CORE_POST_REPLY);
    sent(w, 1, CORE_ANSWER_OK);
    expect_send(w, 1, CORE_POST_ACK);
}

static void the_fence_is_stored_for_what_is_open(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    lease(w, "j", 5);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->fence, 5);
    lease(w, "j", 5);
    assert_null(find_of(w, CORE_CMD_UPDATE, 0));
}

static struct task *leased(uint64_t seq, const char *job, const char *id, const char *in)
{
    struct task *t = stored(seq, job, id, in, 1);

    t->fence = 5;
    return t;
}

static void what_waited_under_a_lease_is_run_after_a_restart_only_if_it_is_still_ours(void **state)
{
    struct world *w = *state;

    core_free(w->core);
    w->core = core_new(&defaults, 5);
    core_restore(w->core, leased(1, "a", "m1", "running"));
    core_restore(w->core, leased(2, "b", "m2", "received"));
    core_restore(w->core, leased(3, "c", "m3", "finished"));
    simple(w, CORE_EV_START);
    assert_null(
        find_of(w, CORE_CMD_SPAWN, 0)); /* another daemon may have answered them meanwhile */
    expect_send(w, 3, CORE_POST_REPLY); /* where our own answer stands, its fence decides */
    polled(w, CORE_ANSWER_DOWN, 0);
    later(w, core_deadline(w->core) - w->now.mono_ms);
    arrive(w, "a", "m1");
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    polled(w, CORE_ANSWER_OK, 0);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 1));
    assert_non_null(find_of(w, CORE_CMD_DELETE, 2));
    assert_null(core_task(w->core, 2));
    assert_non_null(core_task(w->core, 3));
}

static void a_lease_that_was_lost_and_regained_pauses_the_starts_until_all_is_listed(void **state)
{
    struct world *w = *state;

    lease(w, "j", 5);
    begin(w, "j", "m1", 1);
    arrive(w, "j", "m2");
    lease(w, "j", 5);
    arrive(w, "j", "m3");
    lease(w, "j", 5);
    polled(w, CORE_ANSWER_OK, 0);
    later(w, 1000);
    lease(w, "j", 7); /* what the other did of m2 and m3 we don't know */
    polled(w, CORE_ANSWER_OK, 0);
    ended(w, 1, "x");
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    arrive(w, "j", "m3");
    lease(w, "j", 7);
    polled(w, CORE_ANSWER_OK, 0);
    assert_non_null(find_of(w, CORE_CMD_DELETE, 2));
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 3));
}

static void a_server_that_changes_fences_all_the_time_makes_nobody_spin(void **state)
{
    struct world *w = *state;
    unsigned polls = 0;
    uint64_t end = w->now.mono_ms + 60000, fence = 1;

    arrive(w, "j", "m1");
    arrive(w, "j", "m2");
    for (; w->now.mono_ms < end; polls++) {
        uint64_t poll = w->poll;

        arrive(w, "j", "m2");
        lease(w, "j", fence++);
        polled(w, CORE_ANSWER_OK, 0);
        while (w->poll == poll)
            later(w, core_deadline(w->core) - w->now.mono_ms);
    }
    assert_true(polls < 180);
}

static void a_conflict_without_a_lease_is_a_refusal(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    begin(w, "k", "n", 2);
    progress(w, 2);
    expect_send(w, 2, CORE_POST_PROGRESS);
    sent(w, 2, CORE_ANSWER_CONFLICT); /* a notice: nothing to lose */
    assert_null(find_of(w, CORE_CMD_KILL, 0));
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_CONFLICT);
    assert_null(find_of(w, CORE_CMD_DELETE, 0)); /* it would run again at each listing */
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_REFUSED);
    expect_send(w, 1, CORE_POST_ACK);
}

static void a_lost_lease_drops_a_reply_that_was_not_taken(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    lease(w, "j", 5);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_CONFLICT);
    assert_non_null(find_of(w, CORE_CMD_DELETE, 1));
    assert_null(core_task(w->core, 1));
}

static void a_full_outbox_stops_the_intake_and_not_by_polling_all_the_time(void **state)
{
    struct world *w = *state;
    char id[8] = "m0";
    unsigned polls = 0;
    uint64_t end;

    /* the server takes no reply, while messages come: twice max_queued and the slots is the most */
    for (uint64_t seq = 1; seq <= 10; seq++, id[1]++) {
        begin(w, id, id, seq);
        ended(w, seq, "x");
        sent(w, seq, CORE_ANSWER_FAILED);
    }
    for (end = w->now.mono_ms + 60000; w->now.mono_ms < end; polls++) {
        uint64_t poll = w->poll;

        arrive(w, "more", "surplus");
        assert_null(find_of(w, CORE_CMD_INSERT, 0));
        polled(w, CORE_ANSWER_OK, 0);
        while (w->poll == poll && w->now.mono_ms < end) {
            later(w, core_deadline(w->core) - w->now.mono_ms);
            for (uint64_t seq = 1; seq <= 10; seq++)
                sent(w, seq, CORE_ANSWER_FAILED);
        }
        assert_true(polls < 25);
    }
    assert_true(polls > 2);
    later(w, 300000);
    for (uint64_t seq = 1; !find_of(w, CORE_CMD_POLL, 0) && seq <= 10; seq++) {
        sent(w, seq, CORE_ANSWER_OK); /* the reply, then the ack */
        if (core_task(w->core, seq))
            sent(w, seq, CORE_ANSWER_OK);
    }
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0); /* as soon as there is room */
}

static void a_failing_server_is_left_alone_with_growing_waits(void **state)
{
    struct world *w = *state;
    uint64_t last = 0;

    for (int i = 0; i < 8; i++) {
        uint64_t wait;

        polled(w, CORE_ANSWER_DOWN, 0);
        assert_null(find_of(w, CORE_CMD_POLL, 0));
        wait = core_deadline(w->core) - w->now.mono_ms;
        assert_true(wait >= 500 && wait <= 60000);
        assert_true(wait >= last / 2); /* jitter is half of it at most */
        last = wait;
        later(w, wait);
        assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 0);
    }
    assert_true(last >= 30000);
    polled(w, CORE_ANSWER_OK, 0);
    assert_int_equal(find_of(w, CORE_CMD_POLL, 0)->wait_ms, 50000);
}

static void what_the_server_asks_for_counts_for_every_request(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    polled(w, CORE_ANSWER_BUSY, 20000);
    ended(w, 1, "a");
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    later(w, 19999);
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    assert_null(find_of(w, CORE_CMD_POLL, 0));
    later(w, 1001); /* and the jitter */
    expect_send(w, 1, CORE_POST_REPLY);
    assert_non_null(find_of(w, CORE_CMD_POLL, 0));
}

static void a_request_that_the_server_fails_at_holds_up_its_job_only(void **state)
{
    struct world *w = *state;

    begin(w, "a", "m1", 1);
    begin(w, "b", "m2", 2);
    ended(w, 1, "x");
    sent(w, 1, CORE_ANSWER_FAILED);
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    ended(w, 2, "y");
    expect_send(w, 2, CORE_POST_REPLY);
    later(w, 1000);
    expect_send(w, 1, CORE_POST_REPLY);
}

static void a_server_without_long_polls_is_asked_at_the_interval(void **state)
{
    struct world *w = *state;
    const struct core_event plain = { .type = CORE_EV_POLLED,
                                      .seq = w->poll,
                                      .answer = CORE_ANSWER_OK };
    uint64_t wait;

    tell(w, &plain);
    assert_null(find_of(w, CORE_CMD_POLL, 0));
    wait = core_deadline(w->core) - w->now.mono_ms;
    assert_true(wait >= 27000 && wait <= 33000);
    later(w, wait);
    assert_non_null(find_of(w, CORE_CMD_POLL, 0));
}

static void a_server_that_answers_long_polls_at_once_does_not_make_us_spin(void **state)
{
    struct world *w = *state;
    unsigned polls = 0;
    uint64_t end = w->now.mono_ms + 60000;

    polled(w, CORE_ANSWER_OK, 0);
    while (w->now.mono_ms < end) {
        later(w, core_deadline(w->core) - w->now.mono_ms);
        if (find_of(w, CORE_CMD_POLL, 0)) {
            polls++;
            polled(w, CORE_ANSWER_OK, 0);
        }
    }
    assert_true(polls < 25);
}

static void the_key_is_given_up_after_the_second_refusal_only(void **state)
{
    struct world *w = *state;

    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    later(w, core_deadline(w->core) - w->now.mono_ms);
    assert_non_null(find_of(w, CORE_CMD_POLL, 0));
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_NOPERM);
}

static void a_refused_key_lets_running_tasks_finish_into_the_outbox(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    later(w, 2000);
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    assert_null(find_of(w, CORE_CMD_KILL, 0));
    ended(w, 1, "kept");
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_FINISHED);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_NOPERM);
}

static void a_refusal_on_a_notice_parks_the_outbox_too(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    progress(w, 1);
    sent(w, 1, CORE_ANSWER_KEY_REFUSED);
    progress(w, 1);
    later(w, 59999);
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    later(w, 1);
    expect_send(w, 1, CORE_POST_PROGRESS);
}

static void new_settings_may_bring_a_new_key_and_are_tried_at_once(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    later(w, 2000);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_KEY_REFUSED);
    core_set_options(w->core, &defaults);
    simple(w, CORE_EV_TICK);
    expect_send(w, 1, CORE_POST_REPLY);
    polled(w, CORE_ANSWER_KEY_REFUSED, 0); /* the new key's first */
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
}

static void a_refusal_on_a_post_parks_the_outbox(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_KEY_REFUSED);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    later(w, 59999);
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    later(w, 1);
    expect_send(w, 1, CORE_POST_REPLY);
}

static void a_refusal_on_a_post_has_a_plain_poll_say_at_once_whether_the_key_is_good(void **state)
{
    struct world *w = *state;
    const struct core_command *poll;

    begin(w, "j", "m", 1);
    polled(w, CORE_ANSWER_OK, 0);
    poll = find_of(w, CORE_CMD_POLL, 0);
    assert_true(poll && poll->wait_ms > 0);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_KEY_REFUSED);
    assert_non_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    poll = find_of(w, CORE_CMD_POLL, 0);
    assert_true(poll && poll->wait_ms == 0);
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    later(w, 1000);
    assert_non_null(find_of(w, CORE_CMD_POLL, 0));
    polled(w, CORE_ANSWER_KEY_REFUSED, 0);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_NOPERM);
}

static void a_plain_poll_in_flight_does_not_settle_a_doubt_that_came_later(void **state)
{
    struct world *w = *state;
    const struct core_command *poll;

    begin(w, "j", "m", 1); /* listed by the first poll, a plain one */
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_KEY_REFUSED);
    assert_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    polled(w, CORE_ANSWER_OK, 0);
    poll = find_of(w, CORE_CMD_POLL, 0);
    assert_true(poll && poll->wait_ms == 0);
    polled(w, CORE_ANSWER_OK, 0); /* good again: long ones as before */
    poll = find_of(w, CORE_CMD_POLL, 0);
    assert_true(poll && poll->wait_ms > 0);
}

static void a_refusal_of_posts_only_costs_one_poll_a_try(void **state)
{
    struct world *w = *state;
    size_t polls = 0;

    begin(w, "j", "m", 1);
    polled(w, CORE_ANSWER_OK, 0);
    ended(w, 1, "a");
    for (int tries = 0; tries < 10; tries++) {
        sent(w, 1, CORE_ANSWER_KEY_REFUSED);
        polls += count(w, CORE_CMD_POLL);
        polled(w, CORE_ANSWER_OK, 0); /* the plain one; the next is held */
        later(w, 60000);
        polls += count(w, CORE_CMD_POLL);
        expect_send(w, 1, CORE_POST_REPLY);
    }
    assert_true(polls <= 10);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
}

static void limits_end_a_task_and_are_named_in_its_reply(void **state)
{
    struct world *w = *state;
    const struct core_event overflow = { .type = CORE_EV_OVERFLOW, .seq = 3 };
    const struct ending killed = { .status = 15, .stderr_tail = "" };
    struct core_event output = { .type = CORE_EV_OUTPUT };

    begin(w, "a", "m1", 1);
    begin(w, "b", "m2", 2);
    for (int i = 0; i < 6; i++) {
        later(w, 599999);
        assert_null(find_of(w, CORE_CMD_KILL, 0));
        for (output.seq = 1; output.seq <= (i < 5 ? 2 : 1); output.seq++)
            tell(w, &output);
    }
    later(w, 1); /* the second one's idle limit, then the first one's hour */
    assert_non_null(find_of(w, CORE_CMD_KILL, 2));
    assert_null(find_of(w, CORE_CMD_KILL, 1));
    ended_as(w, 2, &killed);
    assert_non_null(strstr(core_task(w->core, 2)->reply, "task.idle_timeout"));
    later(w, 10);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    ended_as(w, 1, &killed);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "task.timeout"));
    arrive(w, "c", "m3");
    started(w, 3);
    tell(w, &overflow);
    assert_non_null(find_of(w, CORE_CMD_KILL, 3));
    ended_as(w, 3, &killed);
    assert_non_null(strstr(core_task(w->core, 3)->reply, "task.output_limit"));
}

static void a_cancel_answers_what_waits_and_ends_what_runs(void **state)
{
    struct world *w = *state;
    const struct core_event cancel = {
        .type = CORE_EV_JOB, .seq = w->poll, .job_id = "j", .cancel_requested = true
    };
    const struct ending killed = { .status = 15, .stderr_tail = "" };

    begin(w, "j", "m1", 1);
    arrive(w, "j", "m2");
    tell(w, &cancel);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    assert_true(core_task(w->core, 1)->cancelled);
    assert_string_equal(core_task(w->core, 2)->reply, "stopped by the user");
    tell(w, &cancel); /* the same word again changes nothing */
    assert_int_equal(w->commands.len, 0);
    ended_as(w, 1, &killed);
    assert_string_equal(core_task(w->core, 1)->reply, "stopped by the user");
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    expect_send(w, 1, CORE_POST_REPLY);
}

static void a_message_that_comes_cancelled_is_never_started(void **state)
{
    struct world *w = *state;
    const struct core_event ev = {
        .type = CORE_EV_MESSAGE, .seq = w->poll, .task = make("j", "m"), .cancel_requested = true
    };

    tell(w, &ev);
    assert_non_null(find_of(w, CORE_CMD_INSERT, 1));
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    assert_string_equal(core_task(w->core, 1)->reply, "stopped by the user");
    expect_send(w, 1, CORE_POST_REPLY);
}

static void a_task_that_is_stopped_before_its_start_is_carried_out_is_not_started(void **state)
{
    struct world *w = *state;
    const struct core_event cancel = { .type = CORE_EV_CANCEL, .job_id = "j" };

    arrive(w, "j", "m");
    assert_true(core_may_spawn(w->core, 1));
    tell(w, &cancel);
    assert_false(core_may_spawn(w->core, 1));
}

/* The shell holds the answer back like all else that acts: until what is stored is on the disk. */
static void a_word_is_answered_behind_what_it_stores_and_before_the_end(void **state)
{
    struct world *w = *state;
    const struct core_event cancel = { .type = CORE_EV_CANCEL, .job_id = "j", .asker = 7 },
                            drain = { .type = CORE_EV_DRAIN, .asker = 8 };

    begin(w, "j", "m", 1);
    tell(w, &cancel);
    assert_true(find_of(w, CORE_CMD_UPDATE, 1)->task->cancelled);
    assert_int_equal(find_of(w, CORE_CMD_ANSWER, 0)->asker, 7);
    tell(w, &cancel); /* heeded already, and still somebody asks */
    assert_null(find_of(w, CORE_CMD_UPDATE, 1));
    assert_int_equal(find_of(w, CORE_CMD_ANSWER, 0)->asker, 7);
    ended(w, 1, "");
    sent(w, 1, CORE_ANSWER_OK);
    sent(w, 1, CORE_ANSWER_OK);
    tell(w, &drain); /* nothing is left to wait for */
    assert_int_equal(find_of(w, CORE_CMD_ANSWER, 0)->asker, 8);
    assert_true(find_of(w, CORE_CMD_ANSWER, 0) < find_of(w, CORE_CMD_EXIT, 0));
}

static void a_word_that_nobody_waits_for_has_no_answer(void **state)
{
    struct world *w = *state;
    const struct core_event cancel = { .type = CORE_EV_CANCEL, .job_id = "j" };

    begin(w, "j", "m", 1);
    tell(w, &cancel);
    assert_null(find_of(w, CORE_CMD_ANSWER, 0));
    simple(w, CORE_EV_DRAIN);
    assert_null(find_of(w, CORE_CMD_ANSWER, 0));
}

static void no_job_is_passed_over_when_many_have_something_to_post(void **state)
{
    enum { JOBS = 26 };
    struct world *w = *state;
    struct core_options options = defaults;
    char id[2] = "a";
    bool posting[JOBS + 1] = { false };
    unsigned turns = 0;

    options.max_concurrency = JOBS;
    core_set_options(w->core, &options);
    for (uint64_t seq = 1; seq <= JOBS; seq++, id[0]++)
        begin(w, id, id, seq);
    /* each task but the last talks all the time, and a post takes as long as a task is silent */
    for (uint64_t seq = 1; !find_of(w, CORE_CMD_SEND, JOBS); seq = seq % (JOBS - 1) + 1) {
        assert_true(turns++ < 20 * JOBS);
        w->now.mono_ms += 125;
        progress(w, seq);
        if (posting[seq] && !find_of(w, CORE_CMD_SEND, JOBS))
            sent(w, seq, CORE_ANSWER_OK);
        else if (turns == 10)
            ended(w, JOBS, "x");
        for (uint64_t other = 1; other < JOBS; other++)
            posting[other] = (posting[other] && other != seq) || find_of(w, CORE_CMD_SEND, other);
    }
}

static void a_drain_finishes_what_runs_and_starts_nothing(void **state)
{
    struct world *w = *state;

    begin(w, "a", "m1", 1);
    begin(w, "b", "m2", 2);
    arrive(w, "c", "m3");
    simple(w, CORE_EV_TERM);
    assert_non_null(find_of(w, CORE_CMD_POLL_CANCEL, 0));
    arrive(w, "d", "m4"); /* what the poll still brought */
    assert_int_equal(w->commands.len, 0);
    ended(w, 1, "x");
    assert_null(find_of(w, CORE_CMD_SPAWN, 0));
    later(w, 30000); /* the leases are kept */
    expect_send(w, 2, CORE_POST_PROCESSING);
    ended(w, 2, "y");
    sent(w, 1, CORE_ANSWER_OK);
    sent(w, 1, CORE_ANSWER_OK);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    sent(w, 2, CORE_ANSWER_OK); /* the notice */
    sent(w, 2, CORE_ANSWER_OK);
    sent(w, 2, CORE_ANSWER_OK);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_OK);
    assert_int_equal(core_task(w->core, 3)->state, TASK_RECEIVED);
}

static void a_drain_that_is_cut_costs_no_attempt(void **state)
{
    struct world *w = *state;
    const struct ending killed = { .status = 15, .stderr_tail = "" };

    begin(w, "a", "m1", 1);
    simple(w, CORE_EV_TERM);
    later(w, 300000);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    ended_as(w, 1, &killed);
    assert_int_equal(find_of(w, CORE_CMD_UPDATE, 1)->task->state, TASK_RECEIVED);
    assert_int_equal(core_task(w->core, 1)->attempt, 0);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_TEMPFAIL);
}

static void a_second_term_stops_at_once(void **state)
{
    struct world *w = *state;
    const struct ending killed = { .status = 15, .stderr_tail = "" };

    begin(w, "a", "m1", 1);
    simple(w, CORE_EV_TERM);
    simple(w, CORE_EV_TERM);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    ended_as(w, 1, &killed);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_OK);
    assert_int_equal(core_task(w->core, 1)->state, TASK_RECEIVED);
}

static void an_undeliverable_reply_does_not_hold_up_the_exit(void **state)
{
    struct world *w = *state;

    begin(w, "a", "m1", 1);
    ended(w, 1, "x");
    sent(w, 1, CORE_ANSWER_DOWN);
    simple(w, CORE_EV_TERM);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    later(w, 10000);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_OK);
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
}

static void an_unreachable_server_ends_the_start(void **state)
{
    struct world *w = *state;

    core_free(w->core);
    w->core = core_new(&defaults, 0);
    simple(w, CORE_EV_START);
    for (int i = 0; i < 100 && !find_of(w, CORE_CMD_EXIT, 0); i++) {
        if (find_of(w, CORE_CMD_POLL, 0))
            polled(w, CORE_ANSWER_DOWN, 0);
        else
            later(w, core_deadline(w->core) - w->now.mono_ms);
    }
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_UNAVAILABLE);
}

static void recovery_goes_on_where_the_journal_ends(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;
    struct task *stopped = stored(8, "h", "m8", "running", 1);

    stopped->cancelled = true;
    options.max_concurrency = 8;
    core_free(w->core);
    w->core = core_new(&options, 20);
    core_restore(w->core, stored(1, "a", "m1", "received", 0));
    core_restore(w->core, stored(2, "b", "m2", "running", 1));
    core_restore(w->core, stored(3, "c", "m3", "running", 3));
    core_restore(w->core, stored(4, "d", "m4", "finished", 1));
    core_restore(w->core, stored(5, "e", "m5", "delivered", 1));
    core_restore(w->core, stored(6, "f", "m6", "refused", 1));
    core_restore(w->core, stopped);
    simple(w, CORE_EV_START);
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 1));
    assert_non_null(find_of(w, CORE_CMD_SPAWN, 2));
    assert_int_equal(core_task(w->core, 2)->attempt, 2);
    assert_null(find_of(w, CORE_CMD_SPAWN, 3));
    assert_non_null(strstr(core_task(w->core, 3)->reply, "interrupted 3 times"));
    expect_send(w, 4, CORE_POST_REPLY);
    expect_send(w, 5, CORE_POST_ACK);
    expect_send(w, 6, CORE_POST_ACK);
    assert_null(find_of(w, CORE_CMD_SPAWN, 8));
    assert_string_equal(core_task(w->core, 8)->reply, "stopped by the user");
    arrive(w, "z", "new");
    assert_int_equal(find_of(w, CORE_CMD_INSERT, 0)->task->seq, 21); /* never one that was given */
}

static void a_stuck_process_keeps_its_slot_and_everything_is_answered(void **state)
{
    struct world *w = *state;
    const struct ending stuck = { .status = 9, .stuck = true, .stderr_tail = "" };

    begin(w, "j", "m1", 1);
    arrive(w, "j", "m2");
    ended_as(w, 1, &stuck);
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
    assert_non_null(strstr(core_task(w->core, 2)->reply, "could not be ended"));
    arrive(w, "j", "m3");
    assert_non_null(strstr(core_task(w->core, 3)->reply, "could not be ended"));
    begin(w, "k", "m4", 4);
    arrive(w, "l", "m5");
    assert_null(find_of(w, CORE_CMD_SPAWN, 0)); /* one of two slots is gone */
}

static void progress_is_coalesced_and_never_outlives_the_task(void **state)
{
    struct world *w = *state;
    struct progress progress = { .text = "one" };
    struct core_event ev = { .type = CORE_EV_PROGRESS, .seq = 1, .progress = &progress };
    const struct progress *got;
    uint32_t number;

    begin(w, "j", "m", 1);
    tell(w, &ev);
    expect_send(w, 1, CORE_POST_PROGRESS);
    progress.text = "two";
    tell(w, &ev);
    progress.text = "three";
    tell(w, &ev);
    assert_null(find_of(w, CORE_CMD_SEND, 0));
    sent(w, 1, CORE_ANSWER_OK);
    assert_null(find_of(w, CORE_CMD_SEND, 0)); /* not sooner than the interval */
    later(w, 1000);
    expect_send(w, 1, CORE_POST_PROGRESS);
    got = core_progress(w->core, 1, &number);
    assert_non_null(got);
    assert_string_equal(got->text, "three");
    progress.text = "four";
    tell(w, &ev);
    ended(w, 1, "done");
    sent(w, 1, CORE_ANSWER_OK);
    expect_send(w, 1, CORE_POST_REPLY);
    assert_null(core_progress(w->core, 1, &number));
}

static void a_post_that_was_never_sent_is_tried_again(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_DROPPED);
    expect_send(w, 1, CORE_POST_REPLY);
}

static void a_program_that_never_begins_is_ended_and_answered(void **state)
{
    struct world *w = *state;
    const struct ending killed = { .status = 9, .stderr_tail = "" };

    arrive(w, "j", "m");
    later(w, 60000);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    ended_as(w, 1, &killed);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "did not start in time"));
}

static void a_silent_spawner_ends_the_daemon(void **state)
{
    struct world *w = *state;

    begin(w, "j", "m", 1);
    later(w, 600000);
    assert_non_null(find_of(w, CORE_CMD_KILL, 1));
    later(w, 34999);
    assert_null(find_of(w, CORE_CMD_EXIT, 0));
    later(w, 1);
    assert_int_equal(find_of(w, CORE_CMD_EXIT, 0)->code, EX_TEMPFAIL);
    assert_int_equal(core_task(w->core, 1)->state, TASK_RUNNING); /* the next start sees to it */
}

static void old_tombstones_are_purged(void **state)
{
    struct world *w = *state;

    core_restore_tombstone(w->core, "old", w->now.wall_ms - 1000);
    later(w, 3600 * 1000 + 1000);
    assert_non_null(find_of(w, CORE_CMD_PURGE, 0));
    arrive(w, "j", "old");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void a_jump_of_the_wall_clock_makes_no_tombstone_old(void **state)
{
    struct world *w = *state;

    later(w, 3600 * 1000 - 10);
    begin(w, "j", "m", 1);
    ended(w, 1, "a");
    sent(w, 1, CORE_ANSWER_OK);
    sent(w, 1, CORE_ANSWER_OK);
    w->now.wall_ms += INT64_C(10) * 24 * 3600 * 1000;
    later(w, 20);
    assert_non_null(find_of(w, CORE_CMD_PURGE, 0));
    arrive(w, "j", "m"); /* the answer to a poll that was on its way all the time */
    assert_null(find_of(w, CORE_CMD_INSERT, 0));
    expect_send(w, 2, CORE_POST_ACK);
    sent(w, 2, CORE_ANSWER_OK);
    later(w, 3600 * 1000);
    arrive(w, "j", "m");
    assert_non_null(find_of(w, CORE_CMD_INSERT, 0));
}

static void nothing_is_purged_right_after_the_start(void **state)
{
    struct world w;

    (void)state;
    world_with(&w, &defaults);
    w.now.mono_ms = 1000 * 3600 * 1000ULL; /* the machine is up for long */
    core_restore_tombstone(w.core, "old", w.now.wall_ms - 3600 * 1000 - 1000);
    simple(&w, CORE_EV_START);
    arrive(&w, "j", "old");
    assert_null(find_of(&w, CORE_CMD_INSERT, 0));
    core_free(w.core);
    core_commands_done(&w.commands);
}

static void an_acknowledgement_goes_out_when_what_stood_before_it_is_gone(void **state)
{
    struct world w;
    struct task *held = stored(1, "j", "held", "received", 0);

    (void)state;
    world_with(&w, &defaults);
    held->fence = 5;
    core_restore(w.core, held);
    core_restore_tombstone(w.core, "old", w.now.wall_ms);
    simple(&w, CORE_EV_START);
    arrive(&w, "j", "old");
    lease(&w, "j", 5);
    assert_null(find_of(&w, CORE_CMD_SEND, 0));
    polled(&w, CORE_ANSWER_OK, 0);
    assert_non_null(find_of(&w, CORE_CMD_DELETE, 1)); /* it wasn't listed any more */
    expect_send(&w, 2, CORE_POST_ACK);
    core_free(w.core);
    core_commands_done(&w.commands);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_goes_from_arrival_to_acknowledgement),
        TEST(a_message_that_is_known_is_not_taken_twice),
        TEST(an_answered_message_that_is_listed_again_is_only_acknowledged_again),
        TEST(a_restored_tombstone_is_only_acknowledged_again),
        TEST(one_post_is_in_flight_per_job_and_replies_keep_their_order),
        TEST(jobs_run_in_parallel_up_to_the_limit),
        TEST(a_full_queue_leaves_messages_at_the_server_and_asks_again_later),
        TEST(a_full_disk_leaves_new_messages_at_the_server_until_it_has_room),
        TEST(a_job_is_here_as_long_as_anything_of_it_is),
        TEST(a_poll_that_was_given_up_brings_nothing),
        TEST(a_refused_reply_is_kept_and_acknowledged),
        TEST(a_reply_that_is_too_large_is_shortened_once_then_given_up),
        TEST(a_lost_lease_ends_the_task_and_forgets_the_message),
        TEST(nothing_of_a_job_is_taken_back_while_its_lost_task_still_ends),
        TEST(an_answer_to_an_old_fence_says_nothing_about_the_new_one),
        TEST(the_fence_is_stored_for_what_is_open),
        TEST(what_waited_under_a_lease_is_run_after_a_restart_only_if_it_is_still_ours),
        TEST(a_lease_that_was_lost_and_regained_pauses_the_starts_until_all_is_listed),
        TEST(a_server_that_changes_fences_all_the_time_makes_nobody_spin),
        TEST(a_conflict_without_a_lease_is_a_refusal),
        TEST(a_lost_lease_drops_a_reply_that_was_not_taken),
        TEST(a_full_outbox_stops_the_intake_and_not_by_polling_all_the_time),
        TEST(a_failing_server_is_left_alone_with_growing_waits),
        TEST(what_the_server_asks_for_counts_for_every_request),
        TEST(a_request_that_the_server_fails_at_holds_up_its_job_only),
        TEST(a_server_without_long_polls_is_asked_at_the_interval),
        TEST(a_server_that_answers_long_polls_at_once_does_not_make_us_spin),
        TEST(the_key_is_given_up_after_the_second_refusal_only),
        TEST(a_refused_key_lets_running_tasks_finish_into_the_outbox),
        TEST(a_refusal_on_a_post_parks_the_outbox),
        TEST(a_refusal_on_a_post_has_a_plain_poll_say_at_once_whether_the_key_is_good),
        TEST(a_plain_poll_in_flight_does_not_settle_a_doubt_that_came_later),
        TEST(a_refusal_of_posts_only_costs_one_poll_a_try),
        TEST(a_refusal_on_a_notice_parks_the_outbox_too),
        TEST(new_settings_may_bring_a_new_key_and_are_tried_at_once),
        TEST(limits_end_a_task_and_are_named_in_its_reply),
        TEST(a_cancel_answers_what_waits_and_ends_what_runs),
        TEST(a_message_that_comes_cancelled_is_never_started),
        TEST(a_task_that_is_stopped_before_its_start_is_carried_out_is_not_started),
        TEST(a_word_is_answered_behind_what_it_stores_and_before_the_end),
        TEST(a_word_that_nobody_waits_for_has_no_answer),
        TEST(no_job_is_passed_over_when_many_have_something_to_post),
        TEST(a_drain_finishes_what_runs_and_starts_nothing),
        TEST(a_drain_that_is_cut_costs_no_attempt),
        TEST(a_second_term_stops_at_once),
        TEST(an_undeliverable_reply_does_not_hold_up_the_exit),
        TEST(an_unreachable_server_ends_the_start),
        TEST(recovery_goes_on_where_the_journal_ends),
        TEST(a_stuck_process_keeps_its_slot_and_everything_is_answered),
        TEST(progress_is_coalesced_and_never_outlives_the_task),
        TEST(a_post_that_was_never_sent_is_tried_again),
        TEST(a_program_that_never_begins_is_ended_and_answered),
        TEST(a_silent_spawner_ends_the_daemon),
        TEST(old_tombstones_are_purged),
        TEST(a_jump_of_the_wall_clock_makes_no_tombstone_old),
        cmocka_unit_test(nothing_is_purged_right_after_the_start),
        cmocka_unit_test(an_acknowledgement_goes_out_when_what_stood_before_it_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
