#include "settings/document.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

struct reader {
    yaml_parser_t yaml;
    const char *name;
    const char *text;
    size_t len;
    struct err *err;
};

static int fail_at(const struct reader *r, size_t line, size_t column, const char *what)
{
    return err_set(r->err, -EINVAL, "%s:%zu:%zu: %s", r->name, line + 1, column + 1, what);
}

static int fail_mark(const struct reader *r, const yaml_mark_t *mark, const char *what)
{
    return fail_at(r, mark->line, mark->column, what);
}

/* The place of a byte, in lines and characters: libyaml gives none for what it can't decode. */
static int fail_offset(const struct reader *r, size_t offset, const char *what)
{
    size_t line = 0, column = 0;

    for (size_t i = 0; i < offset && i < r->len; i++) {
        if (r->text[i] == '\n') {
            line++;
            column = 0;
        } else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return fail_at(r, line, column, what);
}

/* libyaml's marks count characters, not bytes. */
static char byte_at(const struct reader *r, const yaml_mark_t *mark)
{
    size_t line = 0, column = 0;

    for (size_t i = 0; i < r->len; i++) {
        if (((unsigned char)r->text[i] & 0xc0) == 0x80)
            continue;
        if (line == mark->line && column == mark->column)
            return r->text[i];
        column++;
        if (r->text[i] == '\n') {
            line++;
            column = 0;
        }
    }
    return '\0';
}

static int fail_yaml(const struct reader *r)
{
    const yaml_parser_t *y = &r->yaml;
    const yaml_mark_t *mark = &y->problem_mark;

    switch (y->error) {
    case YAML_MEMORY_ERROR:
        return err_set(r->err, -ENOMEM, "%s: out of memory", r->name);
    case YAML_READER_ERROR:
        return fail_offset(r, y->problem_offset,
                           str_starts_with(y->problem, "control")
                               ? "a control character; remove it"
                               : "not UTF-8; save the file as UTF-8");
    case YAML_NO_ERROR:
    case YAML_SCANNER_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
    case YAML_WRITER_ERROR:
    case YAML_EMITTER_ERROR:
        break;
    }
    if (byte_at(r, mark) == '\t')
        return fail_mark(r, mark, "a tab where YAML wants spaces; indent with spaces");
    if (y->context && (str_ends_with(y->context, " alias") || str_ends_with(y->context, " anchor")))
        return fail_mark(r, &y->context_mark,
                         "text that begins with '*' or '&' must stand in quotes");
    return err_set(r->err, -EINVAL, "%s:%zu:%zu: not valid YAML: %s%s%s", r->name, mark->line + 1,
                   mark->column + 1, y->problem ? y->problem : "unknown problem",
                   y->context ? " " : "", y->context ? y->context : "");
}

static int next_event(struct reader *r, yaml_event_t *ret_event)
{
    return yaml_parser_parse(&r->yaml, ret_event) ? 0 : fail_yaml(r);
}

/* What a settings file doesn't need and what only makes it harder to see what it says. */
static int check_event(const struct reader *r, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (ev->type == YAML_ALIAS_EVENT)
        return fail_mark(r, &ev->start_mark,
                         "aliases (*name) aren't supported; write the value again");
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    if (anchor)
        return fail_mark(r, &ev->start_mark, "anchors (&name) aren't supported; remove it");
    if (tag)
        return fail_mark(r, &ev->start_mark, "tags (!name) aren't supported; remove it");
    if (ev->type == YAML_SCALAR_EVENT &&
        memchr(ev->data.scalar.value, '\0', ev->data.scalar.length))
        return fail_mark(r, &ev->start_mark, "the text holds a NUL byte; remove it");
    return 0;
}

static int read_value(struct reader *r, const yaml_event_t *ev, unsigned depth,
                      struct document_node **ret_node);

static struct document_node *node_new(enum document_type type, const yaml_mark_t *mark)
{
    struct document_node *node = mem_new(struct document_node);

    node->type = type;
    node->line = (unsigned)mark->line + 1;
    node->column = (unsigned)mark->column + 1;
    return node;
}

static int check_key(const struct reader *r, const yaml_event_t *ev,
                     const struct document_node *map)
{
    const char *key = (const char *)ev->data.scalar.value;

    if (ev->type != YAML_SCALAR_EVENT)
        return fail_mark(r, &ev->start_mark, "a key must be a plain name");
    if (str_eq(key, "<<"))
        return fail_mark(r, &ev->start_mark,
                         "merge keys (<<) aren't supported; write the values out");
    for (const struct document_node *n = map->first; n; n = n->next)
        if (str_eq(n->key, key))
            return err_set(r->err, -EINVAL,
                           "%s:%zu:%zu: '%s' is here a second time; the first is at %s:%u:%u",
                           r->name, ev->start_mark.line + 1, ev->start_mark.column + 1, key,
                           r->name, n->line, n->column);
    return 0;
}

/* One entry of a list or map whose first event is ev; NULL in *ret_node at the container's end. */
static int read_entry(struct reader *r, struct document_node *into, unsigned depth,
                      struct document_node **ret_node)
{
    CLEANUP(yaml_event_delete) yaml_event_t key = { 0 }, value = { 0 };
    bool is_map = into->type == DOCUMENT_MAP;
    int rc = next_event(r, is_map ? &key : &value);

    if (rc == 0)
        rc = check_event(r, is_map ? &key : &value);
    if (rc < 0)
        return rc;
    if (key.type == YAML_MAPPING_END_EVENT || value.type == YAML_SEQUENCE_END_EVENT) {
        *ret_node = NULL;
        return 0;
    }
    if (is_map) {
        rc = check_key(r, &key, into);
        if (rc == 0)
            rc = next_event(r, &value);
        if (rc == 0)
            rc = check_event(r, &value);
    }
    if (rc == 0)
        rc = read_value(r, &value, depth + 1, ret_node);
    if (rc < 0 || !is_map)
        return rc;
    (*ret_node)->key = mem_strdup((const char *)key.data.scalar.value);
    (*ret_node)->line = (unsigned)key.start_mark.line + 1;
    (*ret_node)->column = (unsigned)key.start_mark.column + 1;
    return 0;
}

static int read_entries(struct reader *r, struct document_node *into, unsigned depth)
{
    struct document_node **end = &into->first;

    for (unsigned count = 0;; count++) {
        int rc = read_entry(r, into, depth, end);

        if (rc < 0)
            return rc;
        if (!*end)
            return 0;
        if (count == DOCUMENT_ENTRIES_MAX)
            return err_set(r->err, -EINVAL, "%s:%u:%u: more than %d entries in one place", r->name,
                           (*end)->line, (*end)->column, DOCUMENT_ENTRIES_MAX);
        end = &(*end)->next;
    }
}

static int read_value(struct reader *r, const yaml_event_t *ev, unsigned depth,
                      struct document_node **ret_node)
{
    CLEANUP_PTR(document_free) struct document_node *node = NULL;
    int rc;

    if (ev->type == YAML_SCALAR_EVENT) {
        node = node_new(DOCUMENT_TEXT, &ev->start_mark);
        node->text = mem_strdup((const char *)ev->data.scalar.value);
        node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        *ret_node = TAKE_PTR(node);
        return 0;
    }
    if (depth > DOCUMENT_DEPTH_MAX)
        return fail_mark(r, &ev->start_mark, "nested too deeply");
    node = node_new(ev->type == YAML_MAPPING_START_EVENT ? DOCUMENT_MAP : DOCUMENT_LIST,
                    &ev->start_mark);
    rc = read_entries(r, node, depth);
    if (rc == 0)
        *ret_node = TAKE_PTR(node);
    return rc;
}

/* From the start of the stream to its end; at most one document. */
static int read_stream(struct reader *r, struct document_node **ret_root)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;

    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };
        int rc = next_event(r, &ev);

        if (rc == 0)
            rc = check_event(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == YAML_STREAM_END_EVENT)
            break;
        if (ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_END_EVENT)
            continue;
        if (ev.type == YAML_DOCUMENT_START_EVENT) {
            if (root)
                return fail_mark(r, &ev.start_mark,
                                 "a second document begins here; one file holds one");
            continue;
        }
        rc = read_value(r, &ev, 1, &root);
        if (rc < 0)
            return rc;
    }
    *ret_root = TAKE_PTR(root);
    return 0;
}

