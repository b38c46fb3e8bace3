#include "hub/agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hub/call.h"
#include "hub/db.h"
#include "hub/form.h"
#include "hub/job.h"
#include "hub/message.h"
#include "hub/presence.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"

enum { SLUG_TRIES = 1000 };

#define COLUMNS                                                                                    \
    "SELECT id, name, slug, instances_count, description, system_prompt, created_ms, updated_ms,"  \
    " seq, deploy_wanted, (SELECT coalesce(sum(size), 0) FROM attachments t WHERE t.agent ="       \
    " agents.seq) FROM agents "

int agent_find(struct db *db, const char *id_or_slug, int64_t *ret_seq)
{
    return db_get(db, ret_seq,
                  "SELECT seq FROM agents WHERE (id = ?1 OR slug = ?1) AND deleted_ms IS NULL", "t",
                  id_or_slug);
}

bool agent_slug_is_valid(const char *slug)
{
    static const char chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@+~";
    size_t len = strlen(slug);

    return len > 0 && len <= AGENT_SLUG_MAX && strspn(slug, chars) == len && slug[0] != '/' &&
           slug[len - 1] != '/' && !str_starts_with(slug, "cci_");
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

void agent_slug_from_name(const char *name, char slug[AGENT_SLUG_MAX + 1])
{
    size_t len = 0;

    for (const char *s = name; *s && len < AGENT_SLUG_MAX - 16; s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;

        if (is_alnum(c))
            slug[len++] = c;
        else if (len > 0 && slug[len - 1] != '-')
            slug[len++] = '-';
    }
    while (len > 0 && slug[len - 1] == '-')
        len--;
    slug[len] = '\0';
    if (len == 0)
        memcpy(slug, "agent", sizeof "agent");
}

struct fields {
    const char *name; /* NULL: the default */
    const char *description;
    const char *system_prompt;
    int64_t instances_count;
};

static int insert(struct db *db, const char *slug, const struct fields *f, int64_t wall_ms,
                  int64_t *ret_seq)
{
    uint8_t entropy[10];
    char id[ULID_ID_MAX];
    int64_t rc;

    random_bytes(entropy, sizeof entropy);
    ulid_make(id, "cci", wall_ms, entropy);
    rc = db_run(db,
                "INSERT INTO agents (id, slug, name, description, system_prompt, instances_count,"
                " created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                "tttttii", id, slug, f->name, f->description, f->system_prompt, f->instances_count,
                wall_ms);
    if (rc < 0)
        return (int)rc;
    *ret_seq = db_last_id(db);
    return 0;
}

int agent_make(struct db *db, const char *slug, int64_t wall_ms, int64_t *ret_seq)
{
    struct fields f = { .instances_count = 1 };

    return insert(db, slug, &f, wall_ms, ret_seq);
}

/* ctx: a struct presence. */
static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    struct json *object = *ret_object = json_object();
    char text[32];
    int rc;

    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "name", query_text(q, query_is_null(q, 1) ? 2 : 1));
    json_add_str(object, "agent_id", query_text(q, 2));
    json_add_i64(object, "instances_count", query_i64(q, 3));
    json_add_str(object, "description", query_text(q, 4));
    json_add_bool(object, "is_self_hosted", true); /* a hub has no agents of its own */
    json_add_str(object, "system_prompt", query_text(q, 5));
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 6)));
    json_add_str(object, "updated_at", clock_rfc3339(text, query_i64(q, 7)));
    json_add_str(object, "deploy_status", query_i64(q, 9) ? "requested" : "current");
    json_add_i64(object, "uploaded_bytes", query_i64(q, 10));
    rc = presence_add(r->ctx, query_i64(q, 8), object);
    return rc < 0 ? rc : 1;
}

static int reply_with(struct call *c, struct model *m, unsigned status, int64_t seq)
{
    CLEANUP_PTR(presence_free) struct presence *presence = presence_new(m);
    struct rows r = { .call = c, .model = m, .show = show, .ctx = presence };

    return rows_reply_one(&r, status, db_query(m->db, COLUMNS "WHERE seq = ?1", "i", seq), "agent",
                          NULL);
}

