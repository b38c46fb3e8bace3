#include "hub/envvar.h"

#include <errno.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/call.h"
#include "hub/cipher.h"
#include "hub/db.h"
#include "hub/form.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

#define COLUMNS                                                                                    \
    "SELECT e.id, a.id, e.key, e.sealed, e.created_ms, e.updated_ms"                               \
    " FROM env_vars e JOIN agents a ON a.seq = e.agent "

int envvar_check_key(struct call *c, const char *member, const char *key)
{
    static const char letters[] = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789";
    static const char *const reserved[] = { "NAIRI_", "CCAGENT_" };

    if (strlen(key) > ENVVAR_KEY_MAX)
        return call_refuse(c, 400, "%s is longer than %d bytes", member, ENVVAR_KEY_MAX);
    if (key[0] == '\0' || (key[0] >= '0' && key[0] <= '9') || key[strspn(key, letters)] != '\0')
        return call_refuse(c, 400,
                           "%s must be a letter or _, and then letters, digits and _, as in "
                           "API_TOKEN_2",
                           member);
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (str_starts_with(key, reserved[i]))
            return call_refuse(c, 400, "%s must not begin with %s: those set up the agent itself",
                               member, reserved[i]);
    return 1;
}

int envvar_unseal(struct call *c, const struct model *m, const char *id, const void *sealed,
                  size_t len, char **ret_text)
{
    struct buf b = { 0 };

    if (cipher_unseal(m->cipher, id, sealed, len, &b) < 0) {
        buf_done(&b);
        return call_refuse(c, 500,
                           "what is stored as %s can't be decrypted: the database was changed by "
                           "others; delete it and make it anew",
                           id);
    }
    *ret_text = buf_steal(&b);
    return 1;
}

static void wipe(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

int envvar_deliver_rows(struct call *c, const struct model *m, struct query *q, struct json *list)
{
    int rc;

    while ((rc = query_next(q)) > 0) {
        struct json *pair;
        char *value = NULL;

        if (!envvar_unseal(c, m, query_text(q, 0), query_blob(q, 2), query_bytes(q, 2), &value))
            break;
        pair = json_object();
        json_add_str(pair, "key", query_text(q, 1));
        json_add_str(pair, "value", value);
        json_push(list, pair);
        wipe(value);
    }
    query_end(q);
    return rc < 0 ? rc : rc == 0;
}

int envvar_deliver(struct call *c, struct model *m, int64_t agent, struct json *list)
{
    struct query *q = db_query(
        m->db, "SELECT id, key, sealed FROM env_vars WHERE agent = ?1 ORDER BY seq", "i", agent);

    return envvar_deliver_rows(c, m, q, list);
}

static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    struct json *object;
    char *value = NULL, text[32];

    if (!envvar_unseal(r->call, r->model, query_text(q, 0), query_blob(q, 3), query_bytes(q, 3),
                       &value))
        return 0;
    object = *ret_object = json_object();
    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "container_id", query_text(q, 1));
    json_add_str(object, "key", query_text(q, 2));
    json_add_str(object, "value", value);
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 4)));
    json_add_str(object, "updated_at", clock_rfc3339(text, query_i64(q, 5)));
    wipe(value);
    return 1;
}

int envvar_list(struct call *c, struct model *m)
{
    struct rows r = { .call = c, .model = m, .show = show };
    struct rows_page page;
    int64_t agent;
    int rc = agent_find_target(c, m, &agent);

    if (rc <= 0 || !rows_take_page(c, ROWS_MAX, &page))
        return rc < 0 ? rc : 0;
    return rows_reply_page(&r, &page,
                           db_query(m->db,
                                    COLUMNS "WHERE e.agent = ?1 ORDER BY e.seq LIMIT ?2 OFFSET ?3",
                                    "iii", agent, page.limit + 1, page.offset));
}

static int reply_with(struct call *c, struct model *m, unsigned status, const char *id)
{
    struct rows r = { .call = c, .model = m, .show = show };

    return rows_reply_one(&r, status, db_query(m->db, COLUMNS "WHERE e.id = ?1", "t", id),
                          "env var", id);
}

/* The others of the agent leave room for a value of that size. 1, or 0 and c is refused, or a
 * negative errno. */
