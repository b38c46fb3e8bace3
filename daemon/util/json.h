/* json.h - JSON in and out, over cJSON, with the bounds that foreign input needs.
 * A struct json * is a node. A root is freed with json_free(); what json_get() and friends return
 * is borrowed from its root. Building: json_add() and json_push() take ownership of the child.
 * Numbers are doubles: integers are exact below 2^53 (either sign), and refused from there on,
 * where two neighbours are read as the same number. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct json;

enum { JSON_DEPTH_MAX = 64 };

/* Parses exactly one value with nothing but white space after it. Refuses nesting deeper than
 * JSON_DEPTH_MAX, invalid UTF-8 and an escaped NUL in a string with -EBADMSG; err names the byte.
 * Strictly RFC 8259, with one kindness: an escaped surrogate without its other half, which
 * JavaScript writes where it cuts a text inside a character, becomes U+FFFD. Of members with the
 * same key the first counts. A text costs some 40 times its size in the worst case, so bound len;
 * -ENOMEM if there is no memory for it. */
int json_parse(const char *s, size_t len, struct json **ret_root, struct err *err);
/* As json_parse(), for what a program prints: strings may be long, but there are at most nodes
 * values and members, so that its cost is near its length (-EMSGSIZE for more), and an escaped NUL
 * becomes U+FFFD. */
int json_parse_light(const char *s, size_t len, size_t nodes, struct json **ret_root,
                     struct err *err);
void json_free(struct json *root);
DEFINE_CLEANUP(struct json *, json_free);

/* The member of an object: NULL if node is NULL, not an object, or lacks it. */
const struct json *json_get(const struct json *node, const char *key);
/* As json_get(), for a string / whole number / bool member; NULL or -ENOENT if absent or null,
 * and (the numeric ones) -EINVAL if it is of another type or not a whole number in range. */
const char *json_get_str(const struct json *node, const char *key);
int json_get_i64(const struct json *node, const char *key, int64_t *ret_n);
int json_get_u64(const struct json *node, const char *key, uint64_t *ret_n);
int json_get_bool(const struct json *node, const char *key, bool *ret_b);
/* For any finite number. */
int json_get_double(const struct json *node, const char *key, double *ret_d);
bool json_is_object(const struct json *node);
bool json_is_array(const struct json *node);
bool json_is_string(const struct json *node);
bool json_is_null(const struct json *node);
const char *json_str(const struct json *node); /* NULL unless a string */
size_t json_len(const struct json *node);      /* members of an array or object; 0 for others */
/* Iteration over an array or object: for (c = json_first(n); c; c = json_next(c)). */
const struct json *json_first(const struct json *node);
const struct json *json_next(const struct json *node);
const char *json_key(const struct json *node); /* the key under which node stands in its object */

/* Strings that aren't valid UTF-8 are repaired as by utf8_clean(). The caller adds a key once. A
 * child of NULL adds null. Integers beyond 2^53 lose their last digits: add those as strings. */
struct json *json_object(void);
struct json *json_array(void);
struct json *json_copy(const struct json *node);
void json_add(struct json *object, const char *key, struct json *child);
void json_add_str(struct json *object, const char *key, const char *s); /* NULL adds null */
void json_add_i64(struct json *object, const char *key, int64_t n);
void json_add_bool(struct json *object, const char *key, bool b);
void json_add_null(struct json *object, const char *key);
void json_push(struct json *array, struct json *child);
void json_push_str(struct json *array, const char *s);
/* Compact text, to be freed by the caller. */
char *json_print(const struct json *node);
char *json_print_pretty(const struct json *node);
