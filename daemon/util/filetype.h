/* filetype.h - what kind of file some bytes are, by themselves, as they come. Pure.
 * Source: Nairi agents API, inbound attachments: a list of first bytes, tested in its order; .txt
 * is what is UTF-8 to its end and looks like text where it begins, .bin is the rest. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { FILETYPE_HEAD = 512, FILETYPE_EXTENSION_MAX = 8 };

/* { 0 } is the beginning. */
struct filetype {
    unsigned char head[FILETYPE_HEAD];
    size_t head_len;
    bool not_utf8;
    unsigned char more, low, high; /* bytes that a character lacks, and which the next one may be */
};

void filetype_feed(struct filetype *f, const void *bytes, size_t len);
/* The extension, with its dot, of all that was fed. Static. */
const char *filetype_extension(const struct filetype *f);
/* Each that there can be, once; NULL past the last one. */
const char *filetype_nth(size_t n);
