/* Sessions of a job's program, its final result, and beginning anew: event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/core/events.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum { HOUR_MS = 3600 * 1000 };
#define DAY_MS ((uint64_t)24 * HOUR_MS)

static const struct core_options defaults = {
    .max_concurrency = 2,
    .max_queued = 4,
    .max_attempts = 3,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 3600000,
    .task_idle_timeout_ms = 600000,
    .output_limit_bytes = 1 << 20,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 3600,
    .workspace_retention_s = 7 * 24 * 3600,
    .runner = "claude",
    .program = "worker",
};

static void about(struct world *w, enum core_event_type type, uint64_t seq)
{
    const struct core_event ev = { .type = type, .seq = seq };

    tell(w, &ev);
}

static const struct core_command *note(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->commands.len; i++)
        if (w->commands.items[i].type == CORE_CMD_NOTE && str_eq(w->commands.items[i].name, name))
            return &w->commands.items[i];
    return NULL;
}

static void arrive(struct world *w, const char *job, const char *id)
{
    const struct core_event ev = { .type = CORE_EV_MESSAGE, .seq = w->poll, .task = make(job, id) };

    tell(w, &ev);
}

static void named(struct world *w, uint64_t seq, const char *session)
{
    const struct core_event ev = {
        .type = CORE_EV_SESSION, .seq = seq, .session = session, .runner = "claude"
    };

    tell(w, &ev);
}

static void ended_as(struct world *w, uint64_t seq, const struct ending *ending)
{
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = ending };

    tell(w, &ev);
}

static void ended(struct world *w, uint64_t seq)
{
    const struct ending ending = { .ok = true, .final = true, .text = "done", .stderr_tail = "" };

    ended_as(w, seq, &ending);
}

static void gone(struct world *w, uint64_t seq)
{
    const struct ending ending = { .status = 1 << 8,
                                   .final = true,
                                   .session_gone = true,
                                   .error = "No conversation found",
                                   .stderr_tail = "" };

    ended_as(w, seq, &ending);
}

static void cancel(struct world *w, const char *job)
{
    const struct core_event ev = { .type = CORE_EV_CANCEL, .job_id = job };

    tell(w, &ev);
}

static void polled(struct world *w)
{
    const struct core_event ev = { .type = CORE_EV_POLLED, .seq = w->poll, .waited = true };

    tell(w, &ev);
}

static void later(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    w->now.wall_ms += (int64_t)ms;
    about(w, CORE_EV_TICK, 0);
}

/* The posts that are in flight for it, one after the other: reply and acknowledgement. */
static void deliver(struct world *w, uint64_t seq)
{
    const struct core_event ev = { .type = CORE_EV_SENT, .seq = seq, .answer = CORE_ANSWER_OK };

    for (int i = 0; i < 4 && core_task(w->core, seq); i++)
        tell(w, &ev);
    assert_null(core_task(w->core, seq));
}

/* A conversation whose first message is answered, and whose session is known. */
static void converse(struct world *w, const char *session)
{
    arrive(w, "j", "m1");
    assert_null(core_session(w->core, 1));
    about(w, CORE_EV_STARTED, 1);
    named(w, 1, session);
    ended(w, 1);
    deliver(w, 1);
}

/* A message that runs under a lease, with a post under way that names its number. */
static void begin_leased(struct world *w)
{
    const struct progress said = { .text = "x" };
    struct core_event ev = { .type = CORE_EV_JOB, .seq = w->poll, .job_id = "j", .fence = 5 };

    arrive(w, "j", "m1");
    tell(w, &ev);
    about(w, CORE_EV_STARTED, 1);
    ev = (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK };
    tell(w, &ev); /* the notice, posted before */
    ev = (struct core_event){ .type = CORE_EV_PROGRESS, .seq = 1, .progress = &said };
    tell(w, &ev);
    assert_non_null(find(w, CORE_CMD_SEND));
}

static void lose_lease(struct world *w)
{
    const struct core_event ev = { .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_CONFLICT };

    tell(w, &ev);
}

static void begin_world(struct world *w, const struct core_options *options, uint64_t last_seq)
{
    *w = (struct world){ .now = { .mono_ms = 1000, .wall_ms = 1000000000000 } };
    w->core = core_new(options, last_seq);
}

static void start_world(struct world *w)
{
    const struct core_event polled = { .type = CORE_EV_POLLED, .seq = 1, .waited = true };

    about(w, CORE_EV_START, 0);
    tell(w, &polled);
}

