/* What a task left is looked at before its message is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit/core/world.h"

static void surveyed(struct world *w, const char *note)
{
    handle(w, (struct core_event){ .type = CORE_EV_SURVEYED, .seq = 1, .note = note });
}

/* It is stored, and free to go. */
static void expect_reply(const struct world *w, const char *text)
{
    assert_non_null(find(w, CORE_CMD_UPDATE));
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->state, TASK_FINISHED);
    assert_int_equal(core_task(w->core, 1)->unsurveyed, 0);
    assert_string_equal(core_task(w->core, 1)->reply, text);
}

/* It is on its way to the disk, and nothing of it goes out. */
static void expect_held(const struct world *w, const char *text)
{
    assert_int_equal(find(w, CORE_CMD_SURVEY)->seq, 1);
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->state, TASK_FINISHED);
    assert_true(find(w, CORE_CMD_UPDATE)->task->unsurveyed > 0);
    assert_string_equal(core_task(w->core, 1)->reply, text);
    assert_null(find(w, CORE_CMD_SEND));
}

/* The next start has it. */
static void expect_owed(const struct world *w)
{
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
    assert_int_equal(core_task(w->core, 1)->unsurveyed, 1);
    assert_string_equal(core_task(w->core, 1)->reply, "the answer");
    assert_null(find(w, CORE_CMD_SEND));
}

static void expect_settled(const struct world *w, bool keep)
{
    assert_int_equal(find(w, CORE_CMD_SETTLE)->seq, 1);
    assert_int_equal(find(w, CORE_CMD_SETTLE)->keep, keep);
}

static void the_answer_waits_for_the_survey_and_names_what_it_found(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    expect_held(w, "the answer");
    assert_true(index_of(w, CORE_CMD_UPDATE) < index_of(w, CORE_CMD_SURVEY));
    surveyed(w, "nairid noticed: `.envrc`.");
    assert_int_equal(find(w, CORE_CMD_SEND)->post, CORE_POST_REPLY);
    expect_reply(w, "the answer\n\n[nairid noticed: `.envrc`.]");
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ASSISTANT);
    expect_settled(w, true);
    assert_true(index_of(w, CORE_CMD_UPDATE) < index_of(w, CORE_CMD_SETTLE));
    surveyed(w, "nairid says it again"); /* too late for that */
    assert_null(find(w, CORE_CMD_UPDATE));
}

static void surveyed_in_vain(struct world *w)
{
    handle(w, (struct core_event){ .type = CORE_EV_SURVEYED,
                                   .seq = 1,
                                   .note = "nairid could not look",
                                   .failed = true });
}

static void where_nothing_was_found_the_answer_is_as_it_was(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    surveyed(w, NULL);
    expect_reply(w, "the answer");
    expect_settled(w, true);
}

static void an_error_names_what_was_left_too(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end(w, (struct ending){ .status = SIGSEGV });
    assert_non_null(find(w, CORE_CMD_SURVEY));
    surveyed(w, "nairid noticed: `a`.");
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "SIGSEGV"));
    assert_non_null(strstr(core_task(w->core, 1)->reply, "[nairid noticed: `a`.]"));
}

static void what_may_not_write_is_not_looked_at(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_ASK);
    end_well(w);
    assert_null(find(w, CORE_CMD_SURVEY));
    expect_reply(w, "the answer");
}

static void what_never_ran_and_what_is_stuck_is_not_looked_at(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end(w, (struct ending){ .failed_to_start = true, .start_error = "x" });
    assert_null(find(w, CORE_CMD_SURVEY));
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
    assert_int_equal(core_task(w->core, 1)->unsurveyed, 0);
    (void)teardown(state);
    (void)setup(state);
    w = *state;
    begin(w, TASK_MODE_EXECUTE);
    end(w, (struct ending){ .ok = true, .text = "x", .stuck = true });
    assert_null(find(w, CORE_CMD_SURVEY));
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
}

