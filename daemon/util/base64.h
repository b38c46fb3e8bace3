/* base64.h - standard base64 read as it comes, in pieces cut anywhere. Pure.
 * Strict: padded, nothing but the alphabet in it (no line breaks), and no bits that say nothing.
 * Source: RFC 4648 s4, s3.2 to s3.5. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* { 0 } is the beginning. */
struct base64 {
    uint32_t bits;  /* of the group of four that is being read */
    unsigned count; /* of its characters, 0 to 3 */
    bool padded;    /* there was padding: the group ends with it, and all with the group */
};

/* The most bytes that so many further characters can stand for. */
static inline size_t base64_room(size_t len)
{
    return len / 4 * 3 + 3;
}
/* Writes what s stands for to out, which has base64_room(len). Returns how many bytes, or -EILSEQ
 * for what is no base64; *b is of no use then. */
ssize_t base64_decode(struct base64 *b, const char *s, size_t len, unsigned char *out);
/* Whether it may end here. */
bool base64_is_whole(const struct base64 *b);
