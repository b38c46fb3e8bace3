#include "hub/vault.h"

#include "hub/call.h"
#include "hub/db.h"
#include "hub/envvar.h"
#include "hub/form.h"
#include "hub/resource.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "util/clock.h"
#include "util/json.h"

#define COLUMNS "SELECT id, name, description, created_ms, updated_ms FROM vaults "

int vault_deliver(struct call *c, struct model *m, int64_t agent, struct json *list)
{
    /* of equal keys the row with the least r.seq: SQLite, "Bare columns in an aggregate query" */
    struct query *q =
        db_query(m->db,
                 "SELECT s.id, s.env_key, s.sealed, min(r.seq) FROM resources r"
                 " JOIN vaults v ON v.id = r.entity_id JOIN vault_secrets s ON s.vault = v.seq"
                 " WHERE r.agent = ?1 AND s.allowed_domains = '[]' AND NOT EXISTS"
                 " (SELECT 1 FROM env_vars e WHERE e.agent = ?1 AND e.key = s.env_key)"
                 " GROUP BY s.env_key ORDER BY s.env_key",
                 "i", agent);

    return envvar_deliver_rows(c, m, q, list);
}

static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    struct json *object = *ret_object = json_object();
    char text[32];

    (void)r;
    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "name", query_text(q, 1));
    json_add_str(object, "description", query_text(q, 2));
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 3)));
    json_add_str(object, "updated_at", clock_rfc3339(text, query_i64(q, 4)));
    return 1;
}

static int reply_with(struct call *c, struct model *m, unsigned status, const char *id)
{
    struct rows r = { .call = c, .model = m, .show = show };

    return rows_reply_one(&r, status, db_query(m->db, COLUMNS "WHERE id = ?1", "t", id), "vault",
                          id);
}

int vault_list(struct call *c, struct model *m)
{
    struct rows r = { .call = c, .model = m, .show = show };
    struct rows_page page;

    if (!rows_take_page(c, ROWS_MAX, &page))
        return 0;
    return rows_reply_page(&r, &page,
                           db_query(m->db, COLUMNS "ORDER BY seq LIMIT ?1 OFFSET ?2", "ii",
                                    page.limit + 1, page.offset));
}

int vault_get(struct call *c, struct model *m)
{
    return reply_with(c, m, 200, c->target);
}

int vault_create(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    const char *name = NULL, *description = NULL;
    char id[ULID_ID_MAX];
    int64_t count = 0, rc;

    if (!call_parse_body(c, &body) ||
        !form_text(c, body, "name", FORM_REQUIRED, VAULT_NAME_MAX, &name) ||
        !form_text(c, body, "description", FORM_CLEARABLE, VAULT_DESCRIPTION_MAX, &description))
        return 0;
    rc = db_get(m->db, &count, "SELECT count(*) FROM vaults", "");
    if (rc < 0)
        return (int)rc;
    if (count >= VAULT_COUNT_MAX)
        return call_refuse(c, 400, "there are %d vaults, and more aren't kept: delete some",
                           VAULT_COUNT_MAX);
    call_make_id(id, "vlt", m);
    rc = db_run(m->db,
                "INSERT INTO vaults (id, name, description, created_ms, updated_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?4)",
                "ttti", id, name, description, m->wall_ms);
    return rc < 0 ? (int)rc : reply_with(c, m, 201, id);
}

int vault_patch(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    const char *name = NULL, *description = NULL;
    int64_t rc = 0;

    if (!call_parse_body(c, &body) ||
        !form_text(c, body, "name", json_get(body, "name") ? FORM_REQUIRED : FORM_OPTIONAL,
                   VAULT_NAME_MAX, &name) ||
        !form_text(c, body, "description", FORM_CLEARABLE, VAULT_DESCRIPTION_MAX, &description))
        return 0;
    if (name)
        rc = db_run(m->db,
                    "UPDATE vaults SET name = ?2, updated_ms = ?3 WHERE id = ?1 AND name <> ?2",
                    "tti", c->target, name, m->wall_ms);
    if (rc >= 0 && json_get(body, "description"))
        rc = db_run(m->db,
                    "UPDATE vaults SET description = ?2, updated_ms = ?3"
                    " WHERE id = ?1 AND description IS NOT ?2",
                    "tti", c->target, description, m->wall_ms);
    return rc < 0 ? (int)rc : reply_with(c, m, 200, c->target);
}

int vault_delete(struct call *c, struct model *m)
{
    int64_t rc = resource_check_unassigned(c, m, c->target, "vault");

    if (rc > 0)
        rc = db_run(m->db,
                    "DELETE FROM vault_secrets WHERE vault ="
                    " (SELECT seq FROM vaults WHERE id = ?1)",
                    "t", c->target);
    else
        return (int)rc;
    if (rc >= 0)
        rc = db_run(m->db, "DELETE FROM vaults WHERE id = ?1", "t", c->target);
    if (rc < 0)
        return (int)rc;
    return rc > 0 ? call_done(c) : call_refuse(c, 404, "vault not found: %s", c->target);
}