static void a_survey_that_is_never_heard_of_costs_no_answer(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    arrive(w, "m2", TASK_MODE_EXECUTE);
    end_well(w);
    assert_true(core_deadline(w->core) <= w->now.mono_ms + 20000);
    later(w, 20000);
    assert_non_null(find(w, CORE_CMD_KILL));
    later(w, 2000);
    expect_reply(w, "the answer\n\n[" ENDING_TEXT_UNSURVEYED "]");
    assert_int_equal(find(w, CORE_CMD_SEND)->post, CORE_POST_REPLY);
    assert_null(find(w, CORE_CMD_SETTLE));
    assert_null(find(w, CORE_CMD_SPAWN)); /* its process may be there still */
}

static void an_abandoned_survey_is_in_the_way_of_its_job_until_it_is_gone(void **state)
{
    struct world *w = *state;

    a_survey_that_is_never_heard_of_costs_no_answer(state);
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    assert_int_equal(core_task(w->core, 1)->state, TASK_ACKED);
    later(w, 1000);
    assert_null(find(w, CORE_CMD_SPAWN));
    surveyed(w, "nairid noticed: `a`."); /* too late for the reply, so it is told with the next */
    expect_settled(w, false);
    assert_null(core_task(w->core, 1));
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
}

static void behind_an_abandoned_survey_the_jobs_messages_can_be_stopped(void **state)
{
    struct world *w = *state;

    a_survey_that_is_never_heard_of_costs_no_answer(state);
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    handle(w, (struct core_event){ .type = CORE_EV_CANCEL, .job_id = "j" });
    assert_int_equal(find(w, CORE_CMD_SEND)->seq, 2);
    assert_string_equal(core_task(w->core, 2)->reply, ENDING_TEXT_CANCELLED);
}

static void a_spawner_that_is_silent_about_a_survey_ends_the_daemon(void **state)
{
    struct world *w = *state;

    a_survey_that_is_never_heard_of_costs_no_answer(state);
    later(w, 30000);
    assert_int_equal(find(w, CORE_CMD_EXIT)->code, 75);
}

static void a_survey_that_is_stuck_takes_its_job_out_of_use(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    arrive(w, "m2", TASK_MODE_EXECUTE);
    end_well(w);
    later(w, 15000);
    handle(w, (struct core_event){ .type = CORE_EV_SURVEYED,
                                   .seq = 1,
                                   .note = "nairid could not look",
                                   .failed = true,
                                   .stuck = true });
    assert_string_equal(core_task(w->core, 1)->reply, "the answer\n\n[nairid could not look]");
    expect_settled(w, false);
    assert_null(find(w, CORE_CMD_SPAWN));
    assert_string_equal(find(w, CORE_CMD_NOTE)->name, "task_stuck");
    assert_string_equal(core_task(w->core, 2)->reply, ENDING_TEXT_QUARANTINED);
}

static void a_slow_survey_is_ended_before_the_jobs_next_message_begins(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    arrive(w, "m2", TASK_MODE_EXECUTE);
    end_well(w);
    later(w, 15000);
    assert_int_equal(find(w, CORE_CMD_KILL)->seq, 1);
    assert_null(find(w, CORE_CMD_SPAWN));
    assert_null(find(w, CORE_CMD_UPDATE));
    surveyed_in_vain(w); /* the end of it */
    expect_reply(w, "the answer\n\n[nairid could not look]");
    expect_settled(w, false);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
}

static void orders_to_stop_that_go_on_hold_nothing_up(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    handle(w, (struct core_event){ .type = CORE_EV_QUIT });
    for (int i = 0; i < 31; i++) { /* what can't be killed takes the spawner 2 s to say */
        assert_null(find(w, CORE_CMD_EXIT));
        handle(w, (struct core_event){ .type = CORE_EV_TERM });
        later(w, 1000);
    }
    later(w, 1000);
    assert_non_null(find(w, CORE_CMD_EXIT));
    expect_owed(w);
}

static void its_time_is_none_of_the_tasks(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    later(w, 59999); /* of 60 s */
    end_well(w);
    later(w, 5000);
    assert_null(find(w, CORE_CMD_UPDATE));
    assert_null(find(w, CORE_CMD_KILL));
    surveyed(w, NULL);
    expect_reply(w, "the answer");
}

static void the_jobs_next_message_waits_for_the_survey(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    arrive(w, "m2", TASK_MODE_EXECUTE);
    end_well(w);
    assert_null(find(w, CORE_CMD_SPAWN));
    surveyed(w, NULL);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
}

