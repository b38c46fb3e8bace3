#include "hub/lease.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

enum { T0 = 1000000 };

/* A table whose time of grace is over. */
static struct lease_table *settled_table(void)
{
    struct lease_table *t = lease_table_new(T0 - LEASE_MS);

    assert_true(lease_grace_is_over(t, T0));
    lease_forget(t, T0);
    assert_false(lease_grace_is_over(t, T0));
    return t;
}

static void everybody_is_alive_for_one_lease_after_a_start(void **state)
{
    struct lease_table *t = lease_table_new(T0);

    (void)state;
    assert_true(lease_is_live(t, 1, "anybody", T0));
    assert_true(lease_is_live(t, 1, "anybody", T0 + LEASE_MS - 1));
    assert_false(lease_is_live(t, 1, "anybody", T0 + LEASE_MS));
    assert_int_equal(lease_next_end(t), T0 + LEASE_MS);
    lease_forget(t, T0 + LEASE_MS - 1);
    assert_int_equal(lease_next_end(t), T0 + LEASE_MS);
    lease_forget(t, T0 + LEASE_MS);
    assert_true(lease_next_end(t) == UINT64_MAX);
    lease_table_free(t);
}

static void a_call_renews_for_the_whole_lease(void **state)
{
    struct lease_table *t = settled_table();

    (void)state;
    assert_false(lease_is_live(t, 1, "a", T0));
    assert_int_equal(lease_renew(t, 1, "a", T0, 0), 0);
    assert_true(lease_is_live(t, 1, "a", T0 + LEASE_MS - 1));
    assert_false(lease_is_live(t, 1, "a", T0 + LEASE_MS));
    assert_int_equal(lease_renew(t, 1, "a", T0 + 50, 0), 0);
    assert_int_equal(lease_next_end(t), T0 + 50 + LEASE_MS);
    lease_table_free(t);
}

static void a_long_poll_outlasts_its_wait(void **state)
{
    struct lease_table *t = settled_table();
    const uint32_t wait_ms = 120 * 1000;

    (void)state;
    assert_int_equal(lease_renew(t, 1, "a", T0, wait_ms), 0);
    assert_int_equal(lease_next_end(t), T0 + wait_ms + LEASE_WAIT_MARGIN_MS);
    assert_int_equal(lease_renew(t, 1, "a", T0 + 10, 0), 0);
    assert_true(lease_next_end(t) == T0 + wait_ms + LEASE_WAIT_MARGIN_MS);
    lease_table_free(t);
}

static void instances_are_told_apart_by_agent_and_name(void **state)
{
    struct lease_table *t = settled_table();

    (void)state;
    assert_int_equal(lease_renew(t, 1, "a", T0, 0), 0);
    assert_false(lease_is_live(t, 1, "b", T0));
    assert_false(lease_is_live(t, 2, "a", T0));
    assert_false(lease_is_live(t, 1, "A", T0));
    lease_table_free(t);
}

static void ended_leases_are_walked_and_stay_until_forgotten(void **state)
{
    struct lease_table *t = settled_table();
    const struct lease *l;

    (void)state;
    assert_int_equal(lease_renew(t, 7, "early", T0, 0), 0);
    assert_int_equal(lease_renew(t, 7, "late", T0 + 10, 0), 0);
    assert_null(lease_next_ended(t, NULL, T0 + LEASE_MS - 1));
    for (int round = 0; round < 2; round++) {
        l = lease_next_ended(t, NULL, T0 + LEASE_MS);
        assert_non_null(l);
        assert_int_equal(lease_agent(l), 7);
        assert_string_equal(lease_instance(l), "early");
        assert_null(lease_next_ended(t, l, T0 + LEASE_MS));
    }
    lease_forget(t, T0 + LEASE_MS);
    assert_null(lease_next_ended(t, NULL, T0 + LEASE_MS));
    assert_true(lease_is_live(t, 7, "late", T0 + LEASE_MS));
    assert_int_equal(lease_next_end(t), T0 + 10 + LEASE_MS);
    lease_table_free(t);
}

