#include "upstream/provision.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/envname.h"
#include "settings/pairs.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/utf8.h"

enum {
    JSON_NODES_MAX = 20000,
    WORD_MAX = 80, /* of a foreign word in a sentence */
    TITLE_MAX = 120,
    ID_MAX = 128,
};

static int parse(const char *text, size_t len, struct json **ret_root, struct err *err)
{
    int r = len > PROVISION_ANSWER_MAX
                ? err_set(err, -EMSGSIZE, "it is longer than %d MiB", PROVISION_ANSWER_MAX >> 20)
                : json_parse_light(text, len, JSON_NODES_MAX, ret_root, err);

    return r < 0 ? -EBADMSG : 0;
}

/* A foreign word, fit for a sentence. */
static const char *word(char buffer[WORD_MAX], const char *text)
{
    return utf8_line(buffer, WORD_MAX, text ? text : "");
}

__attribute__((format(printf, 2, 3))) static void complain(struct strv *problems, const char *fmt,
                                                           ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (problems->len > PROVISION_PROBLEMS_MAX)
        return;
    if (problems->len == PROVISION_PROBLEMS_MAX) {
        strv_add(problems, "there are more such entries, which are not named");
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut where it is too long */
    va_end(ap);
    strv_add(problems, text);
}

/* ---- variables ---- */

static const char *refusal_of_value(const char *value)
{
    if (!value)
        return "its value is no text";
    if (strlen(value) > PROVISION_VALUE_MAX)
        return "its value is longer than 32 KiB";
    return NULL;
}

int provision_read_token(const char *text, size_t len, struct provision_token *ret_token,
                         struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const char *value, *name, *expires;
    char buffer[WORD_MAX];
    int64_t expires_ms = 0;
    int r = parse(text, len, &root, err);

    if (r < 0)
        return r;
    value = json_get_str(root, "token");
    name = json_get_str(root, "env_key");
    expires = json_get_str(root, "expires_at");
    if (str_is_empty(value) || str_is_empty(name))
        return err_set(err, -EBADMSG, "it has no token, or no env_key for it");
    if (envname_refusal(name))
        return err_set(err, -EBADMSG, "its env_key '%s' can't be set: %s", word(buffer, name),
                       envname_refusal(name));
    if (refusal_of_value(value))
        return err_set(err, -EBADMSG, "its token can't be used: %s", refusal_of_value(value));
    if (expires && clock_parse_rfc3339(expires, &expires_ms) < 0)
        return err_set(err, -EBADMSG, "its expires_at '%s' is no time", word(buffer, expires));
    *ret_token = (struct provision_token){ .expires_ms = expires_ms };
    pairs_add(&ret_token->pair, name, value);
    return 0;
}

static void set_pair(struct settings_pairs *pairs, const char *name, const char *value)
{
    for (size_t i = 0; i < pairs->len; i++) {
        char *old = pairs->items[i].value;

        if (!str_eq(pairs->items[i].name, name))
            continue;
        secret_wipe(old, strlen(old));
        free(old);
        pairs->items[i].value = mem_strdup(value);
        return;
    }
    pairs_add(pairs, name, value);
}

static void read_variable(const struct json *node, struct provision_env *env, size_t *bytes)
{
    const char *name = json_get_str(node, "key"), *value = json_get_str(node, "value"), *why;
    char buffer[WORD_MAX];

    if (!name) {
        complain(&env->problems, "a variable has no name");
        return;
    }
    why = envname_refusal(name);
    if (!why)
        why = refusal_of_value(value);
    if (!why && (env->pairs.len >= PROVISION_VARIABLES_MAX ||
                 *bytes + strlen(value) > PROVISION_VALUES_MAX))
        why = "there are too many, or they are too long together";
    if (why) {
        complain(&env->problems, "variable '%s' is left out: %s", word(buffer, name), why);
        return;
    }
    *bytes += strlen(value);
    set_pair(&env->pairs, name, value);
}

int provision_read_env(const char *text, size_t len, struct provision_env *ret_env, struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct provision_env env = { 0 };
    const struct json *list;
    size_t bytes = 0;
    int r = parse(text, len, &root, err);

    if (r < 0)
        return r;
    list = json_get(root, "env_vars");
    if (!json_is_array(list) && !(json_is_object(root) && json_is_null(list)))
        return err_set(err, -EBADMSG, "it has no list env_vars");
    for (const struct json *node = json_first(list); node; node = json_next(node))
        read_variable(node, &env, &bytes);
    *ret_env = env;
    return 0;
}

/* ---- files ---- */

static const struct {
    const char *name, *kind_of;
    enum provision_kind kind;
} types[] = {
    { "rule", "rule", PROVISION_RULE },
    { "mcp_config", "MCP config", PROVISION_MCP },
    { "mcp_cfg", "MCP config", PROVISION_MCP },
    { "skill", "skill", PROVISION_SKILL },
};

static const char *const extensions[PROVISION_KIND_COUNT][2] = {
    [PROVISION_RULE] = { ".md", NULL },
    [PROVISION_MCP] = { ".json", NULL },
    [PROVISION_SKILL] = { ".zip", ".skill" },
};

const char *provision_kind_name(enum provision_kind kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].kind == kind)
            return types[i].kind_of;
    return "?";
}

