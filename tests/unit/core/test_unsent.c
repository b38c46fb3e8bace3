/* Files that a task leaves for people go before its answer, and with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit/core/world.h"
#include "util/cleanup.h"

static void end_with_files(struct world *w)
{
    end(w, (struct ending){ .ok = true, .text = "the answer", .files = true });
}

static void surveyed(struct world *w)
{
    handle(w, (struct core_event){ .type = CORE_EV_SURVEYED, .seq = 1 });
}

static void sent(struct world *w, enum core_answer answer, const char *id, const char *note,
                 bool more)
{
    handle(w, (struct core_event){ .type = CORE_EV_SENT,
                                   .seq = 1,
                                   .answer = answer,
                                   .attachment_id = id,
                                   .note = note,
                                   .more = more });
}

static void expect_post(const struct world *w, enum core_post post)
{
    assert_non_null(find(w, CORE_CMD_SEND));
    assert_int_equal(find(w, CORE_CMD_SEND)->seq, 1);
    assert_int_equal(find(w, CORE_CMD_SEND)->post, post);
}

/* An answer whose files are about to go. */
static void begin_and_end(struct world *w)
{
    begin(w, TASK_MODE_EXECUTE);
    end_with_files(w);
    surveyed(w);
    expect_post(w, CORE_POST_UPLOAD);
}

static void files_are_sent_one_by_one_and_then_the_answer_with_their_ids(void **state)
{
    struct world *w = *state;

    begin_and_end(w);
    assert_int_equal(core_task(w->core, 1)->unsent, 1);
    sent(w, CORE_ANSWER_OK, "att_1", NULL, true);
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->unsent, 2);
    assert_string_equal(find(w, CORE_CMD_UPDATE)->task->attachment_ids, "att_1");
    assert_null(find(w, CORE_CMD_DISCARD));
    expect_post(w, CORE_POST_UPLOAD);
    sent(w, CORE_ANSWER_OK, "att_2", NULL, false);
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->unsent, 0);
    assert_string_equal(find(w, CORE_CMD_UPDATE)->task->attachment_ids, "att_1 att_2");
    assert_string_equal(find(w, CORE_CMD_UPDATE)->task->reply, "the answer");
    assert_int_equal(find(w, CORE_CMD_DISCARD)->seq, 1);
    expect_post(w, CORE_POST_REPLY);
}

static void they_are_set_aside_before_the_jobs_next_attempt(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_ASK);
    arrive(w, "m2", TASK_MODE_ASK);
    end_with_files(w);
    assert_true(index_of(w, CORE_CMD_UPDATE) < index_of(w, CORE_CMD_GATHER));
    assert_int_equal(find(w, CORE_CMD_GATHER)->seq, 1);
    assert_int_equal(find(w, CORE_CMD_SPAWN)->seq, 2); /* which waits for no server */
    assert_true(index_of(w, CORE_CMD_GATHER) < index_of(w, CORE_CMD_SPAWN));
    expect_post(w, CORE_POST_UPLOAD);
}

static void what_can_not_be_sent_is_named_in_the_answer(void **state)
{
    struct world *w = *state;

    begin_and_end(w);
    sent(w, CORE_ANSWER_TOO_LARGE, NULL, "- a: too large", true);
    assert_string_equal(find(w, CORE_CMD_UPDATE)->task->reply, "the answer");
    sent(w, CORE_ANSWER_REFUSED, NULL, "- b: not wanted", true);
    sent(w, CORE_ANSWER_OK, "att_3", NULL, true);
    sent(w, CORE_ANSWER_OK, NULL, "- d: a link", false);
    assert_string_equal(core_task(w->core, 1)->reply,
                        "the answer\n\n[nairid could not send:\n- a: too large\n"
                        "- b: not wanted\n- d: a link]");
    assert_string_equal(core_task(w->core, 1)->attachment_ids, "att_3");
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ASSISTANT);
    expect_post(w, CORE_POST_REPLY);
}

