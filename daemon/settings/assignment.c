#include "settings/assignment.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/allow.h"
#include "settings/brokerfile.h"
#include "settings/document.h"
#include "settings/field.h"
#include "settings/member.h"
#include "settings/number.h"
#include "settings/pairs.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "settings/url.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum { ID_MAX = 256 };

struct source {
    const struct table_row *row;
    const char *place;
    struct err *err;
};

static int fail(const struct source *src, const struct document_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "PLACE:LINE:COLUMN: KEY: what is wrong". */
static int fail(const struct source *src, const struct document_node *node, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(src->err, -EINVAL, fmt, ap);
    va_end(ap);
    if (node->line > 0)
        (void)err_prefix(src->err, "%s:%u:%u: %s", src->place, node->line, node->column,
                         src->row->key);
    else
        (void)err_prefix(src->err, "%s: %s", src->place, src->row->key);
    return -EINVAL;
}

/* "none, allowlist or host". */
static void choices_text(char *buffer, size_t size, const char *choices)
{
    size_t n = 0;

    while (*choices && n < size) {
        size_t len = strcspn(choices, " ");
        const char *rest = choices + len + (choices[len] == ' ');
        const char *after = !*rest ? "" : strchr(rest, ' ') ? ", " : " or ";

        n += (size_t)snprintf(buffer + n, size - n, "%.*s%s", (int)len, choices, after);
        choices = rest;
    }
}

/* The position of text among choices, or -EINVAL. */
static int choice_index(const char *choices, const char *text)
{
    for (int i = 0; *choices; i++) {
        size_t len = strcspn(choices, " ");

        if (strlen(text) == len && memcmp(text, choices, len) == 0)
            return i;
        choices += len + (choices[len] == ' ');
    }
    return -EINVAL;
}

static int read_choice(const struct source *src, const struct document_node *node, int *ret_index)
{
    int i = choice_index(src->row->choices, node->text);
    char valid[128] = "";

    if (i < 0) {
        choices_text(valid, sizeof valid, src->row->choices);
        return fail(src, node, "'%s' is not one of %s", node->text, valid);
    }
    *ret_index = i;
    return 0;
}

static int read_number(const struct source *src, const struct document_node *node, uint64_t *ret_n)
{
    const struct table_row *row = src->row;
    char least[VALUES_TEXT_MAX], most[VALUES_TEXT_MAX];
    uint64_t n = UINT64_MAX;
    int r = number_parse(row->type, node->text, &n);

    if (r == -EINVAL)
        return fail(src, node, "'%s' is not %s", node->text, number_form(row->type));
    if (r < 0 || n < row->min || n > row->max)
        return fail(src, node, "%s is out of range: %s to %s", node->text,
                    number_text(least, row->type, row->min),
                    number_text(most, row->type, row->max));
    *ret_n = n;
    return 0;
}

static bool is_absolute(const char *path)
{
    return path[0] == '/';
}

static int check_text(const struct source *src, const struct document_node *node)
{
    const char *t = node->text;
    const char *why;

    switch (src->row->type) {
    case TABLE_ID:
        for (const char *c = t; *c; c++)
            if (*c <= ' ' || *c > '~')
                return fail(src, node,
                            "only letters, digits and punctuation of ASCII may be in it");
        if (strlen(t) > ID_MAX)
            return fail(src, node, "longer than %d characters", ID_MAX);
        return 0;
    case TABLE_URL:
        why = url_check(t);
        return why ? fail(src, node, "%s", why) : 0; /* not shown: it may hold a password */
    case TABLE_PROXY:
        return strpbrk(t, " \t\r\n") ? fail(src, node, "there is white space in it") : 0;
    case TABLE_PATH:
        /* not shown: people write the key where the file with the key belongs */
        return is_absolute(t) ? 0 : fail(src, node, "want a path that begins with /");
    case TABLE_TEXT:
    case TABLE_CHOICE:
    case TABLE_PERMISSIONS:
    case TABLE_NUMBER:
    case TABLE_PERCENT:
    case TABLE_MS:
    case TABLE_S:
    case TABLE_SIZE:
    case TABLE_WORDS:
    case TABLE_PATHS:
    case TABLE_HOSTS:
    case TABLE_ENV:
    case TABLE_FILES:
    case TABLE_SWITCH:
    case TABLE_BROKERS:
        break;
    }
    return 0;
}

static int set_text(struct settings *s, const struct source *src, const struct document_node *node)
{
    char **at = member_text(s, src->row);
    int r, i;

    if (src->row->off && strcmp(node->text, src->row->off) == 0) {
        free(*at);
        *at = NULL;
        return 0;
    }
    if (!*node->text)
        return fail(src, node, "empty");
    r = src->row->type == TABLE_CHOICE ? read_choice(src, node, &i) : check_text(src, node);
    if (r < 0)
        return r;
    free(*at);
    *at = src->row->type == TABLE_URL ? url_normal(node->text) : mem_strdup(node->text);
    return 0;
}

static int check_entry(const struct source *src, const struct document_node *node)
{
    struct allow allow;
    struct err err;

    if (src->row->type == TABLE_PATHS && !is_absolute(node->text))
        return fail(src, node, "'%s' is not a path that begins with /", node->text);
    if (src->row->type == TABLE_HOSTS && allow_parse(node->text, &allow, &err) < 0)
        return fail(src, node, "%s", err.text);
    return 0;
}

static int set_list(struct settings *s, const struct source *src, const struct document_node *node)
{
    CLEANUP(strv_done) struct strv fresh = { 0 };

    for (const struct document_node *n = node->first; n; n = n->next) {
        if (n->type != DOCUMENT_TEXT || document_is_nothing(n))
            return fail(src, n, "each entry is text, not %s", document_kind(n));
        if (check_entry(src, n) < 0)
            return -EINVAL;
        strv_add(&fresh, n->text);
    }
    field_done(s, src->row);
    *member_list(s, src->row) = fresh;
    fresh = (struct strv){ 0 };
    return 0;
}

static bool is_variable_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return true;
}