static void a_call_between_the_end_and_the_forgetting_revives(void **state)
{
    struct lease_table *t = settled_table();

    (void)state;
    assert_int_equal(lease_renew(t, 1, "a", T0, 0), 0);
    assert_int_equal(lease_renew(t, 1, "a", T0 + LEASE_MS + 5, 0), 0);
    lease_forget(t, T0 + LEASE_MS + 5);
    assert_true(lease_is_live(t, 1, "a", T0 + LEASE_MS + 5));
    lease_table_free(t);
}

static void the_table_is_bounded_but_renews_who_is_in_it(void **state)
{
    struct lease_table *t = settled_table();
    char name[32];

    (void)state;
    for (int i = 0; i < LEASE_TABLE_MAX; i++) {
        snprintf(name, sizeof name, "i%d", i);
        assert_int_equal(lease_renew(t, i / LEASE_AGENT_MAX, name, T0, 0), 0);
    }
    assert_int_equal(lease_renew(t, 1000, "one more", T0, 0), -ENOSPC);
    assert_int_equal(lease_renew(t, 0, "i0", T0 + 1, 0), 0);
    lease_forget(t, T0 + LEASE_MS);
    assert_int_equal(lease_renew(t, 1000, "one more", T0, 0), 0);
    lease_table_free(t);
}

static void one_agent_leaves_others_a_part_of_the_table(void **state)
{
    struct lease_table *t = settled_table();
    char name[32];

    (void)state;
    for (int i = 0; i < LEASE_AGENT_MAX; i++) {
        snprintf(name, sizeof name, "i%d", i);
        assert_int_equal(lease_renew(t, 1, name, T0, 0), 0);
    }
    assert_int_equal(lease_renew(t, 1, "one more", T0, 0), -ENOSPC);
    assert_int_equal(lease_renew(t, 1, "i0", T0, 0), 0);
    assert_int_equal(lease_renew(t, 2, "i0", T0, 0), 0);
    lease_table_free(t);
}

static void the_longest_name_is_kept_whole(void **state)
{
    struct lease_table *t = settled_table();
    char a[LEASE_INSTANCE_MAX + 1], b[LEASE_INSTANCE_MAX + 1];

    (void)state;
    memset(a, 'x', sizeof a - 1);
    a[sizeof a - 1] = '\0';
    memcpy(b, a, sizeof b);
    b[sizeof b - 2] = 'y';
    assert_int_equal(lease_renew(t, INT64_MAX, a, T0, 0), 0);
    assert_true(lease_is_live(t, INT64_MAX, a, T0));
    assert_false(lease_is_live(t, INT64_MAX, b, T0));
    lease_table_free(t);
}

static void an_instance_is_asked_for_idle_jobs_once_each_interval(void **state)
{
    struct lease_table *t = settled_table();

    (void)state;
    assert_false(lease_take_check(t, 1, "a", T0 + 600000, 60000)); /* it never called */
    assert_int_equal(lease_renew(t, 1, "a", T0, 0), 0);
    assert_false(lease_take_check(t, 1, "a", T0 + 59999, 60000));
    assert_false(lease_take_check(t, 1, "a", T0 + 60000, 0)); /* never */
    assert_true(lease_take_check(t, 1, "a", T0 + 60000, 60000));
    assert_false(lease_take_check(t, 1, "a", T0 + 60000, 60000));
    assert_int_equal(lease_renew(t, 1, "a", T0 + 70000, 0), 0); /* a call doesn't put it off */
    assert_true(lease_take_check(t, 1, "a", T0 + 120000, 60000));
    lease_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_alive_for_one_lease_after_a_start),
        cmocka_unit_test(a_call_renews_for_the_whole_lease),
        cmocka_unit_test(a_long_poll_outlasts_its_wait),
        cmocka_unit_test(instances_are_told_apart_by_agent_and_name),
        cmocka_unit_test(ended_leases_are_walked_and_stay_until_forgotten),
        cmocka_unit_test(a_call_between_the_end_and_the_forgetting_revives),
        cmocka_unit_test(the_table_is_bounded_but_renews_who_is_in_it),
        cmocka_unit_test(one_agent_leaves_others_a_part_of_the_table),
        cmocka_unit_test(the_longest_name_is_kept_whole),
        cmocka_unit_test(an_instance_is_asked_for_idle_jobs_once_each_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
