/* document.h - the part of YAML that a settings file needs, as a tree that knows its places.
 * Maps, lists and text in block or flow style. Refused, each with a sentence: anchors and aliases,
 * tags, merge keys, keys that aren't plain text, duplicate keys (both places named), a second
 * document, more than DOCUMENT_DEPTH_MAX levels or DOCUMENT_ENTRIES_MAX entries in one place,
 * anything but UTF-8, and NUL bytes in text. Pure. Sole home of yaml.h.
 * Source: YAML 1.1 as libyaml 0.2.5 reads it. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct err;

enum { DOCUMENT_DEPTH_MAX = 8, DOCUMENT_ENTRIES_MAX = 1000, DOCUMENT_SIZE_MAX = 1024 * 1024 };

enum document_type { DOCUMENT_TEXT, DOCUMENT_LIST, DOCUMENT_MAP };

struct document_node {
    enum document_type type;
    unsigned line, column;       /* from 1; of a map's entry those of its key */
    char *key;                   /* of a map's entry, otherwise NULL */
    char *text;                  /* of DOCUMENT_TEXT, otherwise NULL */
    bool quoted;                 /* written with quotes or as a block, so never "nothing" */
    struct document_node *first; /* entries of a list or map, in the file's order */
    struct document_node *next;
};

/* name: what the text is called in messages, as in "NAME:LINE:COLUMN: ...". Returns 0 with NULL for
 * a file that holds nothing, or -EINVAL, -EMSGSIZE (past DOCUMENT_SIZE_MAX), -ENOMEM. */
int document_parse(const char *name, const char *text, size_t len, struct document_node **ret_root,
                   struct err *err);
void document_free(struct document_node *root);
DEFINE_CLEANUP(struct document_node *, document_free);
/* Nothing was written: an empty value, ~ or null. */
bool document_is_nothing(const struct document_node *node);
/* "text", "a list", "a map" or "nothing". */
const char *document_kind(const struct document_node *node);
