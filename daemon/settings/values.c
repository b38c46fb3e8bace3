#include "settings/values.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

struct unit {
    const char *name;
    uint64_t worth;
};

/* The larger first. */
static const struct unit durations[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
static const struct unit sizes[] = {
    { "T", 1ull << 40 }, { "G", 1ull << 30 }, { "M", 1ull << 20 }, { "K", 1ull << 10 }, { "B", 1 },
};

/* The digits at *text, which moves past them. */
static int take_number(const char **text, uint64_t *ret_n)
{
    const char *c = *text;
    uint64_t n = 0;

    if (*c < '0' || *c > '9')
        return -EINVAL;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n))
            return -ERANGE;
    *text = c;
    *ret_n = n;
    return 0;
}

int values_duration(const char *text, uint64_t *ret_ms)
{
    uint64_t sum = 0, n;
    size_t next = 0; /* units from here on may still come */

    if (str_eq(text, "0")) {
        *ret_ms = 0;
        return 0;
    }
    do {
        size_t len, i;
        int r = take_number(&text, &n);

        if (r < 0)
            return r;
        len = strspn(text, "dhms");
        for (i = next; i < ARRAY_SIZE(durations); i++)
            if (strlen(durations[i].name) == len && memcmp(text, durations[i].name, len) == 0)
                break;
        if (i == ARRAY_SIZE(durations))
            return -EINVAL;
        if (__builtin_mul_overflow(n, durations[i].worth, &n) ||
            __builtin_add_overflow(sum, n, &sum))
            return -ERANGE;
        text += len;
        next = i + 1;
    } while (*text);
    *ret_ms = sum;
    return 0;
}

int values_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t n;
    int r = take_number(&text, &n);

    if (r < 0)
        return r;
    if (!*text && n == 0) {
        *ret_bytes = 0;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        if (*text != *sizes[i].name)
            continue;
        if (text[1] && (sizes[i].worth == 1 || (!str_eq(text + 1, "i") && !str_eq(text + 1, "iB"))))
            return -EINVAL;
        if (__builtin_mul_overflow(n, sizes[i].worth, &n))
            return -ERANGE;
        *ret_bytes = n;
        return 0;
    }
    return -EINVAL;
}

int values_percent(const char *text, uint64_t *ret_percent)
{
    uint64_t n;
    int r = take_number(&text, &n);

    if (r < 0)
        return r;
    if (!str_eq(text, "%"))
        return -EINVAL;
    *ret_percent = n;
    return 0;
}

const char *values_duration_text(char buffer[VALUES_TEXT_MAX], uint64_t ms)
{
    size_t n = 0;

    if (ms == 0)
        return memcpy(buffer, "0", 2);
    buffer[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(durations) && n < VALUES_TEXT_MAX; i++) {
        uint64_t count = ms / durations[i].worth;

        if (count == 0)
            continue;
        n += (size_t)snprintf(buffer + n, VALUES_TEXT_MAX - n, "%" PRIu64 "%s", count,
                              durations[i].name);
        ms %= durations[i].worth;
    }
    return buffer;
}

const char *values_size_text(char buffer[VALUES_TEXT_MAX], uint64_t bytes)
{
    size_t i = 0;

    if (bytes == 0)
        return memcpy(buffer, "0", 2);
    while (bytes % sizes[i].worth != 0)
        i++;
    (void)snprintf(buffer, VALUES_TEXT_MAX, "%" PRIu64 "%s", bytes / sizes[i].worth, sizes[i].name);
    return buffer;
}

/* The character at s, U+FFFD for a byte that belongs to none; its length. */
static size_t next_char(const char *s, uint32_t *ret_c)
{
    uint8_t first = (uint8_t)*s;
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? first : first & (0x7fU >> len);

    if (!utf8_is_valid(s, strnlen(s, len))) {
        *ret_c = 0xfffd;
        return 1;
    }
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((uint8_t)s[i] & 0x3f);
    *ret_c = c;
    return len;
}

/* YAML 1.1 s5.1 and s5.4: not printable there, or a line break, or the byte order mark. */
static bool is_escaped(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           (c >= 0xfffd && c <= 0xffff);
}

void values_word(struct buf *b, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:%+@";

    if (*text && text[strspn(text, plain)] == '\0' && !strchr("-:%@", *text) &&
        text[strlen(text) - 1] != ':' && strcmp(text, "null") != 0) {
        buf_append_str(b, text);
        return;
    }
    buf_append_char(b, '"');
    for (size_t len; *text; text += len) {
        uint32_t c;

        len = next_char(text, &c);
        if (is_escaped(c)) {
            buf_printf(b, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_append_char(b, '\\');
        buf_append(b, text, len);
    }
    buf_append_char(b, '"');
}
