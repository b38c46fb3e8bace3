#include "hub/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/job.h"
#include "hub/lease.h"
#include "hub/status.h"
#include "util/clock.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

/* A job as it was met while listing. */
struct slot {
    int64_t seq;
    struct json *object; /* NULL: not (yet) listed */
    struct json *messages;
    bool refused; /* another instance has it, or it is to be stopped */
    bool granted; /* something of it is handed out now */
    UT_hash_handle hh;
};

struct listing {
    struct call *call;
    struct model *model;
    struct json *jobs;
    struct slot *slots;
    int64_t count, bytes; /* held by the instance */
    bool more;
    bool plain;
};

/* The columns that show() and consider() read. */
enum {
    COL_SEQ,
    COL_ID,
    COL_TYPE,
    COL_STATUS,
    COL_SIZE,
    COL_CREATED,
    COL_CONTENT,
    COL_JOB,
    COL_JOB_ID,
    COL_HOLDER,
    COL_FENCE,
    COL_CANCEL,
    COL_MODE,
    COL_PROMPT,
    COL_JOB_CREATED,
    COL_GIVEN,
    COL_ATTACHMENTS,
};
#define COLUMNS                                                                                    \
    "SELECT m.seq, m.id, m.type, m.status, m.size, m.created_ms, m.content, j.seq, j.id, "         \
    "j.holder,"                                                                                    \
    " j.fence, j.cancel_seq, j.mode, j.system_prompt, j.created_ms, m.given_to," ATTACHMENT_IDS(   \
        "m.seq")
#define JOINED " FROM messages m JOIN jobs j ON j.seq = m.job "

static void add_time(struct json *object, const char *key, int64_t wall_ms)
{
    char text[32];

    json_add_str(object, key, clock_rfc3339(text, wall_ms));
}

static struct slot *find_slot(struct listing *l, int64_t job)
{
    struct slot *s = NULL;

    HASH_FIND(hh, l->slots, &job, sizeof job, s);
    if (!s) {
        s = mem_new(struct slot);
        s->seq = job;
        HASH_ADD(hh, l->slots, seq, sizeof s->seq, s);
    }
    return s;
}

static void show_job(struct listing *l, struct slot *s, struct query *q)
{
    const char *holder = query_text(q, COL_HOLDER);
    bool mine = str_eq(holder, l->call->instance);

    if (s->object)
        return;
    s->object = json_object();
    s->messages = json_array();
    json_add_str(s->object, "id", query_text(q, COL_JOB_ID));
    json_add_str(s->object, "job_type", "api");
    json_add_str(s->object, "mode", query_text(q, COL_MODE));
    json_add_null(s->object, "title");
    add_time(s->object, "created_at", query_i64(q, COL_JOB_CREATED));
    if (!query_is_null(q, COL_PROMPT))
        json_add_str(s->object, "system_prompt", query_text(q, COL_PROMPT));
    json_add_i64(s->object, "fence", query_i64(q, COL_FENCE) + (mine ? 0 : 1));
    if (query_i64(q, COL_CANCEL) > 0)
        json_add_bool(s->object, "cancel_requested", true);
    json_add(s->object, "messages", s->messages);
    json_push(l->jobs, s->object);
}

static void show_message(struct slot *s, struct query *q)
{
    struct json *record = json_object(), *payload = json_object();
    bool start = str_eq(query_text(q, COL_TYPE), "start_conversation_v1");

    json_add_str(payload, "job_id", query_text(q, COL_JOB_ID));
    json_add_str(payload, "message", query_text(q, COL_CONTENT));
    json_add_str(payload, "processed_message_id", query_text(q, COL_ID));
    json_add_str(payload, "message_link", "");
    if (start)
        json_add_str(payload, "mode", query_text(q, COL_MODE));
    attachment_show_objects(payload, query_text(q, COL_ATTACHMENTS));
    if (start && !query_is_null(q, COL_PROMPT))
        json_add_str(payload, "system_prompt", query_text(q, COL_PROMPT));
    json_add_str(record, "id", query_text(q, COL_ID));
    json_add_str(record, "type", query_text(q, COL_TYPE));
    json_add(record, "payload", payload);
    add_time(record, "created_at", query_i64(q, COL_CREATED));
    json_push(s->messages, record);
}

/* Whether the instance may have this waiting message. A job that is to be stopped is handed out no
 * further: its holder is told (again, after a restart of the hub) of the messages that the request
 * means, and later ones wait until it has stopped. */
static bool may_have(const struct listing *l, struct query *q)
{
    const char *holder = query_text(q, COL_HOLDER);
    int64_t cancel_seq = query_i64(q, COL_CANCEL);
    bool mine = str_eq(holder, l->call->instance);

    if (cancel_seq > 0)
        return mine && query_i64(q, COL_SEQ) <= cancel_seq;
    return mine || !holder ||
           !lease_is_live(l->model->leases, l->call->agent.seq, holder, l->model->now_ms);
}

