/* utf8.h - text from outside made fit to send and to print. Pure.
 * Source: Unicode 15 table 3-7 (well-formed byte sequences). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buf;

bool utf8_is_valid(const char *s, size_t len);
/* How many of the first bytes are well-formed; len if all are. */
size_t utf8_prefix(const char *s, size_t len);
/* Appends s to b with each maximal ill-formed sequence replaced by U+FFFD, C0 controls other than
 * tab and newline (and DEL and C1 controls) dropped, and CR LF turned into LF. ANSI escape
 * sequences (CSI, OSC and their kin) are dropped whole; one that is never closed ends with its
 * line. */
void utf8_clean(struct buf *b, const char *s, size_t len);
/* text on one line: cleaned as by utf8_clean(), with spaces for tabs and newlines, and cut to
 * size - 1 bytes at a character. For foreign words in a sentence of ours. Returns line. */
const char *utf8_line(char *line, size_t size, const char *text);
/* The largest n <= max such that the first n bytes of valid UTF-8 s end on a character boundary. */
size_t utf8_cut(const char *s, size_t len, size_t max);
/* The smallest offset >= len - max (0 if len <= max) that is a character boundary: for tails. */
size_t utf8_tail(const char *s, size_t len, size_t max);
