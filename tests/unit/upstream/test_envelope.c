#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/envelope.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/ulid.h"

#define JOB  "job_01HZX4QNB7K3V8M2T5R9W6Y1CD"
#define TASK "cmsg_01HZX4QNB7K3V8M2T5R9W6Y1CE"

static struct json *parse(const char *text)
{
    struct json *root = NULL;

    assert_int_equal(json_parse(text, strlen(text), &root, NULL), 0);
    assert_string_equal(json_get_str(json_get(root, "payload"), "job_id"), JOB);
    assert_string_equal(json_get_str(json_get(root, "payload"), "processed_message_id"), TASK);
    return root;
}

static void expect(const struct json *payload, const char *key, const char *value)
{
    if (value)
        assert_string_equal(json_get_str(payload, key), value);
    else
        assert_null(json_get(payload, key));
}

static void a_reply_is_an_assistant_message_with_a_derived_id(void **state)
{
    AUTO_FREE char *text =
        envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "done \"\n\xc3\xa4", NULL, NULL);
    AUTO_FREE char *again =
        envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "other words", NULL, NULL);
    CLEANUP_PTR(json_free) struct json *root = parse(text);
    CLEANUP_PTR(json_free) struct json *second = parse(again);
    char id[ULID_ID_MAX];

    (void)state;
    expect(root, "type", "assistant_message_v1");
    expect(json_get(root, "payload"), "message", "done \"\n\xc3\xa4");
    expect(root, "id", ulid_derive(id, "msg", "reply", TASK));
    assert_true(ulid_has_prefix(id, "msg"));
    expect(second, "id", id); /* whatever it says, it is the same reply */
    assert_int_equal(json_len(root), 3);
    assert_int_equal(json_len(json_get(root, "payload")), 3);
}

static void an_error_is_a_system_message_with_the_prefix_byte_for_byte(void **state)
{
    AUTO_FREE char *text =
        envelope_reply(JOB, TASK, TASK_REPLY_ERROR, "sh exited with status 3", NULL, NULL);
    CLEANUP_PTR(json_free) struct json *root = parse(text);
    char id[ULID_ID_MAX];

    (void)state;
    expect(root, "type", "system_message_v1");
    expect(json_get(root, "payload"), "message",
           "nairid encountered error: sh exited with status 3");
    /* the same id as the other kind: a message has one terminal reply */
    expect(root, "id", ulid_derive(id, "msg", "reply", TASK));
}

static void files_are_named_by_their_ids_where_there_are_some(void **state)
{
    AUTO_FREE char *two =
        envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "see", NULL, "att_1 att_2");
    AUTO_FREE char *none = envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "see", NULL, "");
    AUTO_FREE char *error = envelope_reply(JOB, TASK, TASK_REPLY_ERROR, "see", NULL, "att_1");
    CLEANUP_PTR(json_free) struct json *with = parse(two);
    CLEANUP_PTR(json_free) struct json *without = parse(none);
    CLEANUP_PTR(json_free) struct json *broken = parse(error);
    const struct json *ids = json_get(json_get(with, "payload"), "attachment_ids");

    (void)state;
    assert_true(json_is_array(ids));
    assert_int_equal(json_len(ids), 2);
    assert_string_equal(json_str(json_first(ids)), "att_1");
    assert_string_equal(json_str(json_next(json_first(ids))), "att_2");
    assert_null(json_get(json_get(without, "payload"), "attachment_ids"));
    assert_null(json_get(json_get(broken, "payload"), "attachment_ids"));
}

static void each_attempt_announces_itself_under_its_own_id(void **state)
{
    AUTO_FREE char *first = envelope_processing(JOB, TASK, 1);
    AUTO_FREE char *second = envelope_processing(JOB, TASK, 2);
    CLEANUP_PTR(json_free) struct json *a = parse(first);
    CLEANUP_PTR(json_free) struct json *b = parse(second);
    char id[ULID_ID_MAX];

    (void)state;
    expect(a, "type", "processing_message_v1");
    expect(a, "id", ulid_derive(id, "msg", "processing-1", TASK));
    expect(b, "id", ulid_derive(id, "msg", "processing-2", TASK));
    assert_string_not_equal(json_get_str(a, "id"), json_get_str(b, "id"));
    assert_int_equal(json_len(json_get(a, "payload")), 2);
}

