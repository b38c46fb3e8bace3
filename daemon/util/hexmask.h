/* hexmask.h - finds known secret values where they are written as hex, also as dumps print them.
 * The digits of a byte may stand apart from the next byte's: by blanks, line ends, ':', '-', ',',
 * ';', '.', '%', '\', 0x or \x, in either case ("6a6b", "6a 6b", "6A:6b", "0x6a, 0x6b", "%6a%6b"),
 * and the two bytes of a word may be exchanged (od -x, hexdump). Any HEXMASK_WINDOW bytes of a
 * value that follow each other are found, so a dump that has something else at each line's
 * beginning shows at most one less of them. Such a window is 64 bits, which don't come about by
 * chance. For util/mask.c alone; the same rules hold. One step a character, whatever the number of
 * values. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct hexmask;

enum { HEXMASK_WINDOW = 8 };

struct hexmask *hexmask_new(void);
/* Shorter than a window: nothing is added. The same value twice is kept once. */
void hexmask_add(struct hexmask *h, const char *value, size_t len);
/* The first hit in text that begins at or after from: its end, and where it starts in *ret_start;
 * 0 if there is none. Windows that overlap are one hit. */
size_t hexmask_find(const struct hexmask *h, const char *text, size_t len, size_t from,
                    size_t *ret_start);
void hexmask_free(struct hexmask *h); /* wipes */
DEFINE_CLEANUP(struct hexmask *, hexmask_free);
