#include "hub/artifact.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/attachment.h"
#include "hub/call.h"
#include "hub/cipher.h"
#include "hub/db.h"
#include "hub/envvar.h"
#include "hub/form.h"
#include "hub/resource.h"
#include "hub/rows.h"
#include "hub/storage.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/secret.h"
#include "util/str.h"

enum { SUFFIX_LEN = 6 }; /* letters and digits after a file's name, which daemons take off */

static const struct kind {
    const char *name; /* in the database, and its type for daemons */
    const char *prefix;
    const char *noun;
    const char *folder; /* below ~/.config/eksecd */
    const char *ending;
} kinds[ARTIFACT_KIND_COUNT] = {
    [ARTIFACT_RULE] = { "rule", "aar", "rule", "rules", ".md" },
    [ARTIFACT_MCP_CONFIG] = { "mcp_config", "amc", "MCP config", "mcp", ".json" },
    [ARTIFACT_SKILL] = { "skill", "ask", "skill", "skills", ".zip" },
};

/* ---- how they are shown ---- */

#define COLUMNS                                                                                    \
    "SELECT id, title, description, content, sealed, is_sensitive, size, created_ms, updated_ms"   \
    " FROM artifacts "

/* 1, or 0 and c is refused. */
static int add_content(struct call *c, const struct model *m, struct query *q, struct json *object)
{
    char *text = NULL;

    if (query_is_null(q, 4) || query_i64(q, 5)) {
        json_add_str(object, "content", query_text(q, 3));
        return 1;
    }
    if (!envvar_unseal(c, m, query_text(q, 0), query_blob(q, 4), query_bytes(q, 4), &text))
        return 0;
    json_add_str(object, "content", text);
    secret_wipe(text, strlen(text));
    free(text);
    return 1;
}

static int show(const struct rows *r, struct query *q, struct json **ret_object)
{
    enum artifact_kind kind = *(const enum artifact_kind *)r->ctx;
    struct json *object = *ret_object = json_object();
    char text[32];

    json_add_str(object, "id", query_text(q, 0));
    json_add_str(object, kind == ARTIFACT_SKILL ? "name" : "title", query_text(q, 1));
    json_add_str(object, "description", query_text(q, 2));
    if (kind == ARTIFACT_SKILL)
        json_add_i64(object, "size", query_i64(q, 6));
    else if (!add_content(r->call, r->model, q, object))
        return 0;
    if (kind == ARTIFACT_MCP_CONFIG)
        json_add_bool(object, "is_sensitive", query_i64(q, 5) != 0);
    json_add_str(object, "created_at", clock_rfc3339(text, query_i64(q, 7)));
    json_add_str(object, "updated_at", clock_rfc3339(text, query_i64(q, 8)));
    return 1;
}

static int list_kind(struct call *c, struct model *m, enum artifact_kind kind)
{
    struct rows r = { .call = c, .model = m, .show = show, .ctx = &kind };
    struct rows_page page;

    if (!rows_take_page(c, ROWS_MAX, &page))
        return 0;
    return rows_reply_page(&r, &page,
                           db_query(m->db,
                                    COLUMNS "WHERE kind = ?1 ORDER BY seq LIMIT ?2 OFFSET ?3",
                                    "tii", kinds[kind].name, page.limit + 1, page.offset));
}

static int reply_with(struct call *c, struct model *m, enum artifact_kind kind, unsigned status,
                      const char *id)
{
    struct rows r = { .call = c, .model = m, .show = show, .ctx = &kind };
    struct query *q =
        db_query(m->db, COLUMNS "WHERE id = ?1 AND kind = ?2", "tt", id, kinds[kind].name);

    return rows_reply_one(&r, status, q, kinds[kind].noun, NULL);
}

/* ---- how they are made and changed ---- */

