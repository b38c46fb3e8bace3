#include "util/utf8.h"

#include <stdint.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"

/* Unicode 15 table 3-7: what the second byte may be after each lead byte, and how many follow. */
struct lead {
    uint8_t first, last;
    uint8_t second_min, second_max;
    uint8_t size;
};

static const struct lead leads[] = {
    { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
    { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static const struct lead *lead_of(uint8_t c)
{
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
        if (c >= leads[i].first && c <= leads[i].last)
            return &leads[i];
    return NULL;
}

/* Length of the character at s (len > 0), or of the maximal ill-formed sequence there. */
static size_t step(const uint8_t *s, size_t len, bool *ret_valid)
{
    const struct lead *lead;
    size_t n = 1;

    *ret_valid = true;
    if (s[0] < 0x80)
        return 1;
    *ret_valid = false;
    lead = lead_of(s[0]);
    if (lead == NULL || len < 2 || s[1] < lead->second_min || s[1] > lead->second_max)
        return 1;
    for (n = 2; n < lead->size; n++)
        if (n >= len || (s[n] & 0xc0) != 0x80)
            return n;
    *ret_valid = true;
    return n;
}

size_t utf8_prefix(const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;

    while (i < len) {
        bool valid;
        size_t n = step(p + i, len - i, &valid);

        if (!valid)
            break;
        i += n;
    }
    return i;
}

bool utf8_is_valid(const char *s, size_t len)
{
    return utf8_prefix(s, len) == len;
}

/* ESC [ parameters intermediates final (ECMA-48 5.4); what isn't one ends where it stops fitting.
 */
static size_t csi_len(const uint8_t *s, size_t len)
{
    size_t i = 2;

    while (i < len && s[i] >= 0x30 && s[i] <= 0x3f)
        i++;
    while (i < len && s[i] >= 0x20 && s[i] <= 0x2f)
        i++;
    if (i < len && s[i] >= 0x40 && s[i] <= 0x7e)
        i++;
    return i;
}

/* ESC ] ... BEL or ESC \, and its relatives. One that is never closed swallows no more than the
 * rest of its line. */
static size_t string_len(const uint8_t *s, size_t len)
{
    size_t i = 2;

    while (i < len && s[i] >= 0x20)
        i++;
    if (i < len && s[i] == 0x07)
        return i + 1;
    if (i + 1 < len && s[i] == 0x1b && s[i + 1] == '\\')
        return i + 2;
    return i;
}

/* Length of the escape sequence at s[0] == ESC. */
static size_t escape_len(const uint8_t *s, size_t len)
{
    size_t i = 1;

    if (len < 2)
        return 1;
    if (s[1] == '[')
        return csi_len(s, len);
    if (strchr("]PX^_", s[1]) != NULL && s[1] != 0)
        return string_len(s, len);
    while (i < len && s[i] >= 0x20 && s[i] <= 0x2f)
        i++;
    if (i < len && s[i] >= 0x30 && s[i] <= 0x7e)
        i++;
    return i;
}

static bool is_plain(uint8_t c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n';
}

void utf8_clean(struct buf *b, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0, n;
    bool valid;

    while (i < len) {
        for (n = 0; i + n < len && is_plain(p[i + n]); n++)
            ;
        if (n > 0) { /* a run at a time: nearly all text is plain */
            buf_append(b, s + i, n);
            i += n;
            continue;
        }
        if (p[i] == 0x1b) {
            i += escape_len(p + i, len - i);
            continue;
        }
        if (p[i] < 0x80) { /* a control byte; the LF of a CR LF comes by itself */
            i++;
            continue;
        }
        n = step(p + i, len - i, &valid);
        if (!valid)
            buf_append_str(b, "\xef\xbf\xbd");
        else if (p[i] != 0xc2 || p[i + 1] >= 0xa0) /* C1 controls: U+009B is a CSI of its own */
            buf_append(b, s + i, n);
        i += n;
    }
}

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

size_t utf8_cut(const char *s, size_t len, size_t max)
{
    size_t n = max;

    if (len <= max)
        return len;
    while (n > 0 && is_continuation(s[n]))
        n--;
    return n;
}

size_t utf8_tail(const char *s, size_t len, size_t max)
{
    size_t i;

    if (len <= max)
        return 0;
    for (i = len - max; i < len && is_continuation(s[i]); i++)
        ;
    return i;
}

const char *utf8_line(char *line, size_t size, const char *text)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    size_t len;

    utf8_clean(&clean, text, strlen(text));
    len = utf8_cut(buf_str(&clean), clean.len, size - 1);
    for (size_t i = 0; i < len; i++)
        line[i] = clean.data[i] == '\n' || clean.data[i] == '\t' ? ' ' : clean.data[i];
    line[len] = '\0';
    return line;
}
