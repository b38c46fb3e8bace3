#include "hub/vaultsecret.h"

#include <errno.h>
#include <string.h>

#include "hub/call.h"
#include "hub/cipher.h"
#include "hub/db.h"
#include "hub/envvar.h"
#include "hub/form.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "hub/vault.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/str.h"

#define COLUMNS                                                                                    \
    "SELECT s.id, v.id, s.env_key, s.allowed_domains, s.created_ms, s.updated_ms"                  \
    " FROM vault_secrets s JOIN vaults v ON v.seq = s.vault "

static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    struct json *object = *ret_object = json_object(), *domains = NULL;
    const char *text = query_text(q, 3);
    char moment[32];

    (void)r;
    if (json_parse(text, strlen(text), &domains, NULL) < 0) /* the database was changed by others */
        domains = json_array();
    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, "vault_id", query_text(q, 1));
    json_add_str(object, "env_key", query_text(q, 2));
    json_add_bool(object, "delivered", json_len(domains) == 0);
    json_add(object, "allowed_domains", domains);
    json_add_str(object, "created_at", clock_rfc3339(moment, query_i64(q, 4)));
    json_add_str(object, "updated_at", clock_rfc3339(moment, query_i64(q, 5)));
    return 1;
}

static int reply_with(struct call *c, struct model *m, unsigned status, const char *id)
{
    struct rows r = { .call = c, .model = m, .show = show };

    return rows_reply_one(&r, status, db_query(m->db, COLUMNS "WHERE s.id = ?1", "t", id), "secret",
                          id);
}

/* 1, or 0 and c is refused, or a negative errno. */
static int find_vault(struct call *c, struct model *m, int64_t *ret_vault)
{
    int rc = db_get(m->db, ret_vault, "SELECT seq FROM vaults WHERE id = ?1", "t", c->target);

    return rc != 0 ? rc : call_refuse(c, 404, "vault not found: %s", c->target);
}

static int find_item(struct call *c, struct model *m, int64_t *ret_vault)
{
    int64_t seq;
    int rc = find_vault(c, m, ret_vault);

    if (rc <= 0)
        return rc;
    rc = db_get(m->db, &seq, "SELECT seq FROM vault_secrets WHERE id = ?1 AND vault = ?2", "ti",
                c->item, *ret_vault);
    return rc != 0 ? rc : call_refuse(c, 404, "secret not found: %s", c->item);
}

int vaultsecret_list(struct call *c, struct model *m)
{
    struct rows r = { .call = c, .model = m, .show = show };
    struct rows_page page;
    int64_t vault;
    int rc = find_vault(c, m, &vault);

    if (rc <= 0 || !rows_take_page(c, ROWS_MAX, &page))
        return rc < 0 ? rc : 0;
    return rows_reply_page(&r, &page,
                           db_query(m->db,
                                    COLUMNS "WHERE s.vault = ?1 ORDER BY s.seq LIMIT ?2 OFFSET ?3",
                                    "iii", vault, page.limit + 1, page.offset));
}

/* ---- what is asked for ---- */

struct wish {
    const char *env_key; /* NULL: not named, as the others */
    const char *value;
    char *domains; /* as JSON text */
};

/* "api.example.com", or with "*." before it for all beneath. */
static bool is_domain(const char *text)
{
    size_t len = strlen(text);

    if (str_starts_with(text, "*."))
        return is_domain(text + 2);
    return len > 0 && len <= 253 && text[0] != '.' && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == len;
}

static int take_domains(struct call *c, const struct json *body, char **ret_text)
{
    const struct json *domains = json_get(body, "allowed_domains");

    if (!domains || json_is_null(domains))
        return 1;
    if (!json_is_array(domains) || json_len(domains) > VAULT_DOMAINS_MAX)
        return call_refuse(c, 400, "allowed_domains must be an array of at most %d names",
                           VAULT_DOMAINS_MAX);
    for (const struct json *d = json_first(domains); d; d = json_next(d))
        if (!json_str(d) || !is_domain(json_str(d)))
            return call_refuse(c, 400,
                               "allowed_domains must hold names like api.example.com or "
                               "*.example.com, without scheme, port and path");
    *ret_text = json_print(domains);
    return 1;
}

static int take_wish(struct call *c, const struct json *body, enum form_need need, struct wish *w)
{
    return form_text(c, body, "env_key", need, ENVVAR_KEY_MAX, &w->env_key) &&
           (!w->env_key || envvar_check_key(c, "env_key", w->env_key)) &&
           form_text(c, body, "value", need, ENVVAR_VALUE_MAX, &w->value) &&
           take_domains(c, body, &w->domains);
}

