#include "settings/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings/allow.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

/* clang-format off */
static const struct known {
    const char *name, *upstream, *header, *scheme;
    const char *methods, *paths; /* apart by one space */
} known[] = {
    { "anthropic", "https://api.anthropic.com", "x-api-key", "", "GET HEAD POST",
      "/ /v1/messages /v1/messages/count_tokens /v1/models /v1/models/*" },
    { "openai", "https://api.openai.com", "authorization", "Bearer", "POST",
      /* no GET: it would list what others had stored of their completions */
      "/v1/chat/completions /v1/responses /v1/responses/compact" },
    { "openrouter", "https://openrouter.ai/api", "authorization", "Bearer", "POST",
      "/v1/chat/completions" },
    { "deepseek", "https://api.deepseek.com", "authorization", "Bearer", "POST",
      "/chat/completions" },
    { "groq", "https://api.groq.com/openai", "authorization", "Bearer", "POST",
      "/v1/chat/completions" },
    { "mistral", "https://api.mistral.ai", "authorization", "Bearer", "POST",
      "/v1/chat/completions" },
    { "xai", "https://api.x.ai", "authorization", "Bearer", "POST",
      "/v1/chat/completions" },
};
/* clang-format on */

enum { REQUESTS = 10000, TIMEOUT_MS = 10 * 60 * 1000, METHOD_MAX = 24 };
static const uint64_t request_limit_bytes = UINT64_C(64) << 20;
static const uint64_t response_limit_bytes = UINT64_C(256) << 20;

/* ---- the list ---- */

void broker_done(struct broker *b)
{
    free(b->name);
    free(b->upstream);
    free(b->key_file);
    free(b->key_variable);
    free(b->header);
    free(b->scheme);
    free(b->ca_file);
    strv_done(&b->methods);
    strv_done(&b->paths);
    *b = (struct broker){ 0 };
}

