/* Long listings are parsed beside the loop, for who still waits for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "task/task.h"
#include "upstream/lister.h"
#include "upstream/listing.h"
#include "util/mem.h"

#define LISTING                                                                                    \
    "{\"jobs\":[{\"id\":\"job_1\",\"messages\":[{\"id\":\"m1\",\"type\":\"user_message_v1\","      \
    "\"payload\":{\"message\":\"hi\"}}]}]}"

struct fixture {
    struct loop *loop;
    struct lister *lister;
    size_t calls;
    struct task *taken;
    char *error;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    assert_int_equal(loop_new(&f->loop, NULL), 0);
    f->lister = lister_new(f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    lister_free(f->lister);
    loop_free(f->loop);
    task_free(f->taken);
    free(f->error);
    free(f);
    return 0;
}

static void on_listing(struct listing *listing, const char *error, void *ctx)
{
    struct fixture *f = ctx;

    f->calls++;
    free(f->error);
    f->error = mem_strdup(error);
    if (listing && listing->job_count > 0 && !f->taken)
        f->taken = listing_take(&listing->jobs[0], 0);
    loop_stop(f->loop);
}

static struct lister_job *give(struct fixture *f, const char *text)
{
    struct lister_job *job = lister_give(f->lister, text, strlen(text), on_listing, f);

    assert_non_null(job);
    return job;
}

static void a_listing_comes_with_its_messages(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *text = mem_strdup(LISTING);

    (void)give(f, text);
    memset(text, 'x', strlen(text)); /* it has a copy */
    assert_int_equal(f->calls, 0);   /* never before the loop's next turn */
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
    assert_null(f->error);
    assert_string_equal(f->taken->prompt, "hi");
}

static void what_is_no_listing_is_said_in_words(void **state)
{
    struct fixture *f = *state;

    (void)give(f, "{}");
    loop_run(f->loop);
    assert_non_null(strstr(f->error, "\"jobs\""));
    assert_null(f->taken);
}

static void who_does_not_wait_any_more_is_not_told(void **state)
{
    struct fixture *f = *state;

    lister_drop(NULL);
    lister_drop(give(f, LISTING));
    (void)give(f, "{}"); /* the next one comes after it */
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
    assert_non_null(f->error);
}

static void its_end_waits_for_the_thread_and_tells_nobody(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10; i++)
        (void)give(f, LISTING);
    lister_free(f->lister);
    f->lister = NULL;
    assert_int_equal(f->calls, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_listing_comes_with_its_messages),
        TEST(what_is_no_listing_is_said_in_words),
        TEST(who_does_not_wait_any_more_is_not_told),
        TEST(its_end_waits_for_the_thread_and_tells_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
