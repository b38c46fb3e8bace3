/* W17: posts that only say that and how an attempt runs keep no reply waiting for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "unit/core/world.h"

static void sent(struct world *w, enum core_answer answer)
{
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = answer });
}

static void expect_post(const struct world *w, enum core_post post)
{
    assert_non_null(find(w, CORE_CMD_SEND));
    assert_int_equal(find(w, CORE_CMD_SEND)->seq, 1);
    assert_int_equal(find(w, CORE_CMD_SEND)->post, post);
}

/* With a progress post on its way. */
static void begin_and_say(struct world *w)
{
    const struct progress line = { .text = "line" };

    begin(w, TASK_MODE_ASK);
    handle(w, (struct core_event){ .type = CORE_EV_PROGRESS, .seq = 1, .progress = &line });
    expect_post(w, CORE_POST_PROGRESS);
}

static void later_at_its_deadline(struct world *w, uint64_t most_ms)
{
    uint64_t at = core_deadline(w->core);

    assert_true(at > w->now.mono_ms);
    assert_true(at <= w->now.mono_ms + most_ms);
    later(w, at - w->now.mono_ms);
}

static void w17_progress_that_hangs_is_given_up_for_the_reply(void **state)
{
    struct world *w = *state;

    begin_and_say(w);
    end_well(w);
    assert_null(find(w, CORE_CMD_SEND));
    later_at_its_deadline(w, 1000);
    assert_int_equal(find(w, CORE_CMD_SEND_CANCEL)->seq, 1);
    assert_null(find(w, CORE_CMD_SEND)); /* what comes first now may still be its answer */
    later(w, 1000);
    assert_null(find(w, CORE_CMD_SEND_CANCEL)); /* once */
    sent(w, CORE_ANSWER_DROPPED);
    expect_post(w, CORE_POST_REPLY);
    sent(w, CORE_ANSWER_OK);
    expect_post(w, CORE_POST_ACK);
}

static void w17_so_is_a_notice(void **state)
{
    struct world *w = *state;

    arrive(w, "m1", TASK_MODE_ASK);
    expect_post(w, CORE_POST_PROCESSING);
    handle(w, (struct core_event){ .type = CORE_EV_STARTED, .seq = 1 });
    later(w, 5000); /* nothing waits for it */
    assert_null(find(w, CORE_CMD_SEND_CANCEL));
    end_well(w);
    assert_int_equal(find(w, CORE_CMD_SEND_CANCEL)->seq, 1); /* it had its time */
    sent(w, CORE_ANSWER_DROPPED);
    expect_post(w, CORE_POST_REPLY);
}

static void w17_an_answer_that_comes_first_is_not_taken_for_the_replys(void **state)
{
    struct world *w = *state;

    begin_and_say(w);
    end_well(w);
    later(w, 1000);
    assert_non_null(find(w, CORE_CMD_SEND_CANCEL));
    sent(w, CORE_ANSWER_OK); /* of the progress: the word to give it up came too late */
    expect_post(w, CORE_POST_REPLY);
    assert_int_equal(core_task(w->core, 1)->state, TASK_FINISHED);
}

static void w17_what_is_answered_in_time_is_let_be(void **state)
{
    struct world *w = *state;

    begin_and_say(w);
    end_well(w);
    later(w, 999);
    assert_null(find(w, CORE_CMD_SEND_CANCEL));
    sent(w, CORE_ANSWER_OK);
    expect_post(w, CORE_POST_REPLY);
    assert_null(find(w, CORE_CMD_SEND_CANCEL));
}

static void w17_a_reply_that_hangs_is_not_given_up(void **state)
{
    struct world *w = *state;

    begin(w, TASK_MODE_ASK);
    end_well(w);
    expect_post(w, CORE_POST_REPLY);
    later(w, 30000);
    assert_null(find(w, CORE_CMD_SEND_CANCEL));
    assert_null(find(w, CORE_CMD_SEND));
}

/* ---- of several jobs ---- */

enum { JOBS = 9, ASIDES = 4 };

/* The message mI in the job jI, which runs at once. */
static void arrive_in_job(struct world *w, unsigned i)
{
    struct task *t = task_new();

    t->job_id = mem_printf("j%u", i);
    t->id = mem_printf("m%u", i);
    t->ack_id = mem_strdup(t->id);
    t->prompt = mem_strdup("do it");
    t->mode = TASK_MODE_ASK;
    handle(w, (struct core_event){ .type = CORE_EV_MESSAGE, .seq = w->poll, .task = t });
    assert_non_null(find(w, CORE_CMD_SPAWN));
    handle(w, (struct core_event){ .type = CORE_EV_STARTED, .seq = i });
}

