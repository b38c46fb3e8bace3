#include "hub/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/job.h"
#include "hub/lookout.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

/* 1 if a row of that subject was there, 0 if not, or a negative errno. */
static int update_subject(struct model *m, const struct message_new *what, char *ret_id)
{
    struct query *q = db_query(
        m->db,
        "UPDATE messages SET content = ?3, size = ?4, envelope = ?5, extra = ?6, updated_ms = ?7"
        " WHERE reply_to = ?1 AND subject = ?2 RETURNING id",
        "ittitti", what->reply_to, what->subject, what->content, (int64_t)strlen(what->content),
        what->envelope, what->extra, m->wall_ms);
    int rc = query_next(q);

    if (rc > 0)
        snprintf(ret_id, ULID_ID_MAX, "%s", query_text(q, 0));
    query_end(q);
    return rc;
}

/* What the job's updated_at says; progress comes too often for it. */
static int touch_job(struct model *m, const struct message_new *what)
{
    if (str_eq(what->role, "progress"))
        return 0;
    return (int)db_run(m->db, "UPDATE jobs SET updated_ms = ?2 WHERE seq = ?1", "ii",
                       what->job->seq, m->wall_ms);
}

int message_insert(struct model *m, const struct message_new *what, char *ret_id)
{
    bool from_user = str_eq(what->role, "user");
    int64_t rc = what->subject ? update_subject(m, what, ret_id) : 0;

    if (rc != 0)
        return rc < 0 ? (int)rc : 0;
    call_make_id(ret_id, "cmsg", m);
    rc = db_run(m->db,
                "INSERT INTO messages (id, job, agent, role, status, type, content, size, reply_to,"
                " envelope, extra, acked, created_ms, updated_ms, subject)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, 0), ?10, ?11, ?12, ?13, ?13,"
                " ?14)",
                "tiittttiittiit", ret_id, what->job->seq, what->job->agent, what->role,
                status_name(what->status), what->type, what->content,
                (int64_t)strlen(what->content), what->reply_to, what->envelope, what->extra,
                (int64_t)!from_user, m->wall_ms, what->subject);
    if (rc >= 0 && what->attachments)
        rc = attachment_link(m, db_last_id(m->db), what->attachments);
    if (rc >= 0)
        rc = touch_job(m, what);
    return rc < 0 ? (int)rc : 0;
}

#define RECORD "SELECT seq, job, agent, id, status, acked FROM messages "

static int read_one(struct query *q, struct message *ret_message)
{
    int rc = query_next(q);
    struct message msg = { 0 };

    if (rc > 0 && status_parse(query_text(q, 4), &msg.status) < 0)
        rc = -EBADMSG;
    if (rc > 0) {
        msg.seq = query_i64(q, 0);
        msg.job = query_i64(q, 1);
        msg.agent = query_i64(q, 2);
        snprintf(msg.id, sizeof msg.id, "%s", query_text(q, 3));
        msg.acked = query_i64(q, 5) != 0;
        *ret_message = msg;
    }
    query_end(q);
    return rc;
}

int message_find(struct db *db, const char *id, struct message *ret_message)
{
    return read_one(db_query(db, RECORD "WHERE id = ?1 AND role = 'user'", "t", id), ret_message);
}

int message_next_open(struct db *db, int64_t job, int64_t after, struct message *ret_message)
{
    return read_one(db_query(db,
                             RECORD "WHERE job = ?1 AND status IN ('queued', 'pending')"
                                    " AND seq > ?2 ORDER BY seq LIMIT 1",
                             "ii", job, after),
                    ret_message);
}

int message_move(struct model *m, struct message *msg, enum status_event event)
{
    enum status before = msg->status;
    int64_t rc = status_step(&msg->status, event);

    if (rc == 0 && status_is_final(msg->status))
        lookout_ended(m->lookout, msg->seq);

    if (rc == 0 && msg->status != before)
        rc = db_run(m->db, "UPDATE messages SET status = ?2, updated_ms = ?3 WHERE seq = ?1", "iti",
                    msg->seq, status_name(msg->status), m->wall_ms);
    return rc < 0 ? (int)rc : 0;
}

int message_give_up(struct model *m, struct job *j, struct message *msg, const char *text)
{
    AUTO_FREE char *content = mem_printf("%s%s", MESSAGE_ERROR_PREFIX, text);
    struct message_new reply = { .job = j,
                                 .role = "system",
                                 .status = STATUS_COMPLETED,
                                 .content = content,
                                 .reply_to = msg->seq };
    char id[ULID_ID_MAX];
    int64_t rc = message_move(m, msg, STATUS_EV_FAIL);

    if (rc >= 0)
        rc = db_run(m->db, "UPDATE messages SET acked = 1, given_to = NULL WHERE seq = ?1", "i",
                    msg->seq);
    if (rc >= 0)
        rc = message_insert(m, &reply, id);
    return rc < 0 ? (int)rc : job_move(m, j, STANDING_EV_FAIL);
}