/* Text with a JSON object that has at least one server. 1, or 0 and c is refused. */
static int check_mcp_config(struct call *c, const char *content)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct err err = { 0 };
    const struct json *servers;

    if (json_parse(content, strlen(content), &root, &err) < 0)
        return call_refuse(c, 400, "content is no JSON: %s", err.text);
    servers = json_get(root, "mcpServers");
    if (!json_is_object(servers) || json_len(servers) == 0)
        return call_refuse(c, 400,
                           "content must be a JSON object whose mcpServers has at least one "
                           "server");
    for (const struct json *s = json_first(servers); s; s = json_next(s))
        if (str_is_empty(json_key(s)) || !json_is_object(s) ||
            (!json_get_str(s, "command") && !json_get_str(s, "url")))
            return call_refuse(
                c, 400,
                "content: each of mcpServers must have a name, and be an object with "
                "a command or a url");
    return 1;
}

static int take(struct call *c, const struct json *body, struct artifact_new *what)
{
    what->description = "";
    return form_text(c, body, "title", FORM_REQUIRED, ARTIFACT_TITLE_MAX, &what->title) &&
           form_text(c, body, "description", FORM_OPTIONAL, ARTIFACT_DESCRIPTION_MAX,
                     &what->description) &&
           form_text(c, body, "content", FORM_REQUIRED, ARTIFACT_CONTENT_MAX, &what->content) &&
           (what->kind != ARTIFACT_MCP_CONFIG ||
            (form_bool(c, body, "is_sensitive", &what->is_sensitive) &&
             check_mcp_config(c, what->content)));
}

/* 1, or 0 and c is refused, or a negative errno. */
static int check_room(struct call *c, struct model *m, const struct artifact_new *what,
                      const char *but_id)
{
    const struct kind *k = &kinds[what->kind];
    struct query *q = db_query(m->db,
                               "SELECT count(*), coalesce(sum(size), 0) FROM artifacts"
                               " WHERE kind = ?1 AND id <> ?2",
                               "tt", k->name, but_id);
    int rc = query_next(q);

    if (rc > 0 && query_i64(q, 0) >= ARTIFACT_COUNT_MAX)
        rc = call_refuse(c, 400, "there are %d %ss, and more aren't kept: delete some",
                         ARTIFACT_COUNT_MAX, k->noun);
    else if (rc > 0 && what->content &&
             query_i64(q, 1) + (int64_t)strlen(what->content) > ARTIFACT_TOTAL_MAX)
        rc = call_refuse(c, 400, "the %ss have together at most %d bytes: shorten or delete some",
                         k->noun, ARTIFACT_TOTAL_MAX);
    query_end(q);
    return rc;
}

/* Stores the columns that a change replaces, in a row that is there. */
static int64_t fill(struct model *m, const struct artifact_new *what, const char *id)
{
    CLEANUP(buf_done) struct buf sealed = { 0 };
    char attachment[ULID_ID_MAX];
    bool seals = what->kind == ARTIFACT_MCP_CONFIG;
    size_t len = what->content ? strlen(what->content) : 0;

    if (seals)
        cipher_seal(m->cipher, id, what->content, len, &sealed);
    call_make_id(attachment, "att", m);
    return db_run(m->db,
                  "UPDATE artifacts SET title = ?2, description = ?3, content = ?4, sealed = ?5,"
                  " size = ?6, is_sensitive = ?7, attachment = ?8, updated_ms = ?9 WHERE id = ?1",
                  "ttttbiiti", id, what->title, what->description, seals ? NULL : what->content,
                  sealed.data, sealed.len, what->content ? (int64_t)len : what->size,
                  (int64_t)what->is_sensitive, what->attachment ? what->attachment : attachment,
                  m->wall_ms);
}

int artifact_insert(struct call *c, struct model *m, const struct artifact_new *what)
{
    char id[ULID_ID_MAX];
    int64_t rc = check_room(c, m, what, "");

    if (rc <= 0)
        return (int)rc;
    call_make_id(id, kinds[what->kind].prefix, m);
    rc = db_run(m->db,
                "INSERT INTO artifacts (id, kind, title, description, size, attachment, created_ms,"
                " updated_ms) VALUES (?1, ?2, ?3, '', 0, ?1, ?4, ?4)",
                "ttti", id, kinds[what->kind].name, what->title, m->wall_ms);
    if (rc == -EEXIST) /* skills have names, not titles */
        return call_refuse(c, 400, "there is a skill called %s already: delete that one first",
                           what->title);
    if (rc >= 0)
        rc = fill(m, what, id);
    return rc < 0 ? (int)rc : reply_with(c, m, what->kind, 201, id);
}