static void say_something(struct world *w, unsigned i)
{
    const struct progress line = { .text = "line" };

    handle(w, (struct core_event){ .type = CORE_EV_PROGRESS, .seq = i, .progress = &line });
}

static void answer(struct world *w, unsigned i, enum core_answer answer)
{
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = i, .answer = answer });
}

static void end_job(struct world *w, unsigned i)
{
    const struct ending ending = { .ok = true, .text = "the answer", .stderr_tail = "" };

    handle(w, (struct core_event){ .type = CORE_EV_ENDED, .seq = i, .ending = &ending });
}

static bool sends(const struct world *w, unsigned i, enum core_post post)
{
    const struct core_command *c = find(w, CORE_CMD_SEND);

    return c && c->seq == i && c->post == post;
}

static int setup_many(void **state)
{
    struct core_options options = defaults;
    struct world *w = mem_new(struct world);

    options.max_concurrency = JOBS;
    options.max_queued = JOBS;
    w->now = (struct core_now){ .mono_ms = 1000, .wall_ms = 1000000000 };
    w->core = core_new(&options, 0);
    handle(w, (struct core_event){ .type = CORE_EV_START });
    handle(w,
           (struct core_event){
               .type = CORE_EV_POLLED, .seq = w->poll, .answer = CORE_ANSWER_OK, .waited = true });
    *state = w;
    return 0;
}

static void w17_a_ninth_jobs_reply_goes_while_eight_jobs_progress_hangs(void **state)
{
    struct world *w = *state;
    unsigned said = 0;

    for (unsigned i = 1; i < JOBS; i++) {
        arrive_in_job(w, i);
        answer(w, i, CORE_ANSWER_OK); /* the notice */
    }
    for (unsigned i = 1; i < JOBS; i++) {
        say_something(w, i);
        said += sends(w, i, CORE_POST_PROGRESS);
    }
    assert_int_equal(said, ASIDES); /* none of which is answered */
    arrive_in_job(w, JOBS);
    assert_null(find(w, CORE_CMD_SEND));
    end_job(w, JOBS);
    assert_true(sends(w, JOBS, CORE_POST_REPLY));
    answer(w, JOBS, CORE_ANSWER_OK);
    assert_true(sends(w, JOBS, CORE_POST_ACK));
    answer(w, JOBS, CORE_ANSWER_OK);
    assert_null(find(w, CORE_CMD_SEND));
    answer(w, 1, CORE_ANSWER_OK); /* there is a place: the next one that has something to say */
    assert_true(sends(w, 5, CORE_POST_PROGRESS));
}

static void w17_what_is_lost_of_them_holds_up_its_like_alone(void **state)
{
    struct world *w = *state;

    arrive_in_job(w, 1);
    answer(w, 1, CORE_ANSWER_DOWN); /* it timed out */
    arrive_in_job(w, 2);
    assert_null(find(w, CORE_CMD_SEND)); /* not at once */
    end_job(w, 1);
    assert_true(sends(w, 1, CORE_POST_REPLY));
    later_at_its_deadline(w, 1000);
    assert_true(sends(w, 2, CORE_POST_PROCESSING));
    answer(w, 2, CORE_ANSWER_BUSY); /* what the server says itself counts for all */
    end_job(w, 2);
    assert_null(find(w, CORE_CMD_SEND));
    later_at_its_deadline(w, 2000);
    assert_true(sends(w, 2, CORE_POST_REPLY));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(w17_progress_that_hangs_is_given_up_for_the_reply),
        TEST(w17_so_is_a_notice),
        TEST(w17_an_answer_that_comes_first_is_not_taken_for_the_replys),
        TEST(w17_what_is_answered_in_time_is_let_be),
        TEST(w17_a_reply_that_hangs_is_not_given_up),
        cmocka_unit_test_setup_teardown(w17_a_ninth_jobs_reply_goes_while_eight_jobs_progress_hangs,
                                        setup_many, teardown),
        cmocka_unit_test_setup_teardown(w17_what_is_lost_of_them_holds_up_its_like_alone,
                                        setup_many, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
