#include "hub/attachment.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "hub/call.h"
#include "hub/db.h"
#include "hub/deposit.h"
#include "settings/values.h"
#include "util/json.h"
#include "util/str.h"

/* ?1 an id, ?2 an agent's row. */
#define SEEN_BY_AGENT                                                                              \
    " AND (agent = ?2 OR EXISTS (SELECT 1 FROM message_attachments x"                              \
    " JOIN messages m ON m.seq = x.message WHERE x.attachment = attachments.seq AND m.agent = ?2)" \
    " OR EXISTS (SELECT 1 FROM artifacts t JOIN resources r ON r.entity_id = t.id"                 \
    " WHERE t.attachment = attachments.id AND r.agent = ?2))"

/* What else refers to attachments one day needs a clause here. */
#define UNUSED                                                                                     \
    " NOT EXISTS (SELECT 1 FROM message_attachments x WHERE x.attachment = attachments.seq)"       \
    " AND NOT EXISTS (SELECT 1 FROM artifacts t WHERE t.attachment = attachments.id)"

/* ---- uploads ---- */

int attachment_insert(struct model *m, const struct deposit_file *file, int64_t agent)
{
    int64_t rc = db_run(m->db,
                        "INSERT INTO attachments (id, agent, filename, size, created_ms)"
                        " VALUES (?1, nullif(?2, 0), ?3, ?4, ?5)",
                        "titii", file->id, agent, file->name, file->size, m->wall_ms);

    return rc < 0 ? (int)rc : 0;
}

int attachment_check_room(struct call *c, struct model *m, int64_t more)
{
    int64_t used = 0;
    char most[VALUES_TEXT_MAX];
    int rc;

    if (c->agent.seq == 0)
        return 1;
    rc = db_get(m->db, &used, "SELECT coalesce(sum(size), 0) FROM attachments WHERE agent = ?1",
                "i", c->agent.seq);
    if (rc <= 0 || used + (more > 0 ? more : 1) <= m->agent_files_max)
        return rc;
    return call_refuse(
        c, 413,
        "the files that this agent has uploaded have together at most %s at this "
        "hub (--agent-files): delete attachments of its conversations, or raise that",
        values_size_text(most, (uint64_t)m->agent_files_max));
}

static int insert(struct call *c, struct model *m, int64_t agent)
{
    const struct deposit_file *file = c->deposited;
    struct json *root;
    int rc;

    assert(file);
    rc = attachment_check_room(c, m, file->size);
    if (rc > 0)
        rc = attachment_insert(m, file, agent);
    else
        return rc;
    if (rc < 0)
        return rc;
    root = json_object();
    json_add_str(root, "attachment_id", file->id);
    return call_reply(c, 201, root);
}

int attachment_create(struct call *c, struct model *m)
{
    return insert(c, m, 0);
}

int attachment_submit(struct call *c, struct model *m)
{
    return insert(c, m, c->agent.seq);
}

/* ---- downloads ---- */

static int reply_file(struct call *c, struct query *q, bool with_name)
{
    struct json *root = json_object();

    snprintf(c->file.id, sizeof c->file.id, "%s", c->target);
    c->file.size = query_i64(q, 1);
    json_add_str(root, "id", c->target);
    if (with_name)
        json_add_str(root, "filename", query_text(q, 0));
    return call_reply(c, 200, root);
}

static int find_file(struct call *c, struct query *q, bool with_name)
{
    int rc = query_next(q);

    if (rc > 0)
        rc = reply_file(c, q, with_name);
    else if (rc == 0)
        rc = call_refuse(c, 404, "attachment not found: %s", c->target);
    query_end(q);
    return rc;
}

static bool target_is_valid(struct call *c)
{
    if (ulid_has_prefix(c->target, ATTACHMENT_PREFIX))
        return true;
    call_refuse(c, 400, "'%s' is no attachment id: those are att_ and a ULID", c->target);
    return false;
}

int attachment_get(struct call *c, struct model *m)
{
    if (!target_is_valid(c))
        return 0;
    return find_file(
        c, db_query(m->db, "SELECT filename, size FROM attachments WHERE id = ?1", "t", c->target),
        true);
}