static void a_users_stop_comes_too_late_for_an_answer_that_is_there(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    arrive(w, "m2", TASK_MODE_EXECUTE);
    end_well(w);
    handle(w, (struct core_event){ .type = CORE_EV_CANCEL, .job_id = "j" });
    assert_null(find(w, CORE_CMD_KILL));
    assert_null(find(w, CORE_CMD_SEND)); /* the answer to the second is behind it */
    assert_string_equal(core_task(w->core, 2)->reply, ENDING_TEXT_CANCELLED);
    surveyed(w, NULL);
    expect_reply(w, "the answer");
    assert_int_equal(find(w, CORE_CMD_SEND)->seq, 1);
    assert_false(core_task(w->core, 1)->cancelled);
}

static void a_drain_waits_for_the_survey(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    handle(w, (struct core_event){ .type = CORE_EV_DRAIN });
    later(w, 3000);
    assert_null(find(w, CORE_CMD_KILL));
    assert_null(find(w, CORE_CMD_EXIT));
    surveyed(w, "nairid noticed: `a`.");
    expect_reply(w, "the answer\n\n[nairid noticed: `a`.]");
    assert_null(find(w, CORE_CMD_EXIT));
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    assert_non_null(find(w, CORE_CMD_EXIT));
}

static void a_shutdown_leaves_the_survey_to_the_next_start(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    handle(w, (struct core_event){ .type = CORE_EV_QUIT });
    assert_non_null(find(w, CORE_CMD_KILL));
    assert_null(find(w, CORE_CMD_EXIT));
    surveyed_in_vain(w);
    expect_settled(w, false);
    assert_non_null(find(w, CORE_CMD_EXIT));
    expect_owed(w);
}

static void what_the_survey_of_a_daemon_that_ends_found_counts_all_the_same(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    handle(w, (struct core_event){ .type = CORE_EV_QUIT });
    surveyed(w, NULL); /* it crossed the kill */
    expect_reply(w, "the answer");
    expect_settled(w, true);
}

static void a_result_that_ends_with_the_daemon_is_looked_at_after_the_next_start(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    handle(w, (struct core_event){ .type = CORE_EV_FINAL, .seq = 1 });
    handle(w, (struct core_event){ .type = CORE_EV_QUIT });
    end(w, (struct ending){ .ok = true, .final = true, .text = "the answer", .status = SIGTERM });
    assert_null(find(w, CORE_CMD_SURVEY));
    assert_non_null(find(w, CORE_CMD_EXIT));
    expect_owed(w);
}

/* ---- after a restart ---- */

static struct task *owing(uint32_t lives)
{
    struct task *t = task_new();

    assert_int_equal(task_restore(t, "finished"), 0);
    t->seq = 1;
    t->job_id = mem_strdup("j");
    t->id = mem_strdup("m1");
    t->ack_id = mem_strdup("m1");
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("the answer");
    t->unsurveyed = lives;
    return t;
}

static void restart(struct world *w, uint32_t lives, const struct core_options *options)
{
    struct task *next = task_new();

    core_free(w->core);
    w->core = core_new(options, 0);
    core_restore(w->core, owing(lives));
    next->seq = 2;
    next->job_id = mem_strdup("j");
    next->id = mem_strdup("m2");
    next->ack_id = mem_strdup("m2");
    core_restore(w->core, next);
    handle(w, (struct core_event){ .type = CORE_EV_START });
}

static void what_a_crash_left_unsurveyed_is_surveyed_and_never_run_again(void **state)
{
    struct world *w = *state;

    restart(w, 1, &defaults);
    expect_held(w, "the answer");
    assert_int_equal(core_task(w->core, 1)->unsurveyed, 2);
    assert_true(index_of(w, CORE_CMD_UPDATE) < index_of(w, CORE_CMD_SURVEY));
    assert_null(find(w, CORE_CMD_SPAWN)); /* the next one is in its place no sooner than before */
    surveyed(w, "nairid noticed: `a`.");
    expect_reply(w, "the answer\n\n[nairid noticed: `a`.]");
    expect_settled(w, true);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
}