static int check_room(struct call *c, struct model *m, int64_t agent, const char *but_id,
                      const char *value)
{
    struct query *q = db_query(m->db,
                               "SELECT count(*), coalesce(sum(length(sealed)), 0) FROM env_vars"
                               " WHERE agent = ?1 AND id <> ?2",
                               "it", agent, but_id);
    int rc = query_next(q);

    if (rc > 0 && query_i64(q, 0) >= ENVVAR_COUNT_MAX)
        rc = call_refuse(c, 400, "this agent has %d env vars, and more aren't kept: delete some",
                         ENVVAR_COUNT_MAX);
    else if (rc > 0 && query_i64(q, 1) + (int64_t)strlen(value) > ENVVAR_TOTAL_MAX)
        rc = call_refuse(c, 400,
                         "the env vars of an agent have together at most %d bytes: shorten or "
                         "delete some",
                         ENVVAR_TOTAL_MAX);
    query_end(q);
    return rc;
}

static int take_key(struct call *c, const struct json *body, enum form_need need,
                    const char **ret_key)
{
    return form_text(c, body, "key", need, ENVVAR_KEY_MAX, ret_key) &&
           (!*ret_key || envvar_check_key(c, "key", *ret_key));
}

static int take_value(struct call *c, const struct json *body, enum form_need need,
                      const char **ret_value)
{
    return form_text(c, body, "value", need, ENVVAR_VALUE_MAX, ret_value);
}

static int refuse_twin(struct call *c, const char *key)
{
    return call_refuse(c, 400, "this agent has an env var %s already: change it with PATCH", key);
}

int envvar_create(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    CLEANUP(buf_done) struct buf sealed = { 0 };
    const char *key = NULL, *value = NULL;
    char id[ULID_ID_MAX];
    int64_t agent;
    int64_t rc = agent_find_target(c, m, &agent);

    if (rc <= 0 || !call_parse_body(c, &body) || !take_key(c, body, FORM_REQUIRED, &key) ||
        !take_value(c, body, FORM_ANY, &value))
        return rc < 0 ? (int)rc : 0;
    rc = check_room(c, m, agent, "", value);
    if (rc <= 0)
        return (int)rc;
    call_make_id(id, "cev", m);
    cipher_seal(m->cipher, id, value, strlen(value), &sealed);
    rc = db_run(m->db,
                "INSERT INTO env_vars (id, agent, key, sealed, created_ms, updated_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                "titbi", id, agent, key, sealed.data, sealed.len, m->wall_ms);
    if (rc == -EEXIST)
        return refuse_twin(c, key);
    return rc < 0 ? (int)rc : reply_with(c, m, 201, id);
}

/* That agent's env var named by c->item: 1, or 0 and c is refused, or a negative errno. */
static int find_item(struct call *c, struct model *m, int64_t *ret_agent)
{
    int64_t seq;
    int rc = agent_find_target(c, m, ret_agent);

    if (rc <= 0)
        return rc;
    rc = db_get(m->db, &seq, "SELECT seq FROM env_vars WHERE id = ?1 AND agent = ?2", "ti", c->item,
                *ret_agent);
    return rc != 0 ? rc : call_refuse(c, 404, "env var not found: %s", c->item);
}

static int set_value(struct call *c, struct model *m, int64_t agent, const char *value)
{
    CLEANUP(buf_done) struct buf sealed = { 0 };
    int64_t rc = check_room(c, m, agent, c->item, value);

    if (rc <= 0)
        return (int)rc;
    cipher_seal(m->cipher, c->item, value, strlen(value), &sealed);
    rc = db_run(m->db, "UPDATE env_vars SET sealed = ?2, updated_ms = ?3 WHERE id = ?1", "tbi",
                c->item, sealed.data, sealed.len, m->wall_ms);
    return (int)rc; /* 1: there is one */
}

int envvar_patch(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    const char *key = NULL, *value = NULL;
    int64_t agent;
    int64_t rc = find_item(c, m, &agent);

    if (rc <= 0 || !call_parse_body(c, &body) || !take_key(c, body, FORM_OPTIONAL, &key) ||
        !take_value(c, body, FORM_OPTIONAL, &value))
        return rc < 0 ? (int)rc : 0;
    if (key)
        rc = db_run(m->db,
                    "UPDATE env_vars SET key = ?2, updated_ms = ?3 WHERE id = ?1 AND key <> ?2",
                    "tti", c->item, key, m->wall_ms);
    if (rc == -EEXIST)
        return refuse_twin(c, key);
    if (rc >= 0 && value) {
        rc = set_value(c, m, agent, value);
        if (rc == 0)
            return 0;
    }
    return rc < 0 ? (int)rc : reply_with(c, m, 200, c->item);
}

int envvar_delete(struct call *c, struct model *m)
{
    int64_t agent;
    int64_t rc = find_item(c, m, &agent);

    if (rc > 0)
        rc = db_run(m->db, "DELETE FROM env_vars WHERE id = ?1", "t", c->item);
    return rc <= 0 ? (int)rc : call_done(c);
}
