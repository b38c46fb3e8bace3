#include "hub/conversation.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/call.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/message.h"
#include "support/hubmodel.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"

#define STOPPED MESSAGE_ERROR_PREFIX "stopped by the user"

static unsigned stop(struct hubmodel *f, const char *job)
{
    struct hubmodel_call what = { .handler = conversation_stop, .target = job };

    return hubmodel_status(f, &what);
}

static void has_status(struct hubmodel *f, const char *message, const char *expected)
{
    AUTO_FREE char *got = hubmodel_message_status(f, message);

    assert_string_equal(got, expected);
}

static void poll(struct hubmodel *f, const char *instance)
{
    free(hubmodel_poll(f, instance, 0, NULL));
}

/* The conversation's list contains the text. */
static bool list_has(struct hubmodel *f, const char *job, const char *text)
{
    struct hubmodel_call what = { .handler = message_list, .target = job };
    struct call *c = hubmodel_run(f, &what);
    bool has = strstr(c->reply, text) != NULL;

    call_free(c);
    return has;
}

/* The contents of the list, each followed by a space; before may be NULL. */
static char *list(struct hubmodel *f, const char *job, const char *before, unsigned *ret_status,
                  bool *ret_more)
{
    struct hubmodel_call what = { .handler = message_list, .target = job, .before = before };
    struct call *c = hubmodel_run(f, &what);
    CLEANUP_PTR(json_free) struct json *root = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    const struct json *messages;

    *ret_status = c->status;
    *ret_more = false;
    assert_int_equal(json_parse(c->reply, strlen(c->reply), &root, NULL), 0);
    messages = json_get(root, "messages");
    for (const struct json *m = json_first(messages); m; m = json_next(m))
        buf_printf(&b, "%.8s ", json_get_str(m, "content"));
    (void)json_get_bool(root, "more", ret_more); /* false then */
    call_free(c);
    return mem_strdup(buf_str(&b));
}

static void a_list_holds_the_newest_and_says_that_there_are_more(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], id[ULID_ID_MAX], first[ULID_ID_MAX], text[16];
    AUTO_FREE char *newest = NULL, *older = NULL, *none = NULL;
    unsigned status;
    bool more;

    hubmodel_start(f, "0", job, first);
    for (int i = 1; i <= MESSAGE_LIST_MAX; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        hubmodel_continue(f, job, text, i == 1 ? first : id);
    }
    newest = list(f, job, NULL, &status, &more);
    assert_true(more);
    assert_memory_equal(newest, "1 2 3 ", 6);
    assert_string_equal(newest + strlen(newest) - 9, "999 1000 ");
    older = list(f, job, first, &status, &more);
    assert_string_equal(older, "0 ");
    assert_false(more);
    none = list(f, job, "cmsg_other", &status, &more);
    assert_int_equal(status, 400);
}

static void a_list_is_bounded_in_bytes_too(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], id[ULID_ID_MAX];
    AUTO_FREE char *large = mem_alloc(CONVERSATION_PROMPT_MAX + 1), *shown = NULL;
    unsigned status;
    bool more;

    memset(large, 'x', CONVERSATION_PROMPT_MAX);
    hubmodel_start(f, "first", job, id);
    for (int i = 0; i < MESSAGE_LIST_BYTES_MAX / CONVERSATION_PROMPT_MAX; i++)
        hubmodel_continue(f, job, large, id);
    shown = list(f, job, NULL, &status, &more);
    assert_true(more);
    assert_null(strstr(shown, "first"));
    assert_int_equal(strlen(shown) / 9, MESSAGE_LIST_BYTES_MAX / CONVERSATION_PROMPT_MAX);
}

static void a_stop_is_left_to_a_living_holder(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    has_status(f, message, "pending");
    assert_false(list_has(f, job, STOPPED));
    assert_int_equal(hubmodel_reply(f, "a", 1, message, STOPPED), 200);
    has_status(f, message, "failed");
}

static void a_stop_of_what_a_dead_holder_has_is_answered_at_once(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    assert_int_equal(stop(f, job), 202);
    has_status(f, message, "failed");
    assert_true(list_has(f, job, STOPPED));
}