/* Answered, and who did so died before it could ack: nobody needs it any more (job_take()). */
static bool is_over(const struct listing *l, struct query *q)
{
    return !str_eq(query_text(q, COL_HOLDER), l->call->instance) &&
           (str_eq(query_text(q, COL_STATUS), status_name(STATUS_COMPLETED)) ||
            str_eq(query_text(q, COL_STATUS), status_name(STATUS_FAILED)));
}

static bool has_room(const struct listing *l, int64_t bytes)
{
    return l->count < INBOX_MESSAGES_MAX && (l->count == 0 || l->bytes + bytes <= INBOX_BYTES_MAX);
}

/* What is handed out now: also what was given to an instance whose lease has ended, though nobody
 * has swept yet. Collects only: the rows that the query walks over must not change under it. */
static int grant_waiting(struct listing *l)
{
    struct call *c = l->call;
    struct query *q =
        db_query(l->model->db,
                 COLUMNS JOINED "WHERE m.agent = ?1 AND m.acked = 0 AND m.given_to IS NOT ?2"
                                " ORDER BY m.seq",
                 "it", c->agent.seq, c->instance);
    int rc;

    while ((rc = query_next(q)) > 0) {
        struct slot *s = find_slot(l, query_i64(q, COL_JOB));
        int64_t bytes = query_i64(q, COL_SIZE);

        s->refused = s->refused || !may_have(l, q); /* and then nothing later in the job either */
        if (s->refused || is_over(l, q))
            continue;
        if (!has_room(l, bytes)) {
            l->more = true;
            break;
        }
        l->count++;
        l->bytes += bytes;
        s->granted = true;
        if (c->granted_count % 64 == 0)
            c->granted = mem_realloc(c->granted, (c->granted_count + 64) * sizeof c->granted[0]);
        c->granted[c->granted_count++] = query_i64(q, COL_SEQ);
    }
    query_end(q);
    return rc < 0 ? rc : 0;
}

/* What is granted, and what the instance was given before and hasn't acked: all of it in a plain
 * poll, and in any case what belongs to a job of which something new is listed. For an answer may
 * have been lost unseen, and in a job nothing must overtake what it listed. */
static int list_messages(struct listing *l)
{
    const struct call *c = l->call;
    size_t next = 0;
    struct query *q =
        db_query(l->model->db, COLUMNS JOINED "WHERE m.agent = ?1 AND m.acked = 0 ORDER BY m.seq",
                 "i", c->agent.seq);
    int rc;

    while ((rc = query_next(q)) > 0) {
        struct slot *s = find_slot(l, query_i64(q, COL_JOB));
        bool granted = next < c->granted_count && c->granted[next] == query_i64(q, COL_SEQ);

        next += granted;
        if (!granted &&
            (!str_eq(query_text(q, COL_GIVEN), c->instance) || (!l->plain && !s->granted)))
            continue;
        show_job(l, s, q);
        show_message(s, q);
    }
    query_end(q);
    return rc < 0 ? rc : 0;
}

static int take_granted(struct listing *l)
{
    struct call *c = l->call;
    int64_t rc = 0;

    for (struct slot *s = l->slots; s && rc >= 0; s = s->hh.next)
        if (s->object)
            rc = job_take(l->model, s->seq, c->instance);
    for (size_t i = 0; i < c->granted_count && rc >= 0; i++) {
        rc = db_run(l->model->db, "UPDATE messages SET given_to = ?2 WHERE seq = ?1", "it",
                    c->granted[i], c->instance);
        if (rc >= 0)
            rc = db_run(l->model->db,
                        "UPDATE messages SET status = 'pending', updated_ms = ?2"
                        " WHERE seq = ?1 AND status = 'queued'",
                        "ii", c->granted[i], l->model->wall_ms);
    }
    return rc < 0 ? (int)rc : 0;
}

/* Cancel requests that the instance hasn't been told of: jobs without messages, where nothing else
 * has listed them. */
static int list_cancels(struct listing *l)
{
    struct call *c = l->call;
    struct query *q = db_query(
        l->model->db,
        "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, seq, id, holder, fence, cancel_seq, mode,"
        " system_prompt, created_ms, NULL FROM jobs"
        " WHERE agent = ?1 AND cancel_seq > 0 AND holder = ?2 AND cancel_told <= ?3",
        "iti", c->agent.seq, c->instance, (int64_t)l->plain);
    int64_t rc;

    while ((rc = query_next(q)) > 0) {
        show_job(l, find_slot(l, query_i64(q, COL_JOB)), q);
        c->cancels = true;
    }
    query_end(q);
    if (rc >= 0 && c->cancels)
        rc = db_run(l->model->db,
                    "UPDATE jobs SET cancel_told = 1"
                    " WHERE agent = ?1 AND cancel_seq > 0 AND holder = ?2",
                    "it", c->agent.seq, c->instance);
    return rc < 0 ? (int)rc : 0;
}

