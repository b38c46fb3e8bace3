#include "hub/resource.h"

#include <inttypes.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/call.h"
#include "hub/db.h"
#include "hub/form.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/str.h"
#include "util/ulid.h"

#define COLUMNS                                                                                    \
    "SELECT r.id, a.id, r.entity_type, r.entity_id, r.created_ms"                                  \
    " FROM resources r JOIN agents a ON a.seq = r.agent "

/* kind: in the table artifacts; NULL: a vault. prefix NULL: nothing of that type is kept here. */
static const struct type {
    const char *name;
    const char *prefix;
    const char *kind;
} types[] = {
    { "agent_artifact_rule", "aar", "rule" },
    { "agent_artifact_mcp_cfg", "amc", "mcp_config" },
    { "agent_artifact_skill", "ask", "skill" },
    { "vault", "vlt", NULL },
    { "github_repository_integration", NULL, NULL },
    { "anthropic_integration", NULL, NULL },
    { "llm_model", NULL, NULL },
};

int resource_check_unassigned(struct call *c, struct model *m, const char *id, const char *noun)
{
    int64_t count = 0;
    int rc = db_get(m->db, &count, "SELECT count(*) FROM resources WHERE entity_id = ?1", "t", id);

    if (rc > 0 && count > 0)
        return call_refuse(c, 400, "cannot delete %s: still assigned to %" PRId64 " agent(s)", noun,
                           count);
    return rc;
}

static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    struct json *object = *ret_object = json_object();
    char text[32];

    (void)r;
    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "container_id", query_text(q, 1));
    json_add_str(object, "entity_type", query_text(q, 2));
    json_add_str(object, "entity_id", query_text(q, 3));
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 4)));
    return 1;
}

int resource_list(struct call *c, struct model *m)
{
    struct rows r = { .call = c, .model = m, .show = show };
    struct rows_page page;
    int64_t agent;
    int rc = agent_find_target(c, m, &agent);

    if (rc <= 0 || !rows_take_page(c, ROWS_MAX, &page))
        return rc < 0 ? rc : 0;
    return rows_reply_page(&r, &page,
                           db_query(m->db,
                                    COLUMNS "WHERE r.agent = ?1 ORDER BY r.seq LIMIT ?2 OFFSET ?3",
                                    "iii", agent, page.limit + 1, page.offset));
}

/* 1: it exists; 0: c is refused; or a negative errno. */
static int check_entity(struct call *c, struct model *m, const char *type, const char *id)
{
    const struct type *t = NULL;
    int64_t seq;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (str_eq(types[i].name, type))
            t = &types[i];
    if (!t)
        return call_refuse(c, 400,
                           "'%s' is no entity_type: agent_artifact_rule, agent_artifact_mcp_cfg, "
                           "agent_artifact_skill and vault are",
                           type);
    if (!t->prefix)
        return call_refuse(c, 404, "entity not found: this hub keeps nothing of type %s", type);
    if (!ulid_has_prefix(id, t->prefix))
        return call_refuse(c, 404, "entity not found: ids of type %s begin with %s_", type,
                           t->prefix);
    if (t->kind)
        rc = db_get(m->db, &seq, "SELECT seq FROM artifacts WHERE id = ?1 AND kind = ?2", "tt", id,
                    t->kind);
    else
        rc = db_get(m->db, &seq, "SELECT seq FROM vaults WHERE id = ?1", "t", id);
    return rc != 0 ? rc : call_refuse(c, 404, "entity not found: %s", id);
}

static int reply_with(struct call *c, struct model *m, unsigned status, int64_t agent,
                      const char *type, const char *id)
{
    struct rows r = { .call = c, .model = m, .show = show };
    struct query *q =
        db_query(m->db, COLUMNS "WHERE r.agent = ?1 AND r.entity_type = ?2 AND r.entity_id = ?3",
                 "itt", agent, type, id);

    return rows_reply_one(&r, status, q, "resource", id);
}

static int insert(struct call *c, struct model *m, int64_t agent, const char *type, const char *id)
{
    char new_id[ULID_ID_MAX];
    int64_t count = 0;
    int64_t rc =
        db_get(m->db, &count, "SELECT count(*) FROM resources WHERE agent = ?1", "i", agent);

    if (rc > 0 && count >= RESOURCE_COUNT_MAX)
        return call_refuse(c, 400, "this agent has %d resources, and more aren't kept: delete some",
                           RESOURCE_COUNT_MAX);
    call_make_id(new_id, "ccr", m);
    if (rc >= 0)
        rc = db_run(m->db,
                    "INSERT INTO resources (id, agent, entity_type, entity_id, created_ms)"
                    " VALUES (?1, ?2, ?3, ?4, ?5)",
                    "titti", new_id, agent, type, id, m->wall_ms);
    return rc < 0 ? (int)rc : reply_with(c, m, 201, agent, type, id);
}

int resource_create(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    const char *type = NULL, *id = NULL;
    int64_t agent, seq;
    int rc = agent_find_target(c, m, &agent);

    if (rc <= 0 || !call_parse_body(c, &body) ||
        !form_text(c, body, "entity_type", FORM_REQUIRED, ULID_ID_MAX, &type) ||
        !form_text(c, body, "entity_id", FORM_REQUIRED, ULID_ID_MAX, &id))
        return rc < 0 ? rc : 0;
    rc = check_entity(c, m, type, id);
    if (rc <= 0)
        return rc;
    rc = db_get(m->db, &seq,
                "SELECT seq FROM resources WHERE agent = ?1 AND entity_type = ?2"
                " AND entity_id = ?3",
                "itt", agent, type, id);
    if (rc < 0)
        return rc;
    return rc > 0 ? reply_with(c, m, 200, agent, type, id) : insert(c, m, agent, type, id);
}

int resource_delete(struct call *c, struct model *m)
{
    int64_t agent;
    int64_t rc = agent_find_target(c, m, &agent);

    if (rc <= 0)
        return (int)rc;
    rc = db_run(m->db, "DELETE FROM resources WHERE id = ?1 AND agent = ?2", "ti", c->item, agent);
    if (rc < 0)
        return (int)rc;
    return rc > 0 ? call_done(c) : call_refuse(c, 404, "resource not found: %s", c->item);
}