static int setup(void **state)
{
    struct world *w = mem_new(struct world);

    begin_world(w, &defaults, 0);
    start_world(w);
    *state = w;
    return 0;
}

/* ---- sessions ---- */

static void a_session_is_stored_and_the_next_message_goes_on_with_it(void **state)
{
    struct world *w = *state;
    const struct core_command *c;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    assert_null(core_session(w->core, 1)); /* a conversation begins */
    named(w, 1, "0196-abc_D.e:f");
    c = find(w, CORE_CMD_SESSION);
    assert_non_null(c);
    assert_true(core_command_is_storing(c->type));
    assert_string_equal(c->job_id, "j");
    assert_string_equal(c->runner, "claude");
    assert_string_equal(c->session, "0196-abc_D.e:f");
    assert_true(c->wall_ms == w->now.wall_ms);
    assert_null(core_session(w->core, 1)); /* what it was ordered with stays */
    ended(w, 1);
    deliver(w, 1);
    arrive(w, "j", "m2");
    assert_non_null(find(w, CORE_CMD_SPAWN));
    assert_string_equal(core_session(w->core, 2), "0196-abc_D.e:f");
    arrive(w, "k", "m3");
    assert_null(core_session(w->core, 3)); /* another job's is none of it */
}

static void only_a_changed_session_is_stored(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    named(w, 1, "one");
    named(w, 1, "one");
    assert_int_equal(w->commands.len, 0);
    named(w, 1, "two");
    assert_string_equal(find(w, CORE_CMD_SESSION)->session, "two");
    assert_int_equal(count(w, CORE_CMD_SESSION), 1);
}

static void an_attempt_after_a_crash_goes_on_with_the_session(void **state)
{
    struct world *w = *state;
    struct task *t = make("j", "m1");

    core_free(w->core);
    core_commands_done(&w->commands);
    begin_world(w, &defaults, 7);
    t->seq = 7;
    t->attempt = 1;
    assert_int_equal(task_restore(t, "running"), 0);
    core_restore(w->core, t);
    core_restore_session(w->core, "j", "claude", "s1", 999999999999);
    start_world(w);
    assert_int_equal(core_task(w->core, 7)->attempt, 2);
    assert_string_equal(core_session(w->core, 7), "s1");
}

static void a_session_of_another_runner_is_not_used_and_gives_way(void **state)
{
    struct world *w = *state;

    core_restore_session(w->core, "j", "codex", "theirs", w->now.wall_ms);
    arrive(w, "j", "m1");
    assert_null(core_session(w->core, 1));
    about(w, CORE_EV_STARTED, 1);
    named(w, 1, "theirs"); /* the same id, but another program's */
    assert_string_equal(find(w, CORE_CMD_SESSION)->runner, "claude");
    ended(w, 1);
    deliver(w, 1);
    arrive(w, "j", "m2");
    assert_string_equal(core_session(w->core, 2), "theirs");
}

static void a_session_is_that_of_the_runner_that_named_it(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    options.runner = "codex"; /* a reload */
    core_set_options(w->core, &options);
    named(w, 1, "one");
    assert_string_equal(find(w, CORE_CMD_SESSION)->runner, "claude");
    named(w, 1, "one");
    assert_null(find(w, CORE_CMD_SESSION));
    ended(w, 1);
    deliver(w, 1);
    arrive(w, "j", "m2");
    assert_null(core_session(w->core, 2));
    core_set_options(w->core, &defaults);
    assert_null(core_session(w->core, 2)); /* it was ordered without */
}

static void what_is_no_session_is_ignored_with_one_line_an_attempt(void **state)
{
    static const char *const bad[] = { "",    "-p",       ".x",   "a b",      "a/b", "a=",
                                       "a\n", "\xc3\xa9", "$(x)", "[secret]", NULL };
    struct world *w = *state;
    char longest[130];

    memset(longest, 'a', sizeof longest);
    longest[129] = '\0'; /* one too many */
    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    named(w, 1, longest);
    assert_non_null(note(w, "session_ignored"));
    assert_null(find(w, CORE_CMD_SESSION));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        named(w, 1, bad[i]);
        assert_int_equal(w->commands.len, 0);
    }
    longest[128] = '\0';
    named(w, 1, longest);
    assert_string_equal(find(w, CORE_CMD_SESSION)->session, longest);
    ended(w, 1);
    deliver(w, 1);
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    named(w, 2, "-p");
    assert_non_null(note(w, "session_ignored"));            /* another attempt */
    assert_string_equal(core_session(w->core, 2), longest); /* and what was known stays */
}

