/* printout.h - what is alike in all that programs print as one JSON object a line, for the
 * parsers of runners: lines that are none are skipped, and their end is kept for the error; the id
 * of the conversation and the end of the work are told; without an end there are last words. Pure.
 * A plain value; printout_done() frees what it grew. */
#pragma once
#include "runner/lines.h"
#include "runner/runner.h"
#include "util/buf.h"

struct json;

enum {
    PRINTOUT_NODES_MAX = 256 * 1024, /* values in one line: what a long diff has, many times */
    PRINTOUT_SESSIONS_MAX = 8,       /* that one run may have; more is noise */
    PRINTOUT_JUNK_MAX = 2000         /* bytes that are kept of what isn't JSON */
};

/* One object. What it makes known is told by the printout's fn. */
typedef void (*printout_fn)(const struct json *line, void *parser);

struct printout {
    printout_fn on_line;
    void *parser; /* on_line's, borrowed */
    struct lines lines;
    struct buf junk;                      /* what wasn't JSON */
    struct buf said;                      /* what the model said last, to the user */
    size_t reply_limit;                   /* bytes of it that are kept */
    char session[RUNNER_SESSION_MAX + 1]; /* as last told */
    unsigned sessions;
    struct runner_result result;
    runner_event_fn fn; /* of the piece that is being read, as is ctx */
    void *ctx;
};

void printout_init(struct printout *out, const struct settings *settings, printout_fn on_line,
                   void *parser);
void printout_done(struct printout *out);
/* One piece, cut anywhere: calls on_line for each object that ends in it. */
void printout_feed(struct printout *out, const char *bytes, size_t len, runner_event_fn fn,
                   void *ctx);

/* For on_line, whatever the string is; NULL for none. */

/* Tells an id of the conversation that is new, if it is one that can be gone on with. */
void printout_session(struct printout *out, const char *id);
/* What the model says now, instead of what it said before: the beginning that the reply's limit
 * leaves. Returns how many bytes don't fit. */
size_t printout_say(struct printout *out, const char *text);
/* The result is there. Takes over what it holds; a later one replaces it. The first one is told:
 * from then on nothing that runs matters. */
void printout_conclude(struct printout *out, struct runner_result *result);

/* After the last piece, which may lack its newline; nobody is told of anything any more. Returns
 * whether there is a result. Where there is none its text becomes the last words: what isn't JSON,
 * or else what was said, which is no answer. */
bool printout_end(struct printout *out);
/* Hands out the result. */
void printout_take(struct printout *out, struct runner_result *ret_result);
