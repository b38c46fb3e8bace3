#include "util/json.h"

#include <assert.h>
#include <cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/json_scan.h"
#include "util/mem.h"
#include "util/utf8.h"

/* Whole numbers below it are exact; it is itself what 2^53 + 1 becomes, so it is already out. */
static const double exact_limit = 9007199254740992.0;

/* From here on cJSON prints whole numbers with an exponent. */
static const double print_limit = 1e15;

/* The outside face of a cJSON item, and back. */
static const struct json *face(const cJSON *item)
{
    return (const struct json *)item;
}

static const cJSON *item_of(const struct json *node)
{
    return (const cJSON *)node;
}

static void *checked(void *item)
{
    if (item == NULL)
        mem_die();
    return item;
}

static bool is_whole(double d)
{
    return d > -exact_limit && d < exact_limit && d == (double)(int64_t)d;
}

/* The text of a number that cJSON would print with too few digits, as it takes fifteen for enough,
 * or with an exponent where strict readers of integers refuse one; "" for all others. */
static void exact_text(double d, char text[32])
{
    int digits = 15;

    text[0] = '\0';
    if (!isfinite(d))
        return;
    if (is_whole(d)) {
        if (d <= -print_limit || d >= print_limit)
            (void)snprintf(text, 32, "%" PRId64, (int64_t)d);
        return;
    }
    do
        (void)snprintf(text, 32, "%.*g", digits, d);
    while (strtod(text, NULL) != d && digits++ < 17);
    if (digits == 15)
        text[0] = '\0';
}

/* An item with a text of its own is cJSON_Raw, which nothing else here is. */
static void keep_digits(cJSON *item)
{
    char text[32];

    if (!cJSON_IsNumber(item))
        return;
    exact_text(item->valuedouble, text);
    if (text[0] == '\0')
        return;
    item->valuestring = mem_strdup(text);
    item->type = (item->type & ~0xff) | cJSON_Raw;
}

/* As deep as the parser let it become. */
static void keep_all_digits(cJSON *item)
{
    keep_digits(item);
    for (cJSON *child = item->child; child != NULL; child = child->next)
        keep_all_digits(child);
}

int json_parse(const char *s, size_t len, struct json **ret_root, struct err *err)
{
    struct json_scan scan;
    int r = json_scan(s, len, &scan, err);
    cJSON *root;

    if (r < 0)
        return r;
    root = cJSON_ParseWithLengthOpts(scan.repaired != NULL ? scan.repaired : s, len, NULL, 0);
    free(scan.repaired);
    if (root == NULL) /* the text is good, so it can only be the memory, which its size decides */
        return err_set(err, -ENOMEM, "no memory for a JSON text of %zu bytes", len);
    if (scan.has_long)
        keep_all_digits(root);
    *ret_root = (struct json *)root;
    return 0;
}

/* Commas and opening brackets outside strings: each value but the first comes after one. */
static size_t count_nodes(const char *s, size_t len, bool *ret_has_nul)
{
    size_t nodes = 1;
    bool in_string = false;

    *ret_has_nul = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string && s[i] == '\\') {
            i++;
            *ret_has_nul |= len - i >= 5 && memcmp(s + i, "u0000", 5) == 0;
        } else if (s[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && (s[i] == ',' || s[i] == '[' || s[i] == '{')) {
            nodes++;
        }
    }
    return nodes;
}

/* A copy in which each escaped NUL is an escaped U+FFFD. */
static char *without_nul(const char *s, size_t len)
{
    char *copy = mem_dup(s, len);

    for (size_t i = 0; i + 6 <= len; i++) {
        if (copy[i] != '\\')
            continue;
        if (memcmp(copy + i, "\\u0000", 6) == 0)
            memcpy(copy + i, "\\ufffd", 6);
        i++; /* a backslash stands before nothing but strings' letters */
    }
    return copy;
}

int json_parse_light(const char *s, size_t len, size_t nodes, struct json **ret_root,
                     struct err *err)
{
    AUTO_FREE char *repaired = NULL;
    bool has_nul;
    size_t found = count_nodes(s, len, &has_nul);

    if (found > nodes)
        return err_set(err, -EMSGSIZE, "the JSON text has about %zu values, at most %zu are read",
                       found, nodes);
    if (has_nul)
        repaired = without_nul(s, len);
    return json_parse(repaired ? repaired : s, len, ret_root, err);
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)root);
}

const struct json *json_get(const struct json *node, const char *key)
{
    return face(cJSON_GetObjectItemCaseSensitive(item_of(node), key));
}

const char *json_get_str(const struct json *node, const char *key)
{
    return json_str(json_get(node, key));
}

