#include "util/encodings.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/secret.h"

enum { PIECE_MIN = 16 };

struct sink {
    encodings_fn fn;
    void *ctx;
};

static void give(const struct sink *to, const char *bytes, size_t len)
{
    to->fn(bytes, len, to->ctx);
}

/* A buffer that won't move while it is filled, so that no copy of the value stays behind. */
static void reserve(struct buf *b, size_t most)
{
    (void)buf_reserve(b, most); /* nothing is written yet */
}

/* Tools break base64 into lines of 64 or 76, and text is often looked at line by line. */
static void add_lines_of(const struct sink *to, const char *text, size_t len, size_t width)
{
    for (size_t i = 0; len > width && i < len; i += width) {
        size_t here = len - i < width ? len - i : width;

        if (here >= PIECE_MIN)
            give(to, text + i, here);
    }
}

/* The value stands after `before` bytes that aren't known (0 to 2, modulo 3), and before others.
 * Digits that such bytes have a part in are left out; but the value may also be the last. */
static void add_base64_at(const struct sink *to, const char *value, size_t len, size_t before,
                          int variant)
{
    static const size_t digits_of_others[] = { 0, 2, 3 };
    size_t size = sodium_base64_encoded_len(before + len, variant), all, skip;
    CLEANUP(secret_wipe_buf) struct buf in = { 0 }, out = { 0 };

    reserve(&in, before + len);
    in.len = before;
    buf_append(&in, value, len);
    reserve(&out, size);
    (void)sodium_bin2base64(out.data, size, (const unsigned char *)in.data, in.len, variant);
    all = strlen(out.data);
    skip = digits_of_others[before];
    give(to, out.data + skip, all - skip);
    if (before == 0) {
        add_lines_of(to, out.data, all, 64);
        add_lines_of(to, out.data, all, 76);
    }
    while (all > 0 && out.data[all - 1] == '=')
        all--;
    give(to, out.data + skip, all - skip);
    if ((before + len) % 3 != 0)
        give(to, out.data + skip, all - skip - 1);
}

static void add_base64(const struct sink *to, const char *value, size_t len)
{
    for (size_t before = 0; before < 3; before++) {
        add_base64_at(to, value, len, before, sodium_base64_VARIANT_ORIGINAL);
        add_base64_at(to, value, len, before, sodium_base64_VARIANT_URLSAFE);
    }
}

static const char lower_digits[] = "0123456789abcdef", upper_digits[] = "0123456789ABCDEF";

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* kept: what stays as it is besides letters and digits. */
static void add_percent(const struct sink *to, const char *value, size_t len, const char *kept,
                        const char *digits, char space)
{
    CLEANUP(secret_wipe_buf) struct buf out = { 0 };

    reserve(&out, len * 3);
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
    give(to, out.data, out.len);
}

static void add_percents(const struct sink *to, const char *value, size_t len)
{
    /* RFC 3986 unreserved; encodeURIComponent(); a path segment; encodeURI(); HTML forms */
    static const char *const kept[] = { "-._~", "-._~!'()*", "-._~!$&'()*+,;=:@",
                                        "-._~!'()*;,/?:@&=+$#", "-._*" };

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        add_percent(to, value, len, kept[i], upper_digits, 0);
        add_percent(to, value, len, kept[i], lower_digits, 0);
        add_percent(to, value, len, kept[i], upper_digits, '+');
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

static void add_json(const struct sink *to, const char *value, size_t len)
{
    static const struct json_habit habits[] = {
        { false, false, false, lower_digits }, { true, false, false, lower_digits },
        { false, true, false, lower_digits },  { false, false, true, lower_digits },
        { false, false, true, upper_digits },  { true, false, true, lower_digits },
    };

    for (size_t i = 0; i < ARRAY_SIZE(habits); i++) {
        CLEANUP(secret_wipe_buf) struct buf once = { 0 }, twice = { 0 };

        reserve(&once, len * 6);
        for (size_t at = 0; at < len;)
            at += put_json(&once, value + at, len - at, &habits[i]);
        give(to, once.data, once.len);
        /* JSON inside a string of JSON, as progress of a task often is */
        reserve(&twice, once.len * 6);
        for (size_t at = 0; at < once.len;)
            at += put_json(&twice, once.data + at, once.len - at, &habits[i]);
        give(to, twice.data, twice.len);
    }
}

/* A value of several lines, such as a private key, is often seen a line at a time. */
static void add_value_lines(const struct sink *to, const char *value, size_t len)
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
            give(to, line, here);
    }
}

void encodings_each(const char *value, size_t len, encodings_fn fn, void *ctx)
{
    const struct sink to = { fn, ctx };

    give(&to, value, len);
    add_base64(&to, value, len);
    add_percents(&to, value, len);
    add_json(&to, value, len);
    add_value_lines(&to, value, len);
}