/* {file: PATH} */
static int read_file_node(const struct source *src, const struct document_node *node,
                          const char **ret_path)
{
    const struct document_node *file = node->first;

    if (node->type != DOCUMENT_MAP || !file || file->next || strcmp(file->key, "file") != 0 ||
        file->type != DOCUMENT_TEXT)
        return fail(src, node, "%s: want {file: PATH}; a secret itself doesn't belong here",
                    node->key);
    if (!is_absolute(file->text))
        return fail(src, file, "%s: want a path that begins with /", node->key);
    *ret_path = file->text;
    return 0;
}

static int read_pair(const struct source *src, const struct document_node *n,
                     const char **ret_value)
{
    if (!is_variable_name(n->key))
        return fail(src, n, "'%s' can't be the name of an environment variable", n->key);
    if (src->row->type == TABLE_FILES)
        return read_file_node(src, n, ret_value);
    if (n->type != DOCUMENT_TEXT || document_is_nothing(n))
        return fail(src, n, "%s: want text, not %s; write \"\" for an empty value", n->key,
                    document_kind(n));
    *ret_value = n->text;
    return 0;
}

static int set_pairs(struct settings *s, const struct source *src, const struct document_node *node)
{
    CLEANUP(pairs_done) struct settings_pairs fresh = { 0 };

    for (const struct document_node *n = node->first; n; n = n->next) {
        const char *value = NULL;
        int r = read_pair(src, n, &value);

        if (r < 0)
            return r;
        pairs_add(&fresh, n->key, value);
    }
    field_done(s, src->row);
    *member_pairs(s, src->row) = fresh;
    fresh = (struct settings_pairs){ 0 };
    return 0;
}

