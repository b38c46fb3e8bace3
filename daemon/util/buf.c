#include "util/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { CAP_MIN = 64 };

/* Room for extra bytes and the NUL. */
static void grow(struct buf *b, size_t extra)
{
    size_t need, cap = b->cap > CAP_MIN ? b->cap : CAP_MIN;

    if (__builtin_add_overflow(b->len, extra, &need) || __builtin_add_overflow(need, 1, &need))
        need = SIZE_MAX; /* mem_realloc() refuses that for us */
    if (b->data != NULL && need <= b->cap)
        return;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    grow(b, len);
    if (len > 0)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        grow(b, (size_t)n);
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again); /* the same n again */
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

char *buf_reserve(struct buf *b, size_t extra)
{
    grow(b, extra);
    memset(b->data + b->len, 0, extra + 1); /* so a NUL follows whatever is put there */
    return b->data + b->len;
}

void buf_consume(struct buf *b, size_t n)
{
    if (b->data == NULL || n == 0)
        return;
    if (n > b->len)
        n = b->len;
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
    b->data[b->len] = '\0';
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *buf_steal(struct buf *b)
{
    char *data = b->data != NULL ? b->data : mem_alloc(1);

    *b = (struct buf){ 0 };
    return data;
}

const char *buf_str(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}