#define SHOWN                                                                                      \
    "SELECT m.id, j.id, m.role, m.status, m.content, m.created_ms, m.updated_ms, m.extra, r.id,"   \
    " " ATTACHMENT_IDS("m.seq") ", m.seq FROM messages m JOIN jobs j ON j.seq = m.job LEFT JOIN "  \
                                "messages r ON r.seq = m.reply_to "

static void add_time(struct json *object, const char *key, int64_t wall_ms)
{
    char text[32];

    json_add_str(object, key, clock_rfc3339(text, wall_ms));
}

/* extra was checked when it was stored. */
static void add_extra(struct json *object, const char *extra)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;

    if (!extra || json_parse(extra, strlen(extra), &root, NULL) < 0)
        return;
    for (const struct json *n = json_first(root); n; n = json_next(n))
        json_add(object, json_key(n), json_copy(n));
}

static struct json *show(const struct model *m, struct query *q)
{
    struct json *object = json_object();
    enum status status;

    if (str_eq(query_text(q, 2), "user") && status_parse(query_text(q, 3), &status) == 0)
        lookout_saw(m->lookout, query_i64(q, 10), !status_is_final(status), m->now_ms);

    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "job_id", query_text(q, 1));
    json_add_str(object, "role", query_text(q, 2));
    json_add_str(object, "status", query_text(q, 3));
    json_add_str(object, "content", query_text(q, 4));
    add_time(object, "created_at", query_i64(q, 5));
    add_time(object, "updated_at", query_i64(q, 6));
    if (!query_is_null(q, 8))
        json_add_str(object, "processed_message_id", query_text(q, 8));
    attachment_show_ids(object, query_text(q, 9));
    add_extra(object, query_text(q, 7));
    return object;
}

int message_get(struct call *c, struct model *m)
{
    struct query *q;
    int rc;

    if (!ulid_has_prefix(c->target, "cmsg"))
        return call_refuse(c, 400, "'%s' is no message id: those are cmsg_ and a ULID", c->target);
    q = db_query(m->db, SHOWN "WHERE m.id = ?1", "t", c->target);
    rc = query_next(q);
    if (rc > 0)
        rc = call_reply(c, 200, show(m, q));
    else if (rc == 0)
        rc = call_refuse(c, 404, "message not found: %s", c->target);
    query_end(q);
    return rc;
}

/* The place before which the call wants its list: 1, or 0 and c is refused, or a negative errno. */
static int find_end(struct call *c, struct model *m, int64_t job, int64_t *ret_seq)
{
    int rc;

    *ret_seq = INT64_MAX;
    if (!c->arguments[CALL_BEFORE])
        return 1;
    rc = db_get(m->db, ret_seq, "SELECT seq FROM messages WHERE id = ?1 AND job = ?2", "ti",
                c->arguments[CALL_BEFORE], job);
    if (rc == 0)
        call_refuse(c, 400, "before: '%s' is no message of this conversation",
                    c->arguments[CALL_BEFORE]);
    return rc;
}

/* The newest ones first: 1 if there are older ones, 0 if not, or a negative errno. */
static int read_newest(const struct model *m, struct query *q,
                       struct json *newest[MESSAGE_LIST_MAX], size_t *count)
{
    size_t bytes = 0;
    int rc;

    while ((rc = query_next(q)) > 0) {
        bytes += query_bytes(q, 4) + query_bytes(q, 7);
        if (*count == MESSAGE_LIST_MAX || (*count > 0 && bytes > MESSAGE_LIST_BYTES_MAX))
            return 1;
        newest[(*count)++] = show(m, q);
    }
    return rc;
}

static int reply_list(struct call *c, struct model *m, int64_t job, int64_t before)
{
    struct query *q =
        db_query(m->db, SHOWN "WHERE m.job = ?1 AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3", "iii",
                 job, before, (int64_t)MESSAGE_LIST_MAX + 1);
    AUTO_FREE struct json **newest = mem_calloc(MESSAGE_LIST_MAX, sizeof(struct json *));
    CLEANUP_PTR(json_free) struct json *root = json_object();
    struct json *list = json_array();
    size_t count = 0;
    int more = read_newest(m, q, newest, &count);

    query_end(q);
    while (count > 0)
        json_push(list, newest[--count]);
    json_add(root, "messages", list);
    if (more > 0)
        json_add_bool(root, "more", true);
    return more < 0 ? more : call_reply(c, 200, TAKE_PTR(root));
}

int message_list(struct call *c, struct model *m)
{
    int64_t job, before;
    int rc;

    if (!job_id_is_valid(c->target))
        return call_refuse(c, 400, "'%s' is no conversation id: those are job_ and a ULID",
                           c->target);
    rc = db_get(m->db, &job, "SELECT seq FROM jobs WHERE id = ?1", "t", c->target);
    if (rc == 0)
        return call_refuse(c, 404, "conversation not found: %s", c->target);
    if (rc > 0)
        rc = find_end(c, m, job, &before);
    return rc <= 0 ? rc : reply_list(c, m, job, before);
}
