#include "main/manifest.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "main/policy.h"
#include "settings/settings.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/shelf.h"

static struct json *list_of(const struct strv *v)
{
    struct json *list = json_array();

    for (size_t k = 0; k < v->len; k++)
        json_push_str(list, v->items[k]);
    return list;
}

char *manifest_print(const struct manifest *m, const struct settings *s)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add_str(root, "server", s->server_url);
    json_add_str(root, "agent", s->agent_id);
    json_add_i64(root, "rules", (int64_t)m->rules);
    json_add_i64(root, "skills", (int64_t)m->skills);
    json_add_i64(root, "mcp_servers", (int64_t)m->mcp_servers);
    if (m->gateway)
        json_add_str(root, "mcp_gateway", m->gateway);
    json_add(root, "mcp_places", list_of(&m->mcp_places));
    json_add(root, "problems", list_of(&m->problems));
    return json_print(root);
}

static void read_list(const struct json *root, const char *key, struct strv *ret)
{
    for (const struct json *n = json_first(json_get(root, key)); n; n = json_next(n))
        if (json_str(n))
            strv_add(ret, json_str(n));
}

static size_t read_count(const struct json *root, const char *key)
{
    uint64_t n = 0;

    return json_get_u64(root, key, &n) == 0 ? (size_t)n : 0;
}

/* Only of this server's set: another's rules are none of this one's. */
int manifest_read(const struct settings *s, struct manifest *ret_manifest)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    AUTO_FREE char *text = NULL;

    if (shelf_manifest(s->state_dir, &text, NULL) < 0 ||
        json_parse(text, strlen(text), &root, NULL) < 0 ||
        !str_eq(json_get_str(root, "server"), s->server_url) ||
        !str_eq(json_get_str(root, "agent"), s->agent_id))
        return -ENOENT;
    *ret_manifest = (struct manifest){ .rules = read_count(root, "rules"),
                                       .skills = read_count(root, "skills"),
                                       .mcp_servers = read_count(root, "mcp_servers"),
                                       .gateway = mem_strdup(json_get_str(root, "mcp_gateway")) };
    read_list(root, "mcp_places", &ret_manifest->mcp_places);
    read_list(root, "problems", &ret_manifest->problems);
    manifest_suit(ret_manifest, s);
    return 0;
}

void manifest_suit(struct manifest *m, const struct settings *s)
{
    if (str_eq(m->gateway, policy_gateway(s)))
        return;
    m->mcp_servers = 0;
    strv_done(&m->mcp_places);
}

static void add_count(struct buf *b, size_t n, const char *what)
{
    buf_printf(b, "%s%zu %s%s", b->len > 0 ? ", " : "", n, what, n == 1 ? "" : "s");
}

void manifest_describe(const struct manifest *m, struct buf *b)
{
    add_count(b, m->rules, "rule");
    add_count(b, m->skills, "skill");
    add_count(b, m->mcp_servers, "MCP server");
    if (m->gateway)
        buf_append_str(b, " of the gateway");
}

void manifest_done(struct manifest *m)
{
    free(m->gateway);
    strv_done(&m->mcp_places);
    strv_done(&m->problems);
    *m = (struct manifest){ 0 };
}
