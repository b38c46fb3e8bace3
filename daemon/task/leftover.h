/* leftover.h - what a survey (sandbox/survey.h) found in a job's directories, as data: written by a
 * process that read hostile files, so read here as any foreign bytes; what of it is new since an
 * earlier survey; and the words for that. Pure. */
#pragma once
#include "task/planted.h"
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct mask;

enum {
    LEFTOVER_PRINT_BYTES = 16,
    LEFTOVER_PATH_MAX = 4096,       /* limits.h: PATH_MAX, with the NUL */
    LEFTOVERS_MAX = 4096,           /* in one survey */
    LEFTOVERS_BYTES_MAX = 1 << 20,  /* of it, encoded */
    LEFTOVERS_WORDS_MAX = 2 * 1024, /* of leftover_describe() */
};

enum leftover_place { LEFTOVER_WORKSPACE, LEFTOVER_HOME, LEFTOVER_PLACE_COUNT };

/* Why a survey is not the whole truth; a set of bits. */
enum leftovers_gap {
    LEFTOVERS_TIME = 1,      /* it ran out of time */
    LEFTOVERS_ENTRIES = 2,   /* or there were too many files */
    LEFTOVERS_DEEP = 4,      /* or directories in each other */
    LEFTOVERS_FOUND = 8,     /* or findings */
    LEFTOVERS_UNREAD = 16,   /* something could not be read */
    LEFTOVERS_PACKAGES = 32, /* packages have files that would count elsewhere */
    LEFTOVERS_GAPS_ALL = 63
};

struct leftover {
    enum planted_kind kind;
    enum leftover_place place;
    unsigned char print[LEFTOVER_PRINT_BYTES]; /* differs where what was found does */
    bool untold;                               /* of what is known: found, and not yet named */
    char *path; /* relative, as the file system has it: any bytes but NUL */
};

struct leftovers {
    struct leftover *items;
    size_t len;
    uint32_t entries; /* that were looked at */
    uint32_t gaps;
};

/* Writing: begin, any number of adds, end. leftover_add() leaves item->path alone and takes path;
 * it returns false when there is no room for more. */
void leftover_begin(struct buf *b);
bool leftover_add(struct buf *b, const struct leftover *item, const char *path);
void leftover_end(struct buf *b, uint32_t entries, uint32_t gaps);

/* -EBADMSG for what those can't have written. On success *ret is sorted, and without doubles;
 * leftover_done() frees it. */
int leftover_read(const void *bytes, size_t len, struct leftovers *ret);
void leftover_done(struct leftovers *l);

/* What is in now and wasn't so, or was untold, in before, in one paragraph for the chat, without
 * mentioning what can't be told: at most LEFTOVERS_WORDS_MAX bytes of valid UTF-8, one line; empty
 * where there is nothing to say: what now couldn't look at is said where there is news, or before
 * didn't have the same. Some are named and the others counted; those are untold in *known, which is
 * what is known once the words are told, written as above. before: NULL where it isn't known what
 * was there. mask: of what no path may show, which is looked for before a path is quoted and cut;
 * may be NULL. known: may be NULL. */
void leftover_describe(const struct leftovers *now, const struct leftovers *before,
                       const struct mask *mask, struct buf *b, struct buf *known);
/* A path fit for a sentence: control characters, what is no UTF-8, and what could end or turn the
 * quotation are shown as \n, \x1b, \u{202e}; cut in the middle to at most max bytes (64 or more).
 */
void leftover_quote(const char *path, size_t max, struct buf *b);
