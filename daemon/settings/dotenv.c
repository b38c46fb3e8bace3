#include "settings/dotenv.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/utf8.h"

/* A value that is too long is noticed after the step that made it so, which may add another. */
enum { SPACE = 2 * DOTENV_VALUE_MAX + 8 };

/* One dotenv_parse() in progress. */
struct reader {
    const char *file;
    const char *at, *end;
    const char *line_start;
    unsigned line;
    size_t value_bytes;
    struct buf value; /* of the line at hand; never moved, so that no copy of it is left behind */
    struct dotenv *d;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name_char(char c, bool first)
{
    return isalpha((unsigned char)c) || c == '_' || (!first && isdigit((unsigned char)c));
}

static void complain(struct reader *r, unsigned line, unsigned column, const char *why)
{
    AUTO_FREE char *fault = NULL;

    if (r->d->faults.len == DOTENV_FAULTS_MAX)
        return;
    if (r->d->faults.len == DOTENV_FAULTS_MAX - 1)
        why = "this line and maybe others can't be read";
    fault = mem_printf("%s:%u:%u: %s; the line is left out", r->file, line, column, why);
    strv_add(&r->d->faults, fault);
}

static unsigned column_of(const struct reader *r, const char *at)
{
    return (unsigned)(at - r->line_start) + 1;
}

static const char *end_of_line(const struct reader *r, const char *from)
{
    const char *end = memchr(from, '\n', (size_t)(r->end - from));

    return end ? end : r->end;
}

static void next_line(struct reader *r, const char *line_end)
{
    r->at = line_end < r->end ? line_end + 1 : r->end;
    r->line_start = r->at;
    r->line++;
}

/* ---- values ---- */

/* What an earlier line gave the name at *at, which is moved past it. */
static void expand(const struct reader *r, const char **at, const char *end, struct buf *value)
{
    const char *name = *at + 1;
    bool braced = name < end && *name == '{';
    size_t len = 0;

    name += braced;
    while (name + len < end && is_name_char(name[len], len == 0))
        len++;
    if (len == 0 || (braced && (name + len == end || name[len] != '}'))) {
        buf_append_char(value, '$'); /* a $ that names nothing */
        (*at)++;
        return;
    }
    for (size_t i = 0; i < r->d->len; i++)
        if (strlen(r->d->items[i].name) == len && memcmp(r->d->items[i].name, name, len) == 0)
            buf_append_str(value, r->d->items[i].value);
    *at = name + len + braced;
}

static char unescaped(char c)
{
    return (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c);
}

/* From after the opening quote up to the closing one, or NULL where there is none. */
static const char *read_quoted(const struct reader *r, const char *at, char quote,
                               struct buf *value)
{
    while (at < r->end && *at != quote) {
        if (value->len > DOTENV_VALUE_MAX) /* the caller refuses it */
            at++;
        else if (quote == '"' && *at == '\\' && at + 1 < r->end) {
            buf_append_char(value, unescaped(at[1]));
            at += 2;
        } else if (quote == '"' && *at == '$') {
            expand(r, &at, r->end, value);
        } else {
            buf_append_char(value, *at++);
        }
    }
    return at < r->end ? at : NULL;
}

static void read_plain(const struct reader *r, const char *at, const char *end, struct buf *value)
{
    const char *stop = at;

    while (stop < end && !(*stop == '#' && (stop == at || is_blank(stop[-1]))))
        stop++;
    while (stop > at && (is_blank(stop[-1]) || stop[-1] == '\r'))
        stop--;
    while (at < stop && value->len <= DOTENV_VALUE_MAX) {
        if (*at == '\\' && at + 1 < stop && at[1] == '$') {
            buf_append_char(value, '$');
            at += 2;
        } else if (*at == '$') {
            expand(r, &at, stop, value);
        } else {
            buf_append_char(value, *at++);
        }
    }
}

static bool is_comment_or_nothing(const char *at, const char *end)
{
    while (at < end && (is_blank(*at) || *at == '\r'))
        at++;
    return at == end || *at == '#';
}

static bool has_control(const char *at, const char *end)
{
    for (; at < end; at++)
        if (((unsigned char)*at < ' ' && *at != '\t' && !(*at == '\r' && at + 1 == end)) ||
            *at == 0x7f)
            return true;
    return false;
}

/* ---- lines ---- */

/* The name at r->at; moves past it and what parts it from the value. NULL with the reason in why.
 */
static char *read_name(struct reader *r, const char *line_end, const char **ret_start,
                       const char **ret_why)
{
    static const char export[] = "export";
    const char *at = r->at, *name;
    size_t len = 0;

    if ((size_t)(line_end - at) > sizeof export && memcmp(at, export, sizeof export - 1) == 0 &&
        is_blank(at[sizeof export - 1]))
        for (at += sizeof export; at < line_end && is_blank(*at);)
            at++;
    name = at;
    *ret_start = name;
    while (name + len < line_end && is_name_char(name[len], len == 0))
        len++;
    at = name + len;
    while (at < line_end && is_blank(*at))
        at++;
    *ret_why = len == 0                ? "want NAME=value"
               : len > DOTENV_NAME_MAX ? "the name is too long"
               : at == line_end || (*at != '=' && *at != ':')
                   ? "want a = after the name, which has letters, digits and _ only"
                   : NULL;
    if (*ret_why)
        return NULL;
    for (at++; at < line_end && is_blank(*at);)
        at++;
    r->at = at;
    return mem_strndup(name, len);
}

static void keep(struct reader *r, char *name, unsigned line, unsigned column)
{
    const struct buf *value = &r->value;
    struct dotenv *d = r->d;
    struct dotenv_entry *e = NULL;

    for (size_t i = 0; i < d->len && !e; i++)
        if (str_eq(d->items[i].name, name))
            e = &d->items[i];
    if (!e) {
        d->items = mem_realloc(d->items, (d->len + 1) * sizeof *d->items);
        e = &d->items[d->len++];
        *e = (struct dotenv_entry){ .name = TAKE_PTR(name) };
    } else {
        secret_wipe(e->value, strlen(e->value));
        free(e->value);
    }
    free(name);
    e->value = mem_strndup(value->data, value->len);
    e->line = line;
    e->column = column;
    r->value_bytes += value->len;
}

static const char *check_value(const struct reader *r)
{
    const struct buf *value = &r->value;

    if (value->len > DOTENV_VALUE_MAX || r->value_bytes + value->len > DOTENV_SIZE_MAX)
        return "the value is too long";
    if (r->d->len == DOTENV_ENTRIES_MAX)
        return "there are too many variables";
    if (memchr(value->data, '\0', value->len))
        return "the value has a NUL byte in it";
    if (!utf8_is_valid(value->data, value->len))
        return "the value isn't UTF-8";
    return NULL;
}

/* The value at r->at; *line_end becomes the end of the line that it ends in. */
static const char *read_value(struct reader *r, const char **line_end)
{
    char quote = r->at < *line_end ? *r->at : '\0';
    const char *close;

    if (quote != '"' && quote != '\'') {
        if (has_control(r->at, *line_end))
            return "there is a control character in it";
        read_plain(r, r->at, *line_end, &r->value);
        return check_value(r);
    }
    close = read_quoted(r, r->at + 1, quote, &r->value);
    if (!close)
        return "the quotation mark isn't closed";
    for (const char *c = r->at; c < close; c++)
        if (*c == '\n') {
            r->line++;
            r->line_start = c + 1;
        }
    *line_end = end_of_line(r, close);
    return is_comment_or_nothing(close + 1, *line_end) ? check_value(r)
                                                       : "something follows the closing quotation "
                                                         "mark";
}

static void read_line(struct reader *r)
{
    const char *line_end = end_of_line(r, r->at), *start = r->at, *why;
    unsigned line = r->line, column;
    AUTO_FREE char *name = NULL;

    while (r->at < line_end && is_blank(*r->at))
        r->at++;
    if (is_comment_or_nothing(r->at, line_end)) {
        next_line(r, line_end);
        return;
    }
    name = read_name(r, line_end, &start, &why);
    column = column_of(r, start);
    r->value.len = 0;
    if (name)
        why = read_value(r, &line_end);
    if (why)
        complain(r, line, column, why);
    else
        keep(r, TAKE_PTR(name), line, column);
    next_line(r, line_end);
}

void dotenv_parse(const char *file, const char *text, size_t len, struct dotenv *ret_dotenv)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file with it */
    struct reader r = {
        .file = file, .at = text, .end = text + len, .line_start = text, .line = 1, .d = ret_dotenv
    };

    *ret_dotenv = (struct dotenv){ 0 };
    (void)buf_reserve(&r.value, SPACE);
    if (len >= 3 && memcmp(text, mark, 3) == 0)
        r.at = r.line_start = text + 3;
    while (r.at < r.end)
        read_line(&r);
    secret_wipe_buf(&r.value);
}

const struct dotenv_entry *dotenv_find(const struct dotenv *d, const char *name)
{
    for (size_t i = 0; i < d->len; i++)
        if (str_eq(d->items[i].name, name))
            return &d->items[i];
    return NULL;
}

void dotenv_done(struct dotenv *d)
{
    for (size_t i = 0; i < d->len; i++) {
        secret_wipe(d->items[i].value, strlen(d->items[i].value));
        free(d->items[i].value);
        free(d->items[i].name);
    }
    free(d->items);
    strv_done(&d->faults);
    *d = (struct dotenv){ 0 };
}
