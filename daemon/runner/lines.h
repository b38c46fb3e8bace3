/* lines.h - whole lines from pieces that are cut anywhere. Pure. A plain value; { 0 } is an empty
 * one. A line is as long as its writer makes it: who feeds bounds the whole (task.output_limit). */
#pragma once
#include "util/buf.h"
#include <stddef.h>

struct lines {
    struct buf rest; /* the line that isn't finished */
};

/* A line without its newline, not NUL-terminated; never an empty one. */
typedef void (*lines_fn)(const char *line, size_t len, void *ctx);

void lines_feed(struct lines *l, const char *bytes, size_t len, lines_fn fn, void *ctx);
/* After the last piece: what was left without a newline. */
void lines_end(struct lines *l, lines_fn fn, void *ctx);
void lines_done(struct lines *l);

/* Appends a line that isn't what was expected to what is kept of such: the end, where the reason
 * stands, of max bytes, as valid UTF-8 with a newline behind each. */
void lines_keep(struct buf *kept, const char *line, size_t len, size_t max);
