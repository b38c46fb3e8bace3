#include "util/mask.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/hexmask.h"
#include "util/mem.h"
#include "util/secret.h"

/* Every needle has at least MASK_MIN bytes, so the hash of that many finds the few that can start
 * at a place of the text: one multiplication a byte, whatever the text and the number of needles.
 */
enum { BUCKET_BITS = 12, BUCKETS = 1 << BUCKET_BITS, PIECE_MIN = 16 };

struct needle {
    struct needle *next; /* of the same bucket */
    size_t len;
    char bytes[];
};

/* As it was given. */
struct value {
    struct value *next;
    size_t uses, len;
    char bytes[];
};

struct mask {
    pthread_mutex_t *lock; /* over what follows */
    struct value *values;
    struct needle *buckets[BUCKETS];
    struct hexmask *hex;
};

static void lock(const struct mask *m)
{
    (void)pthread_mutex_lock(m->lock); /* can't fail: a thread takes it once */
}

static void unlock(const struct mask *m)
{
    (void)pthread_mutex_unlock(m->lock); /* as above */
}

struct mask *mask_new(void)
{
    struct mask *m = mem_new(struct mask);

    m->hex = hexmask_new();
    m->lock = mem_new(pthread_mutex_t);
    (void)pthread_mutex_init(m->lock, NULL); /* glibc's default kind never fails */
    return m;
}

static void free_needles(struct mask *m)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct needle *n = m->buckets[i], *next;

        for (; n != NULL; n = next) {
            next = n->next;
            secret_wipe(n, sizeof *n + n->len);
            free(n);
        }
        m->buckets[i] = NULL;
    }
}

static void free_value(struct value *v)
{
    secret_wipe(v, sizeof *v + v->len);
    free(v);
}

void mask_free(struct mask *m)
{
    if (m == NULL)
        return;
    while (m->values) {
        struct value *next = m->values->next;

        free_value(m->values);
        m->values = next;
    }
    free_needles(m);
    hexmask_free(m->hex);
    (void)pthread_mutex_destroy(m->lock); /* nobody has it */
    free(m->lock);
    free(m);
}

void mask_each(const struct mask *m, mask_fn fn, void *ctx)
{
    lock(m);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct needle *n = m->buckets[i]; n != NULL; n = n->next)
            fn(n->bytes, n->len, ctx);
    unlock(m);
}

static size_t bucket_of(const char *bytes)
{
    uint64_t first;

    _Static_assert(sizeof first == MASK_MIN, "the hash takes as much as every needle has");
    memcpy(&first, bytes, sizeof first);
    return (size_t)(first * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BUCKET_BITS));
}

static void add_needle(struct mask *m, const char *bytes, size_t len)
{
    struct needle **bucket, *n;

    if (len < MASK_MIN)
        return;
    bucket = &m->buckets[bucket_of(bytes)];
    for (n = *bucket; n != NULL; n = n->next)
        if (n->len == len && memcmp(n->bytes, bytes, len) == 0)
            return;
    n = mem_alloc(sizeof *n + len);
    n->len = len;
    memcpy(n->bytes, bytes, len);
    n->next = *bucket;
    *bucket = n;
}

/* A buffer that won't move while it is filled, so that no copy of the value stays behind. */
static void scratch_init(struct buf *b, size_t most)
{
    (void)buf_reserve(b, most); /* nothing is written yet */
}

static void scratch_done(struct buf *b)
{
    if (b->data != NULL)
        secret_wipe(b->data, b->cap);
    buf_done(b);
}

/* Tools break base64 into lines of 64 or 76, and text is often looked at line by line. */
static void add_lines_of(struct mask *m, const char *text, size_t len, size_t width)
{
    for (size_t i = 0; len > width && i < len; i += width) {
        size_t here = len - i < width ? len - i : width;

        if (here >= PIECE_MIN)
            add_needle(m, text + i, here);
    }
}

/* The value stands after `before` bytes that aren't known (0 to 2, modulo 3), and before others.
 * Digits that such bytes have a part in are left out; but the value may also be the last. */
