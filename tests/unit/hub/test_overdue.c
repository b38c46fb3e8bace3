#include "hub/overdue.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/lease.h"
#include "hub/message.h"
#include "support/hubmodel.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/ulid.h"

enum { TIMEOUT_MS = 3600 * 1000 };

/* How many messages it failed. */
static size_t sweep_after(struct hubmodel *f, struct clockstep *clock)
{
    struct overdue_sweep s;

    overdue_sweep_init(&s, TIMEOUT_MS, clock);
    assert_int_equal(db_script(f->model.db, "BEGIN"), 0);
    assert_int_equal(s.op.run(&s.op, &f->model), 0);
    assert_int_equal(db_script(f->model.db, "COMMIT"), 0);
    s.op.kept(&s.op, &f->model);
    return s.count;
}

/* The same by a hub that has just started. */
static size_t sweep(struct hubmodel *f)
{
    struct clockstep clock = { 0 };

    return sweep_after(f, &clock);
}

static void status_is(struct hubmodel *f, const char *message, const char *expected)
{
    AUTO_FREE char *status = hubmodel_message_status(f, message);

    assert_string_equal(status, expected);
}

static void a_message_fails_once_its_time_is_over(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX];
    struct hubmodel_call list = { .handler = message_list, .target = job };
    struct call *c;

    hubmodel_start(f, "hello", job, message);
    hubmodel_pass_ms(f, TIMEOUT_MS - 1);
    assert_int_equal(sweep(f), 0);
    status_is(f, message, "queued");
    hubmodel_pass_ms(f, 1);
    assert_int_equal(sweep(f), 1);
    assert_int_equal(sweep(f), 0);
    status_is(f, message, "failed");
    c = hubmodel_run(f, &list);
    assert_non_null(strstr(c->reply, "\"nairid encountered error: no agent took this message "
                                     "within 1h: see to it that a daemon of the agent 'tester'"));
    call_free(c);
}

static void what_was_failed_is_not_handed_out_and_takes_no_answer(void **state)
{
    struct hubmodel *f = *state;
    char job[ULID_ID_MAX], message[ULID_ID_MAX], next[ULID_ID_MAX];
    AUTO_FREE char *listed = NULL;

    hubmodel_start(f, "hello", job, message);
    hubmodel_pass_ms(f, TIMEOUT_MS);
    assert_int_equal(sweep(f), 1);
    hubmodel_continue(f, job, "again", next);
    listed = hubmodel_poll(f, "one", 0, NULL);
    assert_non_null(strstr(listed, next));
    assert_null(strstr(listed, message));
    assert_int_equal(hubmodel_reply(f, "one", 1, message, "late"), 200);
    status_is(f, message, "failed");
}

static void what_was_handed_over_has_all_the_time(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];

    hubmodel_start(f, "hello", NULL, message);
    hubmodel_pass_ms(f, TIMEOUT_MS);
    free(hubmodel_poll(f, "one", 0, NULL));
    assert_int_equal(sweep(f), 0);
    status_is(f, message, "pending");
    for (int i = 0; i < 100; i++) { /* it calls now and then */
        hubmodel_pass_ms(f, LEASE_MS / 2);
        free(hubmodel_poll(f, "one", 0, NULL));
        hubmodel_sweep(f);
    }
    assert_int_equal(sweep(f), 0);
    status_is(f, message, "pending");
}

static void the_time_begins_anew_where_its_daemon_dies(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];

    hubmodel_start(f, "hello", NULL, message);
    free(hubmodel_poll(f, "one", 0, NULL));
    hubmodel_pass_ms(f, TIMEOUT_MS);
    assert_int_equal(sweep(f), 0); /* nobody has seen yet that it is dead */
    hubmodel_sweep(f);
    status_is(f, message, "queued");
    hubmodel_pass_ms(f, TIMEOUT_MS - 1);
    assert_int_equal(sweep(f), 0);
    hubmodel_pass_ms(f, 1);
    assert_int_equal(sweep(f), 1);
}

