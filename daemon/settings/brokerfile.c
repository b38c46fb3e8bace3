#include "settings/brokerfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "settings/allow.h"
#include "settings/broker.h"
#include "settings/document.h"
#include "settings/number.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

/* ---- reading ---- */

static const char *const keys[] = { "name",   "upstream", "key",           "header",
                                    "scheme", "ca_file",  "addresses",     "methods",
                                    "paths",  "requests", "request_limit", "response_limit",
                                    "timeout" };

static int read_text(const struct document_node *n, char **at, struct err *err)
{
    if (n->type != DOCUMENT_TEXT || document_is_nothing(n))
        return err_set(err, -EINVAL, "%s: want text, not %s", n->key, document_kind(n));
    free(*at);
    *at = mem_strdup(n->text);
    return 0;
}

static int read_path(const struct document_node *n, const char *what, char **at, struct err *err)
{
    int r = read_text(n, at, err);

    if (r == 0 && (*at)[0] != '/')
        return err_set(err, -EINVAL, "%s: want a path that begins with /", what);
    return r;
}

static int read_words(const struct document_node *n, struct strv *to, struct err *err)
{
    if (n->type != DOCUMENT_LIST)
        return err_set(err, -EINVAL, "%s: want a list, such as [one, two], not %s", n->key,
                       document_kind(n));
    strv_done(to);
    for (const struct document_node *item = n->first; item; item = item->next) {
        if (item->type != DOCUMENT_TEXT || document_is_nothing(item))
            return err_set(err, -EINVAL, "%s: each entry is text, not %s", n->key,
                           document_kind(item));
        strv_add(to, item->text);
    }
    return 0;
}

static int read_number(const struct document_node *n, enum table_type type, uint64_t least,
                       uint64_t most, uint64_t *ret_n, struct err *err)
{
    char first[VALUES_TEXT_MAX], last[VALUES_TEXT_MAX];

    if (n->type != DOCUMENT_TEXT || number_parse(type, n->text, ret_n) == -EINVAL)
        return err_set(err, -EINVAL, "%s: want %s", n->key, number_form(type));
    if (number_parse(type, n->text, ret_n) < 0 || *ret_n < least || *ret_n > most)
        return err_set(err, -EINVAL, "%s: %s is out of range: %s to %s", n->key, n->text,
                       number_text(first, type, least), number_text(last, type, most));
    return 0;
}

static int read_key(const struct document_node *n, struct broker *b, struct err *err)
{
    const struct document_node *file = n->first;

    if (n->type != DOCUMENT_MAP || !file || file->next || !str_eq(file->key, "file"))
        return err_set(err, -EINVAL,
                       "key: want {file: PATH}; the key itself doesn't belong in this file");
    return read_path(file, "key.file", &b->key_file, err);
}

static int read_addresses(const struct document_node *n, struct broker *b, struct err *err)
{
    AUTO_FREE char *text = NULL;
    int r = read_text(n, &text, err);

    if (r < 0)
        return r;
    b->grants = str_eq(text, "private") ? ALLOW_PRIVATE : 0;
    if (str_eq(text, "loopback"))
        b->grants = ALLOW_LOOPBACK;
    if (b->grants || str_eq(text, "public"))
        return 0;
    return err_set(err, -EINVAL, "addresses: '%s' is not one of public, private or loopback", text);
}

static int read_limits(const struct document_node *n, struct broker *b, struct err *err)
{
    const uint64_t gib = UINT64_C(1) << 30;
    uint64_t number = 0;
    int r;

    if (str_eq(n->key, "request_limit"))
        return read_number(n, TABLE_SIZE, 1024, gib, &b->request_limit_bytes, err);
    if (str_eq(n->key, "response_limit"))
        return read_number(n, TABLE_SIZE, 1024, 64 * gib, &b->response_limit_bytes, err);
    if (str_eq(n->key, "requests")) {
        r = read_number(n, TABLE_NUMBER, 1, 1000000000, &number, err);
        if (r == 0)
            b->requests = (uint32_t)number;
        return r;
    }
    r = read_number(n, TABLE_MS, 100, UINT64_C(24) * 3600 * 1000, &number, err);
    if (r == 0)
        b->timeout_ms = (uint32_t)number;
    return r;
}

