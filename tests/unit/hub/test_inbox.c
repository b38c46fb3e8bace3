#include "hub/inbox.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/call.h"
#include "hub/conversation.h"
#include "hub/lease.h"
#include "hub/submission.h"
#include "support/hubmodel.h"
#include "util/cleanup.h"

static void polls(struct hubmodel *f, const char *instance, uint32_t wait_s, const char *expected)
{
    AUTO_FREE char *got = hubmodel_poll(f, instance, wait_s, NULL);

    assert_string_equal(got, expected);
}

static void has_status(struct hubmodel *f, const char *message, const char *expected)
{
    AUTO_FREE char *got = hubmodel_message_status(f, message);

    assert_string_equal(got, expected);
}

static void prefer_is_read_as_the_rfc_has_it(void **state)
{
    static const struct {
        const char *header;
        uint32_t wait_s;
    } rows[] = {
        { NULL, 0 },
        { "", 0 },
        { "wait=50", 50 },
        { "wait=0", 0 },
        { "wait=120", 120 },
        { "wait=121", 120 },
        { "wait=4294967295", 120 },
        { "wait=4294967296", 0 },
        { "wait=-1", 0 },
        { "wait=x", 0 },
        { "wait", 0 },
        { "respond-async, wait=10", 10 },
        { "respond-async;foo=bar,wait=10", 10 },
        { "wait=10; foo", 10 },
        { " wait=10 ", 10 },
        { ",,wait=7,,", 7 },
        { "awaiting=5", 0 },
        { "foo=\"wait=5\"", 0 },
        { ";;;", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(inbox_parse_prefer(rows[i].header), rows[i].wait_s);
}

static void a_dead_holders_job_goes_to_another_with_a_higher_fence(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *first = NULL, *second = NULL;
    int64_t fence;

    hubmodel_start(f, "work", job, message);
    snprintf(list, sizeof list, "%s ", message);
    first = hubmodel_poll(f, "a", 0, &fence);
    assert_string_equal(first, list);
    assert_int_equal(fence, 1);
    hubmodel_pass_ms(f, LEASE_MS - 1);
    hubmodel_sweep(f);
    polls(f, "b", 0, "");
    hubmodel_pass_ms(f, 1);
    hubmodel_sweep(f);
    second = hubmodel_poll(f, "b", 5, &fence);
    assert_string_equal(second, list);
    assert_int_equal(fence, 2);

    assert_int_equal(hubmodel_reply(f, "a", 1, message, "late"), 409);
    assert_int_equal(hubmodel_ack(f, "a", 1, message), 409);
    has_status(f, message, "pending");
    assert_int_equal(hubmodel_reply(f, "b", 2, message, "done"), 200);
    has_status(f, message, "completed");
    assert_int_equal(hubmodel_ack(f, "b", 2, message), 200);
}

static void any_call_of_the_holder_keeps_its_jobs(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX], list[ULID_ID_MAX + 1];

    hubmodel_start(f, "work", NULL, message);
    snprintf(list, sizeof list, "%s ", message);
    polls(f, "a", 0, list);
    for (int i = 0; i < 5; i++) {
        hubmodel_pass_ms(f, LEASE_MS - 1);
        hubmodel_sweep(f);
        polls(f, "a", 5, "");
    }
    polls(f, "b", 0, "");
}

static void the_holder_that_comes_back_first_keeps_its_fence(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;
    int64_t fence;

    hubmodel_start(f, "work", NULL, message);
    snprintf(list, sizeof list, "%s ", message);
    polls(f, "a", 0, list);
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    got = hubmodel_poll(f, "a", 5, &fence); /* told again, as what it was given had become free */
    assert_string_equal(got, list);
    assert_int_equal(fence, 1);
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "done"), 200);
}

static void an_expired_holder_may_still_answer_while_nobody_took_the_job(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];
    AUTO_FREE char *got = NULL;

    hubmodel_start(f, "work", NULL, message);
    got = hubmodel_poll(f, "a", 0, NULL);
    hubmodel_pass_ms(f, LEASE_MS * 10);
    hubmodel_sweep(f);
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "late but alone"), 200);
    assert_int_equal(hubmodel_ack(f, "a", 1, message), 200);
    has_status(f, message, "completed");
    polls(f, "b", 0, "");
}

