#include "util/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { NEAREST_MAX = 64 }; /* longest word worth comparing */

bool str_eq(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool str_is_empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

bool str_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *s, const char *suffix)
{
    size_t len = strlen(s), want = strlen(suffix);

    return len >= want && memcmp(s + len - want, suffix, want) == 0;
}

int str_to_u64(const char *s, uint64_t max, uint64_t *ret_n)
{
    uint64_t n = 0;
    bool is_over = false;

    if (str_is_empty(s))
        return -EINVAL;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            is_over = true; /* but read on: "99x" is no number, whatever its size */
    }
    if (is_over || n > max)
        return -ERANGE;
    *ret_n = n;
    return 0;
}

const char *str_u64(char buffer[24], uint64_t n)
{
    (void)snprintf(buffer, 24, "%" PRIu64, n); /* 20 digits at most */
    return buffer;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Levenshtein's; both lengths are at most NEAREST_MAX. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NEAREST_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *str_nearest(const char *word, const char *const *names, size_t count)
{
    size_t len = strlen(word), best = SIZE_MAX;
    const char *nearest = NULL;

    if (len > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_len = strlen(names[i]), longer = len > name_len ? len : name_len, d;

        if (name_len > NEAREST_MAX)
            continue;
        d = distance(word, len, names[i], name_len);
        if (d * 3 <= longer && d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
