#include "hub/conversation.h"

#include <errno.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/job.h"
#include "hub/lease.h"
#include "hub/message.h"
#include "hub/overdue.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

#define STOPPED "stopped by the user"

/* The prompt, or NULL and c is refused. */
static const char *take_prompt(struct call *c, const struct json *body)
{
    const char *prompt = json_get_str(body, "prompt");

    if (str_is_empty(prompt)) {
        call_refuse(c, 400, "prompt is required, and must be a string of at least one byte");
        return NULL;
    }
    if (strlen(prompt) > CONVERSATION_PROMPT_MAX) {
        call_refuse(c, 413, "the prompt is longer than %d bytes", CONVERSATION_PROMPT_MAX);
        return NULL;
    }
    return prompt;
}

static int reply_ids(struct call *c, const char *job_id, const char *message_id)
{
    struct json *root = json_object();

    json_add_str(root, "job_id", job_id);
    json_add_str(root, "message_id", message_id);
    return call_reply(c, 201, root);
}

static int insert_job(struct model *m, int64_t agent, bool ask_mode, struct job *j)
{
    int64_t rc;

    call_make_id(j->id, "job", m);
    j->agent = agent;
    rc = db_run(m->db,
                "INSERT INTO jobs (id, agent, status, mode, system_prompt, created_ms, updated_ms)"
                " SELECT ?1, ?2, ?3, ?4, system_prompt, ?5, ?5 FROM agents WHERE seq = ?2",
                "titti", j->id, agent, standing_name(j->standing), ask_mode ? "ask" : "execute",
                m->wall_ms);
    if (rc < 0)
        return (int)rc;
    j->seq = db_last_id(m->db);
    return 0;
}

static int insert_prompt(struct call *c, struct model *m, struct job *j, const char *type,
                         const char *prompt, const struct attachment_list *attachments)
{
    struct message_new what = { .job = j,
                                .role = "user",
                                .status = STATUS_QUEUED,
                                .type = type,
                                .content = prompt,
                                .attachments = attachments };
    char id[ULID_ID_MAX];
    int rc = message_insert(m, &what, id);

    if (rc < 0)
        return rc;
    call_wake_agent(c, j->agent, job_is_held(m, j) ? j->holder : NULL);
    return reply_ids(c, j->id, id);
}

int conversation_start(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct job j = { .standing = STANDING_ACTIVE };
    struct attachment_list attachments;
    const char *agent_id, *prompt;
    bool ask_mode = false;
    int64_t agent;
    int rc;

    if (!call_parse_body(c, &body))
        return 0;
    agent_id = json_get_str(body, "agent_id");
    if (str_is_empty(agent_id))
        return call_refuse(c, 400, "agent_id is required, and must be an agent's id or slug");
    if (!ulid_has_prefix(agent_id, "cci") && !agent_slug_is_valid(agent_id))
        return call_refuse(c, 400, "'%s' is no agent id: those are cci_ and a ULID, or a slug",
                           agent_id);
    prompt = take_prompt(c, body);
    if (!prompt)
        return 0;
    rc = json_get_bool(body, "ask_mode", &ask_mode);
    if (rc < 0 && rc != -ENOENT)
        return call_refuse(c, 400, "ask_mode must be true or false");
    rc = agent_find(m->db, agent_id, &agent);
    if (rc == 0)
        return call_refuse(c, 404, "agent not found: %s", agent_id);
    if (rc > 0)
        rc = attachment_take(c, m, body, 0, &attachments);
    if (rc <= 0)
        return rc;
    rc = insert_job(m, agent, ask_mode, &j);
    return rc < 0 ? rc : insert_prompt(c, m, &j, "start_conversation_v1", prompt, &attachments);
}

/* 1, or 0 and c is refused, or a negative errno. */
static int find_target(struct call *c, struct model *m, struct job *ret_job)
{
    int rc;

    if (!job_id_is_valid(c->target))
        return call_refuse(c, 400, "'%s' is no conversation id: those are job_ and a ULID",
                           c->target);
    rc = job_find(m->db, c->target, ret_job);
    return rc != 0 ? rc : call_refuse(c, 404, "conversation not found: %s", c->target);
}

int conversation_continue(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    CLEANUP(job_done) struct job j = { 0 };
    struct attachment_list attachments;
    const char *prompt;
    int rc = find_target(c, m, &j);

    if (rc <= 0 || !call_parse_body(c, &body))
        return rc < 0 ? rc : 0;
    prompt = take_prompt(c, body);
    if (!prompt)
        return 0;
    rc = agent_is_there(m->db, j.agent);
    if (rc == 0)
        return call_refuse(c, 404, "the agent of this conversation was deleted: start another one");
    if (rc > 0)
        rc = attachment_take(c, m, body, 0, &attachments);
    if (rc <= 0)
        return rc;
    rc = job_move(m, &j, STANDING_EV_PROMPT);
    return rc < 0 ? rc : insert_prompt(c, m, &j, "user_message_v1", prompt, &attachments);
}