/* 1, or 0 and c is refused, or a negative errno. */
static int check_room(struct call *c, struct model *m, int64_t vault, const char *but_id,
                      const char *value)
{
    struct query *q = db_query(m->db,
                               "SELECT coalesce(sum(vault = ?1), 0),"
                               " coalesce(sum(length(sealed)), 0) FROM vault_secrets"
                               " WHERE id <> ?2",
                               "it", vault, but_id);
    int rc = query_next(q);

    if (rc > 0 && query_i64(q, 0) >= VAULT_SECRETS_MAX)
        rc = call_refuse(c, 400, "this vault has %d secrets, and more aren't kept: delete some",
                         VAULT_SECRETS_MAX);
    else if (rc > 0 && query_i64(q, 1) + (int64_t)strlen(value) > VAULT_TOTAL_MAX)
        rc = call_refuse(c, 400,
                         "the secrets of all vaults have together at most %d bytes: shorten or "
                         "delete some",
                         VAULT_TOTAL_MAX);
    query_end(q);
    return rc;
}

static int refuse_twin(struct call *c, const char *key)
{
    return call_refuse(c, 400, "this vault has a secret %s already: change it with PATCH", key);
}

static int insert(struct call *c, struct model *m, int64_t vault, const struct wish *w)
{
    CLEANUP(buf_done) struct buf sealed = { 0 };
    char id[ULID_ID_MAX];
    int64_t rc = check_room(c, m, vault, "", w->value);

    if (rc <= 0)
        return (int)rc;
    call_make_id(id, "sec", m);
    cipher_seal(m->cipher, id, w->value, strlen(w->value), &sealed);
    rc = db_run(m->db,
                "INSERT INTO vault_secrets (id, vault, env_key, sealed, allowed_domains,"
                " created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                "titbti", id, vault, w->env_key, sealed.data, sealed.len,
                w->domains ? w->domains : "[]", m->wall_ms);
    if (rc == -EEXIST)
        return refuse_twin(c, w->env_key);
    return rc < 0 ? (int)rc : reply_with(c, m, 201, id);
}

int vaultsecret_create(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct wish w = { 0 };
    int64_t vault;
    int rc = find_vault(c, m, &vault);

    if (rc > 0 && call_parse_body(c, &body) && take_wish(c, body, FORM_REQUIRED, &w))
        rc = insert(c, m, vault, &w);
    free(w.domains);
    return rc < 0 ? rc : 0;
}

static int64_t update(struct call *c, struct model *m, int64_t vault, const struct wish *w)
{
    CLEANUP(buf_done) struct buf sealed = { 0 };
    int64_t rc = 1;

    if (w->env_key)
        rc = db_run(m->db,
                    "UPDATE vault_secrets SET env_key = ?2, updated_ms = ?3"
                    " WHERE id = ?1 AND env_key <> ?2",
                    "tti", c->item, w->env_key, m->wall_ms);
    if (rc == -EEXIST)
        return refuse_twin(c, w->env_key);
    if (rc >= 0 && w->domains)
        rc = db_run(m->db,
                    "UPDATE vault_secrets SET allowed_domains = ?2, updated_ms = ?3"
                    " WHERE id = ?1 AND allowed_domains <> ?2",
                    "tti", c->item, w->domains, m->wall_ms);
    if (rc < 0 || !w->value)
        return rc < 0 ? rc : 1;
    rc = check_room(c, m, vault, c->item, w->value);
    if (rc <= 0)
        return rc;
    cipher_seal(m->cipher, c->item, w->value, strlen(w->value), &sealed);
    return db_run(m->db, "UPDATE vault_secrets SET sealed = ?2, updated_ms = ?3 WHERE id = ?1",
                  "tbi", c->item, sealed.data, sealed.len, m->wall_ms);
}

int vaultsecret_patch(struct call *c, struct model *m)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct wish w = { 0 };
    int64_t vault;
    int64_t rc = find_item(c, m, &vault);

    if (rc > 0 && call_parse_body(c, &body) && take_wish(c, body, FORM_OPTIONAL, &w)) {
        rc = update(c, m, vault, &w);
        if (rc > 0)
            rc = reply_with(c, m, 200, c->item);
    }
    free(w.domains);
    return rc < 0 ? (int)rc : 0;
}

int vaultsecret_delete(struct call *c, struct model *m)
{
    int64_t vault;
    int64_t rc = find_item(c, m, &vault);

    if (rc > 0)
        rc = db_run(m->db, "DELETE FROM vault_secrets WHERE id = ?1", "t", c->item);
    return rc <= 0 ? (int)rc : call_done(c);
}
