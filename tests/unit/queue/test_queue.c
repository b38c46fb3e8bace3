#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "queue/queue.h"
#include "task/task.h"
#include "util/cleanup.h"

static char job_names[8][4] = { "j0", "j1", "j2", "j3", "j4", "j5", "j6", "j7" };

static struct task message(unsigned job, uint64_t seq)
{
    return (struct task){ .job_id = job_names[job], .seq = seq };
}

static void messages_of_one_job_run_one_at_a_time_in_order(void **state)
{
    struct queue *q = queue_new(4);
    struct task a = message(0, 1), b = message(0, 2), c = message(0, 3);

    (void)state;
    queue_add(q, &b); /* also when they arrive out of order */
    queue_add(q, &c);
    queue_add(q, &a);
    assert_ptr_equal(queue_next(q), &a);
    assert_null(queue_next(q));
    queue_release(q, "j0");
    assert_ptr_equal(queue_next(q), &b);
    queue_release(q, "j0");
    assert_ptr_equal(queue_next(q), &c);
    queue_release(q, "j0");
    assert_null(queue_next(q));
    queue_free(q);
}

static void different_jobs_run_in_parallel_up_to_the_slots(void **state)
{
    struct queue *q = queue_new(2);
    struct task a = message(0, 1), b = message(1, 2), c = message(2, 3);

    (void)state;
    queue_add(q, &a);
    queue_add(q, &b);
    queue_add(q, &c);
    assert_ptr_equal(queue_next(q), &a);
    assert_ptr_equal(queue_next(q), &b);
    assert_null(queue_next(q));
    assert_int_equal(queue_busy(q), 2);
    assert_int_equal(queue_waiting(q), 1);
    queue_release(q, "j1");
    assert_ptr_equal(queue_next(q), &c);
    queue_free(q);
}

static void the_job_whose_first_message_is_oldest_goes_first(void **state)
{
    struct queue *q = queue_new(1);
    struct task a1 = message(0, 1), a2 = message(0, 2), a3 = message(0, 5), b = message(1, 3),
                c = message(2, 4);
    struct task *expected[] = { &a1, &a2, &b, &c, &a3 };

    (void)state;
    queue_add(q, &a1);
    queue_add(q, &a2);
    queue_add(q, &b);
    queue_add(q, &c);
    queue_add(q, &a3);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        struct task *t = queue_next(q);

        assert_ptr_equal(t, expected[i]);
        queue_release(q, t->job_id);
    }
    queue_free(q);
}

static void a_busy_job_does_not_starve_the_others(void **state)
{
    struct queue *q = queue_new(1);
    struct task flood[64], other = message(1, 10);
    unsigned before = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(flood); i++) {
        flood[i] = message(0, i < 5 ? i + 1 : i + 20);
        queue_add(q, &flood[i]);
    }
    queue_add(q, &other);
    for (struct task *t = queue_next(q); t != &other; t = queue_next(q)) {
        before++;
        queue_release(q, t->job_id);
    }
    assert_int_equal(before, 5); /* only those that came before it */
    queue_free(q);
}

static void a_released_message_comes_before_the_later_ones_of_its_job(void **state)
{
    struct queue *q = queue_new(1);
    struct task a = message(0, 1), b = message(0, 2), c = message(1, 3);

    (void)state;
    queue_add(q, &a);
    queue_add(q, &b);
    queue_add(q, &c);
    assert_ptr_equal(queue_next(q), &a);
    queue_add(q, &a);
    queue_release(q, "j0");
    assert_ptr_equal(queue_next(q), &a);
    queue_free(q);
}

static void a_removed_message_never_runs(void **state)
{
    struct queue *q = queue_new(1);
    struct task a = message(0, 1), b = message(1, 2);

    (void)state;
    queue_add(q, &a);
    queue_add(q, &b);
    assert_true(queue_remove(q, &a));
    assert_false(queue_remove(q, &a));
    assert_ptr_equal(queue_next(q), &b);
    queue_release(q, "j1");
    assert_null(queue_next(q));
    queue_free(q);
}

static void fewer_slots_take_effect_as_jobs_end(void **state)
{
    struct queue *q = queue_new(3);
    struct task t[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        t[i] = message(i, i + 1);
        queue_add(q, &t[i]);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(queue_next(q));
    queue_set_slots(q, 1);
    queue_release(q, "j0");
    queue_release(q, "j1");
    assert_null(queue_next(q));
    queue_release(q, "j2");
    assert_ptr_equal(queue_next(q), &t[3]);
    assert_null(queue_next(q));
    queue_free(q);
}

static void a_quarantined_job_keeps_its_slot_and_hands_out_what_waits(void **state)
{
    struct queue *q = queue_new(2);
    struct task a = message(0, 1), b = message(0, 2), c = message(1, 3), d = message(2, 4);

    (void)state;
    queue_add(q, &a);
    queue_add(q, &b);
    assert_ptr_equal(queue_next(q), &a);
    queue_quarantine(q, "j0");
    queue_release(q, "j0"); /* changes nothing */
    assert_true(queue_is_quarantined(q, "j0"));
    assert_int_equal(queue_busy(q), 1);
    assert_ptr_equal(queue_pop_quarantined(q, "j0"), &b);
    assert_null(queue_pop_quarantined(q, "j0"));
    queue_add(q, &c);
    queue_add(q, &d);
    assert_ptr_equal(queue_next(q), &c);
    assert_null(queue_next(q)); /* one of the two slots is gone */
    assert_null(queue_pop_quarantined(q, "j1"));
    queue_free(q);
}

static void an_occupied_job_waits_for_its_release_and_takes_a_slot(void **state)
{
    struct queue *q = queue_new(1);
    struct task a = message(0, 1), b = message(1, 2), c = message(2, 3);

    (void)state;
    queue_add(q, &a);
    assert_true(queue_occupy(q, "j0"));
    assert_false(queue_occupy(q, "j0"));
    assert_true(queue_occupy(q, "j1")); /* whether or not there is a slot */
    assert_int_equal(queue_busy(q), 2);
    queue_add(q, &b);
    queue_add(q, &c);
    assert_null(queue_next(q));
    queue_release(q, "j1");
    assert_null(queue_next(q));
    queue_release(q, "j0");
    assert_ptr_equal(queue_next(q), &a);
    queue_quarantine(q, "j0");
    assert_false(queue_occupy(q, "j0"));
    queue_free(q);
}

static void releasing_what_does_not_run_changes_nothing(void **state)
{
    struct queue *q = queue_new(1);
    struct task a = message(0, 1);

    (void)state;
    queue_release(q, "j0");
    queue_add(q, &a);
    queue_release(q, "j0");
    assert_int_equal(queue_busy(q), 0);
    assert_ptr_equal(queue_next(q), &a);
    queue_free(q);
    queue_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_one_job_run_one_at_a_time_in_order),
        cmocka_unit_test(different_jobs_run_in_parallel_up_to_the_slots),
        cmocka_unit_test(the_job_whose_first_message_is_oldest_goes_first),
        cmocka_unit_test(a_busy_job_does_not_starve_the_others),
        cmocka_unit_test(a_released_message_comes_before_the_later_ones_of_its_job),
        cmocka_unit_test(a_removed_message_never_runs),
        cmocka_unit_test(fewer_slots_take_effect_as_jobs_end),
        cmocka_unit_test(a_quarantined_job_keeps_its_slot_and_hands_out_what_waits),
        cmocka_unit_test(an_occupied_job_waits_for_its_release_and_takes_a_slot),
        cmocka_unit_test(releasing_what_does_not_run_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