static void a_flood_of_sessions_costs_a_few_commits_only(void **state)
{
    struct world *w = *state;
    char id[16];
    size_t stored = 0, said = 0;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "s%d", i);
        named(w, 1, id);
        stored += count(w, CORE_CMD_SESSION);
        said += note(w, "session_ignored") != NULL;
    }
    assert_int_equal(stored, 8);
    assert_int_equal(said, 1);
}

static void a_malformed_row_of_the_journal_is_left_out(void **state)
{
    struct world *w = *state;

    core_restore_session(w->core, "j", "claude", "--settings=x", w->now.wall_ms);
    core_restore_session(w->core, "", "claude", "one", w->now.wall_ms);
    core_restore_session(w->core, "j", "", "one", w->now.wall_ms);
    arrive(w, "j", "m1");
    assert_null(core_session(w->core, 1));
}

static void an_unused_session_is_forgotten_with_the_files_it_belongs_to(void **state)
{
    struct world *w = *state;

    converse(w, "s1");
    later(w, 7 * DAY_MS);
    assert_null(find(w, CORE_CMD_SESSION)); /* its files may be there still */
    later(w, 2 * HOUR_MS);
    assert_non_null(find(w, CORE_CMD_SESSION));
    assert_null(find(w, CORE_CMD_SESSION)->session);
    assert_string_equal(find(w, CORE_CMD_SESSION)->job_id, "j");
    later(w, 2 * HOUR_MS);
    assert_null(find(w, CORE_CMD_SESSION)); /* once */
    arrive(w, "j", "m2");
    assert_null(core_session(w->core, 2));
}

static void use_keeps_a_session(void **state)
{
    struct world *w = *state;

    converse(w, "s1");
    later(w, 5 * DAY_MS);
    arrive(w, "j", "m2");
    assert_string_equal(find(w, CORE_CMD_SESSION)->session, "s1"); /* with the new time */
    assert_true(find(w, CORE_CMD_SESSION)->wall_ms == w->now.wall_ms);
    assert_string_equal(core_session(w->core, 2), "s1");
    about(w, CORE_EV_STARTED, 2);
    ended(w, 2);
    deliver(w, 2);
    arrive(w, "j", "m3");
    assert_null(find(w, CORE_CMD_SESSION)); /* within the hour its time is good enough */
    about(w, CORE_EV_STARTED, 3);
    ended(w, 3);
    deliver(w, 3);
    later(w, 5 * DAY_MS);
    assert_null(find(w, CORE_CMD_SESSION));
    arrive(w, "j", "m4");
    assert_string_equal(core_session(w->core, 4), "s1");
}

static void a_job_with_open_messages_keeps_its_session(void **state)
{
    struct world *w = *state;

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    w->now.wall_ms += (int64_t)(30 * DAY_MS); /* a clock that was set */
    later(w, 2 * HOUR_MS);
    assert_null(find(w, CORE_CMD_SESSION));
    assert_string_equal(core_session(w->core, 2), "s1");
}

static void with_a_retention_of_zero_a_session_goes_soon_after_its_use(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;

    options.workspace_retention_s = 0;
    core_set_options(w->core, &options);
    converse(w, "s1");
    later(w, HOUR_MS);
    assert_null(find(w, CORE_CMD_SESSION));
    later(w, HOUR_MS);
    assert_null(find(w, CORE_CMD_SESSION)->session);
}

static void a_lost_lease_or_an_unknown_message_names_no_session(void **state)
{
    struct world *w = *state;

    named(w, 99, "s1");
    assert_int_equal(w->commands.len, 0);
    begin_leased(w);
    lose_lease(w);
    named(w, 1, "s1");
    assert_null(find(w, CORE_CMD_SESSION));
}

/* ---- the final result ---- */

static void after_its_result_a_program_has_ten_seconds_to_end(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    about(w, CORE_EV_FINAL, 1);
    assert_null(find(w, CORE_CMD_KILL));
    assert_int_equal(core_task(w->core, 1)->state, TASK_RUNNING);
    later(w, 9999);
    assert_null(find(w, CORE_CMD_KILL));
    about(w, CORE_EV_FINAL, 1); /* said again: the time runs on */
    assert_true(core_deadline(w->core) <= w->now.mono_ms + 1);
    later(w, 1);
    assert_int_equal(find(w, CORE_CMD_KILL)->grace_ms, 5000);
    ended(w, 1);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ASSISTANT);
    assert_string_equal(core_task(w->core, 1)->reply, "done");
}

