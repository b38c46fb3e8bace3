#include "task/rulebook.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

#define FENCE "---"

/* The line at *at, moved behind it; false at the end. */
static bool take_line(const char **at, const char *end, const char **ret_line, size_t *ret_len)
{
    const char *newline;

    if (*at == end)
        return false;
    newline = memchr(*at, '\n', (size_t)(end - *at));
    *ret_line = *at;
    *ret_len = (size_t)((newline ? newline : end) - *at);
    *at = newline ? newline + 1 : end;
    if (*ret_len > 0 && (*ret_line)[*ret_len - 1] == '\r')
        (*ret_len)--;
    return true;
}

/* What stands behind "KEY:", without quotes around it; NULL for another line. */
static char *value_of(const char *line, size_t len, const char *key)
{
    size_t skip = strlen(key);

    if (len <= skip || memcmp(line, key, skip) != 0 || line[skip] != ':')
        return NULL;
    line += skip + 1;
    len -= skip + 1;
    for (; len > 0 && strchr(" \t", *line); len--)
        line++;
    while (len > 0 && strchr(" \t", line[len - 1]))
        len--;
    if (len >= 2 && (*line == '"' || *line == '\'') && line[len - 1] == *line)
        return mem_strndup(line + 1, len - 2);
    return mem_strndup(line, len);
}

/* Where the body begins: text itself where there is no front matter, or none that ends. */
static const char *read_front(const char *text, const char *end, char **title, char **description)
{
    const char *at = text, *line;
    size_t len;

    if (!take_line(&at, end, &line, &len) || len != strlen(FENCE) || memcmp(line, FENCE, len) != 0)
        return text;
    while (take_line(&at, end, &line, &len)) {
        if (len == strlen(FENCE) && memcmp(line, FENCE, len) == 0)
            return at;
        if (!*title)
            *title = value_of(line, len, "title");
        if (!*description)
            *description = value_of(line, len, "description");
    }
    free(*title); /* it was none */
    free(*description);
    *title = *description = NULL;
    return text;
}

void rulebook_add(struct buf *book, const char *name, const char *text, size_t len)
{
    AUTO_FREE char *title = NULL, *description = NULL;
    const char *end = text + len, *body = read_front(text, end, &title, &description);

    while (body < end && strchr("\r\n", *body))
        body++;
    while (end > body && strchr(" \t\r\n", end[-1]))
        end--;
    if (book->len == 0)
        buf_append_str(book, "# Rules\n\nThese rules hold for all of your work here.\n");
    buf_printf(book, "\n## %s\n", str_is_empty(title) ? name : title);
    if (!str_is_empty(description))
        buf_printf(book, "\n%s\n", description);
    buf_printf(book, "\n");
    buf_append(book, body, (size_t)(end - body));
    buf_append_char(book, '\n');
}
