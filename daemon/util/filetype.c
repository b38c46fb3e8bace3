#include "util/filetype.h"

#include <string.h>

#include "util/cleanup.h"

struct magic {
    const char *bytes;
    size_t len;
    const char *extension;
};
#define MAGIC(bytes, extension)                                                                    \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, extension                                                        \
    }

static const struct magic magics[] = {
    MAGIC("\x89PNG\r\n\x1a\n", ".png"),
    MAGIC("\xff\xd8\xff", ".jpg"),
    MAGIC("GIF87a", ".gif"),
    MAGIC("GIF89a", ".gif"),
    MAGIC("%PDF", ".pdf"),
    MAGIC("PK\x03\x04", ".zip"),
    MAGIC("BM", ".bmp"),
    MAGIC("\x00\x00\x01\x00", ".ico"),
    MAGIC("\x1f\x8b", ".gz"),
    MAGIC("Rar!", ".rar"),
    MAGIC("7z\xbc\xaf\x27\x1c", ".7z"),
    MAGIC("BZh", ".bz2"),
    MAGIC("RIFF", ".webp"), /* and another word behind it */
    MAGIC("\xd0\xcf\x11\xe0", ".doc"),
    MAGIC("#!", ".sh"),
    MAGIC("<?php", ".php"),
    MAGIC("<?xml", ".xml"),
};

/* ---- whether it is UTF-8: Unicode 15 table 3-7 ---- */

static bool begin_character(struct filetype *f, unsigned char c)
{
    f->low = 0x80;
    f->high = 0xbf;
    if (c < 0x80)
        return true;
    if (c >= 0xc2 && c <= 0xdf) {
        f->more = 1;
    } else if ((c & 0xf0) == 0xe0) {
        f->more = 2;
        if (c == 0xe0)
            f->low = 0xa0;
        if (c == 0xed)
            f->high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        f->more = 3;
        if (c == 0xf0)
            f->low = 0x90;
        if (c == 0xf4)
            f->high = 0x8f;
    } else {
        return false;
    }
    return true;
}

static bool take(struct filetype *f, unsigned char c)
{
    if (f->more == 0)
        return begin_character(f, c);
    if (c < f->low || c > f->high)
        return false;
    f->more--;
    f->low = 0x80;
    f->high = 0xbf;
    return true;
}

void filetype_feed(struct filetype *f, const void *bytes, size_t len)
{
    const unsigned char *s = bytes;
    size_t room = sizeof f->head - f->head_len, keep = len < room ? len : room;

    memcpy(f->head + f->head_len, s, keep);
    f->head_len += keep;
    for (size_t i = 0; i < len && !f->not_utf8; i++)
        f->not_utf8 = !take(f, s[i]);
}

/* ---- what it is ---- */

static bool looks_like_text(const struct filetype *f)
{
    size_t plain = 0;

    for (size_t i = 0; i < f->head_len; i++) {
        unsigned char c = f->head[i];

        plain += c == '\t' || c == '\n' || c == '\r' || (c >= ' ' && c <= '~');
    }
    return plain * 100 >= f->head_len * 95;
}

static bool fits(const struct filetype *f, const struct magic *m)
{
    if (f->head_len < m->len || memcmp(f->head, m->bytes, m->len) != 0)
        return false;
    return strcmp(m->extension, ".webp") != 0 ||
           (f->head_len >= 12 && memcmp(f->head + 8, "WEBP", 4) == 0);
}

const char *filetype_extension(const struct filetype *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
        if (fits(f, &magics[i]))
            return magics[i].extension;
    return f->head_len > 0 && !f->not_utf8 && f->more == 0 && looks_like_text(f) ? ".txt" : ".bin";
}

const char *filetype_nth(size_t n)
{
    static const char *const others[] = { ".txt", ".bin" };

    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if (i > 0 && strcmp(magics[i].extension, magics[i - 1].extension) == 0)
            continue; /* two kinds of one */
        if (n-- == 0)
            return magics[i].extension;
    }
    return n < ARRAY_SIZE(others) ? others[n] : NULL;
}