static void a_stop_whose_holder_dies_is_answered_when_the_lease_ends(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], later[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    hubmodel_continue(f, job, "after the stop", later);
    hubmodel_pass_ms(f, LEASE_MS - 1);
    hubmodel_sweep(f);
    has_status(f, message, "pending");
    hubmodel_pass_ms(f, 1);
    hubmodel_sweep(f);
    has_status(f, message, "failed");
    has_status(f, later, "queued");
    got = hubmodel_poll(f, "b", 0, NULL);
    snprintf(list, sizeof list, "%s ", later);
    assert_string_equal(got, list);
    /* the dead one comes back */
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "too late"), 409);
}

static void a_stop_survives_a_restart_of_the_hub(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
    struct hubmodel_call what = { .handler = inbox_poll, .instance = "a", .wait_s = 5 };
    struct call *c;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    hubmodel_restart(f);
    has_status(f, message, "pending");
    c = hubmodel_run(f, &what);
    assert_non_null(strstr(c->reply, "\"cancel_requested\":true"));
    assert_non_null(strstr(c->reply, message));
    call_free(c);
    c = hubmodel_run(f, &what);
    assert_true(c->park); /* it has been told */
    call_free(c);
}

static void a_stop_that_did_not_arrive_is_told_again(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
    struct hubmodel_call what = { .handler = inbox_poll, .instance = "a", .wait_s = 5 };
    struct call *c;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    c = hubmodel_run(f, &what);
    assert_true(c->cancels);
    assert_int_equal(inbox_return(&f->model, c), 0);
    call_free(c);
    c = hubmodel_run(f, &what);
    assert_true(c->cancels);
    call_free(c);
}

static void stopping_twice_is_one_stop(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
    struct hubmodel_call what = { .handler = inbox_poll, .instance = "a", .wait_s = 5 };
    struct call *c;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    c = hubmodel_run(f, &what);
    assert_true(c->cancels);
    call_free(c);
    assert_int_equal(stop(f, job), 202);
    c = hubmodel_run(f, &what);
    assert_true(c->park);
    call_free(c);
}

/* It comes back before any sweep has seen that it was gone: later messages are its again. */
static void a_second_stop_that_answers_everything_ends_the_first(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], later[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(stop(f, job), 202);
    hubmodel_pass_ms(f, LEASE_MS);
    assert_int_equal(stop(f, job), 202);
    has_status(f, message, "failed");
    hubmodel_continue(f, job, "after the stop", later);
    got = hubmodel_poll(f, "a", 0, NULL);
    snprintf(list, sizeof list, "%s ", later);
    assert_string_equal(got, list);
}

static void a_holder_that_dies_without_work_leaves_nothing_behind(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], later[ULID_ID_MAX], list[ULID_ID_MAX + 1];
    AUTO_FREE char *got = NULL;
    int64_t fence;

    hubmodel_start(f, "work", job, message);
    poll(f, "a");
    assert_int_equal(hubmodel_reply(f, "a", 1, message, "done"), 200);
    assert_int_equal(hubmodel_ack(f, "a", 1, message), 200);
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    hubmodel_continue(f, job, "more", later);
    got = hubmodel_poll(f, "b", 0, &fence);
    snprintf(list, sizeof list, "%s ", later);
    assert_string_equal(got, list);
    assert_int_equal(fence, 2);
}

int main(void)
{
#define MODEL_TEST(fn) cmocka_unit_test_setup_teardown(fn, hubmodel_setup, hubmodel_teardown)
    const struct CMUnitTest tests[] = {
        MODEL_TEST(a_list_holds_the_newest_and_says_that_there_are_more),
        MODEL_TEST(a_list_is_bounded_in_bytes_too),
        MODEL_TEST(a_stop_is_left_to_a_living_holder),
        MODEL_TEST(a_stop_of_what_a_dead_holder_has_is_answered_at_once),
        MODEL_TEST(a_stop_whose_holder_dies_is_answered_when_the_lease_ends),
        MODEL_TEST(a_stop_survives_a_restart_of_the_hub),
        MODEL_TEST(a_stop_that_did_not_arrive_is_told_again),
        MODEL_TEST(stopping_twice_is_one_stop),
        MODEL_TEST(a_second_stop_that_answers_everything_ends_the_first),
        MODEL_TEST(a_holder_that_dies_without_work_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