static void add_base64_at(struct mask *m, const char *value, size_t len, size_t before, int variant)
{
    static const size_t digits_of_others[] = { 0, 2, 3 };
    size_t size = sodium_base64_encoded_len(before + len, variant), all, skip;
    CLEANUP(scratch_done) struct buf in = { 0 }, out = { 0 };

    scratch_init(&in, before + len);
    in.len = before;
    buf_append(&in, value, len);
    scratch_init(&out, size);
    (void)sodium_bin2base64(out.data, size, (const unsigned char *)in.data, in.len, variant);
    all = strlen(out.data);
    skip = digits_of_others[before];
    add_needle(m, out.data + skip, all - skip);
    if (before == 0) {
        add_lines_of(m, out.data, all, 64);
        add_lines_of(m, out.data, all, 76);
    }
    while (all > 0 && out.data[all - 1] == '=')
        all--;
    add_needle(m, out.data + skip, all - skip);
    if ((before + len) % 3 != 0)
        add_needle(m, out.data + skip, all - skip - 1);
}

static void add_base64(struct mask *m, const char *value, size_t len)
{
    for (size_t before = 0; before < 3; before++) {
        add_base64_at(m, value, len, before, sodium_base64_VARIANT_ORIGINAL);
        add_base64_at(m, value, len, before, sodium_base64_VARIANT_URLSAFE);
    }
}

static const char lower_digits[] = "0123456789abcdef", upper_digits[] = "0123456789ABCDEF";

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* kept: what stays as it is besides letters and digits. */
static void add_percent(struct mask *m, const char *value, size_t len, const char *kept,
                        const char *digits, char space)
{
    CLEANUP(scratch_done) struct buf out = { 0 };

    scratch_init(&out, len * 3);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];

        if (is_alphanumeric(value[i]) || (c != 0 && strchr(kept, c) != NULL)) {
            buf_append_char(&out, value[i]);
        } else if (c == ' ' && space != 0) {
            buf_append_char(&out, space);
        } else {
            buf_append_char(&out, '%');
            buf_append_char(&out, digits[c >> 4]);
            buf_append_char(&out, digits[c & 15]);
        }
    }
    add_needle(m, out.data, out.len);
}

static void add_percents(struct mask *m, const char *value, size_t len)
{
    /* RFC 3986 unreserved; encodeURIComponent(); a path segment; encodeURI(); HTML forms */
    static const char *const kept[] = { "-._~", "-._~!'()*", "-._~!$&'()*+,;=:@",
                                        "-._~!'()*;,/?:@&=+$#", "-._*" };

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        add_percent(m, value, len, kept[i], upper_digits, 0);
        add_percent(m, value, len, kept[i], lower_digits, 0);
        add_percent(m, value, len, kept[i], upper_digits, '+');
    }
}

/* How writers of JSON differ. */
struct json_habit {
    bool slash;         /* "\/", as PHP does */
    bool html;          /* < > & as \u00XX, as Go does */
    bool ascii;         /* all beyond ASCII as \uXXXX, as Python does */
    const char *digits; /* of those */
};

/* The code point at s, which is taken for one byte where it isn't UTF-8. */
static uint32_t code_point(const unsigned char *s, size_t len, size_t *ret_size)
{
    size_t size = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
    uint32_t c = s[0];

    if (size > 1)
        c &= 0x7fU >> size;
    if (size > len)
        size = 1;
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (s[i] & 0x3f);
    *ret_size = size;
    return c;
}

