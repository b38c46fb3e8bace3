#include "hub/multipart.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/buf.h"
#include "util/mem.h"
#include "util/str.h"

enum state {
    SKIPPING, /* before the first delimiter */
    TAIL,     /* of a delimiter's line */
    HEAD,     /* of a part */
    DATA,     /* of a part */
    OVER      /* behind the last delimiter */
};

struct multipart {
    struct multipart_ops ops;
    void *ctx;
    enum state state;
    /* "\r\n--BOUNDARY"; the CR stands at its beginning alone, so a mismatch means that what was
     * matched is data, and only the byte at hand can begin anew */
    char delimiter[4 + MULTIPART_BOUNDARY_MAX + 1];
    size_t delimiter_len;
    size_t matched;
    size_t parts;
    struct buf line; /* TAIL: the rest of the delimiter's line; HEAD: the header lines */
};

/* ---- header values ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A token or a quoted string at s, unquoted; *ret_end is behind it. */
static char *take_value(const char *s, const char **ret_end)
{
    struct buf b = { 0 };

    if (*s != '"') {
        size_t len = strcspn(s, "; \t");

        *ret_end = s + len;
        return mem_strndup(s, len);
    }
    for (s++; *s && *s != '"'; s++) {
        if (*s == '\\' && (s[1] == '"' || s[1] == '\\')) /* others are Windows' paths */
            s++;
        buf_append_char(&b, *s);
    }
    *ret_end = *s ? s + 1 : s;
    return buf_steal(&b);
}

/* The parameter of that name behind the first ";" of a header's value; NULL if it has none. */
static char *find_parameter(const char *value, const char *name)
{
    const char *s = strchr(value, ';');
    size_t len;

    while (s && *s) {
        const char *end;
        char *found;
        bool wanted;

        s += strspn(s, "; \t");
        len = strcspn(s, "=; \t");
        wanted = len == strlen(name) && strncasecmp(s, name, len) == 0;
        s += len;
        if (*s != '=') {
            s += strcspn(s, ";");
            continue;
        }
        found = take_value(s + 1, &end);
        if (wanted)
            return found;
        free(found);
        s = strchr(end, ';');
    }
    return NULL;
}

/* UTF-8''na%C3%AFve; NULL for what isn't that. */
static char *decode_extended(const char *s)
{
    struct buf b = { 0 };
    const char *quote;

    if (strncasecmp(s, "utf-8'", 6) != 0)
        return NULL;
    quote = strchr(s + 6, '\'');
    for (s = quote ? quote + 1 : ""; *s; s++) {
        int high = *s == '%' ? hex(s[1]) : -1;
        int low = high >= 0 ? hex(s[2]) : -1;

        if (low >= 0)
            s += 2;
        if (low < 0)
            buf_append_char(&b, *s);
        else if (high * 16 + low != 0)
            buf_append_char(&b, (char)(high * 16 + low));
    }
    return buf_steal(&b);
}

/* ---- parts ---- */

/* The value of Content-Disposition among the header lines; they end with an empty line. */
static char *find_disposition(const char *lines)
{
    static const char name[] = "content-disposition:";
    const char *line = lines, *end;

    while ((end = strstr(line, "\r\n")) && end > line) {
        if (strncasecmp(line, name, strlen(name)) == 0)
            return mem_strndup(line + strlen(name), (size_t)(end - line) - strlen(name));
        line = end + 2;
    }
    return NULL;
}

static int begin_part(struct multipart *p)
{
    AUTO_FREE char *value = find_disposition(buf_str(&p->line));
    AUTO_FREE char *name = find_parameter(value ? value : "", "name");
    AUTO_FREE char *filename = find_parameter(value ? value : "", "filename");
    AUTO_FREE char *extended = find_parameter(value ? value : "", "filename*");
    AUTO_FREE char *decoded = extended ? decode_extended(extended) : NULL;

    p->state = DATA;
    return p->ops.begin(name ? name : "", decoded ? decoded : filename, p->ctx);
}

static int give_data(struct multipart *p, const char *bytes, size_t len)
{
    return p->state == DATA && len > 0 ? p->ops.data(bytes, len, p->ctx) : 0;
}

/* ---- the states ---- */

