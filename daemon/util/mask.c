#include "util/mask.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/encodings.h"
#include "util/hexmask.h"
#include "util/mem.h"
#include "util/secret.h"

/* Every needle has at least MASK_MIN bytes, so the hash of that many finds the few that can start
 * at a place of the text: one multiplication a byte, whatever the text and the number of needles.
 */
enum { BUCKET_BITS = 12, BUCKETS = 1 << BUCKET_BITS };

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

static void add_needle(const char *bytes, size_t len, void *ctx)
{
    struct mask *m = ctx;
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

static void add_forms(struct mask *m, const char *value, size_t len)
{
    encodings_each(value, len, add_needle, m);
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
            (void)buf_reserve(&out, b->len); /* nothing is written yet */
        buf_append(&out, b->data + done, place.start - done);
        buf_append_str(&out, "[secret]");
        done = place.end;
    }
    if (hits == 0)
        return 0;
    buf_append(&out, b->data + done, b->len - done);
    secret_wipe_buf(b);
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
