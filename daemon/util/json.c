#include "util/json.h"

#include <assert.h>
#include <cJSON.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/utf8.h"

enum { NUMBER_MAX = 63 }; /* cJSON takes a longer one for two values */

/* Whole numbers below it are exact; it is itself what 2^53 + 1 becomes, so it is already out. */
static const double exact_limit = 9007199254740992.0;

/* What cJSON is too lenient about (depth, bytes after the value, control bytes, UTF-8, numbers) is
 * checked before it runs, in one pass, by the grammar of RFC 8259. */
struct scan {
    const char *s;
    size_t i, len;
    char *repaired;  /* a copy, once something had to be changed in it */
    const char *why; /* the first complaint */
};

static bool scan_value(struct scan *sc, int depth);

static bool complain(struct scan *sc, const char *why)
{
    if (sc->why == NULL)
        sc->why = why;
    return false;
}

/* -1 at the end. */
static int peek(const struct scan *sc)
{
    return sc->i < sc->len ? (unsigned char)sc->s[sc->i] : -1;
}

static int skip_space(struct scan *sc)
{
    int c;

    while ((c = peek(sc)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        sc->i++;
    return c;
}

static bool scan_word(struct scan *sc, const char *word)
{
    size_t len = strlen(word);

    if (sc->len - sc->i < len || memcmp(sc->s + sc->i, word, len) != 0)
        return complain(sc, "a value was expected");
    sc->i += len;
    return true;
}

static bool scan_digits(struct scan *sc)
{
    size_t start = sc->i;

    while (peek(sc) >= '0' && peek(sc) <= '9')
        sc->i++;
    return sc->i > start || complain(sc, "a digit was expected");
}

static bool scan_number(struct scan *sc)
{
    size_t start = sc->i;

    if (peek(sc) == '-')
        sc->i++;
    if (peek(sc) == '0')
        sc->i++;
    else if (!scan_digits(sc))
        return false;
    if (peek(sc) == '.') {
        sc->i++;
        if (!scan_digits(sc))
            return false;
    }
    if (peek(sc) == 'e' || peek(sc) == 'E') {
        sc->i++;
        if (peek(sc) == '+' || peek(sc) == '-')
            sc->i++;
        if (!scan_digits(sc))
            return false;
    }
    return sc->i - start <= NUMBER_MAX || complain(sc, "a number is too long");
}

/* The value of "uXXXX" at offset i, or -1. */
static int hex4(const struct scan *sc, size_t i)
{
    int n = 0;

    if (sc->len - i < 5 || sc->s[i] != 'u')
        return -1;
    for (size_t k = 1; k <= 4; k++) {
        char c = sc->s[i + k];

        if (c >= '0' && c <= '9')
            n = n * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return n;
}

/* JavaScript and Python write half a surrogate pair where they cut a text inside a character; the
 * rest of such a document is sound, so that half becomes U+FFFD. i: of its "uXXXX". */
static void repair(struct scan *sc, size_t i)
{
    if (sc->repaired == NULL)
        sc->repaired = mem_dup(sc->s, sc->len);
    memcpy(sc->repaired + i, "ufffd", 5);
}

static bool scan_escape(struct scan *sc)
{
    int c = peek(sc), n;

    if (c >= 0 && c != 0 && strchr("\"\\/bfnrt", c) != NULL) {
        sc->i++;
        return true;
    }
    n = hex4(sc, sc->i);
    if (n < 0)
        return complain(sc, "an unknown escape in a string");
    if (n == 0)
        return complain(sc, "an escaped NUL in a string");
    if (n >= 0xd800 && n <= 0xdfff) {
        bool is_pair = n < 0xdc00 && sc->len - sc->i > 6 && sc->s[sc->i + 5] == '\\';
        int low = is_pair ? hex4(sc, sc->i + 6) : -1;

        if (low >= 0xdc00 && low <= 0xdfff)
            sc->i += 6;
        else
            repair(sc, sc->i);
    }
    sc->i += 5;
    return true;
}

static bool scan_string(struct scan *sc)
{
    size_t start = ++sc->i;
    bool is_ascii = true;
    int c;

    while ((c = peek(sc)) != '"') {
        if (c < 0)
            return complain(sc, "a string isn't closed");
        if (c < 0x20)
            return complain(sc, "a control byte in a string");
        is_ascii = is_ascii && c < 0x80;
        sc->i++;
        if (c == '\\' && !scan_escape(sc))
            return false;
    }
    if (!is_ascii && !utf8_is_valid(sc->s + start, sc->i - start)) {
        sc->i = start;
        return complain(sc, "the string here isn't valid UTF-8");
    }
    sc->i++;
    return true;
}

/* An object or array, by what closes it. */
static bool scan_members(struct scan *sc, char close, int depth)
{
    if (depth >= JSON_DEPTH_MAX)
        return complain(sc, "nested too deeply");
    sc->i++;
    if (skip_space(sc) == close) {
        sc->i++;
        return true;
    }
    for (;;) {
        if (close == '}') {
            if (skip_space(sc) != '"')
                return complain(sc, "a key was expected");
            if (!scan_string(sc))
                return false;
            if (skip_space(sc) != ':')
                return complain(sc, "a colon was expected");
            sc->i++;
        }
        if (!scan_value(sc, depth + 1))
            return false;
        if (skip_space(sc) == close) {
            sc->i++;
            return true;
        }
        if (peek(sc) != ',')
            return complain(sc, close == '}' ? "a comma or } was expected"
                                             : "a comma or ] was expected");
        sc->i++;
    }
}

static bool scan_value(struct scan *sc, int depth)
{
    switch (skip_space(sc)) {
    case '{':
        return scan_members(sc, '}', depth);
    case '[':
        return scan_members(sc, ']', depth);
    case '"':
        return scan_string(sc);
    case 't':
        return scan_word(sc, "true");
    case 'f':
        return scan_word(sc, "false");
    case 'n':
        return scan_word(sc, "null");
    case -1:
        return complain(sc, "the text ends too early");
    default:
        if (peek(sc) == '-' || (peek(sc) >= '0' && peek(sc) <= '9'))
            return scan_number(sc);
        return complain(sc, "a value was expected");
    }
}

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
        abort(); /* out of memory: the same end as in mem.h */
    return item;
}

int json_parse(const char *s, size_t len, struct json **ret_root, struct err *err)
{
    struct scan sc = { .s = s, .len = len };
    bool is_good = scan_value(&sc, 0);
    AUTO_FREE char *repaired = NULL;
    cJSON *root;

    repaired = sc.repaired;
    if (is_good && skip_space(&sc) != -1)
        is_good = complain(&sc, "something follows the value");
    if (!is_good)
        return err_set(err, -EBADMSG, "not valid JSON at byte %zu: %s", sc.i, sc.why);
    root = cJSON_ParseWithLengthOpts(repaired != NULL ? repaired : s, len, NULL, 0);
    if (root == NULL) /* the text is good, so it can only be the memory, which its size decides */
        return err_set(err, -ENOMEM, "no memory for a JSON text of %zu bytes", len);
    *ret_root = (struct json *)root;
    return 0;
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
    double d;

    if (item == NULL || cJSON_IsNull(item))
        return -ENOENT;
    if (!cJSON_IsNumber(item))
        return -EINVAL;
    d = item->valuedouble;
    if (!(d > -exact_limit && d < exact_limit) || d != (double)(int64_t)d)
        return -EINVAL;
    *ret_d = d;
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
        abort(); /* out of memory for the key */
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
    add(object, key, checked(cJSON_CreateNumber((double)n)));
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