/* The member as a double that is a whole number, in one place for both signs. */
static int get_whole(const struct json *node, const char *key, double *ret_d)
{
    const cJSON *item = item_of(json_get(node, key));

    if (item == NULL || cJSON_IsNull(item))
        return -ENOENT;
    if ((!cJSON_IsNumber(item) && !cJSON_IsRaw(item)) || !is_whole(item->valuedouble))
        return -EINVAL;
    *ret_d = item->valuedouble;
    return 0;
}

int json_get_i64(const struct json *node, const char *key, int64_t *ret_n)
{
    double d = 0;
    int r = get_whole(node, key, &d);

    if (r == 0)
        *ret_n = (int64_t)d;
    return r;
}

int json_get_u64(const struct json *node, const char *key, uint64_t *ret_n)
{
    double d = 0;
    int r = get_whole(node, key, &d);

    if (r < 0)
        return r;
    if (d < 0)
        return -EINVAL;
    *ret_n = (uint64_t)d;
    return 0;
}

int json_get_bool(const struct json *node, const char *key, bool *ret_b)
{
    const cJSON *item = item_of(json_get(node, key));

    if (item == NULL || cJSON_IsNull(item))
        return -ENOENT;
    if (!cJSON_IsBool(item))
        return -EINVAL;
    *ret_b = cJSON_IsTrue(item);
    return 0;
}

int json_get_double(const struct json *node, const char *key, double *ret_d)
{
    const cJSON *item = item_of(json_get(node, key));

    if (item == NULL || cJSON_IsNull(item))
        return -ENOENT;
    if ((!cJSON_IsNumber(item) && !cJSON_IsRaw(item)) || !isfinite(item->valuedouble))
        return -EINVAL;
    *ret_d = item->valuedouble;
    return 0;
}

bool json_is_object(const struct json *node)
{
    return cJSON_IsObject(item_of(node));
}

bool json_is_array(const struct json *node)
{
    return cJSON_IsArray(item_of(node));
}

bool json_is_string(const struct json *node)
{
    return cJSON_IsString(item_of(node));
}

bool json_is_null(const struct json *node)
{
    return cJSON_IsNull(item_of(node));
}

const char *json_str(const struct json *node)
{
    return cJSON_GetStringValue(item_of(node));
}

size_t json_len(const struct json *node)
{
    size_t n = 0;

    for (const struct json *c = json_first(node); c != NULL; c = json_next(c))
        n++;
    return n;
}

const struct json *json_first(const struct json *node)
{
    return node != NULL ? face(item_of(node)->child) : NULL;
}

const struct json *json_next(const struct json *node)
{
    return node != NULL ? face(item_of(node)->next) : NULL;
}

const char *json_key(const struct json *node)
{
    return node != NULL ? item_of(node)->string : NULL;
}

struct json *json_object(void)
{
    return checked(cJSON_CreateObject());
}

struct json *json_array(void)
{
    return checked(cJSON_CreateArray());
}

struct json *json_copy(const struct json *node)
{
    return node != NULL ? checked(cJSON_Duplicate(item_of(node), true)) : NULL;
}

/* A string as JSON may carry it: what isn't UTF-8 would spoil the whole document. */
static cJSON *new_string(const char *s)
{
    CLEANUP(buf_done) struct buf clean = { 0 };

    if (s == NULL)
        return checked(cJSON_CreateNull());
    if (utf8_is_valid(s, strlen(s)))
        return checked(cJSON_CreateString(s));
    utf8_clean(&clean, s, strlen(s));
    return checked(cJSON_CreateString(buf_str(&clean)));
}

static void add(struct json *object, const char *key, cJSON *child)
{
    assert(json_is_object(object));
    if (!cJSON_AddItemToObject((cJSON *)object, key, child))
        mem_die(); /* there was none for the key */
}

void json_add(struct json *object, const char *key, struct json *child)
{
    add(object, key, child != NULL ? (cJSON *)child : checked(cJSON_CreateNull()));
}

void json_add_str(struct json *object, const char *key, const char *s)
{
    add(object, key, new_string(s));
}

void json_add_i64(struct json *object, const char *key, int64_t n)
{
    cJSON *item = checked(cJSON_CreateNumber((double)n));

    keep_digits(item);
    add(object, key, item);
}

void json_add_bool(struct json *object, const char *key, bool b)
{
    add(object, key, checked(cJSON_CreateBool(b)));
}

void json_add_null(struct json *object, const char *key)
{
    add(object, key, checked(cJSON_CreateNull()));
}

void json_push(struct json *array, struct json *child)
{
    cJSON *item = child != NULL ? (cJSON *)child : checked(cJSON_CreateNull());

    assert(json_is_array(array));
    (void)cJSON_AddItemToArray((cJSON *)array, item); /* fails for NULL only */
}

void json_push_str(struct json *array, const char *s)
{
    json_push(array, (struct json *)new_string(s));
}

char *json_print(const struct json *node)
{
    return checked(cJSON_PrintUnformatted(item_of(node)));
}

char *json_print_pretty(const struct json *node)
{
    return checked(cJSON_Print(item_of(node)));
}
