#include "upstream/heading.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/mem.h"
#include "util/secret.h"

void heading_add(struct heading *h, const char *fmt, ...)
{
    va_list ap;
    char *line = NULL;
    int len;

    assert(h->count < HEADING_MAX);
    va_start(ap, fmt);
    len = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (len < 0)
        mem_die();
    h->lines[h->count++] = line;
}

void heading_done(struct heading *h)
{
    for (size_t i = 0; i < h->count; i++) {
        secret_wipe(h->lines[i], strlen(h->lines[i]));
        free(h->lines[i]);
    }
}

const char *const *heading_lines(const struct heading *h)
{
    return (const char *const *)h->lines;
}

/* RFC 3986 s2.3: what needs no escape in a path. */
void heading_escape(struct buf *b, const char *s)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (; *s; s++) {
        if (strchr(unreserved, *s))
            buf_append_char(b, *s);
        else
            buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    }
}
