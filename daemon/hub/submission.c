#include "hub/submission.h"

#include <errno.h>
#include <string.h>

#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/cost.h"
#include "hub/db.h"
#include "hub/inbox.h"
#include "hub/job.h"
#include "hub/message.h"
#include "hub/storage.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

/* One envelope on its way in. Texts are borrowed from the body. */
struct submission {
    const char *id;
    const struct json *payload;
    const char *text; /* the payload's member named by the type's row */
    struct message message;
    bool has_message;
    struct job job;
    struct attachment_list attachments;
};

/* Return 1 if something was stored, 0 if not, or a negative errno. */
typedef int (*store_fn)(struct call *c, struct model *m, struct submission *s);

static int store_about(struct model *m, struct submission *s, const char *role, const char *content,
                       const char *extra, const char *subject)
{
    struct message_new what = { .job = &s->job,
                                .role = role,
                                .status = STATUS_COMPLETED,
                                .content = content,
                                .reply_to = s->has_message ? s->message.seq : 0,
                                .envelope = s->id,
                                .extra = extra,
                                .attachments = &s->attachments,
                                .subject = subject };
    char id[ULID_ID_MAX];
    int rc = message_insert(m, &what, id);

    return rc < 0 ? rc : 1;
}

static int store_row(struct model *m, struct submission *s, const char *role, const char *content,
                     const char *extra)
{
    return store_about(m, s, role, content, extra, NULL);
}

/* The reply that ends a message. */
static int store_terminal(struct call *c, struct model *m, struct submission *s, const char *role,
                          bool failed)
{
    AUTO_FREE char *extra = failed ? NULL : cost_pick(json_get(s->payload, "usage"));
    int rc;

    if (status_is_final(s->message.status))
        return 0;
    rc = message_move(m, &s->message, failed ? STATUS_EV_FAIL : STATUS_EV_ANSWER);
    if (rc >= 0)
        rc = store_row(m, s, role, s->text, extra);
    if (rc >= 0)
        rc = job_move(m, &s->job, failed ? STANDING_EV_FAIL : STANDING_EV_ANSWER);
    if (rc >= 0)
        rc = job_settle_cancel(m, &s->job);
    if (rc > 0) /* prompts that came after the request to stop may go out now */
        call_wake_agent(c, s->job.agent, job_is_held(m, &s->job) ? s->job.holder : NULL);
    return rc < 0 ? rc : 1;
}

static int store_assistant(struct call *c, struct model *m, struct submission *s)
{
    return store_terminal(c, m, s, "assistant", false);
}

/* What is said beside answers: an agent has no end of it to say. */
static int store_note(struct model *m, struct submission *s)
{
    int64_t count = 0;
    int64_t rc = db_get(m->db, &count, "SELECT notes FROM jobs WHERE seq = ?1", "i", s->job.seq);

    if (rc < 0 || count >= SUBMISSION_SYSTEM_MAX)
        return rc < 0 ? (int)rc : 0;
    rc = store_row(m, s, "system", s->text, NULL);
    if (rc >= 0)
        rc = db_run(m->db, "UPDATE jobs SET notes = notes + 1 WHERE seq = ?1", "i", s->job.seq);
    return rc < 0 ? (int)rc : 1;
}

static int store_system(struct call *c, struct model *m, struct submission *s)
{
    if (s->has_message && str_starts_with(s->text, MESSAGE_ERROR_PREFIX))
        return store_terminal(c, m, s, "system", true);
    return store_note(m, s);
}

static int store_processing(struct call *c, struct model *m, struct submission *s)
{
    int rc;

    (void)c;
    if (status_is_final(s->message.status))
        return 0;
    rc = message_move(m, &s->message, STATUS_EV_HAND);
    return rc < 0 ? rc : 1;
}

static int store_complete(struct call *c, struct model *m, struct submission *s)
{
    struct message open;
    int rc = message_next_open(m->db, s->job.seq, 0, &open);

    (void)c;
    if (rc != 0) /* somebody has written to it meanwhile */
        return rc < 0 ? rc : 0;
    rc = job_move(m, &s->job, STANDING_EV_COMPLETE);
    return rc < 0 ? rc : store_note(m, s);
}

/* What of the turn it is about, so that what is said of that later takes its place; NULL: it stands
 * alone. */
static char *subject_of(const struct json *payload)
{
    const char *tool = json_get_str(payload, "tool_use_id");
    const char *type = json_get_str(payload, "progress_type");

    if (str_is_empty(tool) || strlen(tool) > SUBMISSION_ID_MAX || !type ||
        strlen(type) > SUBMISSION_ID_MAX)
        return NULL;
    return mem_printf("%s/%s", type, tool);
}

