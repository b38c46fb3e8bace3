#include "settings/profile.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "settings/document.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum { ENTRIES_MAX = 200 }; /* of one list */

static const char *const names[] = { "strict", "agent", "host" };

static const char *const calls_names[] = { "files",   "memory", "waiting",  "self",     "signals",
                                           "sockets", "queues", "programs", "debugging" };
static_assert(ARRAY_SIZE(calls_names) == PROFILE_CALLS_COUNT, "a name for each group");

static const char *const word_names[] = { "read", "execute", "optional", "mirror" };
static_assert((1 << ARRAY_SIZE(word_names)) - 1 == PROFILE_WORDS_ALL, "a name for each word");

static const char *const network_names[] = { "none", "allowlist", "host" };
static const char *const switch_names[] = { "no", "yes" };

const char *profile_name(size_t index)
{
    return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

const char *profile_calls_name(size_t index)
{
    return index < ARRAY_SIZE(calls_names) ? calls_names[index] : NULL;
}

bool profile_path_is_plain(const char *path)
{
    const char *part = path;

    if (path[0] != '/' || path[1] == '\0' || strlen(path) >= PATH_MAX)
        return false;
    while (*part == '/') {
        size_t len = strcspn(++part, "/");

        if (len == 0 || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += len;
    }
    return true;
}

static void list_done(struct profile_list *list)
{
    for (size_t i = 0; i < list->len; i++) {
        free(list->items[i].name);
        free(list->items[i].text);
    }
    free(list->items);
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    free(p->name);
    free(p->network);
    list_done(&p->paths);
    list_done(&p->devices);
    list_done(&p->links);
    list_done(&p->files);
    list_done(&p->env);
    free(p);
}

/* ---- reading one ---- */

struct reader {
    const char *file;
    struct profile *profile;
    struct err *err;
};

static int fail(const struct reader *r, const struct document_node *node, const char *what)
{
    return err_set(r->err, -EINVAL, "%s:%u:%u: %s", r->file, node->line, node->column, what);
}

/* Which of the words the node is; what: of what it is one, for the sentence. */
static int read_word(const struct reader *r, const struct document_node *node, const char *what,
                     const char *const *words, size_t count, size_t *ret_index)
{
    const char *text = node->type == DOCUMENT_TEXT ? node->text : "", *near;

    for (size_t i = 0; i < count; i++) {
        if (str_eq(words[i], text)) {
            *ret_index = i;
            return 0;
        }
    }
    near = str_nearest(text, words, count);
    return err_set(r->err, -EINVAL, "%s:%u:%u: no %s is called '%s'%s%s%s", r->file, node->line,
                   node->column, what, text, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* A list of words as bits. */
static int read_words(const struct reader *r, const struct document_node *node, const char *what,
                      const char *const *words, size_t count, uint32_t *ret_bits)
{
    uint32_t bits = 0;

    if (node->type != DOCUMENT_LIST)
        return fail(r, node, "want a list");
    for (const struct document_node *n = node->first; n; n = n->next) {
        size_t index = 0;
        int rc = read_word(r, n, what, words, count, &index);

        if (rc < 0)
            return rc;
        if (bits & (1u << index))
            return fail(r, n, "it is named twice");
        bits |= 1u << index;
    }
    *ret_bits = bits;
    return 0;
}

static int read_network(const struct reader *r, const struct document_node *node)
{
    size_t index = 0;
    int rc = read_word(r, node, "network mode", network_names, ARRAY_SIZE(network_names), &index);

    if (rc < 0)
        return rc;
    r->profile->network = mem_strdup(network_names[index]);
    r->profile->network_line = node->line;
    return 0;
}

static int read_terminals(const struct reader *r, const struct document_node *node)
{
    size_t index = 0;
    int rc = read_word(r, node, "answer", switch_names, ARRAY_SIZE(switch_names), &index);

    r->profile->terminals = index == 1;
    r->profile->terminals_line = node->line;
    return rc;
}

static int read_calls(const struct reader *r, const struct document_node *node)
{
    r->profile->calls_line = node->line;
    return read_words(r, node, "group of calls", calls_names, ARRAY_SIZE(calls_names),
                      &r->profile->calls);
}

/* ---- its lists ---- */

static int check_path(const struct reader *r, const struct document_node *node, const char *path)
{
    if (profile_path_is_plain(path))
        return 0;
    return fail(r, node, "want an absolute path without '.', '..' and '//', and not '/'");
}

static int check_variable(const struct reader *r, const struct document_node *node,
                          const char *name)
{
    if (*name && !strchr(name, '='))
        return 0;
    return fail(r, node, "want a variable's name");
}

static struct profile_entry *add(struct profile_list *list, const struct document_node *node,
                                 const char *name)
{
    list->items = mem_realloc(list->items, (list->len + 1) * sizeof list->items[0]);
    list->items[list->len] = (struct profile_entry){ .name = mem_strdup(name), .line = node->line };
    return &list->items[list->len++];
}

static int check_kind(const struct reader *r, const struct document_node *node,
                      enum document_type type)
{
    size_t count = 0;

    if (node->type != type)
        return fail(r, node, type == DOCUMENT_MAP ? "want a map" : "want a list");
    for (const struct document_node *n = node->first; n; n = n->next)
        count++;
    return count <= ENTRIES_MAX ? 0 : fail(r, node, "too many entries");
}

static int read_paths(const struct reader *r, const struct document_node *node)
{
    int rc = check_kind(r, node, DOCUMENT_MAP);

    for (const struct document_node *n = node->first; rc == 0 && n; n = n->next) {
        uint32_t words = 0;

        rc = check_path(r, n, n->key);
        if (rc == 0)
            rc = read_words(r, n, "word", word_names, ARRAY_SIZE(word_names), &words);
        if (rc == 0 && !(words & PROFILE_READ))
            rc = fail(r, n, "what can't be read isn't shown: the word 'read' is missing");
        if (rc == 0)
            add(&r->profile->paths, n, n->key)->words = words;
    }
    return rc;
}

static int read_devices(const struct reader *r, const struct document_node *node)
{
    int rc = check_kind(r, node, DOCUMENT_LIST);

    for (const struct document_node *n = node->first; rc == 0 && n; n = n->next) {
        if (n->type != DOCUMENT_TEXT || !str_starts_with(n->text, "/dev/"))
            return fail(r, n, "want a path below /dev");
        rc = check_path(r, n, n->text);
        if (rc == 0)
            (void)add(&r->profile->devices, n, n->text);
    }
    return rc;
}

/* A map of texts. */
static int read_texts(const struct reader *r, const struct document_node *node,
                      int (*check)(const struct reader *r, const struct document_node *node,
                                   const char *name),
                      struct profile_list *list)
{
    int rc = check_kind(r, node, DOCUMENT_MAP);

    for (const struct document_node *n = node->first; rc == 0 && n; n = n->next) {
        if (n->type != DOCUMENT_TEXT || document_is_nothing(n))
            return fail(r, n, "want text");
        rc = check(r, n, n->key);
        if (rc == 0)
            add(list, n, n->key)->text = mem_strdup(n->text);
    }
    return rc;
}

static int read_links(const struct reader *r, const struct document_node *node)
{
    int rc = read_texts(r, node, check_path, &r->profile->links);

    for (const struct document_node *n = node->first; rc == 0 && n; n = n->next)
        if (!*n->text || strlen(n->text) >= PATH_MAX)
            rc = fail(r, n, "want where it points");
    return rc;
}

static int read_files(const struct reader *r, const struct document_node *node)
{
    return read_texts(r, node, check_path, &r->profile->files);
}

static int read_env(const struct reader *r, const struct document_node *node)
{
    return read_texts(r, node, check_variable, &r->profile->env);
}

static const struct {
    const char *key;
    int (*read)(const struct reader *r, const struct document_node *node);
} keys[] = {
    { "network", read_network }, { "terminals", read_terminals },
    { "calls", read_calls },     { "paths", read_paths },
    { "devices", read_devices }, { "links", read_links },
    { "files", read_files },     { "env", read_env },
};

const char *profile_key(size_t index)
{
    return index < ARRAY_SIZE(keys) ? keys[index].key : NULL;
}

static int read_key(const struct reader *r, const struct document_node *node, unsigned *seen)
{
    const char *known[ARRAY_SIZE(keys)];
    size_t index = 0;
    int rc;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        known[i] = keys[i].key;
    rc = read_word(
        r,
        &(struct document_node){
            .type = DOCUMENT_TEXT, .text = node->key, .line = node->line, .column = node->column },
        "key", known, ARRAY_SIZE(known), &index);
    if (rc < 0)
        return rc;
    *seen |= 1u << index;
    return keys[index].read(r, node);
}

static int read_all(const struct reader *r, const struct document_node *root)
{
    unsigned seen = 0;
    int rc = 0;

    if (!root || root->type != DOCUMENT_MAP)
        return err_set(r->err, -EINVAL, "%s: want a map of keys", r->file);
    for (const struct document_node *n = root->first; rc == 0 && n; n = n->next)
        rc = read_key(r, n, &seen);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(keys); i++)
        if (!(seen & (1u << i)))
            rc = err_set(r->err, -EINVAL, "%s: the key '%s' is missing", r->file, keys[i].key);
    return rc;
}

int profile_parse(const char *file, const char *name, const char *text, size_t len,
                  struct profile **ret_profile, struct err *err)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    CLEANUP_PTR(profile_free) struct profile *p = mem_new(struct profile);
    const struct reader r = { .file = file, .profile = p, .err = err };
    int rc = document_parse(file, text, len, &root, err);

    if (rc == 0)
        rc = read_all(&r, root);
    if (rc < 0)
        return rc;
    p->name = mem_strdup(name);
    *ret_profile = TAKE_PTR(p);
    return 0;
}

/* ---- the ones that are built in ---- */

const char *profile_text(const char *name, size_t *ret_len)
{
    for (const struct profile_embedded *e = profile_embedded; e->name; e++) {
        if (!str_eq(e->name, name))
            continue;
        *ret_len = e->len;
        return (const char *)e->bytes;
    }
    return NULL;
}

int profile_load(const char *name, struct profile **ret_profile, struct err *err)
{
    AUTO_FREE char *file = mem_printf("profile %s", name ? name : "");
    size_t len = 0;
    const char *text = profile_text(name, &len);

    if (!text)
        return err_set(err, -EINVAL, "sandbox.profile: '%s' is none of strict, agent, host",
                       name ? name : "");
    return profile_parse(file, name, text, len, ret_profile, err);
}
