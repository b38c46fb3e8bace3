/* What we send: ids of job and message and the number of the attempt, then any text. It is JSON
 * that says so, under an id that comes out the same again. */
#include "support/replay.h"

#include <string.h>

#include "support/input.h"
#include "upstream/envelope.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/str.h"
#include "util/ulid.h"
#include "util/utf8.h"

static void check(const char *envelope, const char *prefix, const char *job_id, const char *task_id,
                  const char *key, const char *text)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    CLEANUP(buf_done) struct buf clean = { 0 };
    const struct json *payload;
    const char *said;

    FUZZ_CHECK(json_parse(envelope, strlen(envelope), &root, NULL) == 0);
    FUZZ_CHECK(ulid_has_prefix(json_get_str(root, "id"), prefix));
    payload = json_get(root, "payload");
    if (utf8_is_valid(job_id, strlen(job_id)))
        FUZZ_CHECK(str_eq(json_get_str(payload, "job_id"), job_id));
    if (utf8_is_valid(task_id, strlen(task_id)))
        FUZZ_CHECK(str_eq(json_get_str(payload, "processed_message_id"), task_id));
    said = json_get_str(payload, key);
    if (str_eq(key, "message"))
        FUZZ_CHECK(said != NULL);
    utf8_clean(&clean, text, strlen(text));
    if (said && str_eq(buf_str(&clean), text)) /* ordinary text comes through as it is */
        FUZZ_CHECK(str_ends_with(said, text));
}

static char *make(unsigned kind, const char *job_id, const char *task_id, uint32_t attempt,
                  const char *text)
{
    const struct progress said = { .type = PROGRESS_TEXT, .text = text };
    const struct progress tool = { .type = PROGRESS_TOOL_USE,
                                   .tool = text,
                                   .input = text,
                                   .status = "running",
                                   .output = text,
                                   .tool_use_id = text };
    const struct usage usage = { .input_tokens = attempt, .cost_nano_usd = attempt };

    switch (kind) {
    case 0:
        return envelope_reply(job_id, task_id, TASK_REPLY_ASSISTANT, text, &usage, text);
    case 1:
        return envelope_reply(job_id, task_id, TASK_REPLY_ERROR, text, &usage, text);
    case 2:
        return envelope_progress(job_id, task_id, attempt, attempt, &said);
    default:
        return envelope_progress(job_id, task_id, attempt, ~attempt, &tool);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = { "message", "message", "text_delta", "tool_input" };
    struct input in = { data, size };
    unsigned kind = input_byte(&in) % ARRAY_SIZE(keys);
    uint32_t attempt = (uint32_t)input_number(&in, 4);
    AUTO_FREE char *job_id = input_until(&in, '\n');
    AUTO_FREE char *task_id = input_until(&in, '\n');
    AUTO_FREE char *text = input_rest(&in);
    AUTO_FREE char *once = make(kind, job_id, task_id, attempt, text);
    AUTO_FREE char *twice = make(kind, job_id, task_id, attempt, text);
    AUTO_FREE char *began = envelope_processing(job_id, task_id, attempt);

    FUZZ_CHECK(str_eq(once, twice));
    check(once, kind < 2 ? "msg" : "prg", job_id, task_id, keys[kind], text);
    check(began, "msg", job_id, task_id, "none", "");
    return 0;
}