int agent_list(struct call *c, struct model *m)
{
    CLEANUP_PTR(presence_free) struct presence *presence = presence_new(m);
    struct rows r = { .call = c, .model = m, .show = show, .ctx = presence };
    struct rows_page page;

    if (!rows_take_page(c, ROWS_MAX, &page))
        return 0;
    return rows_reply_page(
        &r, &page,
        db_query(m->db, COLUMNS "WHERE deleted_ms IS NULL ORDER BY seq LIMIT ?1 OFFSET ?2", "ii",
                 page.limit + 1, page.offset));
}

int agent_find_target(struct call *c, struct model *m, int64_t *ret_seq)
{
    int rc;

    if (!ulid_has_prefix(c->target, "cci") && !agent_slug_is_valid(c->target))
        return call_refuse(c, 400, "'%s' is no agent id: those are cci_ and a ULID, or a slug",
                           c->target);
    rc = agent_find(m->db, c->target, ret_seq);
    return rc != 0 ? rc : call_refuse(c, 404, "agent not found: %s", c->target);
}

int agent_get(struct call *c, struct model *m)
{
    int64_t seq;
    int rc = agent_find_target(c, m, &seq);

    return rc <= 0 ? rc : reply_with(c, m, 200, seq);
}

/* A text member: absent leaves *text alone, null makes it NULL. 1, or 0 and c is refused. */
static int take_text(struct call *c, const struct json *body, const char *key, const char **text)
{
    const struct json *member = json_get(body, key);

    if (!member)
        return 1;
    if (json_is_null(member))
        *text = NULL;
    else if (json_is_string(member))
        *text = json_str(member);
    else
        return call_refuse(c, 400, "%s must be a string or null", key);
    if (*text && str_eq(key, "name") && strlen(*text) > AGENT_NAME_MAX)
        return call_refuse(c, 400, "name is longer than %d bytes", AGENT_NAME_MAX);
    return 1;
}

static int take_texts(struct call *c, const struct json *body, struct fields *f)
{
    return take_text(c, body, "name", &f->name) &&
           take_text(c, body, "description", &f->description) &&
           take_text(c, body, "system_prompt", &f->system_prompt);
}

static int choose_slug(struct db *db, const char *name, char slug[AGENT_SLUG_MAX + 1])
{
    char base[AGENT_SLUG_MAX + 1];
    int64_t seq;
    int rc = 1;

    agent_slug_from_name(name, base);
    snprintf(slug, AGENT_SLUG_MAX + 1, "%s", base);
    for (unsigned i = 2; (rc = agent_find(db, slug, &seq)) > 0 && i < SLUG_TRIES; i++)
        snprintf(slug, AGENT_SLUG_MAX + 1, "%.*s-%u", AGENT_SLUG_MAX - 16, base, i);
    return rc > 0 ? -EEXIST : rc;
}

int agent_create(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct fields f = { .instances_count = 1 };
    char slug[AGENT_SLUG_MAX + 1];
    int64_t seq;
    int rc;

    if (!call_parse_body(c, &body) || !take_texts(c, body, &f))
        return 0;
    if (str_is_empty(f.name))
        return call_refuse(c, 400, "name is required, and must be a string of at least one byte");
    rc = json_get_i64(body, "instances_count", &f.instances_count);
    if ((rc < 0 && rc != -ENOENT) || f.instances_count < 1 ||
        f.instances_count > AGENT_INSTANCES_MAX)
        return call_refuse(c, 400, "instances_count must be a whole number from 1 to %d",
                           AGENT_INSTANCES_MAX);
    rc = choose_slug(m->db, f.name, slug);
    if (rc == -EEXIST)
        return call_refuse(c, 400, "there are too many agents named like '%s' already", slug);
    if (rc >= 0)
        rc = insert(m->db, slug, &f, m->wall_ms, &seq);
    return rc < 0 ? rc : reply_with(c, m, 201, seq);
}

static int load_texts(struct model *m, int64_t seq, char *texts[3])
{
    struct query *q = db_query(
        m->db, "SELECT name, description, system_prompt FROM agents WHERE seq = ?1", "i", seq);
    int rc = query_next(q);

    for (int i = 0; rc > 0 && i < 3; i++)
        texts[i] = mem_strdup(query_text(q, i));
    query_end(q);
    return rc;
}

