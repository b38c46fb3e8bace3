/* buf.h - a growable byte string.
 * A plain value; { 0 } is an empty one. data is always NUL-terminated after the first append (the
 * NUL is not counted in len); NULL before. Bounded growth is the caller's job: check a size that
 * comes from input against a limit before appending. */
#pragma once
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_append_str(struct buf *b, const char *s);
void buf_append_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for extra bytes more; returns where the first of them goes. Then set len yourself. */
char *buf_reserve(struct buf *b, size_t extra);
/* Removes the first n bytes; n > len empties it. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* len 0, keeps the memory */
/* Hands out the NUL-terminated memory (never NULL) and leaves b empty. The caller frees it. */
char *buf_steal(struct buf *b);
/* The contents as a string: "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);
void buf_done(struct buf *b);