/* 1 if what it says of its subject is older than what is there: a tool that ended runs no more. */
static int is_late(struct model *m, const struct submission *s, const char *subject)
{
    int64_t seq;

    if (!subject || !str_eq(json_get_str(s->payload, "tool_status"), "running"))
        return 0;
    return db_get(m->db, &seq,
                  "SELECT seq FROM messages WHERE reply_to = ?1 AND subject = ?2"
                  " AND extra ->> 'tool_status' IN ('completed', 'error')",
                  "it", s->message.seq, subject);
}

static char *pick_progress(const struct json *payload)
{
    static const char *const shown[] = { "tool_use_id", "parent_tool_use_id", "progress_type",
                                         "tool_name", "tool_status" };
    CLEANUP_PTR(json_free) struct json *picked = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
        if (json_get_str(payload, shown[i]))
            json_add_str(picked, shown[i], json_get_str(payload, shown[i]));
    return json_len(picked) > 0 ? json_print(picked) : NULL;
}

static int store_progress(struct call *c, struct model *m, struct submission *s)
{
    AUTO_FREE char *content = json_print(s->payload);
    AUTO_FREE char *extra = pick_progress(s->payload);
    AUTO_FREE char *subject = subject_of(s->payload);
    int64_t rc;

    (void)c;
    if (status_is_final(s->message.status) || strlen(content) > SUBMISSION_PROGRESS_BYTES_MAX)
        return 0;
    rc = is_late(m, s, subject);
    if (rc != 0)
        return rc < 0 ? (int)rc : 0;
    rc = message_move(m, &s->message, STATUS_EV_HAND);
    if (rc >= 0)
        rc = store_about(m, s, "progress", content, extra, subject);
    if (rc >= 0)
        rc = db_run(m->db,
                    "DELETE FROM messages WHERE seq = (SELECT seq FROM messages"
                    " WHERE reply_to = ?1 AND role = 'progress' ORDER BY seq DESC"
                    " LIMIT 1 OFFSET ?2)",
                    "ii", s->message.seq, (int64_t)SUBMISSION_PROGRESS_MAX);
    return rc < 0 ? (int)rc : 1;
}

static const struct type {
    const char *name;
    const char *text;   /* the payload's member that must be a string; NULL: none */
    bool needs_message; /* processed_message_id must name a message */
    bool attaches;      /* attachment_ids may name what goes with it */
    store_fn store;
} types[] = {
    /* start_conversation_response_v1 is ignored as types are that nobody knows */
    { "assistant_message_v1", "message", true, true, store_assistant },
    { "system_message_v1", "message", false, false, store_system },
    { "processing_message_v1", NULL, true, false, store_processing },
    { "agent_progress_v1", NULL, true, false, store_progress },
    { "job_complete_v1", "reason", false, false, store_complete },
};

static const struct type *find_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (str_eq(name, types[i].name))
            return &types[i];
    return NULL;
}

bool submission_is_progress(const char *body, size_t len)
{
    static const char name[] = "agent_progress_v1";
    CLEANUP_PTR(json_free) struct json *root = NULL;

    return memmem(body, len, name, strlen(name)) && json_parse(body, len, &root, NULL) == 0 &&
           str_eq(json_get_str(root, "type"), name);
}