static void progress_carries_only_what_there_is(void **state)
{
    static const char *const keys[] = { "tool_name",   "tool_input",        "tool_status",
                                        "tool_use_id", "tool_output",       "text_delta",
                                        "summary",     "parent_tool_use_id" };
    static const struct {
        struct progress p;
        const char *values[ARRAY_SIZE(keys)];
    } cases[] = {
        { { .type = PROGRESS_TEXT, .text = "half a line" },
          { NULL, NULL, NULL, NULL, NULL, "half a line" } },
        { { .type = PROGRESS_TOOL_USE,
            .tool = "Bash",
            .input = "ls -l",
            .status = "completed",
            .tool_use_id = "toolu_1",
            .output = "a\nb",
            .parent_tool_use_id = "toolu_0" },
          { "Bash", "ls -l", "completed", "toolu_1", "a\nb", NULL, NULL, "toolu_0" } },
        { { .type = PROGRESS_TOOL_USE, .tool = "Bash", .status = "error" },
          { "Bash", NULL, "error" } },
        { { .type = PROGRESS_HEARTBEAT, .tool = "Bash", .summary = "Running for 5s..." },
          { "Bash", NULL, NULL, NULL, NULL, NULL, "Running for 5s..." } },
        { { .type = PROGRESS_SUBAGENT, .status = "running", .summary = "Subagent started: x" },
          { NULL, NULL, "running", NULL, NULL, NULL, "Subagent started: x" } },
        { { .type = PROGRESS_STEP, .text = "", .tool = "", .status = "", .input = "" }, { NULL } },
    };
    char id[ULID_ID_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *text = envelope_progress(JOB, TASK, 2, 7, &cases[i].p);
        CLEANUP_PTR(json_free) struct json *root = parse(text);
        const struct json *payload = json_get(root, "payload");

        expect(root, "type", "agent_progress_v1");
        expect(root, "id", ulid_derive(id, "prg", "progress-2-7", TASK));
        assert_true(ulid_has_prefix(id, "prg"));
        expect(payload, "progress_type", progress_type_name(cases[i].p.type));
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
            expect(payload, keys[k], cases[i].values[k]);
    }
}

static void an_answer_says_what_it_cost_where_that_is_asked_for(void **state)
{
    const struct usage all = { .input_tokens = 12,
                               .output_tokens = 3,
                               .cache_read_tokens = 4000000000,
                               .cache_write_tokens = UINT64_MAX,
                               .cost_nano_usd = 1020304050,
                               .model = "claude-x" };
    const struct usage little = { .output_tokens = 1 };
    AUTO_FREE char *full = envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "a", &all, NULL);
    AUTO_FREE char *short_of = envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "a", &little, NULL);
    AUTO_FREE char *failed = envelope_reply(JOB, TASK, TASK_REPLY_ERROR, "a", &all, NULL);
    CLEANUP_PTR(json_free) struct json *root = parse(full);
    CLEANUP_PTR(json_free) struct json *other = parse(short_of);
    CLEANUP_PTR(json_free) struct json *error = parse(failed);
    const struct json *usage = json_get(json_get(root, "payload"), "usage");
    int64_t n;

    (void)state;
    expect(usage, "cost_usd", "1.0203040500");
    expect(usage, "model", "claude-x");
    assert_int_equal(json_get_i64(usage, "input_tokens", &n), 0);
    assert_int_equal(n, 12);
    assert_int_equal(json_get_i64(usage, "output_tokens", &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(json_get_i64(usage, "cache_read_tokens", &n), 0);
    assert_true(n == 4000000000);
    assert_int_equal(json_get_i64(usage, "cache_write_tokens", &n), 0); /* what JSON can say */
    assert_true(n == ((int64_t)1 << 53) - 1);
    usage = json_get(json_get(other, "payload"), "usage");
    assert_null(json_get(usage, "cost_usd")); /* not known is not 0 */
    assert_null(json_get(usage, "model"));
    assert_int_equal(json_len(usage), 4);
    assert_null(json_get(json_get(error, "payload"), "usage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_an_assistant_message_with_a_derived_id),
        cmocka_unit_test(an_error_is_a_system_message_with_the_prefix_byte_for_byte),
        cmocka_unit_test(files_are_named_by_their_ids_where_there_are_some),
        cmocka_unit_test(each_attempt_announces_itself_under_its_own_id),
        cmocka_unit_test(progress_carries_only_what_there_is),
        cmocka_unit_test(an_answer_says_what_it_cost_where_that_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