static void files_that_have_no_way_any_more_are_passed_over_and_named(void **state)
{
    struct world *w = *state;

    begin_and_end(w);
    handle(w, (struct core_event){ .type = CORE_EV_SENT,
                                   .seq = 1,
                                   .answer = CORE_ANSWER_FAILED,
                                   .note = "- a: too large",
                                   .passed = 2,
                                   .more = true });
    assert_int_equal(core_task(w->core, 1)->unsent, 1); /* nothing is settled by a failure */
    later(w, 5 * 60 * 1000);
    expect_post(w, CORE_POST_UPLOAD);
    handle(w, (struct core_event){ .type = CORE_EV_SENT,
                                   .seq = 1,
                                   .answer = CORE_ANSWER_OK,
                                   .attachment_id = "att_3",
                                   .note = "- a: too large\n- b: too large",
                                   .passed = 2,
                                   .more = true });
    assert_int_equal(find(w, CORE_CMD_UPDATE)->task->unsent, 4);
    sent(w, CORE_ANSWER_OK, "att_4", NULL, false);
    assert_string_equal(core_task(w->core, 1)->reply,
                        "the answer\n\n[nairid could not send:\n- a: too large\n- b: too large]");
    expect_post(w, CORE_POST_REPLY);
}

static void a_server_that_fails_is_tried_again_and_not_for_ever(void **state)
{
    struct world *w = *state;
    int tries = 1;

    begin_and_end(w);
    for (;; tries++) {
        sent(w, CORE_ANSWER_FAILED, NULL, "- a: failed", false);
        if (find(w, CORE_CMD_UPDATE))
            break;
        assert_null(find(w, CORE_CMD_SEND)); /* not at once */
        assert_true(tries < 50);
        later(w, 5 * 60 * 1000);
        expect_post(w, CORE_POST_UPLOAD);
    }
    assert_true(tries > 10);
    assert_string_equal(core_task(w->core, 1)->reply,
                        "the answer\n\n[nairid could not send:\n- a: failed]");
    expect_post(w, CORE_POST_REPLY);
}

static void a_server_that_is_not_there_costs_no_try(void **state)
{
    static const enum core_answer answers[] = { CORE_ANSWER_DOWN, CORE_ANSWER_BUSY,
                                                CORE_ANSWER_KEY_REFUSED, CORE_ANSWER_DROPPED };
    struct world *w = *state;

    begin_and_end(w);
    for (int i = 0; i < 100; i++) {
        sent(w, answers[i % 4], NULL, "- a: no server", false);
        assert_null(find(w, CORE_CMD_UPDATE));
        if (find(w, CORE_CMD_SEND))
            continue;
        later(w, 5 * 60 * 1000);
        expect_post(w, CORE_POST_UPLOAD);
    }
    sent(w, CORE_ANSWER_OK, "att_1", NULL, false);
    assert_string_equal(core_task(w->core, 1)->reply, "the answer");
}

static void a_conflict_without_a_lease_is_a_refusal_like_any_other(void **state)
{
    struct world *w = *state;

    begin_and_end(w);
    sent(w, CORE_ANSWER_CONFLICT, NULL, "- a: conflict", false);
    assert_string_equal(core_task(w->core, 1)->reply,
                        "the answer\n\n[nairid could not send:\n- a: conflict]");
    expect_post(w, CORE_POST_REPLY);
}

static void files_of_an_attempt_that_failed_stay(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end(w, (struct ending){ .status = SIGSEGV, .files = true });
    surveyed(w);
    assert_null(find(w, CORE_CMD_GATHER));
    assert_int_equal(core_task(w->core, 1)->unsent, 0);
    assert_int_equal(core_task(w->core, 1)->reply_kind, TASK_REPLY_ERROR);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "[" ENDING_TEXT_UNSENT "]"));
    expect_post(w, CORE_POST_REPLY);
}

static void files_that_something_may_still_change_stay(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    end(w, (struct ending){ .ok = true, .text = "x", .stuck = true, .files = true });
    assert_null(find(w, CORE_CMD_GATHER));
    assert_int_equal(core_task(w->core, 1)->unsent, 0);
    assert_non_null(strstr(core_task(w->core, 1)->reply, "[" ENDING_TEXT_UNSENT "]"));
}

static void who_stopped_it_is_told_nothing_of_files(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_EXECUTE);
    handle(w, (struct core_event){ .type = CORE_EV_CANCEL, .job_id = "j" });
    end_with_files(w);
    assert_string_equal(core_task(w->core, 1)->reply, ENDING_TEXT_CANCELLED);
    assert_null(find(w, CORE_CMD_GATHER));
}

static struct task *restored(uint32_t unsent)
{
    struct task *t = task_new();