static int set_brokers(struct settings *s, const struct source *src,
                       const struct document_node *node)
{
    CLEANUP(broker_done_all) struct broker_list fresh = { 0 };

    for (const struct document_node *n = node->first; n; n = n->next) {
        const struct document_node *at = n;
        struct broker broker = { 0 };
        struct err err;

        if (brokerfile_read(n, &broker, &at, &err) < 0)
            return fail(src, at, "%s", err.text);
        if (broker_find(&fresh, broker.name) || fresh.len == BROKER_MAX) {
            broker_done(&broker);
            return fail(src, n, "each name may be there once, and at most %d of them", BROKER_MAX);
        }
        broker_add(&fresh, &broker);
    }
    field_done(s, src->row);
    *member_brokers(s, src->row) = fresh;
    fresh = (struct broker_list){ 0 };
    return 0;
}

static enum document_type wanted(enum table_type type)
{
    if (type == TABLE_WORDS || type == TABLE_PATHS || type == TABLE_HOSTS || type == TABLE_BROKERS)
        return DOCUMENT_LIST;
    return type == TABLE_ENV || type == TABLE_FILES ? DOCUMENT_MAP : DOCUMENT_TEXT;
}

static int check_kind(const struct source *src, const struct document_node *node)
{
    enum document_type want = wanted(src->row->type);

    if (document_is_nothing(node))
        return fail(src, node, "no value; give one or remove the line");
    if (node->type == want)
        return 0;
    if (want == DOCUMENT_LIST)
        return fail(src, node, "want a list, such as [one, two], not %s", document_kind(node));
    if (want == DOCUMENT_MAP)
        return fail(src, node, "want a map, such as {NAME: value}, not %s", document_kind(node));
    return fail(src, node, "want one value, not %s", document_kind(node));
}

int assignment_node(struct settings *s, const struct table_row *row, const char *place,
                    const struct document_node *node, struct err *err)
{
    const struct source src = { .row = row, .place = place, .err = err };
    uint64_t n = 0;
    int i = 0, r = check_kind(&src, node);

    if (r < 0)
        return r;
    switch (row->type) {
    case TABLE_TEXT:
    case TABLE_ID:
    case TABLE_URL:
    case TABLE_PROXY:
    case TABLE_PATH:
    case TABLE_CHOICE:
        return set_text(s, &src, node);
    case TABLE_PERMISSIONS:
        r = read_choice(&src, node, &i);
        if (r == 0)
            *member_permissions(s, row) = i == 0 ? SETTINGS_EDITS : SETTINGS_BYPASS;
        return r;
    case TABLE_NUMBER:
    case TABLE_PERCENT:
    case TABLE_MS:
    case TABLE_S:
        r = read_number(&src, node, &n);
        if (r == 0)
            *member_number(s, row) = (uint32_t)n; /* row->max fits */
        return r;
    case TABLE_SIZE:
        r = read_number(&src, node, &n);
        if (r == 0)
            *member_size(s, row) = n;
        return r;
    case TABLE_WORDS:
    case TABLE_PATHS:
    case TABLE_HOSTS:
        return set_list(s, &src, node);
    case TABLE_ENV:
    case TABLE_FILES:
        return set_pairs(s, &src, node);
    case TABLE_SWITCH:
        r = read_choice(&src, node, &i);
        if (r == 0)
            *member_switch(s, row) = i == 0;
        return r;
    case TABLE_BROKERS:
        return set_brokers(s, &src, node);
    }
    return -EINVAL;
}

int assignment_text(struct settings *s, const struct table_row *row, const char *place,
                    const char *text, struct err *err)
{
    CLEANUP_PTR(document_free) struct document_node *node = NULL;
    int r;

    if (wanted(row->type) == DOCUMENT_TEXT) {
        node = mem_new(struct document_node);
        node->quoted = true;
        node->text = mem_strdup(text);
    } else {
        r = document_parse(place, text, strlen(text), &node, err);
        if (r < 0)
            return r;
        if (!node)
            node = mem_new(struct document_node);
        if (!node->text && node->type == DOCUMENT_TEXT)
            node->text = mem_strdup("");
    }
    return assignment_node(s, row, place, node, err);
}
