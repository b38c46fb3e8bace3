#include "egress/censor.h"

#include <string.h>

#include "util/buf.h"

/* How many bytes at the end are the beginning of the key, less than all of it. */
static size_t find_beginning(const struct censor *c, const char *bytes, size_t len)
{
    for (size_t n = len < c->len ? len : c->len - 1; n > 0; n--)
        if (memcmp(bytes + len - n, c->key, n) == 0)
            return n;
    return 0;
}

void censor_feed(struct censor *c, const char *bytes, size_t len, struct buf *out)
{
    size_t start = out->len;
    char *at;

    if (c->len == 0) {
        buf_append(out, bytes, len);
        return;
    }
    buf_append(out, c->key, c->held);
    buf_append(out, bytes, len);
    for (size_t from = start; (at = memmem(out->data + from, out->len - from, c->key, c->len));) {
        memset(at, '*', c->len);
        from = (size_t)(at - out->data) + c->len;
    }
    c->held = find_beginning(c, out->data + start, out->len - start);
    memset(out->data + out->len - c->held, 0, c->held); /* nothing of a key stays there */
    out->len -= c->held;
}

void censor_end(struct censor *c, struct buf *out)
{
    buf_append(out, c->key, c->held);
    c->held = 0;
}
