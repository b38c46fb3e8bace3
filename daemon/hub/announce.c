#include "hub/announce.h"

#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/engineio.h"
#include "util/json.h"
#include "util/random.h"
#include "util/socketio.h"
#include "util/ulid.h"

static struct json *job_member(const struct json *job)
{
    static const char *const members[] = { "mode", "system_prompt", "fence", "cancel_requested" };
    struct json *object = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (json_get(job, members[i]))
            json_add(object, members[i], json_copy(json_get(job, members[i])));
    return object;
}

static void append_event(struct buf *body, const char *name, const char *json)
{
    CLEANUP(buf_done) struct buf packet = { 0 };

    socketio_print_event(&packet, name, json);
    (void)engineio_append(body, ENGINEIO_MESSAGE, packet.data, packet.len); /* JSON: no separator */
}

static void announce_message(struct buf *body, const struct json *job, const struct json *message)
{
    CLEANUP_PTR(json_free) struct json *envelope = json_object();
    AUTO_FREE char *text = NULL;

    json_add_str(envelope, "id", json_get_str(message, "id"));
    json_add_str(envelope, "type", json_get_str(message, "type"));
    json_add(envelope, "payload", json_copy(json_get(message, "payload")));
    json_add(envelope, "job", job_member(job));
    text = json_print(envelope);
    append_event(body, "cc_message", text);
}

static void announce_check(struct buf *body)
{
    CLEANUP_PTR(json_free) struct json *envelope = json_object();
    AUTO_FREE char *text = NULL;
    uint8_t entropy[10];
    char id[ULID_ID_MAX];

    random_bytes(entropy, sizeof entropy);
    json_add_str(envelope, "id", ulid_make(id, "msg", clock_wall_ms(), entropy));
    json_add_str(envelope, "type", "check_idle_jobs_v1");
    json_add(envelope, "payload", json_object());
    text = json_print(envelope);
    append_event(body, "cc_message", text);
}

void announce_listing(struct buf *body, const char *reply)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    bool poll = false, check = false;

    if (json_parse(reply, strlen(reply), &root, NULL) < 0)
        return; /* it is our own */
    (void)json_get_bool(root, "more", &poll);
    for (const struct json *j = json_first(json_get(root, "jobs")); j; j = json_next(j)) {
        const struct json *messages = json_get(j, "messages");

        poll = poll || json_get(j, "cancel_requested");
        for (const struct json *m = json_first(messages); m; m = json_next(m))
            announce_message(body, j, m);
    }
    (void)json_get_bool(root, "check_idle_jobs", &check);
    if (check)
        announce_check(body);
    if (poll)
        append_event(body, "nairi_poll", NULL);
}