static void a_survey_after_a_restart_is_bounded_too(void **state)
{
    struct world *w = *state;

    restart(w, 1, &defaults);
    later(w, 15000);
    assert_int_equal(find(w, CORE_CMD_KILL)->seq, 1);
    later(w, 2000);
    expect_reply(w, "the answer\n\n[" ENDING_TEXT_UNSURVEYED "]");
    surveyed_in_vain(w);
    expect_settled(w, false);
}

static void what_is_cut_short_each_time_is_answered_in_the_end(void **state)
{
    struct world *w = *state;

    restart(w, 3, &defaults);
    assert_null(find(w, CORE_CMD_SURVEY));
    expect_reply(w, "the answer\n\n[" ENDING_TEXT_SURVEYS_CUT "]");
    assert_int_equal(find(w, CORE_CMD_SEND)->post, CORE_POST_REPLY);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2);
}

static void a_restart_without_the_option_answers_at_once(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;

    options.survey = false;
    restart(w, 1, &options);
    assert_null(find(w, CORE_CMD_SURVEY));
    expect_reply(w, "the answer\n\n[" ENDING_TEXT_SURVEYS_CUT "]");
}

static void a_lost_lease_leaves_no_answer(void **state)
{
    struct world *w = *state;
    const struct progress line = { .text = "line" };

    begin(w, TASK_MODE_EXECUTE);
    handle(w,
           (struct core_event){ .type = CORE_EV_JOB, .seq = w->poll, .job_id = "j", .fence = 5 });
    handle(w, (struct core_event){ .type = CORE_EV_PROGRESS, .seq = 1, .progress = &line });
    assert_non_null(find(w, CORE_CMD_SEND));
    end_well(w);
    handle(w,
           (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_CONFLICT });
    assert_non_null(find(w, CORE_CMD_KILL));
    assert_non_null(find(w, CORE_CMD_DELETE));
    surveyed(w, "nairid noticed");
    assert_null(find(w, CORE_CMD_UPDATE));
    assert_null(core_task(w->core, 1));
    expect_settled(w, false);
}

static void without_the_option_nothing_is_looked_at(void **state)
{
    struct world *w = *state;
    struct core_options options = defaults;

    options.survey = false;
    core_set_options(w->core, &options);
    begin(w, TASK_MODE_EXECUTE);
    end_well(w);
    expect_reply(w, "the answer");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_answer_waits_for_the_survey_and_names_what_it_found),
        TEST(where_nothing_was_found_the_answer_is_as_it_was),
        TEST(an_error_names_what_was_left_too),
        TEST(what_may_not_write_is_not_looked_at),
        TEST(what_never_ran_and_what_is_stuck_is_not_looked_at),
        TEST(a_survey_that_is_never_heard_of_costs_no_answer),
        TEST(a_slow_survey_is_ended_before_the_jobs_next_message_begins),
        TEST(orders_to_stop_that_go_on_hold_nothing_up),
        TEST(an_abandoned_survey_is_in_the_way_of_its_job_until_it_is_gone),
        TEST(behind_an_abandoned_survey_the_jobs_messages_can_be_stopped),
        TEST(a_spawner_that_is_silent_about_a_survey_ends_the_daemon),
        TEST(a_survey_that_is_stuck_takes_its_job_out_of_use),
        TEST(its_time_is_none_of_the_tasks),
        TEST(the_jobs_next_message_waits_for_the_survey),
        TEST(a_users_stop_comes_too_late_for_an_answer_that_is_there),
        TEST(a_drain_waits_for_the_survey),
        TEST(a_shutdown_leaves_the_survey_to_the_next_start),
        TEST(what_the_survey_of_a_daemon_that_ends_found_counts_all_the_same),
        TEST(a_result_that_ends_with_the_daemon_is_looked_at_after_the_next_start),
        TEST(what_a_crash_left_unsurveyed_is_surveyed_and_never_run_again),
        TEST(a_survey_after_a_restart_is_bounded_too),
        TEST(what_is_cut_short_each_time_is_answered_in_the_end),
        TEST(a_restart_without_the_option_answers_at_once),
        TEST(a_lost_lease_leaves_no_answer),
        TEST(without_the_option_nothing_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