const struct broker *broker_find(const struct broker_list *list, const char *name)
{
    for (size_t i = 0; i < list->len; i++)
        if (str_eq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

void broker_add(struct broker_list *list, struct broker *b)
{
    list->items = mem_realloc(list->items, (list->len + 1) * sizeof list->items[0]);
    list->items[list->len++] = *b;
    *b = (struct broker){ 0 };
}

void broker_copy_all(struct broker_list *to, const struct broker_list *from)
{
    for (size_t i = 0; i < from->len; i++) {
        struct broker b = from->items[i];

        b.name = mem_strdup(b.name);
        b.upstream = mem_strdup(b.upstream);
        b.key_file = mem_strdup(b.key_file);
        b.key_variable = mem_strdup(b.key_variable);
        b.header = mem_strdup(b.header);
        b.scheme = mem_strdup(b.scheme);
        b.ca_file = mem_strdup(b.ca_file);
        b.methods = b.paths = (struct strv){ 0 };
        strv_copy(&b.methods, &from->items[i].methods);
        strv_copy(&b.paths, &from->items[i].paths);
        broker_add(to, &b);
    }
}

void broker_done_all(struct broker_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        broker_done(&list->items[i]);
    free(list->items);
    *list = (struct broker_list){ 0 };
}

/* ---- paths ---- */

bool broker_path_is_plain(const char *path, size_t len)
{
    static const char others[] = "-._~!$&'()*+,=:@";
    size_t part = 1; /* where it begins */

    if (len == 0 || path[0] != '/')
        return false;
    if (len == 1)
        return true;
    for (size_t i = 1; i <= len; i++) {
        char c = i < len ? path[i] : '/';
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (c == '/') {
            size_t n = i - part;

            if (n == 0 || (n <= 2 && path[part] == '.' && path[i - 1] == '.'))
                return false;
            part = i + 1;
        } else if (!alnum && (c == '\0' || !strchr(others, c))) {
            return false;
        }
    }
    return true;
}

bool broker_path_matches(const char *pattern, const char *path, size_t len)
{
    size_t n = strlen(pattern);

    if (n >= 2 && str_eq(pattern + n - 2, "/*"))
        return len >= n && memcmp(path, pattern, n - 1) == 0;
    return len == n && memcmp(path, pattern, n) == 0;
}

/* ---- checking ---- */

static bool is_word(const char *text, size_t most, const char *alphabet)
{
    size_t len = strlen(text);

    return len > 0 && len <= most && strspn(text, alphabet) == len;
}

#define LETTERS  "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS   "0123456789"

/* The parts of an http or https URL. */
static const char *split_upstream(const char *url, struct broker_place *p)
{
    const char *host, *end, *colon, *why = NULL;
    size_t host_len;

    p->is_tls = strncasecmp(url, "https://", 8) == 0;
    if (!p->is_tls && strncasecmp(url, "http://", 7) != 0)
        return "want https://HOST[:PORT][/PATH]";
    host = url + (p->is_tls ? 8 : 7);
    end = host + strcspn(host, "/?#");
    p->prefix = end;
    p->port = p->is_tls ? 443 : 80;
    if (memchr(host, '@', (size_t)(end - host)))
        return "no user belongs in it";
    colon = memrchr(host, ':', (size_t)(end - host));
    if (colon && host[0] == '[' && colon[-1] != ']')
        colon = NULL;
    host_len = (size_t)((colon ? colon : end) - host);
    if (colon && hostname_parse_port(colon + 1, (size_t)(end - colon) - 1, &p->port) < 0)
        return "the port must be 1 to 65535";
    if (hostname_parse(host, host_len, &p->host, &why) < 0)
        return why;
    if (*end && !broker_path_is_plain(end, strlen(end)))
        return "its path has to be plain: no query, no escapes, no slash at the end";
    return str_eq(end, "/") ? "no slash belongs at its end" : NULL;
}

static bool is_loopback(const struct hostname *host)
{
    return (host->kind == HOSTNAME_IPV4 && str_starts_with(host->text, "127.")) ||
           (host->kind == HOSTNAME_IPV6 && str_eq(host->text, "::1"));
}

int broker_find_place(const struct broker *b, struct broker_place *ret_place, struct err *err)
{
    struct broker_place place = { 0 };
    const char *why = split_upstream(b->upstream, &place);

    if (!why && !place.is_tls && !is_loopback(&place.host))
        why = "want https: the key would travel readable for all in between (http is for an "
              "address of this machine's loopback only, such as http://127.0.0.1:4000)";
    if (why)
        return err_set(err, -EINVAL, "upstream: %s", why);
    *ret_place = place;
    return 0;
}

/* Those that say where a request ends, or that are ours to write. */
static bool is_taken_field(const char *name)
{
    static const char *const taken[] = { "connection", "content-length",
                                         "expect",     "host",
                                         "te",         "trailer",
                                         "upgrade",    "transfer-encoding" };

    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        if (str_eq(taken[i], name))
            return true;
    return false;
}

static bool are_paths(const struct strv *paths)
{
    for (size_t i = 0; i < paths->len; i++) {
        const char *path = paths->items[i], *star = strchr(path, '*');
        size_t len = strlen(path);

        if (len > BROKER_TEXT_MAX || !broker_path_is_plain(path, len) ||
            (star && (star[1] != '\0' || star == path || star[-1] != '/')))
            return false;
    }
    return paths->len > 0 && paths->len <= BROKER_LIST_MAX;
}

static bool are_methods(const struct strv *methods)
{
    for (size_t i = 0; i < methods->len; i++)
        if (!is_word(methods->items[i], METHOD_MAX, CAPITALS) ||
            str_eq(methods->items[i], "CONNECT") || str_eq(methods->items[i], "TRACE"))
            return false;
    return methods->len > 0 && methods->len <= BROKER_LIST_MAX;
}

int broker_check(const struct broker *b, struct err *err)
{
    struct broker_place place;

    if (!b->name || !is_word(b->name, BROKER_NAME_MAX, LETTERS DIGITS "-") || b->name[0] == '-')
        return err_set(err, -EINVAL,
                       "name: want a word of a-z, 0-9 and -, at most %d long: it stands in the URL "
                       "that tasks use",
                       BROKER_NAME_MAX);
    if (!b->upstream || strlen(b->upstream) > BROKER_TEXT_MAX)
        return err_set(err, -EINVAL, "upstream: want https://HOST[:PORT][/PATH]");
    if (!b->header || !is_word(b->header, BROKER_NAME_MAX, LETTERS DIGITS "-") ||
        is_taken_field(b->header))
        return err_set(err, -EINVAL,
                       "header: want the name of the field that has the key, such as x-api-key");
    if (!b->scheme || (*b->scheme && !is_word(b->scheme, BROKER_NAME_MAX, LETTERS CAPITALS)))
        return err_set(err, -EINVAL, "scheme: want a word of letters, such as Bearer, or \"\"");
    if (!are_methods(&b->methods))
        return err_set(err, -EINVAL,
                       "methods: want a list of methods in capitals, such as [GET, POST]");
    if (!are_paths(&b->paths))
        return err_set(err, -EINVAL,
                       "paths: want a list of plain paths below upstream, such as [/v1/messages, "
                       "/v1/models/*]; a star may only stand for all that is below, and escapes "
                       "may not be in them");
    return broker_find_place(b, &place, err);
}

/* ---- what is known ---- */

static void add_words(struct strv *to, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        AUTO_FREE char *word = mem_strndup(words, len);

        strv_add(to, word);
        words += len + (words[len] == ' ');
    }
}

bool broker_known(const char *name, struct broker *ret_broker)
{
    *ret_broker = (struct broker){ .requests = REQUESTS,
                                   .timeout_ms = TIMEOUT_MS,
                                   .request_limit_bytes = request_limit_bytes,
                                   .response_limit_bytes = response_limit_bytes };
    for (size_t i = 0; name && i < ARRAY_SIZE(known); i++) {
        if (!str_eq(known[i].name, name))
            continue;
        ret_broker->name = mem_strdup(name);
        ret_broker->upstream = mem_strdup(known[i].upstream);
        ret_broker->header = mem_strdup(known[i].header);
        ret_broker->scheme = mem_strdup(known[i].scheme);
        add_words(&ret_broker->methods, known[i].methods);
        add_words(&ret_broker->paths, known[i].paths);
        return true;
    }
    return false;
}
