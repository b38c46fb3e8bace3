/* terminal.h - text from outside made fit for a person's terminal.
 * What a task says may hold escape sequences that retitle, rewrite or answer: none of them reaches
 * a terminal. The callers set LC_CTYPE to a UTF-8 locale, for widths of characters. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Appends s without escape sequences, C0 and C1 controls other than tab and newline, and the marks
 * that reorder text (Unicode's bidi controls); ill-formed UTF-8 becomes U+FFFD. */
void terminal_clean(struct buf *b, const char *s, size_t len);
/* As terminal_clean(), on one line (runs of white space become one space) of at most columns
 * columns; what was cut is shown by an ellipsis. */
void terminal_fit(struct buf *b, const char *s, size_t columns);
/* Columns of the terminal that fd is, 80 where it doesn't say. */
size_t terminal_columns(int fd);
/* Appends what shows text on the whole of a terminal of so many rows: each line over the one that
 * stands there, so that nothing flickers; lines past the last row are left out. clear: what stands
 * there is of another size. */
void terminal_frame(struct buf *b, const char *text, size_t rows, bool clear);
size_t terminal_rows(int fd); /* as above; 24 */
/* Whether fd is a terminal on which a line can be redrawn. */
bool terminal_can_redraw(int fd);
