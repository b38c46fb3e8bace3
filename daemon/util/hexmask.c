#include "util/hexmask.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "util/mem.h"
#include "util/secret.h"

enum {
    BUCKET_BITS = 12,
    BUCKETS = 1 << BUCKET_BITS,
    DIGITS = 2 * HEXMASK_WINDOW,
    GAP_MAX = 16, /* characters between two digits */
};

/* The bytes of one window, the first one highest. */
struct window {
    struct window *next; /* of the same bucket */
    uint64_t bytes;
};

/* Those that came with one value. */
struct block {
    struct block *next;
    size_t len;
    struct window items[];
};

struct hexmask {
    struct window *buckets[BUCKETS];
    struct block *blocks;
};

struct hexmask *hexmask_new(void)
{
    return mem_new(struct hexmask);
}

void hexmask_free(struct hexmask *h)
{
    struct block *b, *next;

    if (!h)
        return;
    for (b = h->blocks; b; b = next) {
        next = b->next;
        secret_wipe(b, sizeof *b + b->len * sizeof b->items[0]);
        free(b);
    }
    free(h);
}

static size_t bucket_of(uint64_t bytes)
{
    return (size_t)(bytes * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BUCKET_BITS));
}

static bool is_known(const struct hexmask *h, uint64_t bytes)
{
    const struct window *w = __atomic_load_n(&h->buckets[bucket_of(bytes)], __ATOMIC_ACQUIRE);

    while (w && w->bytes != bytes)
        w = w->next;
    return w != NULL;
}

static void add_window(struct hexmask *h, struct block *b, uint64_t bytes)
{
    struct window *w = &b->items[b->len], **bucket = &h->buckets[bucket_of(bytes)];

    if (is_known(h, bytes))
        return;
    b->len++;
    w->bytes = bytes;
    w->next = *bucket;
    __atomic_store_n(bucket, w, __ATOMIC_RELEASE); /* whole, for a thread that masks just now */
}

static uint64_t with_exchanged_pairs(uint64_t bytes)
{
    const uint64_t low = UINT64_C(0x00ff00ff00ff00ff);

    return (bytes & low) << 8 | (bytes >> 8 & low);
}

void hexmask_add(struct hexmask *h, const char *value, size_t len)
{
    uint64_t bytes = 0;
    struct block *b;

    if (len < HEXMASK_WINDOW)
        return;
    b = mem_alloc(sizeof *b + 2 * (len - HEXMASK_WINDOW + 1) * sizeof b->items[0]);
    for (size_t i = 0; i < len; i++) {
        bytes = bytes << 8 | (unsigned char)value[i];
        if (i + 1 < HEXMASK_WINDOW)
            continue;
        add_window(h, b, bytes);
        add_window(h, b, with_exchanged_pairs(bytes));
    }
    if (b->len == 0) { /* a value that came before, as each attempt reads them anew */
        free(b);
        return;
    }
    b->next = h->blocks;
    h->blocks = b;
}

/* ---- finding ---- */

enum { OTHER, DIGIT, SEPARATOR = DIGIT + 16, PREFIX };

/* clang-format off */
static const uint8_t classes[256] = { /* of a digit: DIGIT and its value */
    ['0'] = DIGIT, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ['A'] = DIGIT + 10, 12, 13, 14, 15, 16,
    ['a'] = DIGIT + 10, 12, 13, 14, 15, 16,
    [' '] = SEPARATOR, ['\t'] = SEPARATOR, ['\n'] = SEPARATOR, ['\r'] = SEPARATOR,
    [':'] = SEPARATOR, ['-'] = SEPARATOR, [','] = SEPARATOR, [';'] = SEPARATOR,
    ['.'] = SEPARATOR, ['%'] = SEPARATOR, ['\\'] = SEPARATOR,
    ['x'] = PREFIX, ['X'] = PREFIX,
};
/* clang-format on */

/* The digits seen last. */
struct digits {
    uint64_t last, before; /* the value of the last DIGITS; the same without the last one */
    size_t count;
    size_t at[DIGITS]; /* where each stood */
};

static void take_digit(struct digits *d, unsigned digit, size_t at)
{
    if (d->count > 0 && at - d->at[(d->count - 1) % DIGITS] > GAP_MAX)
        d->count = 0;
    d->before = d->last;
    d->last = d->last << 4 | digit;
    d->at[d->count++ % DIGITS] = at;
}

/* An x belongs to what stands before it: 0x or \x. */
static void take_prefix(struct digits *d, const char *text, size_t at)
{
    if (at > 0 && text[at - 1] == '\\')
        return;
    if (d->count == 0 || at == 0 || text[at - 1] != '0') {
        d->count = 0;
        return;
    }
    d->last = d->before;
    d->count--;
}

/* Where the last DIGITS began; SIZE_MAX where there are fewer. */
static size_t window_start(const struct digits *d)
{
    return d->count < DIGITS ? SIZE_MAX : d->at[d->count % DIGITS];
}

size_t hexmask_find(const struct hexmask *h, const char *text, size_t len, size_t from,
                    size_t *ret_start)
{
    struct digits d = { 0 };
    size_t end = 0;

    for (size_t i = from; i < len; i++) {
        unsigned class = classes[(unsigned char)text[i]];

        if (class == SEPARATOR)
            continue;
        if (class == OTHER)
            d.count = 0;
        else if (class == PREFIX)
            take_prefix(&d, text, i);
        else
            take_digit(&d, class - DIGIT, i);
        if (end > 0 && window_start(&d) >= end)
            break; /* nothing that follows overlaps */
        if (class >= DIGIT && class < SEPARATOR && d.count >= DIGITS && is_known(h, d.last)) {
            *ret_start = end == 0 ? window_start(&d) : *ret_start;
            end = i + 1;
        }
    }
    return end;
}
