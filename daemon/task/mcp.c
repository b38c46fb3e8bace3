#include "task/mcp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "settings/allow.h"
#include "settings/broker.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/toml.h"
#include "util/utf8.h"

enum { NODES_MAX = 5000, WORD_MAX = 80, PATH_MAX_BYTES = 512, PROBLEMS_MAX = 20 };

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

/* -ENOMEM, or -EBADMSG and a sentence. */
static int parse(const char *text, size_t len, struct json **ret_root, struct err *err)
{
    int r;

    if (len > MCP_FILE_MAX)
        return err_set(err, -EBADMSG, "it is larger than %d KiB", MCP_FILE_MAX / 1024);
    r = json_parse_light(text, len, NODES_MAX, ret_root, err);
    return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

int mcp_add(struct mcp *m, const char *text, size_t len, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const struct json *servers;
    int r = parse(text, len, &root, err);

    if (r < 0)
        return r;
    servers = json_get(root, "mcpServers");
    r = check(servers, json_len(m->servers), err);
    if (r < 0)
        return r;
    for (const struct json *s = json_first(servers); s; s = json_next(s))
        add_server(m->servers, s);
    return 0;
}

/* ---- a gateway ---- */

/* What stays below the gateway's own URL however it is read. One slash may end it, a query follow.
 */
static bool is_path(const char *path)
{
    size_t len = strcspn(path, "?"), rest = strlen(path) - len;

    if (len > 1 && path[len - 1] == '/')
        len--;
    for (const char *c = path + len; rest > 0 && *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("\"#<>\\^`{|}", *c))
            return false;
    return strlen(path) <= PATH_MAX_BYTES && broker_path_is_plain(path, len);
}

static const char *refusal_of_entry(const struct mcp *m, const char *name, const char *path)
{
    if (!name || !is_name(name))
        return "its name can't be used";
    if (!path || !is_path(path))
        return "its url is no plain path below the gateway, such as /NAME";
    return json_len(m->servers) >= MCP_SERVERS_MAX ? "there are too many" : NULL;
}

static void add_entry(struct mcp *m, const char *base, const struct json *entry,
                      struct strv *problems)
{
    const char *name = json_get_str(entry, "name"), *path = json_get_str(entry, "url");
    const char *why = refusal_of_entry(m, name, path);
    char buffer[WORD_MAX];

    if (why) {
        AUTO_FREE char *text = mem_printf("MCP server '%s' of the gateway is left out: %s",
                                          utf8_line(buffer, sizeof buffer, name ? name : ""), why);

        if (problems->len < PROBLEMS_MAX)
            strv_add(problems, text);
    } else {
        CLEANUP_PTR(json_free) struct json *one = json_object();
        struct json *server = json_object();
        AUTO_FREE char *url = mem_printf("%s%s", base, path);

        json_add_str(server, "type", "http");
        json_add_str(server, "url", url);
        json_add(one, name, server);
        add_server(m->servers, json_first(one));
    }
}

int mcp_add_gateway(struct mcp *m, const char *base, const char *text, size_t len,
                    struct strv *problems, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    int r = parse(text, len, &root, err);

    if (r < 0)
        return r;
    if (!json_is_array(root))
        return err_set(err, -EBADMSG, "it is no list");
    for (const struct json *entry = json_first(root); entry; entry = json_next(entry))
        add_entry(m, base, entry, problems);
    return 0;
}

/* ---- all of them ---- */

char *mcp_print(const struct mcp *m)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add(root, "mcpServers", json_copy(m->servers));
    return json_print(root);
}

static void add_copy(struct json *to, const char *key, const struct json *value)
{
    if (value)
        json_add(to, key, json_copy(value));
}

static struct json *for_opencode(const struct json *server)
{
    const char *url = json_get_str(server, "url");
    struct json *result = json_object(), *command;

    json_add_str(result, "type", url ? "remote" : "local");
    if (url) {
        json_add_str(result, "url", url);
        add_copy(result, "headers", json_get(server, "headers"));
    } else {
        command = json_array();
        json_push_str(command, json_get_str(server, "command"));
        for (const struct json *a = json_first(json_get(server, "args")); a; a = json_next(a))
            json_push(command, json_copy(a));
        json_add(result, "command", command);
        add_copy(result, "environment", json_get(server, "env"));
    }
    json_add_bool(result, "enabled", true);
    return result;
}

char *mcp_print_opencode(const struct mcp *m)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();
    struct json *servers = json_object();

    for (const struct json *s = json_first(m->servers); s; s = json_next(s))
        json_add(servers, json_key(s), for_opencode(s));
    json_add(root, "mcp", servers);
    return json_print(root);
}

static void add_toml_list(struct buf *b, const char *key, const struct json *list)
{
    if (!list)
        return;
    buf_printf(b, "%s = [", key);
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        toml_add_string(b, json_str(item));
        buf_append_str(b, json_next(item) ? ", " : "");
    }
    buf_append_str(b, "]\n");
}