static void an_answered_message_whose_ack_is_missing_is_listed_until_it_comes(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX], list[ULID_ID_MAX + 1];

    hubmodel_start(f, "work", NULL, message);
    snprintf(list, sizeof list, "%s ", message);
    polls(f, "a", 0, list);
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "done"), 200);
    polls(f, "a", 0, list);
    hubmodel_restart(f);
    polls(f, "a", 5, list);
    has_status(f, message, "completed");
    assert_int_equal(hubmodel_ack(f, "a", 1, message), 200);
    polls(f, "a", 0, "");
}

static void an_answered_message_of_a_dead_holder_is_handed_to_nobody(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], next[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;

    hubmodel_start(f, "work", job, message);
    got = hubmodel_poll(f, "a", 0, NULL);
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "done"), 200);
    hubmodel_pass_ms(f, LEASE_MS);
    polls(f, "b", 0, ""); /* before anybody has swept */
    hubmodel_sweep(f);
    polls(f, "b", 0, "");
    hubmodel_continue(f, job, "more", next);
    snprintf(list, sizeof list, "%s ", next);
    polls(f, "b", 0, list);
    assert_int_equal(hubmodel_ack(f, "a", 1, message), 200); /* it lives after all */
}

static void an_answered_message_is_handed_to_nobody_after_a_restart(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], next[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;

    hubmodel_start(f, "work", job, message);
    got = hubmodel_poll(f, "a", 0, NULL);
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "done"), 200);
    hubmodel_restart(f);
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    hubmodel_continue(f, job, "more", next);
    snprintf(list, sizeof list, "%s ", next);
    polls(f, "b", 0, list);
    assert_int_equal(hubmodel_ack(f, "b", 2, message), 200); /* done by the taking */
}

static void nothing_of_a_job_overtakes_a_message_whose_listing_was_lost(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], first[ULID_ID_MAX], second[ULID_ID_MAX], other[ULID_ID_MAX];
    char both[2 * ULID_ID_MAX + 2], third[ULID_ID_MAX + 1];

    hubmodel_start(f, "one", job, first);
    free(hubmodel_poll(f, "a", 5, NULL)); /* and nobody ever sees the answer */
    polls(f, "a", 5, "");
    hubmodel_continue(f, job, "two", second);
    snprintf(both, sizeof both, "%s %s ", first, second);
    polls(f, "a", 5, both);
    hubmodel_start(f, "other", NULL, other);
    snprintf(third, sizeof third, "%s ", other);
    polls(f, "a", 5, third); /* a job of which nothing is new isn't listed again */
}

static void a_job_taken_before_the_sweep_comes_whole(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], first[ULID_ID_MAX], second[ULID_ID_MAX], both[2 * ULID_ID_MAX + 2];

    hubmodel_start(f, "one", job, first);
    free(hubmodel_poll(f, "a", 0, NULL));
    hubmodel_continue(f, job, "two", second);
    snprintf(both, sizeof both, "%s %s ", first, second);
    hubmodel_pass_ms(f, LEASE_MS);
    polls(f, "b", 0, both);
}

static void fences_only_grow_through_restarts_and_takeovers(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];
    int64_t last = 0;

    hubmodel_start(f, "work", NULL, message);
    for (int i = 0; i < 6; i++) {
        AUTO_FREE char *got = NULL;
        int64_t fence;

        got = hubmodel_poll(f, i % 2 ? "odd" : "even", 0, &fence);
        assert_int_equal(fence, last + 1);
        last = fence;
        hubmodel_restart(f);
        hubmodel_pass_ms(f, LEASE_MS);
        hubmodel_sweep(f);
    }
}

static void after_a_restart_nobody_else_gets_a_job_for_one_lease(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX], list[ULID_ID_MAX + 1];

    hubmodel_start(f, "work", NULL, message);
    snprintf(list, sizeof list, "%s ", message);
    polls(f, "a", 0, list);
    hubmodel_restart(f);
    polls(f, "b", 0, "");
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    polls(f, "b", 0, list);
}

static void messages_of_a_job_keep_their_order_whatever_is_returned(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], one[ULID_ID_MAX], two[ULID_ID_MAX], list[2 * ULID_ID_MAX + 2];
    struct hubmodel_call poll = { .handler = inbox_poll, .instance = "a", .wait_s = 5 };
    struct call *c;

    hubmodel_start(f, "one", job, one);
    c = hubmodel_run(f, &poll);
    assert_int_equal(c->granted_count, 1);
    hubmodel_continue(f, job, "two", two);
    assert_int_equal(inbox_return(&f->model, c), 0); /* that answer was never delivered */
    call_free(c);
    snprintf(list, sizeof list, "%s %s ", one, two);
    polls(f, "a", 5, list);
    polls(f, "a", 5, "");
}