int attachment_fetch(struct call *c, struct model *m)
{
    if (!target_is_valid(c))
        return 0;
    return find_file(c,
                     db_query(m->db,
                              "SELECT filename, size FROM attachments WHERE id = ?1" SEEN_BY_AGENT,
                              "ti", c->target, c->agent.seq),
                     false);
}

/* ---- the end of one ---- */

static int refuse_skill(struct call *c)
{
    return call_refuse(c, 400, "%s is the file of a skill: delete the skill", c->target);
}

int attachment_delete(struct call *c, struct model *m)
{
    int64_t seq, skill, rc;

    if (!target_is_valid(c))
        return 0;
    rc = db_get(m->db, &seq, "SELECT seq FROM attachments WHERE id = ?1", "t", c->target);
    if (rc == 0)
        return call_refuse(c, 404, "attachment not found: %s", c->target);
    if (rc > 0)
        rc = db_get(m->db, &skill, "SELECT seq FROM artifacts WHERE attachment = ?1", "t",
                    c->target);
    if (rc != 0)
        return rc < 0 ? (int)rc : refuse_skill(c);
    rc = db_run(m->db, "DELETE FROM message_attachments WHERE attachment = ?1", "i", seq);
    if (rc >= 0)
        rc = db_run(m->db, "DELETE FROM attachments WHERE seq = ?1", "i", seq);
    if (rc < 0)
        return (int)rc;
    snprintf(c->orphan, sizeof c->orphan, "%s", c->target);
    return call_done(c);
}

int attachment_disown(struct call *c, struct model *m, const char *skill)
{
    struct query *q = db_query(m->db,
                               "DELETE FROM attachments WHERE id ="
                               " (SELECT attachment FROM artifacts WHERE id = ?1) AND NOT EXISTS"
                               " (SELECT 1 FROM message_attachments x"
                               " WHERE x.attachment = attachments.seq) RETURNING id",
                               "t", skill);
    int rc = query_next(q);

    if (rc > 0)
        snprintf(c->orphan, sizeof c->orphan, "%s", query_text(q, 0));
    while (rc > 0) /* a statement is over when it has said so */
        rc = query_next(q);
    query_end(q);
    return rc < 0 ? rc : 1;
}

/* ---- what messages bring ---- */

/* 1, 0, or a negative errno. */
static int find(struct model *m, const char *id, int64_t agent, int64_t *ret_seq)
{
    if (agent != 0)
        return db_get(m->db, ret_seq, "SELECT seq FROM attachments WHERE id = ?1" SEEN_BY_AGENT,
                      "ti", id, agent);
    return db_get(m->db, ret_seq, "SELECT seq FROM attachments WHERE id = ?1", "t", id);
}

static int take_one(struct call *c, struct model *m, const char *id, int64_t agent,
                    struct attachment_list *list)
{
    int64_t seq;
    int rc;

    if (!id || !ulid_has_prefix(id, ATTACHMENT_PREFIX))
        return call_refuse(c, 400,
                           "attachment_ids: '%s' is no attachment id: those are att_ and "
                           "a ULID",
                           id ? id : "");
    rc = find(m, id, agent, &seq);
    if (rc == 0)
        return call_refuse(c, 400, "attachment_ids: unknown attachment: %s", id);
    for (size_t i = 0; rc > 0 && i < list->count; i++)
        if (list->seqs[i] == seq)
            return call_refuse(c, 400, "attachment_ids: %s stands there twice", id);
    if (rc > 0)
        list->seqs[list->count++] = seq;
    return rc;
}

int attachment_take(struct call *c, struct model *m, const struct json *object, int64_t agent,
                    struct attachment_list *ret_list)
{
    const struct json *ids = json_get(object, "attachment_ids");
    struct attachment_list list = { 0 };
    int rc = 1;

    if (ids && !json_is_null(ids) && !json_is_array(ids))
        return call_refuse(c, 400, "attachment_ids must be an array of strings");
    if (json_len(ids) > ATTACHMENT_LIST_MAX)
        return call_refuse(c, 400, "attachment_ids has more than %d entries", ATTACHMENT_LIST_MAX);
    for (const struct json *n = json_first(ids); n && rc > 0; n = json_next(n))
        rc = take_one(c, m, json_str(n), agent, &list);
    if (rc > 0)
        *ret_list = list;
    return rc;
}