static bool find_type(const char *type, enum provision_kind *ret_kind)
{
    for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
        if (str_eq(types[i].name, type)) {
            *ret_kind = types[i].kind;
            return true;
        }
    return false;
}

/* What follows the last separator, ours or another system's. */
static const char *base_of(const char *location)
{
    const char *base = location;

    for (; *location; location++)
        if (*location == '/' || *location == '\\')
            base = location + 1;
    return base;
}

static const char *refusal_of_name(enum provision_kind kind, const char *name)
{
    const char *const *ends = extensions[kind];

    if (name[0] == '\0' || name[0] == '.' || strlen(name) > PROVISION_NAME_MAX)
        return "its location has no usable file name";
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "its file name has control characters";
    for (size_t i = 0; i < 2; i++)
        if (ends[i] && str_ends_with(name, ends[i]) && !str_eq(name, ends[i]))
            return NULL;
    return kind == PROVISION_RULE  ? "a rule's file name ends in .md"
           : kind == PROVISION_MCP ? "an MCP config's file name ends in .json"
                                   : "a skill's file name ends in .zip or .skill";
}

static bool is_id(const char *s)
{
    size_t len = s ? strlen(s) : 0;

    return len >= 1 && len <= ID_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static void read_file(const struct json *node, enum provision_kind kind, const char *title,
                      struct provision_files *files)
{
    const char *location = json_get_str(node, "location"), *id = json_get_str(node, "attachmentId");
    const char *name = location ? base_of(location) : "", *why = refusal_of_name(kind, name);

    if (!why && !is_id(id))
        why = "it has no usable attachmentId";
    if (!why && files->len >= PROVISION_FILES_MAX)
        why = "there are more than 200 files";
    if (why) {
        complain(&files->problems, "%s '%s' is left out: %s", provision_kind_name(kind), title,
                 why);
        return;
    }
    files->items = mem_realloc(files->items, (files->len + 1) * sizeof files->items[0]);
    files->items[files->len++] = (struct provision_file){ .kind = kind,
                                                          .title = mem_strdup(title),
                                                          .name = mem_strdup(name),
                                                          .attachment_id = mem_strdup(id) };
}

static void read_artifact(const struct json *node, struct provision_files *files)
{
    const char *type = json_get_str(node, "type");
    const struct json *list = json_get(node, "files");
    char title[TITLE_MAX], buffer[WORD_MAX];
    enum provision_kind kind = PROVISION_RULE;

    (void)utf8_line(title, sizeof title,
                    json_get_str(node, "title") ? json_get_str(node, "title") : "untitled");
    if (!find_type(type, &kind)) {
        complain(&files->problems, "artifact '%s' is left out: its type '%s' is not known here",
                 title, word(buffer, type));
        return;
    }
    if (!json_is_array(list) || json_len(list) == 0) {
        complain(&files->problems, "%s '%s' is left out: it has no files",
                 provision_kind_name(kind), title);
        return;
    }
    for (const struct json *file = json_first(list); file; file = json_next(file))
        read_file(file, kind, title, files);
}

int provision_read_files(const char *text, size_t len, struct provision_files *ret_files,
                         struct err *err)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct provision_files files = { 0 };
    int r = parse(text, len, &root, err);

    if (r < 0)
        return r;
    if (!json_is_array(root) && !json_is_null(root)) /* an empty slice of the present server's */
        return err_set(err, -EBADMSG, "it is no list");
    for (const struct json *node = json_first(root); node; node = json_next(node))
        read_artifact(node, &files);
    *ret_files = files;
    return 0;
}

/* ---- the rest ---- */

void provision_token_done(struct provision_token *t)
{
    pairs_done(&t->pair);
    *t = (struct provision_token){ 0 };
}

void provision_env_done(struct provision_env *e)
{
    pairs_done(&e->pairs);
    strv_done(&e->problems);
}

void provision_files_done(struct provision_files *f)
{
    for (size_t i = 0; i < f->len; i++) {
        free(f->items[i].title);
        free(f->items[i].name);
        free(f->items[i].attachment_id);
    }
    free(f->items);
    strv_done(&f->problems);
    *f = (struct provision_files){ 0 };
}

uint64_t provision_refresh_in_ms(int64_t expires_ms, int64_t now_wall_ms, uint64_t min_ms)
{
    const int64_t early_ms = INT64_C(5) * 60 * 1000;
    int64_t left_ms = expires_ms - now_wall_ms, ahead_ms;

    if (expires_ms == 0)
        return 0;
    /* a tenth of what is left, so that one that lives for minutes isn't asked for all the time */
    ahead_ms = left_ms / 10 < early_ms ? left_ms / 10 : early_ms;
    left_ms -= ahead_ms;
    return left_ms < (int64_t)min_ms ? min_ms : (uint64_t)left_ms;
}