static void a_daemon_that_comes_back_gets_it_again(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];
    int64_t fence;
    AUTO_FREE char *listed = NULL;

    hubmodel_start(f, "hello", NULL, message);
    free(hubmodel_poll(f, "one", 0, NULL));
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    status_is(f, message, "queued");
    listed = hubmodel_poll(f, "one", 0, &fence);
    assert_non_null(strstr(listed, message));
    status_is(f, message, "pending");
    assert_int_equal(hubmodel_reply(f, "one", (uint64_t)fence, message, "done"), 200);
    status_is(f, message, "completed");
}

static void the_time_counts_over_a_restart(void **state)
{
    struct hubmodel *f = *state;
    char taken[ULID_ID_MAX], waiting[ULID_ID_MAX];

    hubmodel_start(f, "hello", NULL, taken);
    free(hubmodel_poll(f, "one", 0, NULL));
    hubmodel_start(f, "hello", NULL, waiting);
    hubmodel_pass_ms(f, TIMEOUT_MS);
    hubmodel_restart(f);
    assert_int_equal(sweep(f), 1);
    status_is(f, waiting, "failed");
    status_is(f, taken, "pending"); /* until the time of grace is over */
    hubmodel_pass_ms(f, LEASE_MS);
    hubmodel_sweep(f);
    status_is(f, taken, "queued");
}

static void many_are_failed_in_turn(void **state)
{
    struct hubmodel *f = *state;
    char message[ULID_ID_MAX];

    for (int i = 0; i < OVERDUE_SWEEP_MAX + 1; i++)
        hubmodel_start(f, "hello", NULL, message);
    hubmodel_pass_ms(f, TIMEOUT_MS);
    assert_int_equal(sweep(f), OVERDUE_SWEEP_MAX);
    assert_int_equal(sweep(f), 1);
    assert_int_equal(sweep(f), 0);
}

static void a_clock_that_is_set_forward_fails_nothing(void **state)
{
    struct hubmodel *f = *state;
    struct clockstep clock = { 0 };
    char before[ULID_ID_MAX], after[ULID_ID_MAX];

    hubmodel_start(f, "hello", NULL, before);
    hubmodel_pass_ms(f, TIMEOUT_MS / 2);
    assert_int_equal(sweep_after(f, &clock), 0);
    f->model.wall_ms += INT64_C(10) * TIMEOUT_MS;
    hubmodel_start(f, "hello", NULL, after);
    hubmodel_pass_ms(f, TIMEOUT_MS / 2 - 1);
    assert_int_equal(sweep_after(f, &clock), 0);
    hubmodel_pass_ms(f, 1);
    assert_int_equal(sweep_after(f, &clock), 1);
    status_is(f, before, "failed");
    hubmodel_pass_ms(f, TIMEOUT_MS / 2);
    assert_int_equal(sweep_after(f, &clock), 1);
    status_is(f, after, "failed");
}

static void after_a_clock_that_is_set_back_none_waits_longer_than_once_more(void **state)
{
    struct hubmodel *f = *state;
    struct clockstep clock = { 0 };
    char message[ULID_ID_MAX];

    hubmodel_start(f, "hello", NULL, message);
    assert_int_equal(sweep_after(f, &clock), 0);
    f->model.wall_ms -= INT64_C(10) * TIMEOUT_MS;
    hubmodel_pass_ms(f, TIMEOUT_MS - 1);
    assert_int_equal(sweep_after(f, &clock), 0);
    hubmodel_pass_ms(f, TIMEOUT_MS - 1);
    assert_int_equal(sweep_after(f, &clock), 0);
    hubmodel_pass_ms(f, 1);
    assert_int_equal(sweep_after(f, &clock), 1);
    status_is(f, message, "failed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hubmodel_setup, hubmodel_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_fails_once_its_time_is_over),
        TEST(what_was_failed_is_not_handed_out_and_takes_no_answer),
        TEST(what_was_handed_over_has_all_the_time),
        TEST(the_time_begins_anew_where_its_daemon_dies),
        TEST(a_daemon_that_comes_back_gets_it_again),
        TEST(the_time_counts_over_a_restart),
        TEST(many_are_failed_in_turn),
        TEST(a_clock_that_is_set_forward_fails_nothing),
        TEST(after_a_clock_that_is_set_back_none_waits_longer_than_once_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
