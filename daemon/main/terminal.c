#include "main/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/utf8.h"

enum { COLUMNS_UNKNOWN = 80, ROWS_UNKNOWN = 24 };

/* Unicode 15: Cc beyond ASCII, and the explicit directional marks (UAX 9 table 1). */
static const struct {
    wchar_t first, last;
} hidden[] = {
    { 0x80, 0x9f }, { 0x061c, 0x061c }, { 0x200e, 0x200f }, { 0x202a, 0x202e }, { 0x2066, 0x2069 }
};

static bool is_hidden(wchar_t c)
{
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    return false;
}

/* The character at s; its length, at least 1. */
static size_t next_char(const char *s, size_t len, wchar_t *ret_c)
{
    mbstate_t state = { 0 };
    size_t n = mbrtowc(ret_c, s, len, &state);

    if (n != 0 && n <= len)
        return n;
    *ret_c = L'?'; /* not in a UTF-8 locale */
    return 1;
}

void terminal_clean(struct buf *b, const char *s, size_t len)
{
    CLEANUP(buf_done) struct buf clean = { 0 };

    utf8_clean(&clean, s, len);
    for (size_t i = 0, n; i < clean.len; i += n) {
        wchar_t c;

        n = next_char(clean.data + i, clean.len - i, &c);
        if (!is_hidden(c))
            buf_append(b, clean.data + i, n);
    }
}

static void squeeze(struct buf *b, const char *s, size_t len)
{
    bool gap = false;

    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\n", s[i])) {
            gap = b->len > 0;
            continue;
        }
        if (gap)
            buf_append_char(b, ' ');
        gap = false;
        buf_append_char(b, s[i]);
    }
}

void terminal_fit(struct buf *b, const char *s, size_t columns)
{
    CLEANUP(buf_done) struct buf clean = { 0 }, line = { 0 };
    size_t used = 0, fits = 0; /* fits: bytes after which an ellipsis still has room */

    terminal_clean(&clean, s, strlen(s));
    squeeze(&line, buf_str(&clean), clean.len);
    for (size_t i = 0, n; i < line.len; i += n) {
        wchar_t c;
        int width;

        n = next_char(line.data + i, line.len - i, &c);
        width = wcwidth(c);
        used += width > 0 ? (size_t)width : 0;
        if (used > columns) {
            buf_append(b, line.data, fits);
            if (columns > 0)
                buf_append_str(b, "\u2026");
            return;
        }
        if (used < columns)
            fits = i + n;
    }
    buf_append(b, buf_str(&line), line.len);
}

size_t terminal_columns(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_UNKNOWN;
    return size.ws_col;
}

size_t terminal_rows(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return ROWS_UNKNOWN;
    return size.ws_row;
}

void terminal_frame(struct buf *b, const char *text, size_t rows, bool clear)
{
    buf_append_str(b, clear ? "\033[H\033[2J" : "\033[H");
    for (size_t row = 1; row < rows && *text; row++) { /* the cursor stays below them */
        size_t len = strcspn(text, "\n");

        buf_append(b, text, len);
        buf_append_str(b, "\033[K\n");
        text += len + (text[len] == '\n');
    }
    buf_append_str(b, "\033[J");
}

bool terminal_can_redraw(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && !str_is_empty(term) && !str_eq(term, "dumb");
}
