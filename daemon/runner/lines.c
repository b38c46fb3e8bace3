#include "runner/lines.h"

#include <string.h>

#include "util/utf8.h"

static void give(const char *line, size_t len, lines_fn fn, void *ctx)
{
    if (len > 0)
        fn(line, len, ctx);
}

void lines_feed(struct lines *l, const char *bytes, size_t len, lines_fn fn, void *ctx)
{
    const char *end;

    while ((end = memchr(bytes, '\n', len))) {
        size_t part = (size_t)(end - bytes);

        if (l->rest.len > 0) {
            buf_append(&l->rest, bytes, part);
            give(l->rest.data, l->rest.len, fn, ctx);
            buf_clear(&l->rest);
        } else {
            give(bytes, part, fn, ctx);
        }
        len -= part + 1;
        bytes = end + 1;
    }
    buf_append(&l->rest, bytes, len);
}

void lines_end(struct lines *l, lines_fn fn, void *ctx)
{
    give(buf_str(&l->rest), l->rest.len, fn, ctx);
    buf_clear(&l->rest);
}

void lines_done(struct lines *l)
{
    buf_done(&l->rest);
}

void lines_keep(struct buf *kept, const char *line, size_t len, size_t max)
{
    size_t from = len > max ? len - max : 0;

    utf8_clean(kept, line + from, len - from);
    buf_append_char(kept, '\n');
    if (kept->len > max)
        buf_consume(kept, utf8_tail(kept->data, kept->len, max));
}