static void a_result_that_overtakes_the_start_counts(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_FINAL, 1);
    about(w, CORE_EV_STARTED, 1);
    later(w, 10000);
    assert_non_null(find(w, CORE_CMD_KILL));
    ended(w, 1);
    assert_string_equal(core_task(w->core, 1)->reply, "done");
}

static void the_slot_is_free_only_when_the_program_is_reaped(void **state)
{
    struct world *w = *state;

    arrive(w, "a", "m1");
    arrive(w, "b", "m2");
    about(w, CORE_EV_STARTED, 1);
    about(w, CORE_EV_STARTED, 2);
    arrive(w, "c", "m3");
    about(w, CORE_EV_FINAL, 1);
    assert_null(find(w, CORE_CMD_SPAWN));
    later(w, 10000);
    assert_null(find(w, CORE_CMD_SPAWN));
    ended(w, 1);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 3);
}

static void no_limit_turns_a_result_into_an_error(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;

    options.task_timeout_ms = 2000;
    options.task_idle_timeout_ms = 1000;
    core_set_options(w->core, &options);
    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    about(w, CORE_EV_FINAL, 1);
    later(w, 5000); /* past both */
    assert_null(find(w, CORE_CMD_KILL));
    about(w, CORE_EV_OVERFLOW, 1);
    assert_non_null(find(w, CORE_CMD_KILL));
    ended(w, 1);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ASSISTANT);
}

static void a_result_that_comes_after_our_kill_is_none(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    later(w, 600000);
    assert_non_null(find(w, CORE_CMD_KILL));
    about(w, CORE_EV_FINAL, 1);
    ended(w, 1);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "task.idle_timeout"));
}

static void the_users_stop_wins_over_a_result(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    about(w, CORE_EV_FINAL, 1);
    cancel(w, "j");
    assert_non_null(find(w, CORE_CMD_KILL));
    ended(w, 1);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    assert_string_equal(core_task(w->core, 1)->reply, "stopped by the user");
}

static void a_lost_lease_wins_over_a_result(void **state)
{
    struct world *w = *state;

    begin_leased(w);
    about(w, CORE_EV_FINAL, 1);
    lose_lease(w);
    assert_non_null(find(w, CORE_CMD_KILL));
    assert_non_null(find(w, CORE_CMD_DELETE));
    ended(w, 1);
    assert_null(find(w, CORE_CMD_SEND));
    assert_null(find(w, CORE_CMD_UPDATE));
}

static void a_result_stands_when_the_daemon_is_stopped(void **state)
{
    struct world *w = *state;

    arrive(w, "a", "m1");
    arrive(w, "b", "m2");
    about(w, CORE_EV_STARTED, 1);
    about(w, CORE_EV_STARTED, 2);
    about(w, CORE_EV_FINAL, 1);
    about(w, CORE_EV_QUIT, 0);
    assert_int_equal(count(w, CORE_CMD_KILL), 2);
    ended(w, 2); /* what TERM made it say is no result */
    assert_int_equal(core_task(w->core, 2)->state, TASK_RECEIVED);
    assert_int_equal(core_task(w->core, 2)->attempt, 0);
    ended(w, 1);
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->state, TASK_FINISHED);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ASSISTANT);
    assert_non_null(find(w, CORE_CMD_EXIT));
}

static void what_the_attempt_cost_is_stored_with_the_reply(void **state)
{
    struct world *w = *state;
    const struct ending ending = { .ok = true,
                                   .final = true,
                                   .text = "done",
                                   .stderr_tail = "",
                                   .has_usage = true,
                                   .usage = { .input_tokens = 7, .cost_nano_usd = 8 } };
    const struct task *t;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    ended_as(w, 1, &ending);
    t = find(w, CORE_CMD_UPDATE)->task;
    assert_true(t->has_usage && t->usage.input_tokens == 7 && t->usage.cost_nano_usd == 8);
}

/* ---- the session is gone ---- */