static int load_held_size(struct listing *l)
{
    struct query *q = db_query(l->model->db,
                               "SELECT count(*), total(size) FROM messages"
                               " WHERE agent = ?1 AND given_to = ?2 AND acked = 0",
                               "it", l->call->agent.seq, l->call->instance);
    int rc = query_next(q);

    if (rc > 0) {
        l->count = query_i64(q, 0);
        l->bytes = query_i64(q, 1);
    }
    query_end(q);
    return rc;
}

static void free_slots(struct slot **slots)
{
    struct slot *s, *next;

    HASH_ITER (hh, *slots, s, next) {
        HASH_DEL(*slots, s);
        free(s);
    }
}

static int collect(struct listing *l)
{
    int rc = load_held_size(l);

    if (rc >= 0)
        rc = grant_waiting(l);
    if (rc >= 0 && (l->plain || l->call->granted_count > 0))
        rc = list_messages(l);
    if (rc >= 0)
        rc = take_granted(l);
    if (rc >= 0)
        rc = list_cancels(l);
    free_slots(&l->slots);
    return rc;
}

int inbox_poll(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();
    struct listing l = { .call = c, .model = m, .plain = c->wait_s == 0 };
    int rc;

    l.jobs = json_array();
    json_add(root, "jobs", l.jobs);
    c->check_idle =
        c->check_idle ||
        lease_take_check(m->leases, c->agent.seq, c->instance,
                         m->now_ms + (c->envoy ? 0 : c->wait_s * UINT64_C(1000)), m->check_idle_ms);
    rc = collect(&l);
    if (rc < 0)
        return rc;
    /* by the realtime channel the question goes at once: it costs no request */
    if (json_len(l.jobs) == 0 && c->wait_s > 0 && !(c->check_idle && c->envoy)) {
        c->park = true;
        c->status = 200;
        return 0;
    }
    if (l.more)
        json_add_bool(root, "more", true);
    if (c->check_idle)
        json_add_bool(root, "check_idle_jobs", true);
    return call_reply(c, 200, TAKE_PTR(root));
}

char *inbox_nothing(const struct call *c)
{
    return mem_strdup(c->check_idle ? "{\"jobs\":[],\"check_idle_jobs\":true}" : "{\"jobs\":[]}");
}

int inbox_has_room(struct model *m, int64_t agent, const char *instance)
{
    int64_t held = 0, seq;
    int rc = db_get(m->db, &held,
                    "SELECT count(*) FROM messages"
                    " WHERE agent = ?1 AND given_to = ?2 AND acked = 0",
                    "it", agent, instance);

    if (rc < 0 || (held >= INBOX_WAKE_STEP && held % INBOX_WAKE_STEP != 0))
        return rc < 0 ? rc : 0;
    return db_get(m->db, &seq,
                  "SELECT seq FROM messages"
                  " WHERE agent = ?1 AND acked = 0 AND given_to IS NULL LIMIT 1",
                  "i", agent);
}

int inbox_return(struct model *m, const struct call *c)
{
    int64_t rc = 0;

    for (size_t i = 0; i < c->granted_count && rc >= 0; i++)
        rc = db_run(m->db,
                    "UPDATE messages SET given_to = NULL"
                    " WHERE seq = ?1 AND given_to = ?2 AND acked = 0",
                    "it", c->granted[i], c->instance);
    if (rc >= 0 && c->cancels)
        rc = db_run(m->db,
                    "UPDATE jobs SET cancel_told = 0"
                    " WHERE agent = ?1 AND cancel_seq > 0 AND holder = ?2",
                    "it", c->agent.seq, c->instance);
    return rc < 0 ? (int)rc : 0;
}

uint32_t inbox_parse_prefer(const char *header)
{
    const char *s = header;

    while (s && *s) {
        char word[16];
        size_t len;
        uint64_t n;

        s += strspn(s, " \t,");
        len = strcspn(s, ",;");
        if (len < sizeof word) {
            snprintf(word, sizeof word, "%.*s", (int)strcspn(s, ",; \t"), s);
            if (str_starts_with(word, "wait=") && str_to_u64(word + 5, UINT32_MAX, &n) == 0)
                return n < INBOX_WAIT_MAX_S ? (uint32_t)n : INBOX_WAIT_MAX_S;
        }
        s += len;
        s += strcspn(s, ",");
    }
    return 0;
}