    t->seq = 1;
    t->id = mem_strdup("m1");
    t->ack_id = mem_strdup("m1");
    t->job_id = mem_strdup("j");
    t->reply_kind = TASK_REPLY_ASSISTANT;
    t->reply = mem_strdup("the answer");
    t->attachment_ids = mem_strdup("att_1");
    t->unsent_note = mem_strdup("\n- b: why");
    t->unsent = unsent;
    t->fence = 7;
    assert_int_equal(task_restore(t, "finished"), 0);
    return t;
}

static void restart(struct world *w, uint32_t unsent)
{
    core_free(w->core);
    w->core = core_new(&defaults, 1);
    core_restore(w->core, restored(unsent));
    handle(w, (struct core_event){ .type = CORE_EV_START });
}

static void after_a_restart_it_goes_on_where_the_journal_is(void **state)
{
    struct world *w = *state;

    restart(w, 3);
    assert_true(index_of(w, CORE_CMD_GATHER) < index_of(w, CORE_CMD_SEND));
    expect_post(w, CORE_POST_UPLOAD);
    assert_int_equal(core_task(w->core, 1)->unsent, 3);
    sent(w, CORE_ANSWER_OK, "att_3", NULL, false);
    assert_string_equal(core_task(w->core, 1)->attachment_ids, "att_1 att_3");
    assert_string_equal(core_task(w->core, 1)->reply,
                        "the answer\n\n[nairid could not send:\n- b: why]");
}

static void who_has_lost_the_job_forgets_the_files(void **state)
{
    struct world *w = *state;

    restart(w, 2);
    expect_post(w, CORE_POST_UPLOAD);
    sent(w, CORE_ANSWER_CONFLICT, NULL, "- b: conflict", false);
    assert_non_null(find(w, CORE_CMD_DELETE));
    assert_int_equal(find(w, CORE_CMD_DISCARD)->seq, 1);
    assert_null(find(w, CORE_CMD_SEND));
    assert_null(core_task(w->core, 1) && core_task(w->core, 1)->state != TASK_GONE ? w : NULL);
}

/* Both of the slots for uploads are taken; the third job's is let wait, its answer isn't. */
static void uploads_leave_room_for_answers(void **state)
{
    struct core_options options = defaults;
    struct world *w = *state;

    core_free(w->core);
    options.survey = false;
    w->core = core_new(&options, 3);
    for (uint64_t i = 1; i <= 4; i++) {
        struct task *t = restored(i <= 3);

        t->seq = i;
        free(t->id);
        free(t->job_id);
        t->id = mem_printf("m%d", (int)i);
        t->job_id = mem_printf("j%d", (int)i);
        core_restore(w->core, t);
    }
    handle(w, (struct core_event){ .type = CORE_EV_START });
    for (size_t i = 0, uploads = 0, replies = 0; i < w->commands.len; i++) {
        const struct core_command *c = &w->commands.items[i];

        uploads += c->type == CORE_CMD_SEND && c->post == CORE_POST_UPLOAD;
        replies += c->type == CORE_CMD_SEND && c->post == CORE_POST_REPLY;
        if (i + 1 == w->commands.len)
            assert_true(uploads == 2 && replies == 1);
    }
    assert_true(core_deadline(w->core) > w->now.mono_ms); /* and it doesn't spin meanwhile */
    sent(w, CORE_ANSWER_OK, "att_9", NULL, true);
    assert_int_equal(find(w, CORE_CMD_SEND)->post, CORE_POST_UPLOAD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_are_sent_one_by_one_and_then_the_answer_with_their_ids),
        TEST(they_are_set_aside_before_the_jobs_next_attempt),
        TEST(what_can_not_be_sent_is_named_in_the_answer),
        TEST(files_that_have_no_way_any_more_are_passed_over_and_named),
        TEST(a_server_that_fails_is_tried_again_and_not_for_ever),
        TEST(a_server_that_is_not_there_costs_no_try),
        TEST(a_conflict_without_a_lease_is_a_refusal_like_any_other),
        TEST(files_of_an_attempt_that_failed_stay),
        TEST(files_that_something_may_still_change_stay),
        TEST(who_stopped_it_is_told_nothing_of_files),
        TEST(after_a_restart_it_goes_on_where_the_journal_is),
        TEST(who_has_lost_the_job_forgets_the_files),
        TEST(uploads_leave_room_for_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