int attachment_link(struct model *m, int64_t message, const struct attachment_list *list)
{
    int64_t rc = 0;

    for (size_t i = 0; i < list->count && rc >= 0; i++)
        rc = db_run(m->db,
                    "INSERT INTO message_attachments (message, place, attachment)"
                    " VALUES (?1, ?2, ?3)",
                    "iii", message, (int64_t)i, list->seqs[i]);
    return rc < 0 ? (int)rc : 0;
}

/* The next of the ids; false at the end. */
static bool next_id(const char **s, char id[ULID_ID_MAX])
{
    size_t len = *s ? strcspn(*s, " ") : 0;

    if (len == 0)
        return false;
    snprintf(id, ULID_ID_MAX, "%.*s", (int)len, *s);
    *s += len + ((*s)[len] == ' ');
    return true;
}

void attachment_show_ids(struct json *object, const char *ids)
{
    struct json *list = ids ? json_array() : NULL;
    char id[ULID_ID_MAX];

    while (next_id(&ids, id))
        json_push_str(list, id);
    if (list)
        json_add(object, "attachment_ids", list);
}

void attachment_show_objects(struct json *object, const char *ids)
{
    struct json *list = ids ? json_array() : NULL;
    char id[ULID_ID_MAX];

    while (next_id(&ids, id)) {
        struct json *one = json_object();

        json_add_str(one, "attachment_id", id);
        json_push(list, one);
    }
    if (list)
        json_add(object, "attachments", list);
}

/* ---- what is left behind ---- */

int attachment_is_orphan(struct db *db, const char *id)
{
    int64_t seq;
    int rc = db_get(db, &seq, "SELECT seq FROM attachments WHERE id = ?1", "t", id);

    return rc < 0 ? rc : rc == 0;
}

static int read_unused(struct attachment_sweep *sweep, struct model *m)
{
    struct query *q = db_query(m->db,
                               "SELECT id FROM attachments WHERE created_ms <= ?1 AND" UNUSED
                               " ORDER BY created_ms LIMIT ?2",
                               "ii", m->wall_ms - sweep->keep_ms, (int64_t)ATTACHMENT_SWEEP_MAX);
    int rc;

    sweep->count = 0;
    while ((rc = query_next(q)) > 0)
        snprintf(sweep->ids[sweep->count++], ULID_ID_MAX, "%s", query_text(q, 0));
    query_end(q);
    return rc;
}

static int run_sweep(struct storage_op *op, struct model *m)
{
    struct attachment_sweep *sweep = (struct attachment_sweep *)op;
    int64_t unset_ms, rc = 0;
    int64_t step_ms = clockstep_find(sweep->clock, m->wall_ms, m->now_ms, &unset_ms);

    if (step_ms > 0)
        rc = db_run(m->db,
                    "UPDATE attachments SET created_ms = created_ms + ?1 WHERE created_ms <= ?2",
                    "ii", step_ms, unset_ms);
    sweep->count = 0;
    if (rc >= 0)
        rc = read_unused(sweep, m);
    for (size_t i = 0; i < sweep->count && rc >= 0; i++)
        rc = db_run(m->db, "DELETE FROM attachments WHERE id = ?1", "t", sweep->ids[i]);
    return rc < 0 ? (int)rc : 0;
}

static void sweep_kept(struct storage_op *op, struct model *m)
{
    const struct attachment_sweep *sweep = (struct attachment_sweep *)op;

    clockstep_note(sweep->clock, m->wall_ms, m->now_ms);
}

void attachment_sweep_init(struct attachment_sweep *sweep, uint64_t keep_ms,
                           struct clockstep *clock)
{
    *sweep =
        (struct attachment_sweep){ .op = { .run = run_sweep, .kept = sweep_kept, .durable = true },
                                   .keep_ms = (int64_t)keep_ms,
                                   .clock = clock };
}