static void a_message_whose_session_is_gone_runs_again_without_it(void **state)
{
    struct world *w = *state;
    const struct task *t;

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    about(w, CORE_EV_FINAL, 2);
    gone(w, 2);
    /* all in one turn: forgotten, released, started again */
    assert_int_equal(count(w, CORE_CMD_SESSION), 1);
    assert_null(find(w, CORE_CMD_SESSION)->session);
    assert_non_null(note(w, "session_gone"));
    assert_int_equal(count(w, CORE_CMD_UPDATE), 2);
    t = find(w, CORE_CMD_UPDATE)->task;
    assert_true(t->anew && t->state == TASK_RUNNING && t->attempt == 1);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
    assert_null(core_session(w->core, 2));
    about(w, CORE_EV_STARTED, 2);
    named(w, 2, "s2");
    ended(w, 2);
    assert_int_equal(core_task(w->core, 2)->reply_kind, TASK_REPLY_ASSISTANT);
    assert_string_equal(core_task(w->core, 2)->reply,
                        "[the earlier conversation could not be found: the agent began anew and "
                        "doesn't know what was said before]\n\ndone");
    deliver(w, 2);
    arrive(w, "j", "m3");
    assert_string_equal(core_session(w->core, 3), "s2");
    about(w, CORE_EV_STARTED, 3);
    ended(w, 3);
    assert_string_equal(core_task(w->core, 3)->reply, "done"); /* said once */
}

static void beginning_anew_survives_a_crash(void **state)
{
    struct world *w = *state;
    struct task *t = make("j", "m1");

    core_free(w->core);
    core_commands_done(&w->commands);
    begin_world(w, &defaults, 7);
    t->seq = 7;
    t->attempt = 1;
    t->anew = true;
    assert_int_equal(task_restore(t, "running"), 0);
    core_restore(w->core, t);
    start_world(w);
    assert_null(core_session(w->core, 7));
    about(w, CORE_EV_STARTED, 7);
    ended(w, 7);
    assert_non_null(strstr(core_task(w->core, 7)->reply, "began anew"));
}

static void it_begins_anew_once_and_never_in_a_circle(void **state)
{
    struct world *w = *state;

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    gone(w, 2);
    about(w, CORE_EV_STARTED, 2);
    named(w, 2, "s2");
    gone(w, 2); /* it was given none */
    assert_int_equal(core_task(w->core, 2)->reply_kind, TASK_REPLY_ERROR);
    assert_non_null(strstr(core_task(w->core, 2)->reply, "No conversation found"));
    assert_non_null(strstr(core_task(w->core, 2)->reply, "began anew"));
    assert_null(find(w, CORE_CMD_SPAWN));
}

static void a_second_session_that_is_gone_is_an_error_of_that_message(void **state)
{
    struct world *w = *state;
    struct task *t = make("j", "m1");

    core_free(w->core);
    core_commands_done(&w->commands);
    begin_world(w, &defaults, 7);
    t->seq = 7;
    t->attempt = 1;
    t->anew = true; /* and then the daemon crashed after the new session was known */
    assert_int_equal(task_restore(t, "running"), 0);
    core_restore(w->core, t);
    core_restore_session(w->core, "j", "claude", "s2", w->now.wall_ms);
    start_world(w);
    assert_string_equal(core_session(w->core, 7), "s2");
    about(w, CORE_EV_STARTED, 7);
    gone(w, 7);
    assert_int_equal(core_task(w->core, 7)->reply_kind, TASK_REPLY_ERROR);
    deliver(w, 7);
    arrive(w, "j", "m2"); /* finds it gone too, and says so */
    about(w, CORE_EV_STARTED, 8);
    gone(w, 8);
    assert_non_null(find(w, CORE_CMD_SPAWN));
}

static void a_session_gone_that_none_was_given_is_an_ordinary_error(void **state)
{
    struct world *w = *state;

    arrive(w, "j", "m1");
    about(w, CORE_EV_STARTED, 1);
    gone(w, 1);
    assert_null(find(w, CORE_CMD_SPAWN));
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    assert_string_equal(core_task(w->core, 1)->reply, "No conversation found");
}

/* A message whose lease was lost and taken again while it ran, and whose session is gone then. */
static void be_gone_after_a_lost_lease(struct world *w)
{
    const struct core_event again = {
        .type = CORE_EV_JOB, .seq = w->poll, .job_id = "j", .fence = 7
    };

    core_restore_session(w->core, "j", "claude", "s1", w->now.wall_ms);
    begin_leased(w);
    tell(w, &again);
    polled(w);
    polled(w); /* the plain one, which may be over before the attempt is */
    gone(w, 1);
    assert_null(find(w, CORE_CMD_SPAWN)); /* another daemon may have answered it */
    later(w, 1000);
    assert_int_equal(find(w, CORE_CMD_POLL)->wait_ms, 0);
}