static void put_u(struct buf *out, uint32_t unit, const char *digits)
{
    buf_append_str(out, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        buf_append_char(out, digits[unit >> shift & 15]);
}

static size_t put_json(struct buf *out, const char *value, size_t len, const struct json_habit *how)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = *value != '\0' ? strchr(from, *value) : NULL;
    size_t size = 1;
    uint32_t c;

    if (at != NULL || (*value == '/' && how->slash)) {
        buf_append_char(out, '\\');
        buf_append_char(out, at != NULL ? to[at - from] : '/');
        return 1;
    }
    c = code_point((const unsigned char *)value, len, &size);
    if (c < 0x20 || (how->html && (c == '<' || c == '>' || c == '&')) || (how->ascii && c > 0x7e)) {
        if (c > 0xffff) {
            put_u(out, 0xd800 + ((c - 0x10000) >> 10 & 0x3ff), how->digits);
            c = 0xdc00 + (c & 0x3ff);
        }
        put_u(out, c, how->digits);
        return size;
    }
    buf_append(out, value, size);
    return size;
}

static void add_json(struct mask *m, const char *value, size_t len)
{
    static const struct json_habit habits[] = {
        { false, false, false, lower_digits }, { true, false, false, lower_digits },
        { false, true, false, lower_digits },  { false, false, true, lower_digits },
        { false, false, true, upper_digits },  { true, false, true, lower_digits },
    };

    for (size_t i = 0; i < ARRAY_SIZE(habits); i++) {
        CLEANUP(scratch_done) struct buf once = { 0 }, twice = { 0 };

        scratch_init(&once, len * 6);
        for (size_t at = 0; at < len;)
            at += put_json(&once, value + at, len - at, &habits[i]);
        add_needle(m, once.data, once.len);
        /* JSON inside a string of JSON, as progress of a task often is */
        scratch_init(&twice, once.len * 6);
        for (size_t at = 0; at < once.len;)
            at += put_json(&twice, once.data + at, once.len - at, &habits[i]);
        add_needle(m, twice.data, twice.len);
    }
}

/* A value of several lines, such as a private key, is often seen a line at a time. */
static void add_value_lines(struct mask *m, const char *value, size_t len)
{
    const char *end = value + len, *line = value, *stop;

    for (; line < end; line = stop + 1) {
        size_t here;

        stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        here = (size_t)(stop - line);
        if (here > 0 && line[here - 1] == '\r')
            here--;
        if (here >= PIECE_MIN && here < len && memcmp(line, "-----", 5) != 0)
            add_needle(m, line, here);
    }
}

static void add_forms(struct mask *m, const char *value, size_t len)
{
    add_needle(m, value, len);
    add_base64(m, value, len);
    add_percents(m, value, len);
    add_json(m, value, len);
    add_value_lines(m, value, len);
    hexmask_add(m->hex, value, len);
}

/* Where it is, or would be put. */
static struct value **find_value(struct mask *m, const char *value, size_t len)
{
    struct value **at = &m->values;

    while (*at && ((*at)->len != len || memcmp((*at)->bytes, value, len) != 0))
        at = &(*at)->next;
    return at;
}

int mask_add(struct mask *m, const char *value, size_t len)
{
    struct value **at;

    if (len < MASK_MIN)
        return -EINVAL;
    lock(m);
    at = find_value(m, value, len);
    if (!*at) {
        *at = mem_alloc(sizeof **at + len);
        (*at)->len = len;
        memcpy((*at)->bytes, value, len);
        add_forms(m, value, len);
    }
    (*at)->uses++;
    unlock(m);
    return 0;
}

void mask_drop(struct mask *m, const char *value, size_t len)
{
    struct value **at, *v;

    lock(m);
    at = find_value(m, value, len);
    v = *at;
    if (v && --v->uses == 0) {
        *at = v->next;
        free_value(v);
        /* forms of several values may be the same */
        free_needles(m);
        hexmask_free(m->hex);
        m->hex = hexmask_new();
        for (v = m->values; v; v = v->next)
            add_forms(m, v->bytes, v->len);
    }
    unlock(m);
}

/* Length of the longest needle that starts at text, 0 if none does. cut: one may go on after len.
 */
static size_t hit_at(const struct mask *m, const char *text, size_t len, bool cut)
{
    const struct needle *n;
    size_t longest = 0;

    if (len < MASK_MIN)
        return 0;
    for (n = m->buckets[bucket_of(text)]; n != NULL; n = n->next) {
        size_t here = n->len > len && cut ? len : n->len;

        if (here > longest && here <= len && memcmp(n->bytes, text, here) == 0)
            longest = here;
    }
    return longest;
}