int document_parse(const char *name, const char *text, size_t len, struct document_node **ret_root,
                   struct err *err)
{
    struct reader r = { .name = name, .text = text, .len = len, .err = err };
    int rc;

    if (len > DOCUMENT_SIZE_MAX)
        return err_set(err, -EMSGSIZE, "%s: larger than 1 MiB, which no settings file needs to be",
                       name);
    if (!yaml_parser_initialize(&r.yaml))
        mem_die();
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, len);
    rc = read_stream(&r, ret_root);
    yaml_parser_delete(&r.yaml);
    return rc;
}

void document_free(struct document_node *root)
{
    while (root) {
        struct document_node *next = root->next;

        document_free(root->first); /* as deep as DOCUMENT_DEPTH_MAX */
        free(root->key);
        free(root->text);
        free(root);
        root = next;
    }
}

bool document_is_nothing(const struct document_node *node)
{
    return node->type == DOCUMENT_TEXT && !node->quoted &&
           (!*node->text || str_eq(node->text, "~") || str_eq(node->text, "null"));
}

const char *document_kind(const struct document_node *node)
{
    if (document_is_nothing(node))
        return "nothing";
    switch (node->type) {
    case DOCUMENT_TEXT:
        return "text";
    case DOCUMENT_LIST:
        return "a list";
    case DOCUMENT_MAP:
        return "a map";
    }
    return "nothing";
}