static void add_toml_map(struct buf *b, const char *key, const struct json *map)
{
    if (!map)
        return;
    buf_printf(b, "%s = {", key);
    for (const struct json *item = json_first(map); item; item = json_next(item)) {
        buf_append_char(b, ' ');
        toml_add_string(b, json_key(item));
        buf_append_str(b, " = ");
        toml_add_string(b, json_str(item));
        buf_append_str(b, json_next(item) ? "," : " ");
    }
    buf_append_str(b, "}\n");
}

char *mcp_print_codex(const struct mcp *m)
{
    struct buf b = { 0 };

    for (const struct json *s = json_first(m->servers); s; s = json_next(s)) {
        const char *url = json_get_str(s, "url");

        buf_append_str(&b, "[mcp_servers.");
        toml_add_string(&b, json_key(s));
        buf_printf(&b, "]\nstartup_timeout_sec = 30\n%s = ", url ? "url" : "command");
        toml_add_string(&b, url ? url : json_get_str(s, "command"));
        buf_append_char(&b, '\n');
        add_toml_list(&b, "args", url ? NULL : json_get(s, "args"));
        add_toml_map(&b, url ? "http_headers" : "env", json_get(s, url ? "headers" : "env"));
    }
    return buf_steal(&b);
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

/* ---- secrets ---- */

static bool sounds_secret(const char *name)
{
    static const char *const parts[] = { "key",  "token",  "secret",    "pass",
                                         "auth", "cookie", "credential" };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

struct finder {
    mcp_secret_fn fn;
    void *ctx;
};

static void find_value(const struct finder *f, const char *value)
{
    const char *space = strrchr(value, ' '); /* "Bearer KEY" */

    f->fn(value, f->ctx);
    if (space)
        f->fn(space + 1, f->ctx);
}

static void find_in_map(const struct finder *f, const struct json *map)
{
    for (const struct json *item = json_first(map); item; item = json_next(item))
        if (json_str(item) && sounds_secret(json_key(item)))
            find_value(f, json_str(item));
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %XX as that byte; in a query's form + as a space. */
static char *decoded(const char *text)
{
    char *plain = mem_strdup(text), *to = plain;

    for (const char *c = plain; *c; c++) {
        int high = *c == '%' ? digit_of(c[1]) : -1, low = high < 0 ? -1 : digit_of(c[2]);

        if (low >= 0 && high + low > 0) {
            *to++ = (char)(high * 16 + low);
            c += 2;
        } else {
            *to++ = *c == '+' ? ' ' : *c;
        }
    }
    *to = '\0';
    return plain;
}

static void find_in_url(const struct finder *f, const char *url)
{
    const char *at = url ? strchr(url, '?') : NULL;

    while (at && *++at) {
        size_t len = strcspn(at, "&#"), name_len = strcspn(at, "=&#");
        AUTO_FREE char *name = mem_strndup(at, name_len);

        if (name_len < len && sounds_secret(name)) {
            AUTO_FREE char *value = mem_strndup(at + name_len + 1, len - name_len - 1);
            AUTO_FREE char *plain = decoded(value);

            f->fn(value, f->ctx);
            f->fn(plain, f->ctx);
        }
        at = at[len] == '&' ? at + len : NULL;
    }
}

/* What stands before the host: a password, or a user's name that may be a token. */
static void find_in_authority(const struct finder *f, const char *authority)
{
    size_t len = strcspn(authority, "/?#");
    AUTO_FREE char *user = mem_strndup(authority, len);
    char *at = strrchr(user, '@'), *colon;

    if (!at)
        return;
    *at = '\0';
    colon = strchr(user, ':');
    {
        const char *value = colon ? colon + 1 : user;
        AUTO_FREE char *plain = decoded(value);

        f->fn(value, f->ctx);
        f->fn(plain, f->ctx);
    }
}

/* Whether the next word is the value of this one. */
static bool find_in_word(const struct finder *f, const char *word)
{
    const char *url = strstr(word, "://");

    if (url) {
        find_in_url(f, word);
        find_in_authority(f, url + strlen("://"));
    }
    for (;;) {
        size_t len = strcspn(word, "=: ");
        AUTO_FREE char *name = mem_strndup(word, len);
        const char *value = word + len + strspn(word + len, "=: ");

        if (sounds_secret(name)) {
            if (*value)
                find_value(f, value);
            return !*value && word[0] == '-';
        }
        if (!*value)
            return false;
        word = value;
    }
}

static void find_in_words(const struct finder *f, const struct json *words)
{
    bool is_value = false;

    for (const struct json *item = json_first(words); item; item = json_next(item)) {
        const char *word = json_str(item);

        if (!word)
            continue;
        if (is_value)
            find_value(f, word);
        is_value = find_in_word(f, word);
    }
}

void mcp_each_secret(const struct mcp *m, mcp_secret_fn fn, void *ctx)
{
    const struct finder f = { fn, ctx };

    for (const struct json *s = json_first(m->servers); s; s = json_next(s)) {
        find_in_map(&f, json_get(s, "env"));
        find_in_map(&f, json_get(s, "headers"));
        find_in_words(&f, json_get(s, "args"));
        find_in_url(&f, json_get_str(s, "url"));
    }
}
