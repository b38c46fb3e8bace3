/* censor.h - takes a key out of a stream: each byte of it becomes a star, so that lengths stay as
 * they were announced. What may be the beginning of the key is held back until more is known. Pure.
 */
#pragma once
#include <stddef.h>

struct buf;

struct censor {
    const char *key; /* borrowed */
    size_t len;
    size_t held; /* that many bytes of the key have come last */
};

/* Appends to out what can be passed on now. */
void censor_feed(struct censor *c, const char *bytes, size_t len, struct buf *out);
/* The stream is at its end: appends what was held back. */
void censor_end(struct censor *c, struct buf *out);