static bool id_is_valid(const char *id)
{
    size_t len = id ? strlen(id) : 0;

    if (len == 0 || len > SUBMISSION_ID_MAX)
        return false;
    for (const char *s = id; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

/* The message and job that the payload names. 1, or 0 and c is refused, or a negative errno. */
static int find_subject(struct call *c, struct model *m, struct submission *s, bool needs_message)
{
    const char *message_id = json_get_str(s->payload, "processed_message_id");
    const char *job_id = json_get_str(s->payload, "job_id");
    int rc;

    if (!str_is_empty(message_id)) {
        if (!ulid_has_prefix(message_id, "cmsg"))
            return call_refuse(c, 400, "processed_message_id '%s' is no message id", message_id);
        rc = message_find(m->db, message_id, &s->message);
        if (rc < 0)
            return rc;
        if (rc == 0 || s->message.agent != c->agent.seq)
            return call_refuse(c, 404, "message not found: %s", message_id);
        s->has_message = true;
        rc = job_load(m->db, s->message.job, &s->job);
        if (rc > 0 && !str_is_empty(job_id) && !str_eq(job_id, s->job.id))
            return call_refuse(c, 400, "%s is a message of %s, not of %s", message_id, s->job.id,
                               job_id);
        return rc;
    }
    if (needs_message)
        return call_refuse(c, 400, "payload.processed_message_id is required");
    if (str_is_empty(job_id) || !job_id_is_valid(job_id))
        return call_refuse(c, 400, "payload.job_id must be a conversation's id");
    rc = job_find(m->db, job_id, &s->job);
    if (rc == 0 || (rc > 0 && s->job.agent != c->agent.seq))
        return call_refuse(c, 404, "conversation not found: %s", job_id);
    return rc;
}

static int reply_stored(struct call *c, const struct job *j, bool stored)
{
    struct json *root = json_object();

    c->fence_out = j ? (uint64_t)j->fence : 0;
    json_add_bool(root, "stored", stored);
    return call_reply(c, 200, root);
}

/* 1 if the agent has sent this envelope before. */
static int is_repeated(struct model *m, int64_t agent, const char *envelope)
{
    int64_t seq;

    return db_get(m->db, &seq, "SELECT seq FROM messages WHERE agent = ?1 AND envelope = ?2", "it",
                  agent, envelope);
}

static int accept(struct call *c, struct model *m, const struct type *type, struct submission *s)
{
    int rc = find_subject(c, m, s, type->needs_message);

    if (rc <= 0)
        return rc;
    rc = is_repeated(m, c->agent.seq, s->id);
    if (rc != 0)
        return rc < 0 ? rc : reply_stored(c, &s->job, false);
    rc = job_check_fence(c, m, &s->job);
    if (rc <= 0)
        return rc;
    rc = type->attaches ? attachment_take(c, m, s->payload, c->agent.seq, &s->attachments) : 1;
    if (rc <= 0)
        return rc;
    rc = type->store(c, m, s);
    return rc < 0 ? rc : reply_stored(c, &s->job, rc > 0);
}

int submission_post(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct submission s = { 0 };
    const struct type *type;
    const char *type_name;
    int rc;

    if (!call_parse_body(c, &body))
        return 0;
    s.id = json_get_str(body, "id");
    type_name = json_get_str(body, "type");
    s.payload = json_get(body, "payload");
    if (!id_is_valid(s.id))
        return call_refuse(c, 400, "id must be a string of 1 to %d printable characters",
                           SUBMISSION_ID_MAX);
    if (!type_name || !json_is_object(s.payload))
        return call_refuse(c, 400, "type must be a string and payload an object");
    type = find_type(type_name);
    if (!type) /* of a newer daemon: to refuse it would make that one try again */
        return reply_stored(c, NULL, false);
    if (type->text) {
        s.text = json_get_str(s.payload, type->text);
        if (!s.text)
            return call_refuse(c, 400, "payload.%s must be a string", type->text);
        if (strlen(s.text) > SUBMISSION_TEXT_MAX)
            return call_refuse(c, 413, "payload.%s is longer than %d bytes", type->text,
                               SUBMISSION_TEXT_MAX);
    }
    rc = accept(c, m, type, &s);
    job_done(&s.job);
    return rc;
}

int submission_ack(struct call *c, struct model *m)
{
    CLEANUP(job_done) struct job j = { 0 };
    struct message msg;
    int64_t rc;

    if (!ulid_has_prefix(c->target, "cmsg"))
        return call_refuse(c, 400, "'%s' is no message id: those are cmsg_ and a ULID", c->target);
    rc = message_find(m->db, c->target, &msg);
    if (rc < 0)
        return (int)rc;
    if (rc == 0 || msg.agent != c->agent.seq)
        return call_refuse(c, 404, "message not found: %s", c->target);
    rc = job_load(m->db, msg.job, &j);
    if (rc <= 0)
        return rc < 0 ? (int)rc : -EIO;
    if (msg.acked)
        return reply_stored(c, &j, false);
    rc = job_check_fence(c, m, &j);
    if (rc > 0)
        rc = db_run(m->db, "UPDATE messages SET acked = 1, given_to = NULL WHERE seq = ?1", "i",
                    msg.seq);
    if (rc > 0)
        rc = inbox_has_room(m, c->agent.seq, c->instance);
    else
        return (int)rc;
    if (rc > 0)
        call_wake_agent(c, c->agent.seq, c->instance);
    return rc < 0 ? (int)rc : reply_stored(c, &j, true);
}