/* Answers the open messages that no living instance has; *ret_last is the last one that one has,
 * 0 if there is none. */
static int give_up_unheld(struct model *m, struct job *j, int64_t up_to, int64_t *ret_last)
{
    bool held = job_is_held(m, j);
    struct message msg = { 0 };
    int rc = 0;

    *ret_last = 0;
    while (rc >= 0 && (rc = message_next_open(m->db, j->seq, msg.seq, &msg)) > 0) {
        if (msg.seq > up_to)
            return 0;
        if (held && msg.status == STATUS_PENDING)
            *ret_last = msg.seq;
        else
            rc = message_give_up(m, j, &msg, STOPPED);
    }
    return rc;
}

int conversation_stop(struct call *c, struct model *m)
{
    CLEANUP(job_done) struct job j = { 0 };
    struct json *root;
    int64_t last = 0;
    int64_t rc = find_target(c, m, &j);

    if (rc <= 0)
        return (int)rc;
    rc = give_up_unheld(m, &j, INT64_MAX, &last);
    if (rc >= 0 && last > j.cancel_seq) {
        rc = db_run(m->db, "UPDATE jobs SET cancel_seq = ?2, cancel_told = 0 WHERE seq = ?1", "ii",
                    j.seq, last);
        call_wake_agent(c, j.agent, j.holder);
    } else if (rc >= 0 && last == 0) { /* who had them died, and no sweep has seen it so far */
        rc = job_settle_cancel(m, &j);
    }
    if (rc < 0)
        return (int)rc;
    root = json_object();
    json_add_str(root, "job_id", j.id);
    return call_reply(c, 202, root);
}

int conversation_recover(struct db *db)
{
    int64_t rc = db_run(db,
                        "UPDATE messages SET given_to = NULL"
                        " WHERE acked = 0 AND given_to IS NOT NULL",
                        "");

    if (rc >= 0)
        rc = db_run(db, "UPDATE jobs SET cancel_told = 0 WHERE cancel_seq > 0", "");
    return rc < 0 ? (int)rc : 0;
}

/* ---- the end of leases ---- */

/* What it has answered and didn't live to ack is done; the rest is anybody's. */
static int free_messages(struct model *m, uint64_t now_ms)
{
    const struct lease *l = NULL;
    int64_t rc = 0;

    while (rc >= 0 && (l = lease_next_ended(m->leases, l, now_ms))) {
        rc = db_run(m->db,
                    "UPDATE messages SET acked = 1, given_to = NULL"
                    " WHERE acked = 0 AND agent = ?1 AND given_to = ?2"
                    " AND status IN ('completed', 'failed')",
                    "it", lease_agent(l), lease_instance(l));
        if (rc < 0)
            break;
        rc = db_run(m->db,
                    "UPDATE messages SET given_to = NULL"
                    " WHERE acked = 0 AND agent = ?1 AND given_to = ?2",
                    "it", lease_agent(l), lease_instance(l));
    }
    return rc < 0 ? (int)rc : 0;
}

/* The next job to be stopped after that one whose holder is dead: 1, 0, or a negative errno. */
static int next_dead_cancel(struct model *m, struct job *j)
{
    int64_t seq = j->seq;
    int rc;

    do {
        job_done(j);
        rc = db_get(m->db, &seq,
                    "SELECT seq FROM jobs INDEXED BY jobs_cancel"
                    " WHERE cancel_seq > 0 AND seq > ?1 ORDER BY seq LIMIT 1",
                    "i", seq);
        if (rc > 0)
            rc = job_load(m->db, seq, j);
    } while (rc > 0 && job_is_held(m, j));
    return rc;
}

static int sweep_run(struct storage_op *op, struct model *m)
{
    struct conversation_sweep *sweep = (struct conversation_sweep *)op;
    CLEANUP(job_done) struct job j = { 0 };
    int rc;

    sweep->now_ms = m->now_ms;
    rc = free_messages(m, sweep->now_ms);
    if (rc >= 0)
        rc = overdue_requeue(m);
    while (rc >= 0 && (rc = next_dead_cancel(m, &j)) > 0) {
        int64_t last;

        rc = give_up_unheld(m, &j, j.cancel_seq, &last);
        if (rc >= 0)
            rc = job_settle_cancel(m, &j);
    }
    return rc;
}

static void sweep_kept(struct storage_op *op, struct model *m)
{
    struct conversation_sweep *sweep = (struct conversation_sweep *)op;

    lease_forget(m->leases, sweep->now_ms);
}

void conversation_sweep_init(struct conversation_sweep *sweep)
{
    *sweep = (struct conversation_sweep){
        .op = { .run = sweep_run, .kept = sweep_kept, .durable = true }
    };
}
