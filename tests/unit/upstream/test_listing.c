#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "upstream/listing.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static struct listing parse(const char *text)
{
    struct listing l = { 0 };
    struct err err = { 0 };

    if (listing_parse(text, strlen(text), &l, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return l;
}

/* A listing of one job with the given messages (JSON). */
static struct listing parse_messages(const char *messages)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    buf_printf(&b, "{\"jobs\":[{\"id\":\"job_1\",\"messages\":%s}]}", messages);
    return parse(buf_str(&b));
}

static void expect_problem(const struct listing *l, const char *says)
{
    for (size_t i = 0; i < l->problem_count; i++)
        if (strstr(l->problems[i].text, says))
            return;
    fail_msg("no problem says '%s'; the first of %zu: '%s'", says, l->problem_count,
             l->problem_count ? l->problems[0].text : "");
}

static void a_nul_in_one_prompt_hides_no_other_message(void **state)
{
    struct listing l = parse_messages(
        "[{\"id\":\"cmsg_a\",\"type\":\"user_message_v1\",\"payload\":{\"message\":\"a\\u0000b\"}},"
        "{\"id\":\"cmsg_b\",\"type\":\"user_message_v1\",\"payload\":{\"message\":\"c\\\\u0000\"}}"
        "]");

    (void)state;
    assert_int_equal(l.jobs[0].message_count, 2);
    assert_string_equal(l.jobs[0].messages[0]->prompt, "a\xef\xbf\xbd"
                                                       "b");
    assert_string_equal(l.jobs[0].messages[1]->prompt, "c\\u0000");
    listing_done(&l);
}

static void an_answer_of_millions_of_values_is_no_listing(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct listing l = { 0 };
    struct err err = { 0 };

    (void)state;
    buf_append_str(&b, "{\"jobs\":[0");
    for (int i = 0; i < 2000000; i++)
        buf_append(&b, ",0", 2);
    buf_append_str(&b, "]}");
    assert_int_equal(listing_parse(buf_str(&b), b.len, &l, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "2000000"));
}

static void a_whole_listing_becomes_tasks(void **state)
{
    struct listing l =
        parse("{\"jobs\":[{\"id\":\"job_1\",\"job_type\":\"slack\",\"mode\":\"ask\",\"title\":null,"
              "\"created_at\":\"2026-04-01T10:00:00Z\",\"system_prompt\":\"be kind\",\"fence\":7,"
              "\"messages\":[{\"id\":\"cmsg_a\",\"type\":\"start_conversation_v1\","
              "\"created_at\":\"2026-04-01T10:00:00Z\",\"payload\":{\"job_id\":\"job_1\","
              "\"message\":\"hello \\u00e4\",\"processed_message_id\":\"cmsg_b\","
              "\"message_link\":\"\",\"mode\":\"execute\",\"new\":[1,{}]}}]},"
              "{\"id\":\"job_2\",\"cancel_requested\":true,\"messages\":[{\"id\":\"cmsg_c\","
              "\"type\":\"user_message_v1\",\"payload\":{\"message\":\"more\"}}]}],\"more\":true}");
    const struct task *t;

    (void)state;
    assert_int_equal(l.problem_count, 0);
    assert_true(l.more);
    assert_int_equal(l.job_count, 2);
    assert_string_equal(l.jobs[0].id, "job_1");
    assert_int_equal(l.jobs[0].fence, 7);
    assert_false(l.jobs[0].cancel_requested);
    assert_int_equal(l.jobs[0].message_count, 1);
    t = l.jobs[0].messages[0];
    assert_string_equal(t->id, "cmsg_b");
    assert_string_equal(t->ack_id, "cmsg_a");
    assert_string_equal(t->job_id, "job_1");
    assert_int_equal(t->kind, TASK_KIND_START);
    assert_int_equal(t->mode, TASK_MODE_EXECUTE); /* the message's own, not the job's */
    assert_string_equal(t->prompt, "hello \xc3\xa4");
    assert_string_equal(t->system_prompt, "be kind");
    assert_string_equal(t->payload, "{\"job_id\":\"job_1\",\"message\":\"hello \xc3\xa4\","
                                    "\"processed_message_id\":\"cmsg_b\",\"message_link\":\"\","
                                    "\"mode\":\"execute\",\"new\":[1,{}]}");
    assert_int_equal(t->fence, 7);
    assert_int_equal(t->state, TASK_RECEIVED);
    assert_int_equal(t->seq, 0);
    assert_int_equal(t->attempt, 0);
    assert_true(l.jobs[1].cancel_requested);
    assert_int_equal(l.jobs[1].fence, 0);
    t = l.jobs[1].messages[0];
    assert_string_equal(t->id, "cmsg_c"); /* without its own id: the record's */
    assert_string_equal(t->ack_id, "cmsg_c");
    assert_int_equal(t->kind, TASK_KIND_USER);
    assert_null(t->system_prompt);
    listing_done(&l);
}

static void mode_and_system_prompt_come_from_the_message_or_else_the_job(void **state)
{
    static const struct {
        const char *job, *payload;
        enum task_mode mode;
        const char *system_prompt;
    } cases[] = {
        { "", "", TASK_MODE_EXECUTE, NULL },
        { "\"mode\":\"ask\",\"system_prompt\":\"j\",", "", TASK_MODE_ASK, "j" },
        { "\"mode\":\"execute\",\"system_prompt\":\"j\",",
          "\"mode\":\"ask\",\"system_prompt\":\"p\",", TASK_MODE_ASK, "p" },
        { "\"mode\":\"ask\",\"system_prompt\":\"j\",", "\"mode\":\"\",\"system_prompt\":\"\",",
          TASK_MODE_ASK, "j" },
        { "\"mode\":null,\"system_prompt\":null,", "\"mode\":null,\"system_prompt\":null,",
          TASK_MODE_EXECUTE, NULL },
        { "\"mode\":\"\",\"system_prompt\":\"\",", "", TASK_MODE_EXECUTE, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        struct listing l;

        buf_printf(&b,
                   "{\"jobs\":[{%s\"id\":\"j\",\"messages\":[{\"id\":\"m\","
                   "\"type\":\"user_message_v1\",\"payload\":{%s\"message\":\"x\"}}]}]}",
                   cases[i].job, cases[i].payload);
        l = parse(buf_str(&b));
        assert_int_equal(l.jobs[0].message_count, 1);
        assert_int_equal(l.jobs[0].messages[0]->mode, cases[i].mode);
        if (cases[i].system_prompt)
            assert_string_equal(l.jobs[0].messages[0]->system_prompt, cases[i].system_prompt);
        else
            assert_null(l.jobs[0].messages[0]->system_prompt);
        listing_done(&l);
    }
}

static void what_is_no_listing_is_refused_with_a_sentence(void **state)
{
    static const char *const wrong[] = {
        "",
        "   ",
        "null",
        "[]",
        "\"jobs\"",
        "{}",
        "{\"error\":\"x\"}",
        "{\"jobs\":{}}",
        "{\"jobs\":\"none\"}",
        "{\"jobs\":0}",
        "{\"Jobs\":[]}",
        "{\"jobs\":[]",
        "{\"jobs\":[]}}",
        "{\"jobs\":[{\"id\":\"job_1\",\"messages\":[{\"id\":\"cms",
        "<html><body>Log in</body></html>",
        "{\"jobs\":[\"\xff\"]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct listing l = { .job_count = 99 };
        struct err err = { 0 };

        assert_int_equal(listing_parse(wrong[i], strlen(wrong[i]), &l, &err), -EBADMSG);
        assert_int_equal(err.code, -EBADMSG);
        assert_true(strlen(err.text) > 10);
        assert_int_equal(l.job_count, 99);
    }
}

static void empty_listings_and_empty_jobs_are_legal(void **state)
{
    static const char *const empty[] = { "{\"jobs\":[]}", "{\"jobs\":null}",
                                         " {\"jobs\" : [ ] , \"other\":1}\r\n" };
    static const char *const no_messages[] = { "{\"jobs\":[{\"id\":\"j\",\"messages\":[]}]}",
                                               "{\"jobs\":[{\"id\":\"j\",\"messages\":null}]}",
                                               "{\"jobs\":[{\"id\":\"j\"}]}" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        struct listing l = parse(empty[i]);

        assert_int_equal(l.job_count, 0);
        assert_int_equal(l.problem_count, 0);
        assert_false(l.more);
        listing_done(&l);
    }
    for (size_t i = 0; i < ARRAY_SIZE(no_messages); i++) {
        struct listing l = parse(no_messages[i]);

        assert_int_equal(l.job_count, 1);
        assert_int_equal(l.jobs[0].message_count, 0);
        assert_int_equal(l.problem_count, 0);
        listing_done(&l);
    }
}

static void a_malformed_job_is_left_out_and_the_rest_is_used(void **state)
{
    static const struct {
        const char *job, *says;
    } cases[] = {
        { "17", "job without a usable id" },
        { "null", "job without a usable id" },
        { "\"job_x\"", "job without a usable id" },
        { "[]", "job without a usable id" },
        { "{}", "job without a usable id" },
        { "{\"id\":null}", "job without a usable id" },
        { "{\"id\":5}", "job without a usable id" },
        { "{\"id\":\"\"}", "job without a usable id" },
        { "{\"id\":\"..\"}", "job without a usable id" },
        { "{\"id\":\"a/b\"}", "job without a usable id" },
        { "{\"id\":\"a\\nb\"}", "job without a usable id" },
        { "{\"id\":\"job_x\",\"messages\":{}}", "job job_x is left out: its messages" },
        { "{\"id\":\"job_x\",\"messages\":\"\"}", "job job_x is left out: its messages" },
        { "{\"id\":\"job_x\",\"fence\":\"7\"}", "its fence" },
        { "{\"id\":\"job_x\",\"fence\":-1}", "its fence" },
        { "{\"id\":\"job_x\",\"fence\":1.5}", "its fence" },
        { "{\"id\":\"job_x\",\"cancel_requested\":\"yes\"}", "its cancel_requested" },
        { "{\"id\":\"job_x\",\"mode\":1}", "its mode" },
        { "{\"id\":\"job_x\",\"system_prompt\":[]}", "its system_prompt" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        struct listing l;

        buf_printf(&b,
                   "{\"jobs\":[%s,{\"id\":\"job_ok\",\"messages\":[{\"id\":\"m\","
                   "\"type\":\"user_message_v1\",\"payload\":{\"message\":\"x\"}}]}]}",
                   cases[i].job);
        l = parse(buf_str(&b));
        assert_int_equal(l.problem_count, 1);
        expect_problem(&l, cases[i].says);
        assert_int_equal(l.job_count, 1);
        assert_string_equal(l.jobs[0].id, "job_ok");
        assert_int_equal(l.jobs[0].message_count, 1);
        listing_done(&l);
    }
}

static void a_malformed_message_is_left_out_and_the_rest_is_used(void **state)
{
#define USER "\"id\":\"cmsg_x\",\"type\":\"user_message_v1\""
    static const struct {
        const char *message, *says;
    } cases[] = {
        { "5", "not an object" },
        { "null", "not an object" },
        { "[]", "not an object" },
        { "{}", "message without a usable id" },
        { "{\"id\":7,\"type\":\"user_message_v1\",\"payload\":{}}", "without a usable id" },
        { "{\"id\":\"\",\"type\":\"user_message_v1\",\"payload\":{}}", "without a usable id" },
        { "{\"id\":\"a b\",\"type\":\"user_message_v1\",\"payload\":{}}", "without a usable id" },
        { "{\"id\":\"../x\",\"type\":\"user_message_v1\",\"payload\":{}}", "without a usable id" },
        { "{\"id\":\"\\u00e4\",\"type\":\"user_message_v1\",\"payload\":{}}",
          "without a usable id" },
        { "{\"id\":\"cmsg_x\",\"payload\":{}}", "cmsg_x has no type" },
        { "{\"id\":\"cmsg_x\",\"type\":null,\"payload\":{}}", "cmsg_x has no type" },
        { "{\"id\":\"cmsg_x\",\"type\":1,\"payload\":{}}", "cmsg_x has no type" },
        { "{\"id\":\"cmsg_x\",\"type\":\"\\u001b[2J\\n\",\"payload\":{}}", "unknown type '?[2J?'" },
        { "{\"id\":\"cmsg_x\",\"type\":\"user_message_v2\",\"payload\":{}}",
          "left unacknowledged" },
        { "{" USER "}", "payload is not an object" },
        { "{" USER ",\"payload\":null}", "payload is not an object" },
        { "{" USER ",\"payload\":\"{}\"}", "payload is not an object" },
        { "{" USER ",\"payload\":{\"message\":5}}", "message is not a string" },
        { "{" USER ",\"payload\":{\"message\":{}}}", "message is not a string" },
        { "{" USER ",\"payload\":{\"processed_message_id\":5}}", "processed_message_id" },
        { "{" USER ",\"payload\":{\"processed_message_id\":\"a/b\"}}", "processed_message_id" },
        { "{" USER ",\"payload\":{\"processed_message_id\":\"a\\tb\"}}", "processed_message_id" },
        { "{" USER ",\"payload\":{\"mode\":\"plan\"}}", "mode" },
        { "{" USER ",\"payload\":{\"mode\":\"Execute\"}}", "mode" },
        { "{" USER ",\"payload\":{\"mode\":true}}", "mode" },
        { "{" USER ",\"payload\":{\"system_prompt\":5}}", "system_prompt" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        struct listing l;

        buf_printf(&b, "[%s,{\"id\":\"ok\",\"type\":\"user_message_v1\",\"payload\":{}}]",
                   cases[i].message);
        l = parse_messages(buf_str(&b));
        if (l.problem_count != 1)
            fail_msg("case %zu has %zu problems", i, l.problem_count);
        expect_problem(&l, cases[i].says);
        if (!strstr(l.problems[0].text, "unknown type")) /* that is about the type */
            expect_problem(&l, "job_1");
        assert_int_equal(l.jobs[0].message_count, 1);
        assert_string_equal(l.jobs[0].messages[0]->id, "ok");
        assert_string_equal(l.jobs[0].messages[0]->prompt, ""); /* none was sent */
        listing_done(&l);
    }
}

static void ids_have_at_most_128_bytes(void **state)
{
    (void)state;
    for (size_t len = 127; len <= 130; len++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        struct listing l;

        buf_append_str(&b, "[{\"id\":\"");
        for (size_t i = 0; i < len; i++)
            buf_append_char(&b, 'x');
        buf_append_str(&b, "\",\"type\":\"user_message_v1\",\"payload\":{}}]");
        l = parse_messages(buf_str(&b));
        assert_int_equal(l.jobs[0].message_count, len <= 128 ? 1 : 0);
        assert_int_equal(l.problem_count, len <= 128 ? 0 : 1);
        listing_done(&l);
    }
}

static void a_message_listed_twice_is_taken_once(void **state)
{
    struct listing l = parse(
        "{\"jobs\":[{\"id\":\"job_1\",\"messages\":["
        "{\"id\":\"a\",\"type\":\"user_message_v1\",\"payload\":{\"message\":\"one\"}},"
        "{\"id\":\"b\",\"type\":\"user_message_v1\",\"payload\":{"
        "\"processed_message_id\":\"a\",\"message\":\"two\"}}]},"
        "{\"id\":\"job_2\",\"messages\":["
        "{\"id\":\"a\",\"type\":\"user_message_v1\",\"payload\":{\"message\":\"three\"}}]}]}");

    (void)state;
    assert_int_equal(l.problem_count, 2);
    expect_problem(&l, "job job_1: message a is listed twice");
    expect_problem(&l, "job job_2: message a is listed twice");
    assert_int_equal(l.jobs[0].message_count, 1);
    assert_string_equal(l.jobs[0].messages[0]->prompt, "one");
    assert_int_equal(l.jobs[1].message_count, 0);
    listing_done(&l);
}

static void a_job_listed_twice_is_joined_in_order(void **state)
{
    struct listing l =
        parse("{\"jobs\":[{\"id\":\"job_1\",\"fence\":3,\"messages\":["
              "{\"id\":\"a\",\"type\":\"user_message_v1\",\"payload\":{}}]},"
              "{\"id\":\"job_2\"},"
              "{\"id\":\"job_1\",\"fence\":2,\"cancel_requested\":true,\"messages\":["
              "{\"id\":\"b\",\"type\":\"user_message_v1\",\"payload\":{}},"
              "{\"id\":\"c\",\"type\":\"user_message_v1\",\"payload\":{}}]}]}");

    (void)state;
    assert_int_equal(l.job_count, 2);
    assert_int_equal(l.problem_count, 0);
    assert_int_equal(l.jobs[0].fence, 3);
    assert_true(l.jobs[0].cancel_requested);
    assert_int_equal(l.jobs[0].message_count, 3);
    assert_string_equal(l.jobs[0].messages[0]->id, "a");
    assert_string_equal(l.jobs[0].messages[1]->id, "b");
    assert_string_equal(l.jobs[0].messages[2]->id, "c");
    listing_done(&l);
}

static void deep_nesting_is_refused_and_what_is_allowed_is_kept(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct listing l = { 0 };
    struct err err = { 0 };

    (void)state;
    buf_append_str(&b, "{\"jobs\":[{\"id\":\"j\",\"x\":");
    for (int i = 0; i < 100000; i++)
        buf_append_char(&b, '[');
    assert_int_equal(listing_parse(buf_str(&b), b.len, &l, &err), -EBADMSG);
    buf_clear(&b);
    buf_append_str(&b, "[{\"id\":\"m\",\"type\":\"user_message_v1\",\"payload\":{\"x\":");
    for (int i = 0; i < 50; i++)
        buf_append_char(&b, '[');
    for (int i = 0; i < 50; i++)
        buf_append_char(&b, ']');
    buf_append_str(&b, "}}]");
    l = parse_messages(buf_str(&b));
    assert_int_equal(l.jobs[0].message_count, 1);
    listing_done(&l);
}

static void problems_are_bounded_and_the_rest_counted(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct listing l;

    (void)state;
    buf_append_char(&b, '[');
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%s{\"id\":\"m%d\",\"type\":\"new_v%d\",\"payload\":{}}", i ? "," : "", i,
                   i);
    buf_append_char(&b, ']');
    l = parse_messages(buf_str(&b));
    assert_int_equal(l.jobs[0].message_count, 0);
    assert_int_equal(l.problem_count, 17);
    expect_problem(&l, "9984 more problems");
    listing_done(&l);
}

static void the_same_problem_is_said_once_and_leaves_room_for_others(void **state)
{
    struct listing l = parse("{\"jobs\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
                             "{\"id\":\"j\",\"messages\":7}]}");

    (void)state;
    assert_int_equal(l.problem_count, 2);
    expect_problem(&l, "job without a usable id");
    expect_problem(&l, "job j is left out");
    listing_done(&l);
}

static uint64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* CPU time for n messages: in one job, or each in its own, or each in a repetition of one. */
static uint64_t cost_us(int n, int shape)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct listing l;
    uint64_t start_us;
    size_t count = 0;

    buf_append_str(&b, "{\"jobs\":[");
    for (int i = 0; i < n; i++) {
        if (shape > 0 || i == 0)
            buf_printf(&b, "%s{\"id\":\"job_%d\",\"messages\":[", i ? "," : "", shape == 1 ? i : 0);
        buf_printf(&b,
                   "%s{\"id\":\"m%d\",\"type\":\"user_message_v1\",\"payload\":{\"message\":"
                   "\"hello %d\"}}",
                   shape == 0 && i ? "," : "", i, i);
        if (shape > 0 || i == n - 1)
            buf_append_str(&b, "]}");
    }
    buf_append_str(&b, "]}");
    start_us = cpu_us();
    l = parse(buf_str(&b));
    start_us = cpu_us() - start_us;
    for (size_t i = 0; i < l.job_count; i++)
        count += l.jobs[i].message_count;
    assert_int_equal(count, n);
    assert_int_equal(l.problem_count, 0);
    listing_done(&l);
    return start_us + 1;
}

static void the_cost_is_linear_in_the_size(void **state)
{
    (void)state;
    for (int shape = 0; shape < 3; shape++) {
        uint64_t small_us = cost_us(2500, shape), large_us = cost_us(20000, shape);

        print_message("shape %d: 2500 messages %u us, 20000 messages %u us\n", shape,
                      (unsigned)small_us, (unsigned)large_us);
        assert_true(large_us < small_us * 8 * 4); /* quadratic would be 64 times */
    }
}

static void a_message_taken_belongs_to_who_took_it(void **state)
{
    struct listing l =
        parse_messages("[{\"id\":\"a\",\"type\":\"user_message_v1\",\"payload\":{}},"
                       "{\"id\":\"b\",\"type\":\"user_message_v1\",\"payload\":{}}]");
    struct task *t = listing_take(&l.jobs[0], 0);

    (void)state;
    assert_null(l.jobs[0].messages[0]);
    listing_done(&l);
    assert_string_equal(t->id, "a");
    task_free(t);
}

static void a_question_about_idle_jobs_is_no_message(void **state)
{
    static const char *const bodies[] = {
        "{\"jobs\":[],\"check_idle_jobs\":true}",
        "{\"jobs\":[{\"id\":\"job_1\",\"messages\":[{\"id\":\"m1\","
        "\"type\":\"check_idle_jobs_v1\",\"payload\":{}}]}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct listing l;

        assert_int_equal(listing_parse(bodies[i], strlen(bodies[i]), &l, NULL), 0);
        assert_true(l.check_idle);
        assert_int_equal(l.problem_count, 0);
        assert_true(l.job_count == 0 || l.jobs[0].message_count == 0);
        listing_done(&l);
    }
}

static void what_is_unknown_is_told_once_and_leaves_the_jobs_others(void **state)
{
    static const char body[] = "{\"jobs\":[{\"id\":\"job_1\",\"messages\":["
                               "{\"id\":\"m1\",\"type\":\"dance_v1\",\"payload\":{}},"
                               "{\"id\":\"m2\",\"type\":\"user_message_v1\",\"payload\":{}},"
                               "{\"id\":\"m3\",\"type\":\"dance_v1\",\"payload\":{}}]}]}";
    struct listing l;

    (void)state;
    assert_int_equal(listing_parse(body, strlen(body), &l, NULL), 0);
    assert_false(l.check_idle);
    assert_int_equal(l.problem_count, 1);
    assert_non_null(strstr(l.problems[0].text, "dance_v1"));
    assert_int_equal(l.jobs[0].message_count, 1);
    assert_string_equal(l.jobs[0].messages[0]->id, "m2");
    listing_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_listing_becomes_tasks),
        cmocka_unit_test(mode_and_system_prompt_come_from_the_message_or_else_the_job),
        cmocka_unit_test(what_is_no_listing_is_refused_with_a_sentence),
        cmocka_unit_test(empty_listings_and_empty_jobs_are_legal),
        cmocka_unit_test(a_malformed_job_is_left_out_and_the_rest_is_used),
        cmocka_unit_test(a_malformed_message_is_left_out_and_the_rest_is_used),
        cmocka_unit_test(ids_have_at_most_128_bytes),
        cmocka_unit_test(a_message_listed_twice_is_taken_once),
        cmocka_unit_test(a_job_listed_twice_is_joined_in_order),
        cmocka_unit_test(deep_nesting_is_refused_and_what_is_allowed_is_kept),
        cmocka_unit_test(problems_are_bounded_and_the_rest_counted),
        cmocka_unit_test(the_same_problem_is_said_once_and_leaves_room_for_others),
        cmocka_unit_test(a_nul_in_one_prompt_hides_no_other_message),
        cmocka_unit_test(an_answer_of_millions_of_values_is_no_listing),
        cmocka_unit_test(the_cost_is_linear_in_the_size),
        cmocka_unit_test(a_message_taken_belongs_to_who_took_it),
        cmocka_unit_test(a_question_about_idle_jobs_is_no_message),
        cmocka_unit_test(what_is_unknown_is_told_once_and_leaves_the_jobs_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