static int create(struct call *c, struct model *m, enum artifact_kind kind)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct artifact_new what = { .kind = kind };

    if (!call_parse_body(c, &body) || !take(c, body, &what))
        return 0;
    return artifact_insert(c, m, &what);
}

static int find_target(struct call *c, struct model *m, enum artifact_kind kind)
{
    int64_t seq;
    int rc = db_get(m->db, &seq, "SELECT seq FROM artifacts WHERE id = ?1 AND kind = ?2", "tt",
                    c->target, kinds[kind].name);

    return rc != 0 ? rc : call_refuse(c, 404, "%s not found", kinds[kind].noun);
}

static int put(struct call *c, struct model *m, enum artifact_kind kind)
{
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct artifact_new what = { .kind = kind };
    int64_t rc = find_target(c, m, kind);

    if (rc <= 0 || !call_parse_body(c, &body) || !take(c, body, &what))
        return rc < 0 ? (int)rc : 0;
    rc = check_room(c, m, &what, c->target);
    if (rc > 0)
        rc = fill(m, &what, c->target);
    return rc <= 0 ? (int)rc : reply_with(c, m, kind, 200, c->target);
}

static int delete_kind(struct call *c, struct model *m, enum artifact_kind kind)
{
    int64_t rc = find_target(c, m, kind);

    if (rc > 0)
        rc = resource_check_unassigned(c, m, c->target, kinds[kind].noun);
    if (rc > 0 && kind == ARTIFACT_SKILL)
        rc = attachment_disown(c, m, c->target);
    if (rc > 0)
        rc = db_run(m->db, "DELETE FROM artifacts WHERE id = ?1", "t", c->target);
    return rc <= 0 ? (int)rc : call_done(c);
}

/* ---- what daemons get ---- */

