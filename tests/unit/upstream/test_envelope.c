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
    AUTO_FREE char *text = envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "done \"\n\xc3\xa4");
    AUTO_FREE char *again = envelope_reply(JOB, TASK, TASK_REPLY_ASSISTANT, "other words");
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
    AUTO_FREE char *text = envelope_reply(JOB, TASK, TASK_REPLY_ERROR, "sh exited with status 3");
    CLEANUP_PTR(json_free) struct json *root = parse(text);
    char id[ULID_ID_MAX];

    (void)state;
    expect(root, "type", "system_message_v1");
    expect(json_get(root, "payload"), "message",
           "nairid encountered error: sh exited with status 3");
    /* the same id as the other kind: a message has one terminal reply */
    expect(root, "id", ulid_derive(id, "msg", "reply", TASK));
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
    static const struct {
        struct envelope_progress p;
        const char *text_delta, *tool_input, *tool_name, *tool_status;
    } cases[] = {
        { { "text", "half a line", NULL, NULL }, "half a line", NULL, NULL, NULL },
        { { "tool_use", "ls -l", "Bash", "running" }, NULL, "ls -l", "Bash", "running" },
        { { "tool_use", NULL, "Bash", "completed" }, NULL, NULL, "Bash", "completed" },
        { { "text", "", "", "" }, NULL, NULL, NULL, NULL },
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
        expect(payload, "progress_type", cases[i].p.type);
        expect(payload, "text_delta", cases[i].text_delta);
        expect(payload, "tool_input", cases[i].tool_input);
        expect(payload, "tool_name", cases[i].tool_name);
        expect(payload, "tool_status", cases[i].tool_status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_an_assistant_message_with_a_derived_id),
        cmocka_unit_test(an_error_is_a_system_message_with_the_prefix_byte_for_byte),
        cmocka_unit_test(each_attempt_announces_itself_under_its_own_id),
        cmocka_unit_test(progress_carries_only_what_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