static void a_return_leaves_alone_what_was_acked_or_taken_meanwhile(void **state)
{
    struct hubmodel *f = *state;
    char one[ULID_ID_MAX], two[ULID_ID_MAX];
    struct hubmodel_call poll = { .handler = inbox_poll, .instance = "a", .wait_s = 5 };
    struct call *c;

    hubmodel_start(f, "one", NULL, one);
    hubmodel_start(f, "two", NULL, two);
    c = hubmodel_run(f, &poll);
    assert_int_equal(c->granted_count, 2);
    assert_int_equal(hubmodel_ack(f, "a", 1, one), 200);
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    free(hubmodel_poll(f, "b", 0, NULL));
    assert_int_equal(inbox_return(&f->model, c), 0);
    call_free(c);
    polls(f, "b", 5, "");
    polls(f, "a", 0, "");
}

static void a_full_instance_is_woken_in_steps(void **state)
{
    struct hubmodel *f = *state;
    struct hubmodel_call poll = { .handler = inbox_poll, .instance = "a" };
    static char ids[INBOX_MESSAGES_MAX + 1][ULID_ID_MAX];
    unsigned wakes = 0;
    struct call *c;

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        hubmodel_start(f, "x", NULL, ids[i]);
    c = hubmodel_run(f, &poll);
    assert_int_equal(c->granted_count, INBOX_MESSAGES_MAX);
    assert_non_null(strstr(c->reply, "\"more\":true"));
    call_free(c);
    for (size_t i = 0; i < INBOX_MESSAGES_MAX - INBOX_WAKE_STEP; i++) {
        struct hubmodel_call ack = {
            .handler = submission_ack, .target = ids[i], .instance = "a", .fence = 1
        };

        c = hubmodel_run(f, &ack);
        assert_int_equal(c->status, 200);
        wakes += c->wake.agent != 0;
        call_free(c);
    }
    assert_int_equal(wakes, (INBOX_MESSAGES_MAX - INBOX_WAKE_STEP) / INBOX_WAKE_STEP);
}

static void many_waiting_messages_of_one_job_come_in_order_and_whole(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], last[ULID_ID_MAX];
    size_t got = 0;

    hubmodel_start(f, "first", job, last);
    for (int i = 0; i < 2500; i++)
        hubmodel_continue(f, job, "x", message);
    while (got < 2501) {
        AUTO_FREE char *list = hubmodel_poll(f, "a", 5, NULL);

        assert_string_not_equal(list, "");
        for (char *id = strtok(list, " "); id; id = strtok(NULL, " ")) {
            got++;
            assert_int_equal(hubmodel_ack(f, "a", 1, id), 200);
            snprintf(last, sizeof last, "%s", id);
        }
    }
    assert_int_equal(got, 2501);
    assert_string_equal(last, message);
}

int main(void)
{
#define MODEL_TEST(fn) cmocka_unit_test_setup_teardown(fn, hubmodel_setup, hubmodel_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefer_is_read_as_the_rfc_has_it),
        MODEL_TEST(a_dead_holders_job_goes_to_another_with_a_higher_fence),
        MODEL_TEST(any_call_of_the_holder_keeps_its_jobs),
        MODEL_TEST(the_holder_that_comes_back_first_keeps_its_fence),
        MODEL_TEST(an_expired_holder_may_still_answer_while_nobody_took_the_job),
        MODEL_TEST(an_answered_message_whose_ack_is_missing_is_listed_until_it_comes),
        MODEL_TEST(an_answered_message_of_a_dead_holder_is_handed_to_nobody),
        MODEL_TEST(an_answered_message_is_handed_to_nobody_after_a_restart),
        MODEL_TEST(nothing_of_a_job_overtakes_a_message_whose_listing_was_lost),
        MODEL_TEST(a_job_taken_before_the_sweep_comes_whole),
        MODEL_TEST(fences_only_grow_through_restarts_and_takeovers),
        MODEL_TEST(after_a_restart_nobody_else_gets_a_job_for_one_lease),
        MODEL_TEST(messages_of_a_job_keep_their_order_whatever_is_returned),
        MODEL_TEST(a_return_leaves_alone_what_was_acked_or_taken_meanwhile),
        MODEL_TEST(a_full_instance_is_woken_in_steps),
        MODEL_TEST(many_waiting_messages_of_one_job_come_in_order_and_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
