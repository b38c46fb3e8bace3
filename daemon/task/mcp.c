#include "task/mcp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "settings/allow.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

enum { NODES_MAX = 5000, WORD_MAX = 80 };

struct mcp {
    struct json *servers;
};

struct mcp *mcp_new(void)
{
    struct mcp *m = mem_new(struct mcp);

    m->servers = json_object();
    return m;
}

void mcp_free(struct mcp *m)
{
    if (!m)
        return;
    json_free(m->servers);
    free(m);
}

size_t mcp_len(const struct mcp *m)
{
    return json_len(m->servers);
}

/* ---- one file ---- */

/* Its place doesn't depend on what is asked for there. */
static int print_place(const char *url, struct buf *b)
{
    AUTO_FREE char *base = mem_strndup(url, strcspn(url, "?#"));

    return allow_print_url(base, b);
}

static bool are_strings(const struct json *list)
{
    for (const struct json *item = json_first(list); item; item = json_next(item))
        if (!json_is_string(item))
            return false;
    return true;
}

/* Absent, or of that shape. */
static bool is_list(const struct json *node)
{
    return !node || (json_is_array(node) && are_strings(node));
}

static bool is_map(const struct json *node)
{
    return !node || (json_is_object(node) && are_strings(node));
}

static bool is_name(const char *s)
{
    size_t len = strlen(s);

    return len >= 1 && len <= MCP_NAME_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.- ") == len;
}

static const char *refusal_of(const struct json *server)
{
    const char *url = json_get_str(server, "url");
    CLEANUP(buf_done) struct buf place = { 0 };

    if (!json_is_object(server))
        return "it is no object";
    if (!is_list(json_get(server, "args")))
        return "its args are no list of texts";
    if (!is_map(json_get(server, "env")) || !is_map(json_get(server, "headers")))
        return "its env or headers are no map of texts";
    if (url)
        return print_place(url, &place) < 0 ? "its url is none of http or https" : NULL;
    return str_is_empty(json_get_str(server, "command")) ? "it has neither command nor url" : NULL;
}

static int check(const struct json *servers, size_t known, struct err *err)
{
    char buffer[WORD_MAX];

    if (!json_is_object(servers) || json_len(servers) == 0)
        return err_set(err, -EBADMSG, "it has no mcpServers");
    if (known + json_len(servers) > MCP_SERVERS_MAX)
        return err_set(err, -EBADMSG, "there would be more than %d MCP servers", MCP_SERVERS_MAX);
    for (const struct json *s = json_first(servers); s; s = json_next(s)) {
        const char *why = is_name(json_key(s)) ? refusal_of(s) : "its name can't be used";

        if (why)
            return err_set(err, -EBADMSG, "server '%s': %s",
                           utf8_line(buffer, sizeof buffer, json_key(s)), why);
    }
    return 0;
}

static void add_server(struct json *servers, const struct json *server)
{
    const char *name = json_key(server);
    AUTO_FREE char *fresh = mem_strdup(name);

    for (int n = 2; json_get(servers, fresh); n++) {
        free(fresh);
        fresh = mem_printf("%s-%d", name, n);
    }
    json_add(servers, fresh, json_copy(server));
}

int mcp_add(struct mcp *m, const char *text, size_t len, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const struct json *servers;
    int r;

    if (len > MCP_FILE_MAX)
        return err_set(err, -EBADMSG, "it is larger than %d KiB", MCP_FILE_MAX / 1024);
    r = json_parse_light(text, len, NODES_MAX, &root, err);
    if (r < 0)
        return -EBADMSG;
    servers = json_get(root, "mcpServers");
    r = check(servers, json_len(m->servers), err);
    if (r < 0)
        return r;
    for (const struct json *s = json_first(servers); s; s = json_next(s))
        add_server(m->servers, s);
    return 0;
}

/* ---- all of them ---- */

char *mcp_print(const struct mcp *m)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add(root, "mcpServers", json_copy(m->servers));
    return json_print(root);
}

static bool has(const struct strv *list, const char *text)
{
    for (size_t i = 0; i < list->len; i++)
        if (str_eq(list->items[i], text))
            return true;
    return false;
}

void mcp_places(const struct mcp *m, struct strv *places)
{
    for (const struct json *s = json_first(m->servers); s; s = json_next(s)) {
        CLEANUP(buf_done) struct buf place = { 0 };
        const char *url = json_get_str(s, "url");

        if (url && print_place(url, &place) == 0) {
            /* without the words that an operator's own URL has: what leads where is his to say */
            char *end = place.len > 0 ? strchr(place.data, ' ') : NULL;

            if (end)
                *end = '\0';
            if (!has(places, buf_str(&place)))
                strv_add(places, buf_str(&place));
        }
    }
}

static bool sounds_secret(const char *name)
{
    static const char *const parts[] = { "key",  "token",  "secret",    "pass",
                                         "auth", "cookie", "credential" };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

static void find_secrets(const struct json *map, mcp_secret_fn fn, void *ctx)
{
    for (const struct json *item = json_first(map); item; item = json_next(item)) {
        const char *value = json_str(item), *space;

        if (!value || !sounds_secret(json_key(item)))
            continue;
        fn(value, ctx);
        space = strrchr(value, ' '); /* "Bearer KEY" */
        if (space)
            fn(space + 1, ctx);
    }
}

void mcp_each_secret(const struct mcp *m, mcp_secret_fn fn, void *ctx)
{
    for (const struct json *s = json_first(m->servers); s; s = json_next(s)) {
        find_secrets(json_get(s, "env"), fn, ctx);
        find_secrets(json_get(s, "headers"), fn, ctx);
    }
}
