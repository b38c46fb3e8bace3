#include "upstream/push.h"

#include <stdio.h>
#include <string.h>

#include "upstream/listing.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/str.h"

/* What a poll would say of the same message, NULL where that can't be told. */
static char *as_listing(const struct json *envelope)
{
    static const char *const members[] = { "mode", "system_prompt", "fence", "cancel_requested" };
    CLEANUP_PTR(json_free) struct json *root = json_object();
    const struct json *payload = json_get(envelope, "payload"), *given = json_get(envelope, "job");
    const char *id = json_get_str(payload, "processed_message_id");
    struct json *job = json_object(), *jobs = json_array(), *message = json_object();
    struct json *messages = json_array();

    json_add_str(job, "id", json_get_str(payload, "job_id"));
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (json_get(given, members[i]))
            json_add(job, members[i], json_copy(json_get(given, members[i])));
    json_add_str(message, "id", id);
    json_add_str(message, "type", json_get_str(envelope, "type"));
    if (payload)
        json_add(message, "payload", json_copy(payload));
    json_push(messages, message);
    json_add(job, "messages", messages);
    json_push(jobs, job);
    json_add(root, "jobs", jobs);
    return json_print(root);
}

static void take(struct push *push, struct listing *listing, bool has_job)
{
    if (listing->problem_count > 0)
        (void)snprintf(push->problem, sizeof push->problem, "%s", listing->problems[0].text);
    if (listing->job_count == 0 || listing->jobs[0].message_count == 0)
        return;
    push->task = listing_take(&listing->jobs[0], 0);
    push->whole = push->task->kind == TASK_KIND_START || has_job;
    if (listing->jobs[0].cancel_requested) /* what it means, a poll says */
        push->whole = false;
}

void push_parse(const char *text, size_t len, struct push *ret_push)
{
    CLEANUP_PTR(json_free) struct json *envelope = NULL;
    CLEANUP(listing_done) struct listing listing = { 0 };
    AUTO_FREE char *body = NULL;
    struct push push = { 0 };
    const char *type = NULL;
    struct err err = { 0 };

    if (json_parse(text, len, &envelope, &err) < 0) {
        (void)snprintf(push.problem, sizeof push.problem, "a pushed message is left out: %.200s",
                       err.text);
        *ret_push = push;
        return;
    }
    type = json_get_str(envelope, "type");
    if (str_eq(type, "check_idle_jobs_v1")) {
        push.check_idle = true;
    } else {
        body = as_listing(envelope);
        if (listing_parse(body, strlen(body), &listing, &err) == 0)
            take(&push, &listing, json_is_object(json_get(envelope, "job")));
        push.unknown = type && !listing_knows_type(type);
    }
    *ret_push = push;
}