int agent_patch(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    char *old[3] = { NULL, NULL, NULL };
    struct fields f;
    int64_t seq;
    int64_t rc = agent_find_target(c, m, &seq);

    if (rc <= 0 || !call_parse_body(c, &body))
        return (int)rc < 0 ? (int)rc : 0;
    rc = load_texts(m, seq, old);
    f = (struct fields){ .name = old[0], .description = old[1], .system_prompt = old[2] };
    if (rc > 0 && !take_texts(c, body, &f))
        rc = 0;
    if (rc > 0 && !(str_eq(f.name, old[0]) && str_eq(f.description, old[1]) &&
                    str_eq(f.system_prompt, old[2])))
        rc = db_run(m->db,
                    "UPDATE agents SET name = ?2, description = ?3, system_prompt = ?4,"
                    " updated_ms = ?5 WHERE seq = ?1",
                    "ittti", seq, f.name, f.description, f.system_prompt, m->wall_ms);
    for (int i = 0; i < 3; i++)
        free(old[i]);
    return rc <= 0 ? (int)rc : reply_with(c, m, 200, seq);
}

int agent_is_there(struct db *db, int64_t seq)
{
    int64_t found;

    return db_get(db, &found, "SELECT seq FROM agents WHERE seq = ?1 AND deleted_ms IS NULL", "i",
                  seq);
}

/* Whoever waits for it learns that it is gone. */
static int end_conversations(struct model *m, int64_t agent)
{
    struct job j = { 0 };
    struct message msg = { 0 };
    int64_t seq = 0;
    int rc;

    while ((rc = db_get(m->db, &seq,
                        "SELECT seq FROM jobs WHERE agent = ?1 AND seq > ?2 AND EXISTS"
                        " (SELECT 1 FROM messages WHERE job = jobs.seq"
                        " AND status IN ('queued', 'pending')) ORDER BY seq LIMIT 1",
                        "ii", agent, seq)) > 0) {
        rc = job_load(m->db, seq, &j);
        msg.seq = 0;
        while (rc > 0 && (rc = message_next_open(m->db, j.seq, msg.seq, &msg)) > 0) {
            rc = message_give_up(m, &j, &msg, "the agent was deleted");
            rc = rc < 0 ? rc : 1;
        }
        job_done(&j);
        if (rc < 0)
            break;
    }
    return rc;
}

int agent_delete(struct call *c, struct model *m)
{
    /* the slug is free for another agent: with a blank in it none can be named so */
    static const char *const steps[] = {
        "UPDATE keys SET revoked_ms = ?2 WHERE agent = ?1 AND revoked_ms IS NULL",
        "DELETE FROM env_vars WHERE agent = ?1",
        "DELETE FROM resources WHERE agent = ?1",
        "UPDATE agents SET deleted_ms = ?2, slug = id || ' ' || slug WHERE seq = ?1",
    };
    int64_t seq;
    int64_t rc = agent_find_target(c, m, &seq);

    if (rc <= 0)
        return (int)rc;
    rc = end_conversations(m, seq);
    for (size_t i = 0; rc >= 0 && i < ARRAY_SIZE(steps); i++)
        rc = db_run(m->db, steps[i], strstr(steps[i], "?2") ? "ii" : "i", seq, m->wall_ms);
    if (rc < 0)
        return (int)rc;
    call_wake_agent(c, seq, NULL); /* its long polls learn it at once */
    return call_done(c);
}

int agent_deploy(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    bool config_only = false;
    struct json *root;
    int64_t seq;
    int64_t rc = agent_find_target(c, m, &seq);

    if (rc <= 0 || (c->body_len > 0 && !call_parse_body(c, &body)) ||
        !form_bool(c, body, "update_config_only", &config_only))
        return rc < 0 ? (int)rc : 0;
    rc = db_run(m->db, "UPDATE agents SET deploy_wanted = 1 WHERE seq = ?1", "i", seq);
    if (rc < 0)
        return (int)rc;
    root = json_object();
    json_add_str(root, "status", "requested");
    return call_reply(c, 202, root);
}
