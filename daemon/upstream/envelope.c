#include "upstream/envelope.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"

/* The payload that every envelope has. */
static struct json *payload_of(const char *job_id, const char *task_id)
{
    struct json *payload = json_object();

    json_add_str(payload, "job_id", job_id);
    json_add_str(payload, "processed_message_id", task_id);
    return payload;
}

/* Takes ownership of payload. */
static char *print(const char *id, const char *type, struct json *payload)
{
    CLEANUP_PTR(json_free) struct json *envelope = json_object();

    json_add_str(envelope, "id", id);
    json_add_str(envelope, "type", type);
    json_add(envelope, "payload", payload);
    return json_print(envelope);
}

char *envelope_processing(const char *job_id, const char *task_id, uint32_t attempt)
{
    char id[ULID_ID_MAX], purpose[32];

    (void)snprintf(purpose, sizeof purpose, "processing-%" PRIu32, attempt); /* fits */
    return print(ulid_derive(id, "msg", purpose, task_id), "processing_message_v1",
                 payload_of(job_id, task_id));
}

char *envelope_complete(const char *job_id, int64_t used_ms, const char *reason)
{
    struct json *payload = json_object();
    char id[ULID_ID_MAX], purpose[48];

    (void)snprintf(purpose, sizeof purpose, "complete-%" PRId64, used_ms); /* fits */
    json_add_str(payload, "job_id", job_id);
    json_add_str(payload, "reason", reason);
    return print(ulid_derive(id, "msg", purpose, job_id), "job_complete_v1", payload);
}

/* The names are those of the public API, section "Cost fields on assistant messages". */
static struct json *usage_of(const struct usage *u)
{
    struct json *usage = json_object();
    char cost[USAGE_COST_MAX];

    if (u->cost_nano_usd > 0)
        json_add_str(usage, "cost_usd", usage_cost(u, cost));
    json_add_i64(usage, "input_tokens", usage_count(u->input_tokens));
    json_add_i64(usage, "output_tokens", usage_count(u->output_tokens));
    json_add_i64(usage, "cache_read_tokens", usage_count(u->cache_read_tokens));
    json_add_i64(usage, "cache_write_tokens", usage_count(u->cache_write_tokens));
    if (u->model[0])
        json_add_str(usage, "model", u->model);
    return usage;
}

static struct json *list_of(const char *ids)
{
    struct json *list = json_array();

    for (size_t len; *ids; ids += len + (ids[len] == ' ')) {
        AUTO_FREE char *id = NULL;

        len = strcspn(ids, " ");
        id = mem_printf("%.*s", (int)len, ids);
        json_push_str(list, id);
    }
    return list;
}

char *envelope_reply(const char *job_id, const char *task_id, enum task_reply_kind kind,
                     const char *text, const struct usage *usage, const char *attachment_ids)
{
    struct json *payload = payload_of(job_id, task_id);
    char id[ULID_ID_MAX];

    assert(kind != TASK_REPLY_NONE && text);
    (void)ulid_derive(id, "msg", "reply", task_id);
    if (kind == TASK_REPLY_ERROR) {
        AUTO_FREE char *prefixed = mem_printf("%s%s", ENVELOPE_ERROR_PREFIX, text);

        json_add_str(payload, "message", prefixed);
        return print(id, "system_message_v1", payload);
    }
    json_add_str(payload, "message", text);
    if (!str_is_empty(attachment_ids))
        json_add(payload, "attachment_ids", list_of(attachment_ids));
    if (usage)
        json_add(payload, "usage", usage_of(usage));
    return print(id, "assistant_message_v1", payload);
}

static void add_if(struct json *payload, const char *key, const char *value)
{
    if (value && value[0])
        json_add_str(payload, key, value);
}

char *envelope_progress(const char *job_id, const char *task_id, uint32_t attempt, uint32_t n,
                        const struct progress *p)
{
    struct json *payload = payload_of(job_id, task_id);
    char id[ULID_ID_MAX], purpose[48];

    (void)snprintf(purpose, sizeof purpose, "progress-%" PRIu32 "-%" PRIu32, attempt, n); /* fits */
    json_add_str(payload, "progress_type", progress_type_name(p->type));
    add_if(payload, "tool_name", p->tool);
    add_if(payload, "tool_input", p->input);
    add_if(payload, "tool_status", p->status);
    add_if(payload, "tool_use_id", p->tool_use_id);
    add_if(payload, "tool_output", p->output);
    add_if(payload, "text_delta", p->text);
    add_if(payload, "summary", p->summary);
    add_if(payload, "parent_tool_use_id", p->parent_tool_use_id);
    return print(ulid_derive(id, "prg", purpose, task_id), "agent_progress_v1", payload);
}