static void it_begins_anew_only_if_it_is_still_ours(void **state)
{
    struct world *w = *state;

    be_gone_after_a_lost_lease(w);
    arrive(w, "j", "m1");
    polled(w);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 1);
}

static void what_another_daemon_answered_does_not_begin_anew(void **state)
{
    struct world *w = *state;

    be_gone_after_a_lost_lease(w);
    polled(w);
    assert_null(find(w, CORE_CMD_SPAWN));
    assert_string_equal(find(w, CORE_CMD_DELETE)->task->id, "m1");
}

static void a_stop_of_ours_is_not_the_sessions_end(void **state)
{
    struct world *w = *state;

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    cancel(w, "j");
    gone(w, 2);
    assert_string_equal(core_task(w->core, 2)->reply, "stopped by the user");
    assert_null(find(w, CORE_CMD_SESSION)); /* the next message will find out, and say so */
    deliver(w, 2);
    arrive(w, "j", "m3");
    about(w, CORE_EV_STARTED, 3);
    about(w, CORE_EV_QUIT, 0);
    gone(w, 3);
    assert_int_equal(core_task(w->core, 3)->state, TASK_RECEIVED);
    assert_false(core_task(w->core, 3)->anew);
    assert_null(find(w, CORE_CMD_SESSION));
}

static void a_stuck_process_ends_the_conversation_even_so(void **state)
{
    struct world *w = *state;
    const struct ending stuck = { .status = 1 << 8,
                                  .final = true,
                                  .session_gone = true,
                                  .stuck = true,
                                  .error = "No conversation found",
                                  .stderr_tail = "" };

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    ended_as(w, 2, &stuck);
    assert_null(find(w, CORE_CMD_SPAWN));
    assert_int_equal(core_task(w->core, 2)->state, TASK_FINISHED);
    assert_string_equal(core_task(w->core, 2)->reply, ENDING_TEXT_QUARANTINED);
}

static void a_result_beats_session_gone(void **state)
{
    struct world *w = *state;
    const struct ending odd = {
        .ok = true, .final = true, .session_gone = true, .text = "fine", .stderr_tail = ""
    };

    converse(w, "s1");
    arrive(w, "j", "m2");
    about(w, CORE_EV_STARTED, 2);
    ended_as(w, 2, &odd);
    assert_string_equal(core_task(w->core, 2)->reply, "fine");
    assert_null(find(w, CORE_CMD_SESSION));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_stored_and_the_next_message_goes_on_with_it),
        TEST(only_a_changed_session_is_stored),
        TEST(an_attempt_after_a_crash_goes_on_with_the_session),
        TEST(a_session_of_another_runner_is_not_used_and_gives_way),
        TEST(a_session_is_that_of_the_runner_that_named_it),
        TEST(what_is_no_session_is_ignored_with_one_line_an_attempt),
        TEST(a_flood_of_sessions_costs_a_few_commits_only),
        TEST(a_malformed_row_of_the_journal_is_left_out),
        TEST(an_unused_session_is_forgotten_with_the_files_it_belongs_to),
        TEST(use_keeps_a_session),
        TEST(a_job_with_open_messages_keeps_its_session),
        TEST(with_a_retention_of_zero_a_session_goes_soon_after_its_use),
        TEST(a_lost_lease_or_an_unknown_message_names_no_session),
        TEST(after_its_result_a_program_has_ten_seconds_to_end),
        TEST(a_result_that_overtakes_the_start_counts),
        TEST(the_slot_is_free_only_when_the_program_is_reaped),
        TEST(no_limit_turns_a_result_into_an_error),
        TEST(a_result_that_comes_after_our_kill_is_none),
        TEST(the_users_stop_wins_over_a_result),
        TEST(a_lost_lease_wins_over_a_result),
        TEST(a_result_stands_when_the_daemon_is_stopped),
        TEST(what_the_attempt_cost_is_stored_with_the_reply),
        TEST(a_message_whose_session_is_gone_runs_again_without_it),
        TEST(beginning_anew_survives_a_crash),
        TEST(it_begins_anew_once_and_never_in_a_circle),
        TEST(a_second_session_that_is_gone_is_an_error_of_that_message),
        TEST(a_session_gone_that_none_was_given_is_an_ordinary_error),
        TEST(it_begins_anew_only_if_it_is_still_ours),
        TEST(what_another_daemon_answered_does_not_begin_anew),
        TEST(a_stop_of_ours_is_not_the_sessions_end),
        TEST(a_stuck_process_ends_the_conversation_even_so),
        TEST(a_result_beats_session_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