/* Takes bytes up to a delimiter, or all of them; *ret_used says how many. */
static int take_data(struct multipart *p, const char *bytes, size_t len, size_t *ret_used)
{
    size_t i = 0;
    int rc = 0;

    while (rc == 0 && i < len) {
        if (p->matched == 0) {
            const char *cr = memchr(bytes + i, '\r', len - i);
            size_t run = cr ? (size_t)(cr - bytes) - i : len - i;

            rc = give_data(p, bytes + i, run);
            i += run;
            if (!cr)
                break;
        }
        if (bytes[i] == p->delimiter[p->matched]) {
            i++;
            if (++p->matched == p->delimiter_len) {
                p->matched = 0;
                p->state = TAIL;
                buf_clear(&p->line);
                break;
            }
            continue;
        }
        rc = give_data(p, p->delimiter, p->matched);
        p->matched = 0;
        if (rc == 0 && bytes[i] != '\r') {
            rc = give_data(p, bytes + i, 1);
            i++;
        }
    }
    *ret_used = i;
    return rc;
}

/* "--" ends it all; else white space and the line's end, and a part follows. */
static int take_tail(struct multipart *p, char c, const char **ret_why)
{
    buf_append_char(&p->line, c);
    if (str_eq(buf_str(&p->line), "--")) {
        p->state = OVER;
        return 0;
    }
    if (c == '\n' && p->line.len >= 2 && p->line.data[p->line.len - 2] == '\r') {
        if (++p->parts > MULTIPART_PARTS_MAX) {
            *ret_why = "the form has too many parts";
            return -EBADMSG;
        }
        p->state = HEAD;
        buf_clear(&p->line);
        return 0;
    }
    if (p->line.len == 1 && c == '-')
        return 0;
    if ((c == ' ' || c == '\t' || c == '\r') && p->line.data[0] != '-' &&
        p->line.len < MULTIPART_HEAD_MAX)
        return 0;
    *ret_why = "a boundary of the form is followed by something that belongs to no form";
    return -EBADMSG;
}

static int take_head(struct multipart *p, char c, const char **ret_why)
{
    if (c == '\0' || p->line.len >= MULTIPART_HEAD_MAX) {
        *ret_why = c ? "the header lines of a part are too long" : "a header line has a NUL";
        return -EBADMSG;
    }
    buf_append_char(&p->line, c);
    if (p->line.len == 2 && memcmp(p->line.data, "\r\n", 2) == 0)
        return begin_part(p);
    if (p->line.len >= 4 && memcmp(p->line.data + p->line.len - 4, "\r\n\r\n", 4) == 0)
        return begin_part(p);
    return 0;
}

int multipart_feed(struct multipart *p, const char *bytes, size_t len, const char **ret_why)
{
    size_t used = 0, n;
    int rc = 0;

    while (rc == 0 && used < len) {
        switch (p->state) {
        case SKIPPING:
        case DATA:
            rc = take_data(p, bytes + used, len - used, &n);
            used += n;
            break;
        case TAIL:
            rc = take_tail(p, bytes[used++], ret_why);
            break;
        case HEAD:
            rc = take_head(p, bytes[used++], ret_why);
            break;
        case OVER:
            used = len;
            break;
        }
    }
    return rc;
}

int multipart_finish(const struct multipart *p, const char **ret_why)
{
    if (p->state == OVER)
        return 0;
    *ret_why = "the form has no end: the last boundary is missing";
    return -EBADMSG;
}

/* ---- life ---- */

/* RFC 2046: 1 to 70 of these, and no space at the end. */
static bool boundary_is_valid(const char *s)
{
    static const char chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'()+_,-./:=? ";
    size_t len = strlen(s);

    return len > 0 && len <= MULTIPART_BOUNDARY_MAX && strspn(s, chars) == len && s[len - 1] != ' ';
}

struct multipart *multipart_new(const char *content_type, const struct multipart_ops *ops,
                                void *ctx)
{
    static const char type[] = "multipart/form-data";
    AUTO_FREE char *boundary = NULL;
    struct multipart *p;

    if (!content_type || strncasecmp(content_type, type, strlen(type)) != 0)
        return NULL;
    boundary = find_parameter(content_type + strlen(type), "boundary");
    if (!boundary || !boundary_is_valid(boundary))
        return NULL;
    p = mem_new(struct multipart);
    p->ops = *ops;
    p->ctx = ctx;
    snprintf(p->delimiter, sizeof p->delimiter, "\r\n--%s", boundary);
    p->delimiter_len = strlen(p->delimiter);
    p->matched = 2; /* the first one may stand at the very beginning */
    return p;
}

void multipart_free(struct multipart *p)
{
    if (!p)
        return;
    buf_done(&p->line);
    free(p);
}
