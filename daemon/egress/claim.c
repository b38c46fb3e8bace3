#include "egress/claim.h"

#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"

/* ---- judging ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Escapes are whole ones and of no control byte. */
static bool is_sound_query(struct head_text q)
{
    for (size_t i = 0; i < q.len; i++) {
        int high, low;

        if (q.at[i] == '\\')
            return false;
        if (q.at[i] != '%')
            continue;
        if (i + 2 >= q.len)
            return false;
        high = hex(q.at[i + 1]);
        low = hex(q.at[i + 2]);
        if (high < 0 || low < 0 || high * 16 + low < ' ' || high * 16 + low == 0x7f)
            return false;
        i += 2;
    }
    return true;
}

static bool has_word(const struct strv *words, struct head_text word)
{
    for (size_t i = 0; i < words->len; i++)
        if (strlen(words->items[i]) == word.len && memcmp(words->items[i], word.at, word.len) == 0)
            return true;
    return false;
}

static bool has_path(const struct strv *patterns, struct head_text path)
{
    for (size_t i = 0; i < patterns->len; i++)
        if (broker_path_matches(patterns->items[i], path.at, path.len))
            return true;
    return false;
}

/* The entry whose name is the first part of the path; *rest becomes what follows. */
static const struct broker *find(const struct broker_list *brokers, struct head_text *rest)
{
    for (size_t i = 0; i < brokers->len; i++) {
        size_t len = strlen(brokers->items[i].name);

        if (rest->len < len + 1 || rest->at[0] != '/' ||
            memcmp(rest->at + 1, brokers->items[i].name, len) != 0 ||
            (rest->len > len + 1 && rest->at[len + 1] != '/'))
            continue;
        rest->at += len + 1;
        rest->len -= len + 1;
        return &brokers->items[i];
    }
    return NULL;
}

enum claim_verdict claim_judge(const struct broker_list *brokers, const struct head *h,
                               struct claim *ret_claim)
{
    struct head_text rest = h->path;
    const char *mark = rest.len > 0 ? memchr(rest.at, '?', rest.len) : NULL;
    struct claim c = { .query = { "", 0 } };

    *ret_claim = (struct claim){ 0 };
    if (mark) {
        c.query = (struct head_text){ mark, rest.len - (size_t)(mark - rest.at) };
        rest.len = (size_t)(mark - rest.at);
    }
    c.broker = find(brokers, &rest);
    if (!c.broker)
        return CLAIM_UNKNOWN;
    c.path = rest.len > 0 ? rest : (struct head_text){ "/", 1 };
    *ret_claim = c;
    if (!broker_path_is_plain(c.path.at, c.path.len) || !is_sound_query(c.query))
        return CLAIM_BAD_PATH;
    if (!has_word(&c.broker->methods, h->method) || !has_path(&c.broker->paths, c.path))
        return CLAIM_NOT_LISTED;
    if (h->body == HEAD_LENGTH && h->body_bytes > c.broker->request_limit_bytes)
        return CLAIM_TOO_LARGE;
    return CLAIM_OK;
}

/* ---- sending it on ---- */

/* With a '*' at the end: all that begin so. */
static const char *const left_out[] = {
    "accept-encoding",
    "api-key",
    "authorization",
    "cookie*",
    "cf-*",
    "client-ip",
    "connection",
    "content-length",
    "expect",
    "forwarded*",
    "host",
    "origin",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade*",
    "via",
    "x-api-key",
    "x-auth-*",
    "x-client-ip",
    "x-cluster-*",
    "x-forwarded*",
    "x-goog-api-key",
    "x-host",
    "x-http-*",
    "x-method-*",
    "x-original-*",
    "x-real-ip",
    "x-rewrite-*",
    "proxy-*",
    "x-http-method",
    "x-amz-*",
    "sec-*",
    "x-access-token",
};

static char lower(char c)
{
    if (c == '_')
        return '-';
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_named(struct head_text name, const char *pattern)
{
    size_t len = strlen(pattern);
    bool open_end = pattern[len - 1] == '*';

    len -= open_end;
    if (name.len < len || (name.len > len && !open_end))
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(name.at[i]) != pattern[i])
            return false;
    return true;
}

struct exchange {
    const struct claim *claim;
    const struct head *head;
};

static bool is_left_out(struct head_text name, const void *ctx)
{
    const struct exchange *x = ctx;

    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
        if (is_named(name, left_out[i]))
            return true;
    return is_named(name, x->claim->broker->header) || head_drops(x->head, name);
}

static void print_text(struct buf *b, struct head_text t)
{
    buf_append(b, t.at, t.len);
}

void claim_print(const struct claim *c, const struct head *h, const struct broker_place *place,
                 const char *key, struct buf *b)
{
    char where[HOSTNAME_WITH_PORT_SIZE];

    (void)hostname_with_port(where, &place->host, place->port);
    if (place->port == (place->is_tls ? 443 : 80))
        *strrchr(where, ':') = '\0';
    print_text(b, h->method);
    buf_printf(b, " %s", place->prefix);
    print_text(b, c->path);
    print_text(b, c->query);
    buf_printf(b, " HTTP/1.1\r\nHost: %s\r\n", where);
    head_print_fields(h, is_left_out, &(struct exchange){ c, h }, b);
    buf_printf(b, "Accept-Encoding: identity\r\nConnection: close\r\n%s: %s%s", c->broker->header,
               c->broker->scheme, *c->broker->scheme ? " " : "");
    buf_append_str(b, key);
    buf_append_str(b, "\r\n\r\n");
}
