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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(w17_progress_that_hangs_is_given_up_for_the_reply),
        TEST(w17_so_is_a_notice),
        TEST(w17_an_answer_that_comes_first_is_not_taken_for_the_replys),
        TEST(w17_what_is_answered_in_time_is_let_be),
        TEST(w17_a_reply_that_hangs_is_not_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
