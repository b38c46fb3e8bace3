#include "egress/reply.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "util/buf.h"
#include "util/cleanup.h"

static_assert((int)REPLY_HEAD_MAX == (int)HEAD_MAX, "head_find_end() knows one bound");

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK": its status, or -EBADMSG. */
static int read_status(const char *line, size_t len)
{
    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
        !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || line[9] == '0' ||
        (len > 12 && line[12] != ' '))
        return -EBADMSG;
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

/* 304 is none: it says that what the client has is still so. */
static bool is_redirect(int status)
{
    return (status >= 300 && status <= 303) || (status >= 305 && status <= 399);
}

/* What clients of models and other services read; a name that ends in '-' is all that begin so. */
static bool is_passed(const char *name, size_t len)
{
    static const char *const names[] = {
        "accept-ranges",
        "age",
        "allow",
        "anthropic-",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "openai-",
        "ratelimit-",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "transfer-encoding",
        "vary",
        "www-authenticate",
        "x-api-",
        "x-goog-",
        "x-ratelimit-",
        "x-request-id",
        "x-should-retry",
        "x-total-",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i]);
        bool is_family = names[i][n - 1] == '-';

        if ((is_family ? len > n : len == n) && strncasecmp(names[i], name, n) == 0)
            return true;
    }
    return false;
}

/* False: no field. */
static bool pass_field(const char *line, size_t len, struct buf *out)
{
    const char *colon = memchr(line, ':', len);

    if (!colon || colon == line)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];

        if ((c < ' ' && c != '\t') || c == 0x7f || (line + i < colon && c <= ' '))
            return false;
    }
    if (!is_passed(line, (size_t)(colon - line)))
        return true;
    buf_append(out, line, len);
    buf_append_str(out, "\r\n");
    return true;
}

static bool is_field(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    return len > n && line[n] == ':' && strncasecmp(line, name, n) == 0;
}

/* What stands behind the colon, without the white space around it. */
static struct head_text value_of(const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    struct head_text v = { colon + 1, len - (size_t)(colon + 1 - line) };

    while (v.len > 0 && (v.at[0] == ' ' || v.at[0] == '\t')) {
        v.at++;
        v.len--;
    }
    while (v.len > 0 && (v.at[v.len - 1] == ' ' || v.at[v.len - 1] == '\t'))
        v.len--;
    return v;
}

static bool read_length(struct head_text v, uint64_t *ret_bytes)
{
    uint64_t n = 0;

    if (v.len == 0 || v.len > 18)
        return false;
    for (size_t i = 0; i < v.len; i++) {
        if (!is_digit(v.at[i]))
            return false;
        n = n * 10 + (uint64_t)(v.at[i] - '0');
    }
    *ret_bytes = n;
    return true;
}

enum head_body reply_body(const char *head, size_t len, uint64_t *ret_bytes)
{
    enum head_body body = HEAD_NO_BODY;
    const char *lf;

    *ret_bytes = 0;
    for (const char *line = head; (lf = memchr(line, '\n', (size_t)(head + len - line)));
         line = lf + 1) {
        size_t n = (size_t)(lf - line) - 1;
        bool is_length = is_field(line, n, "content-length");
        struct head_text v;

        if (!is_length && !is_field(line, n, "transfer-encoding"))
            continue;
        v = value_of(line, n);
        if (body != HEAD_NO_BODY || (is_length && !read_length(v, ret_bytes)) ||
            (!is_length && (v.len != 7 || strncasecmp(v.at, "chunked", 7) != 0)))
            return HEAD_NO_BODY;
        body = is_length ? HEAD_LENGTH : HEAD_CHUNKED;
    }
    return body;
}

ssize_t reply_read(const char *bytes, size_t len, struct buf *out)
{
    ssize_t end = head_find_end(bytes, len, 0);
    CLEANUP(buf_done) struct buf b = { 0 };
    const char *line = bytes, *lf;
    int status;

    if (end <= 0)
        return end;
    lf = memchr(line, '\n', (size_t)end);
    status = read_status(line, (size_t)(lf - line) - 1);
    if (status < 0 || status == 101)
        return -EBADMSG;
    if (is_redirect(status))
        return -ELOOP;
    if (status < 200)
        return end;
    buf_append_str(&b, "HTTP/1.1");
    buf_append(&b, line + 8, (size_t)(lf + 1 - line) - 8);
    for (line = lf + 1; line < bytes + end - 2; line = lf + 1) {
        lf = memchr(line, '\n', (size_t)(bytes + end - line));
        if (!pass_field(line, (size_t)(lf - line) - 1, &b))
            return -EBADMSG;
    }
    buf_append_str(&b, "Connection: close\r\n\r\n");
    buf_append(out, b.data, b.len);
    return end;
}