static int read_member(const struct document_node *n, struct broker *b, struct err *err)
{
    const char *near;

    if (str_eq(n->key, "name"))
        return read_text(n, &b->name, err);
    if (str_eq(n->key, "upstream"))
        return read_text(n, &b->upstream, err);
    if (str_eq(n->key, "key"))
        return read_key(n, b, err);
    if (str_eq(n->key, "header"))
        return read_text(n, &b->header, err);
    if (str_eq(n->key, "scheme"))
        return read_text(n, &b->scheme, err);
    if (str_eq(n->key, "ca_file"))
        return read_path(n, "ca_file", &b->ca_file, err);
    if (str_eq(n->key, "addresses"))
        return read_addresses(n, b, err);
    if (str_eq(n->key, "methods"))
        return read_words(n, &b->methods, err);
    if (str_eq(n->key, "paths"))
        return read_words(n, &b->paths, err);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (str_eq(keys[i], n->key)) /* those that are left */
            return read_limits(n, b, err);
    near = str_nearest(n->key, keys, ARRAY_SIZE(keys));
    return err_set(err, -EINVAL, "unknown key '%.40s'%s%s%s", n->key, near ? "; did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

static const struct document_node *find_member(const struct document_node *map, const char *key)
{
    const struct document_node *n = map->first;

    while (n && !str_eq(n->key, key))
        n = n->next;
    return n;
}

/* Keys go in a field of their own unless it is the one that has a scheme. */
static void add_standards(struct broker *b)
{
    for (char *c = b->header; c && *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    if (!b->header)
        b->header = mem_strdup("authorization");
    if (!b->scheme)
        b->scheme = mem_strdup(str_eq(b->header, "authorization") ? "Bearer" : "");
    if (b->methods.len == 0) {
        strv_add(&b->methods, "GET");
        strv_add(&b->methods, "POST");
    }
}

/* The node that a sentence of broker_check() is about: it begins with the key. */
static const struct document_node *blame(const struct document_node *map, const char *text)
{
    for (const struct document_node *n = map->first; n; n = n->next)
        if (str_starts_with(text, n->key) && text[strlen(n->key)] == ':')
            return n;
    return map;
}

int brokerfile_read(const struct document_node *map, struct broker *ret_broker,
                    const struct document_node **ret_at, struct err *err)
{
    CLEANUP(broker_done) struct broker b = { 0 };
    const struct document_node *name;
    struct err own = { 0 };

    *ret_at = map;
    if (map->type != DOCUMENT_MAP)
        return err_set(err, -EINVAL,
                       "each entry is a map, such as {name: anthropic, key: {file: "
                       "/etc/nairid/anthropic.key}}, not %s",
                       document_kind(map));
    name = find_member(map, "name");
    /* of a name that nobody knows the map has to say it all */
    (void)broker_known(name && name->type == DOCUMENT_TEXT ? name->text : NULL, &b);
    if (find_member(map, "header") && !find_member(map, "scheme")) {
        free(b.scheme);
        b.scheme = NULL;
    }
    for (const struct document_node *n = map->first; n; n = n->next) {
        *ret_at = n;
        if (read_member(n, &b, err) < 0)
            return -EINVAL;
    }
    *ret_at = map;
    add_standards(&b);
    if (!b.key_file)
        return err_set(err, -EINVAL, "key is required: {file: PATH}, a file of mode 0600");
    if (broker_check(&b, &own) < 0) {
        *ret_at = blame(map, own.text);
        return err_set(err, -EINVAL, "%s", own.text);
    }
    *ret_broker = b;
    b = (struct broker){ 0 };
    return 0;
}

/* ---- printing ---- */

static void print_words(struct buf *to, const char *name, const struct strv *words)
{
    buf_printf(to, ", %s: [", name);
    for (size_t i = 0; i < words->len; i++) {
        buf_append_str(to, i > 0 ? ", " : "");
        values_word(to, words->items[i]);
    }
    buf_append_char(to, ']');
}

static void print_word(struct buf *to, const char *name, const char *word)
{
    buf_printf(to, ", %s: ", name);
    values_word(to, word);
}

void brokerfile_print(const struct broker *b, struct buf *to)
{
    char text[VALUES_TEXT_MAX];

    buf_printf(to, "{name: %s", b->name);
    print_word(to, "upstream", b->upstream);
    if (b->key_file) {
        buf_append_str(to, ", key: {file: ");
        values_word(to, b->key_file);
        buf_append_char(to, '}');
    }
    print_word(to, "header", b->header);
    print_word(to, "scheme", b->scheme);
    if (b->ca_file)
        print_word(to, "ca_file", b->ca_file);
    if (b->grants)
        print_word(to, "addresses", b->grants & ALLOW_PRIVATE ? "private" : "loopback");
    print_words(to, "methods", &b->methods);
    print_words(to, "paths", &b->paths);
    print_word(to, "requests", number_text(text, TABLE_NUMBER, b->requests));
    print_word(to, "request_limit", number_text(text, TABLE_SIZE, b->request_limit_bytes));
    print_word(to, "response_limit", number_text(text, TABLE_SIZE, b->response_limit_bytes));
    print_word(to, "timeout", number_text(text, TABLE_MS, b->timeout_ms));
    buf_append_char(to, '}');
}

bool brokerfile_equal(const struct broker_list *a, const struct broker_list *b)
{
    bool equal = a->len == b->len;

    for (size_t i = 0; equal && i < a->len; i++) {
        CLEANUP(buf_done) struct buf one = { 0 }, other = { 0 };

        brokerfile_print(&a->items[i], &one);
        brokerfile_print(&b->items[i], &other);
        equal = str_eq(buf_str(&one), buf_str(&other));
    }
    return equal;
}
