/* heading.h - the header lines of one request to the control plane, one of which holds the key, and
 * the words in its path. */
#pragma once
#include <stddef.h>

struct buf;

enum { HEADING_MAX = 9 };

/* Begins as { 0 }. */
struct heading {
    char *lines[HEADING_MAX + 1]; /* NULL behind the last */
    size_t count;
};

__attribute__((format(printf, 2, 3))) void heading_add(struct heading *h, const char *fmt, ...);
/* As an http_request has them; until the next heading_add(). */
const char *const *heading_lines(const struct heading *h);
void heading_done(struct heading *h); /* wipes what it frees */
/* A word that is a part of a path: RFC 3986 s2.3 names what needs no escape there. */
void heading_escape(struct buf *b, const char *s);
