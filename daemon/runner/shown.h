/* shown.h - one progress message in the making: what a program printed, made fit to send. Pure. A
 * plain value; { 0 } but for progress is an empty one, shown_done() frees what it grew. */
#pragma once
#include "runner/runner.h"
#include "util/buf.h"

enum {
    SHOWN_TEXT_MAX = 16 * 1024, /* of what was said, and of a tool's output */
    SHOWN_SHORT_MAX = 1000,     /* of everything else */
    SHOWN_ID_MAX = 128,
};

struct shown {
    struct progress progress; /* its strings borrowed from the bufs below, or from elsewhere */
    struct buf text, input, output, summary, tool, id, parent;
    bool cut; /* some text is only a beginning */
};

/* The cleaned beginning of s, kept in b, one of the bufs; NULL for NULL and for what has nothing to
 * show. */
const char *shown_text(struct shown *shown, struct buf *b, const char *s, size_t max);
void shown_report(const struct shown *shown, runner_event_fn fn, void *ctx);
void shown_done(struct shown *shown);

/* Whole messages. A step of the work; status: NULL for none. */
void shown_step(const char *summary, const char *status, runner_event_fn fn, void *ctx);
/* What the model said, unless that is nothing; parent: the call within which, NULL for none. */
void shown_say(const char *text, const char *parent, runner_event_fn fn, void *ctx);
