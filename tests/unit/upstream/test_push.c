#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/task.h"
#include "upstream/push.h"
#include "util/cleanup.h"

static struct push parse(const char *text)
{
    struct push push;

    push_parse(text, strlen(text), &push);
    return push;
}

static void a_start_says_all_that_a_poll_would(void **state)
{
    struct push push = parse("{\"id\":\"e1\",\"type\":\"start_conversation_v1\",\"payload\":{"
                             "\"job_id\":\"job_1\",\"message\":\"hello\",\"mode\":\"ask\","
                             "\"processed_message_id\":\"cmsg_1\",\"system_prompt\":\"be kind\"}}");

    (void)state;
    assert_true(push.whole);
    assert_false(push.check_idle);
    assert_string_equal(push.problem, "");
    assert_string_equal(push.task->id, "cmsg_1");
    assert_string_equal(push.task->ack_id, "cmsg_1");
    assert_string_equal(push.task->job_id, "job_1");
    assert_string_equal(push.task->prompt, "hello");
    assert_string_equal(push.task->system_prompt, "be kind");
    assert_int_equal(push.task->mode, TASK_MODE_ASK);
    assert_int_equal(push.task->kind, TASK_KIND_START);
    assert_int_equal(push.task->fence, 0);
    task_free(push.task);
}

static void a_follow_up_lacks_the_jobs_mode(void **state)
{
    struct push push = parse("{\"id\":\"e1\",\"type\":\"user_message_v1\",\"payload\":{"
                             "\"job_id\":\"job_1\",\"message\":\"go on\","
                             "\"processed_message_id\":\"cmsg_2\"}}");

    (void)state;
    assert_false(push.whole);
    assert_int_equal(push.task->kind, TASK_KIND_USER);
    task_free(push.task);
}

static void our_hub_says_the_job_with_it(void **state)
{
    struct push push = parse("{\"id\":\"e1\",\"type\":\"user_message_v1\",\"payload\":{"
                             "\"job_id\":\"job_1\",\"message\":\"go on\","
                             "\"processed_message_id\":\"cmsg_2\"},"
                             "\"job\":{\"mode\":\"ask\",\"fence\":7,\"id\":\"another\"}}");

    (void)state;
    assert_true(push.whole);
    assert_int_equal(push.task->mode, TASK_MODE_ASK);
    assert_int_equal(push.task->fence, 7);
    assert_string_equal(push.task->job_id, "job_1");
    task_free(push.task);
}

static void what_is_to_be_stopped_a_poll_tells(void **state)
{
    struct push push = parse("{\"id\":\"e1\",\"type\":\"start_conversation_v1\",\"payload\":{"
                             "\"job_id\":\"job_1\",\"processed_message_id\":\"cmsg_1\"},"
                             "\"job\":{\"fence\":7,\"cancel_requested\":true}}");

    (void)state;
    assert_false(push.whole);
    assert_non_null(push.task);
    task_free(push.task);
}

static void a_question_about_idle_jobs_is_no_message(void **state)
{
    struct push push = parse("{\"id\":\"m1\",\"type\":\"check_idle_jobs_v1\",\"payload\":{}}");

    (void)state;
    assert_true(push.check_idle);
    assert_null(push.task);
    assert_string_equal(push.problem, "");
}

static void what_is_no_message_is_told(void **state)
{
    static const char *const cases[] = {
        "",
        "7",
        "[]",
        "{}",
        "{\"type\":\"dance_v1\",\"payload\":{\"job_id\":\"j\",\"processed_message_id\":\"m\"}}",
        "{\"type\":\"user_message_v1\"}",
        "{\"type\":\"user_message_v1\",\"payload\":[]}",
        "{\"type\":\"user_message_v1\",\"payload\":{\"job_id\":\"j\"}}",
        "{\"type\":\"user_message_v1\",\"payload\":{\"processed_message_id\":\"m\"}}",
        "{\"type\":\"user_message_v1\",\"payload\":{\"job_id\":\"a/b\","
        "\"processed_message_id\":\"m\"}}",
        "{\"type\":\"start_conversation_v1\",\"payload\":{\"job_id\":\"j\",\"mode\":\"maybe\","
        "\"processed_message_id\":\"m\"}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct push push = parse(cases[i]);

        assert_null(push.task);
        assert_false(push.whole);
        assert_false(push.check_idle);
        assert_true(push.problem[0] != '\0');
    }
}

static void an_unknown_type_is_named(void **state)
{
    struct push push = parse("{\"id\":\"e\",\"type\":\"dance_v1\",\"payload\":{\"job_id\":\"j\","
                             "\"processed_message_id\":\"m\"}}");

    (void)state;
    assert_non_null(strstr(push.problem, "dance_v1"));
    assert_true(push.unknown);
}

static void many_of_an_unknown_type_are_one_problem(void **state)
{
    struct push one = parse("{\"id\":\"e\",\"type\":\"dance_v1\",\"payload\":{\"job_id\":\"j\","
                            "\"processed_message_id\":\"m\"}}");
    struct push other = parse("{\"id\":\"f\",\"type\":\"dance_v1\",\"payload\":{\"job_id\":\"k\","
                              "\"processed_message_id\":\"n\"}}");

    (void)state;
    assert_string_equal(one.problem, other.problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_says_all_that_a_poll_would),
        cmocka_unit_test(a_follow_up_lacks_the_jobs_mode),
        cmocka_unit_test(our_hub_says_the_job_with_it),
        cmocka_unit_test(what_is_to_be_stopped_a_poll_tells),
        cmocka_unit_test(a_question_about_idle_jobs_is_no_message),
        cmocka_unit_test(what_is_no_message_is_told),
        cmocka_unit_test(an_unknown_type_is_named),
        cmocka_unit_test(many_of_an_unknown_type_are_one_problem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