struct hit {
    size_t start, end; /* end 0: there is none */
};

/* The first one at or after from. Needles that overlap are one hit. */
static struct hit next_needle(const struct mask *m, const char *text, size_t len, bool cut,
                              size_t from)
{
    struct hit hit = { 0 };

    for (size_t i = from; i < len && (hit.end == 0 || i < hit.end); i++) {
        size_t n = hit_at(m, text + i, len - i, cut);

        if (n > 0 && hit.end == 0)
            hit.start = i;
        if (n > 0 && i + n > hit.end)
            hit.end = i + n;
    }
    return hit;
}

static struct hit next_hex(const struct mask *m, const char *text, size_t len, size_t from)
{
    struct hit hit = { 0 };

    hit.end = hexmask_find(m->hex, text, len, from, &hit.start);
    return hit;
}

/* What is known of the text ahead: the next hit of each kind. */
struct search {
    const struct mask *mask;
    const char *text;
    size_t len;
    bool cut;
    struct hit needle, hex;
};

static void search_init(struct search *s, const struct mask *m, const struct buf *b, bool cut)
{
    *s = (struct search){ .mask = m, .text = b->data, .len = b->len, .cut = cut };
    s->needle = next_needle(m, b->data, b->len, cut, 0);
    s->hex = next_hex(m, b->data, b->len, 0);
}

/* Takes the earlier of the two hits ahead. */
static struct hit take_hit(struct search *s)
{
    bool needle_first = s->hex.end == 0 || (s->needle.end > 0 && s->needle.start <= s->hex.start);
    struct hit hit = needle_first ? s->needle : s->hex;

    if (hit.end == 0)
        return hit;
    if (needle_first)
        s->needle = next_needle(s->mask, s->text, s->len, s->cut, hit.end);
    else
        s->hex = next_hex(s->mask, s->text, s->len, hit.end);
    return hit;
}

/* The next place to be masked: all hits that overlap. */
static struct hit next_place(struct search *s)
{
    struct hit place = take_hit(s);

    while ((s->needle.end > 0 && s->needle.start < place.end) ||
           (s->hex.end > 0 && s->hex.start < place.end)) {
        struct hit more = take_hit(s);

        place.end = more.end > place.end ? more.end : place.end;
    }
    return place;
}

static size_t replace(const struct mask *m, struct buf *b, bool cut)
{
    struct buf out = { 0 };
    size_t hits = 0, done = 0;
    struct search search;
    struct hit place;

    search_init(&search, m, b, cut);
    while ((place = next_place(&search)).end > 0) {
        if (hits++ == 0)
            scratch_init(&out, b->len);
        buf_append(&out, b->data + done, place.start - done);
        buf_append_str(&out, "[secret]");
        done = place.end;
    }
    if (hits == 0)
        return 0;
    buf_append(&out, b->data + done, b->len - done);
    scratch_done(b);
    *b = out;
    return hits;
}

static size_t apply(const struct mask *m, struct buf *b, bool cut)
{
    size_t hits;

    if (m == NULL)
        return 0;
    lock(m);
    hits = replace(m, b, cut);
    unlock(m);
    return hits;
}

size_t mask_apply(const struct mask *m, struct buf *b)
{
    return apply(m, b, false);
}

size_t mask_apply_cut(const struct mask *m, struct buf *b)
{
    return apply(m, b, true);
}

static char *apply_text(const struct mask *m, char *text, bool cut)
{
    struct buf b = { 0 };

    buf_append_str(&b, text ? text : "");
    free(text);
    (void)apply(m, &b, cut); /* the count is the caller's business elsewhere */
    return buf_steal(&b);
}

char *mask_text(const struct mask *m, char *text)
{
    return apply_text(m, text, false);
}

char *mask_text_cut(const struct mask *m, char *text)
{
    return apply_text(m, text, true);
}