/* "rules/my-rule-7f3a9c.md": from the title, made unique by the last characters of the id. */
static void name_file(const struct kind *k, const char *title, const char *id, char *name,
                      size_t size)
{
    char slug[AGENT_SLUG_MAX + 1], suffix[SUFFIX_LEN + 1];

    agent_slug_from_name(title, slug);
    memcpy(suffix, id + strlen(id) - SUFFIX_LEN, sizeof suffix);
    for (char *s = suffix; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
    snprintf(name, size, "~/.config/eksecd/%s/%s-%s%s", k->folder, slug, suffix, k->ending);
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (str_eq(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

int artifact_deliver(struct model *m, int64_t agent, struct json *list)
{
    struct query *q = db_query(m->db,
                               "SELECT a.id, a.kind, a.title, a.description, a.attachment"
                               " FROM resources r JOIN artifacts a ON a.id = r.entity_id"
                               " WHERE r.agent = ?1 ORDER BY r.seq",
                               "i", agent);
    char name[AGENT_SLUG_MAX + 64];
    int rc;

    while ((rc = query_next(q)) > 0) {
        const struct kind *k = find_kind(query_text(q, 1));
        struct json *artifact, *files, *file;

        if (!k) /* the database was changed by others */
            continue;
        artifact = json_object();
        files = json_array();
        file = json_object();
        name_file(k, query_text(q, 2), query_text(q, 0), name, sizeof name);
        json_add_str(file, "location", name);
        json_add_str(file, "attachmentId", query_text(q, 4));
        json_push(files, file);
        json_add_str(artifact, "title", query_text(q, 2));
        json_add_str(artifact, "description", query_text(q, 3));
        json_add_str(artifact, "type", k->name);
        json_add(artifact, "files", files);
        json_push(list, artifact);
    }
    query_end(q);
    return rc;
}

/* A member of front matter: a JSON string is a YAML string too. */
static void add_matter(struct buf *b, const char *key, const char *text)
{
    CLEANUP_PTR(json_free) struct json *array = json_array();
    AUTO_FREE char *quoted = NULL;

    json_push_str(array, text);
    quoted = json_print(array);
    buf_printf(b, "%s: %.*s\n", key, (int)strlen(quoted) - 2, quoted + 1);
}

static void render_rule(struct query *q, struct buf *b)
{
    buf_append_str(b, "---\n");
    add_matter(b, "title", query_text(q, 1));
    add_matter(b, "description", query_text(q, 2));
    buf_append_str(b, "---\n\n");
    buf_append(b, query_text(q, 3), query_bytes(q, 3));
    buf_append_char(b, '\n');
}

static int reply_file(struct call *c, const char *attachment, const struct buf *b)
{
    size_t size = sodium_base64_ENCODED_LEN(b->len, sodium_base64_VARIANT_ORIGINAL);
    CLEANUP(buf_done) struct buf text = { 0 };
    struct json *root = json_object();

    (void)sodium_bin2base64(buf_reserve(&text, size), size, (const unsigned char *)b->data, b->len,
                            sodium_base64_VARIANT_ORIGINAL); /* returns its first argument */
    json_add_str(root, "id", attachment);
    json_add_str(root, "data", text.data);
    secret_wipe(text.data, text.cap);
    return call_reply(c, 200, root);
}

int artifact_download(struct call *c, struct model *m, const char *attachment)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct query *q =
        db_query(m->db,
                 "SELECT a.id, a.title, a.description, a.content, a.sealed FROM artifacts a"
                 " WHERE a.attachment = ?1 AND a.kind IN ('rule', 'mcp_config') AND EXISTS"
                 " (SELECT 1 FROM resources r WHERE r.agent = ?2 AND r.entity_id = a.id)",
                 "ti", attachment, c->agent.seq);
    int rc = query_next(q);

    if (rc > 0 && query_is_null(q, 4))
        render_rule(q, &b);
    else if (rc > 0 && cipher_unseal(m->cipher, query_text(q, 0), query_blob(q, 4),
                                     query_bytes(q, 4), &b) < 0)
        (void)call_refuse(c, 500,
                          "what is stored as %s can't be decrypted: the database was "
                          "changed by others",
                          query_text(q, 0));
    query_end(q);
    if (rc > 0 && b.len > 0)
        (void)reply_file(c, attachment, &b);
    if (b.data)
        secret_wipe(b.data, b.cap);
    return rc;
}

/* ---- handlers ---- */

int artifact_list_rules(struct call *c, struct model *m)
{
    return list_kind(c, m, ARTIFACT_RULE);
}

int artifact_create_rule(struct call *c, struct model *m)
{
    return create(c, m, ARTIFACT_RULE);
}

int artifact_get_rule(struct call *c, struct model *m)
{
    return reply_with(c, m, ARTIFACT_RULE, 200, c->target);
}

int artifact_put_rule(struct call *c, struct model *m)
{
    return put(c, m, ARTIFACT_RULE);
}

int artifact_delete_rule(struct call *c, struct model *m)
{
    return delete_kind(c, m, ARTIFACT_RULE);
}

int artifact_list_mcp_configs(struct call *c, struct model *m)
{
    return list_kind(c, m, ARTIFACT_MCP_CONFIG);
}

int artifact_create_mcp_config(struct call *c, struct model *m)
{
    return create(c, m, ARTIFACT_MCP_CONFIG);
}

int artifact_get_mcp_config(struct call *c, struct model *m)
{
    return reply_with(c, m, ARTIFACT_MCP_CONFIG, 200, c->target);
}

int artifact_put_mcp_config(struct call *c, struct model *m)
{
    return put(c, m, ARTIFACT_MCP_CONFIG);
}

int artifact_delete_mcp_config(struct call *c, struct model *m)
{
    return delete_kind(c, m, ARTIFACT_MCP_CONFIG);
}

int artifact_list_skills(struct call *c, struct model *m)
{
    return list_kind(c, m, ARTIFACT_SKILL);
}

int artifact_get_skill(struct call *c, struct model *m)
{
    return reply_with(c, m, ARTIFACT_SKILL, 200, c->target);
}

int artifact_delete_skill(struct call *c, struct model *m)
{
    return delete_kind(c, m, ARTIFACT_SKILL);
}
