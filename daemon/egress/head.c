#include "egress/head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "util/buf.h"
#include "util/cleanup.h"

enum { METHOD_MAX = 24, HTTP_PORT = 80 };

ssize_t head_find_end(const char *bytes, size_t len, size_t seen)
{
    size_t most = len < HEAD_MAX ? len : HEAD_MAX;

    for (size_t i = seen > 3 ? seen - 3 : 0; i < most; i++) {
        if (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r'))
            return -EBADMSG;
        if (bytes[i] == '\r' && i + 1 < len && bytes[i + 1] != '\n')
            return -EBADMSG;
        if (bytes[i] == '\n' && i >= 3 && bytes[i - 2] == '\n')
            return (ssize_t)i + 1;
    }
    return len < HEAD_MAX ? 0 : -EMSGSIZE;
}

/* ---- small parts ---- */

/* RFC 9110 s5.6.2 */
static bool is_token(struct head_text t)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!alnum && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return t.len > 0;
}

static bool is_value(struct head_text t)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_word(struct head_text t, const char *word)
{
    return strlen(word) == t.len && strncasecmp(t.at, word, t.len) == 0;
}

/* What stands before the first sep, which is taken too; all where there is none. */
static struct head_text cut(struct head_text *rest, char sep)
{
    const char *at = memchr(rest->at, sep, rest->len);
    struct head_text part = { rest->at, at ? (size_t)(at - rest->at) : rest->len };
    size_t used = part.len + (at ? 1 : 0);

    rest->at += used;
    rest->len -= used;
    return part;
}

static struct head_text trim(struct head_text t)
{
    while (t.len > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) {
        t.at++;
        t.len--;
    }
    while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

/* The next line without its CRLF. head_find_end() has seen to the line ends. */
static struct head_text next_line(struct head_text *rest)
{
    struct head_text line = cut(rest, '\n');

    if (line.len > 0)
        line.len--;
    return line;
}

/* ---- the request line ---- */

/* HOST[:PORT]; standard_port 0: the port must be there. */
static const char *parse_authority(struct head_text t, uint16_t standard_port, struct head *h)
{
    const char *why = "the host is missing";
    size_t host_len = t.len;

    if (t.len > 0 && t.at[0] == '[') {
        const char *end = memchr(t.at, ']', t.len);

        host_len = end ? (size_t)(end - t.at) + 1 : t.len;
    } else {
        const char *colon = memchr(t.at, ':', t.len);

        host_len = colon ? (size_t)(colon - t.at) : t.len;
    }
    if (hostname_parse(t.at, host_len, &h->host, &why) < 0)
        return why;
    if (host_len == t.len) {
        h->port = standard_port;
        return standard_port ? NULL : "the port is missing";
    }
    if (t.at[host_len] != ':' ||
        hostname_parse_port(t.at + host_len + 1, t.len - host_len - 1, &h->port) < 0)
        return "the port must be 1 to 65535";
    return NULL;
}

static const char *parse_url(struct head_text t, struct head *h)
{
    static const char scheme[] = "http://";
    const char *slash;

    if (t.len < sizeof scheme - 1 || strncasecmp(t.at, scheme, sizeof scheme - 1) != 0)
        return "want CONNECT HOST:PORT, or a URL that begins with http://";
    t.at += sizeof scheme - 1;
    t.len -= sizeof scheme - 1;
    for (slash = t.at; slash < t.at + t.len && *slash != '/' && *slash != '?';)
        slash++;
    h->form = HEAD_ABSOLUTE;
    h->path = (struct head_text){ slash, t.len - (size_t)(slash - t.at) };
    t.len = (size_t)(slash - t.at);
    if (memchr(t.at, '@', t.len))
        return "a URL with a user in it";
    return parse_authority(t, HTTP_PORT, h);
}

static const char *parse_target(struct head_text t, bool in_tunnel, struct head *h)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] <= ' ' || t.at[i] > '~' || t.at[i] == '#')
            return "a byte that can't be in a URL";
    if (in_tunnel) {
        h->form = HEAD_ORIGIN;
        h->path = t;
        return t.len > 0 && t.at[0] == '/' ? NULL : "want a path that begins with /";
    }
    if (h->method.len == 7 && memcmp(h->method.at, "CONNECT", 7) == 0) {
        h->form = HEAD_CONNECT;
        return parse_authority(t, 0, h);
    }
    return parse_url(t, h);
}

static int parse_request_line(struct head_text line, bool in_tunnel, struct head *h,
                              const char **ret_why)
{
    struct head_text target;

    h->method = cut(&line, ' ');
    target = cut(&line, ' ');
    *ret_why = "the request line isn't METHOD URL HTTP/1.1";
    if (!is_token(h->method) || h->method.len > METHOD_MAX || target.len == 0)
        return -EBADMSG;
    if (line.len != 8 || memcmp(line.at, "HTTP/", 5) != 0)
        return -EBADMSG;
    if (memcmp(line.at, "HTTP/1.", 7) != 0 || (line.at[7] != '0' && line.at[7] != '1')) {
        *ret_why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
        return -EOPNOTSUPP;
    }
    h->minor = line.at[7] == '1';
    if (is_word(h->method, "trace") || (in_tunnel && is_word(h->method, "connect"))) {
        *ret_why = "TRACE, and CONNECT in a tunnel, aren't passed on";
        return -EBADMSG;
    }
    *ret_why = parse_target(target, in_tunnel, h);
    return *ret_why ? -EBADMSG : 0;
}

/* ---- fields ---- */

/* A name with one meaning: where in the head it was seen. */
struct singles {
    bool host, length, coding;
};

static bool take_once(bool *seen)
{
    bool first = !*seen;

    *seen = true;
    return first;
}

static const char *parse_length(struct head_text value, struct head *h)
{
    uint64_t n = 0;

    if (value.len == 0 || value.len > 18)
        return "Content-Length isn't a number";
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return "Content-Length isn't a number";
        n = n * 10 + (unsigned)(value.at[i] - '0');
    }
    h->body = HEAD_LENGTH;
    h->body_bytes = n;
    return NULL;
}

/* What it names is dropped with it. Were that one of these, the next reader would see another
 * request than we. */
static const char *check_connection(struct head_text value)
{
    static const char *const kept[] = { "host", "content-length", "transfer-encoding" };

    while (value.len > 0) {
        struct head_text option = trim(cut(&value, ','));

        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
            if (is_word(option, kept[i]))
                return "Connection names a field that belongs to the request";
    }
    return NULL;
}

static const char *parse_host(struct head_text value, struct head *h)
{
    struct head other = { 0 };

    if (h->form == HEAD_ORIGIN)
        return parse_authority(value, HTTP_PORT, h);
    /* replaced by the target's (RFC 9112 s3.2.2), but what can't be one shows a confused client */
    return value.len == 0 ? NULL : parse_authority(value, HTTP_PORT, &other);
}

static const char *parse_known(struct head_text name, struct head_text value,
                               struct singles *singles, struct head *h)
{
    if (is_word(name, "host"))
        return take_once(&singles->host) ? parse_host(value, h) : "more than one Host";
    if (is_word(name, "content-length"))
        return take_once(&singles->length) ? parse_length(value, h)
                                           : "more than one Content-Length";
    if (is_word(name, "transfer-encoding")) {
        if (!take_once(&singles->coding))
            return "more than one Transfer-Encoding";
        if (!is_word(value, "chunked") || h->minor == 0)
            return "a Transfer-Encoding other than chunked in HTTP/1.1";
    }
    if (is_word(name, "expect"))
        h->expects = is_word(value, "100-continue");
    if (is_word(name, "connection"))
        return check_connection(value);
    return NULL;
}

static const char *parse_field(struct head_text line, struct singles *singles, struct head *h)
{
    struct head_text value = line, name = cut(&value, ':');

    if (line.at[0] == ' ' || line.at[0] == '\t')
        return "a folded field";
    if (name.len == line.len || !is_token(name))
        return "a line that isn't NAME: VALUE";
    value = trim(value);
    if (!is_value(value))
        return "a control byte in a field";
    if (h->field_count == HEAD_FIELDS_MAX)
        return "too many fields";
    h->fields[h->field_count].name = name;
    h->fields[h->field_count++].value = value;
    return parse_known(name, value, singles, h);
}

int head_parse(const char *bytes, size_t len, bool in_tunnel, struct head *ret_head,
               const char **ret_why)
{
    struct head_text rest = { bytes, len };
    struct singles singles = { 0 };
    int r;

    *ret_head = (struct head){ 0 };
    r = parse_request_line(next_line(&rest), in_tunnel, ret_head, ret_why);
    if (r < 0)
        return r;
    while (rest.len > 0) {
        struct head_text line = next_line(&rest);

        if (line.len == 0)
            break;
        *ret_why = parse_field(line, &singles, ret_head);
        if (*ret_why)
            return -EBADMSG;
    }
    *ret_why = NULL;
    if (singles.coding && singles.length)
        *ret_why = "both Content-Length and Transfer-Encoding";
    else if (ret_head->form == HEAD_ORIGIN && !singles.host)
        *ret_why = "the host is missing";
    else if (ret_head->form == HEAD_CONNECT && (singles.coding || ret_head->body_bytes > 0))
        *ret_why = "CONNECT with a body";
    if (singles.coding)
        ret_head->body = HEAD_CHUNKED;
    return *ret_why ? -EBADMSG : 0;
}

/* ---- sending it on ---- */

static bool is_listed(struct head_text name, struct head_text list)
{
    while (list.len > 0) {
        struct head_text option = trim(cut(&list, ','));

        if (option.len == name.len && strncasecmp(option.at, name.at, name.len) == 0)
            return true;
    }
    return false;
}

/* RFC 9110 s7.6.1, and those that we write ourselves. */
bool head_drops(const struct head *h, struct head_text name)
{
    static const char *const dropped[] = {
        "connection",
        "content-length",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "transfer-encoding",
    };

    for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
        if (is_word(name, dropped[i]))
            return true;
    for (size_t i = 0; i < h->field_count; i++)
        if (is_word(h->fields[i].name, "connection") && is_listed(name, h->fields[i].value))
            return true;
    return false;
}

static void print_text(struct buf *b, struct head_text t)
{
    buf_append(b, t.at, t.len);
}

void head_print_fields(const struct head *h, head_drops_fn drops, const void *ctx, struct buf *b)
{
    for (size_t i = 0; i < h->field_count; i++) {
        if (drops(h->fields[i].name, ctx))
            continue;
        print_text(b, h->fields[i].name);
        buf_append_str(b, ": ");
        print_text(b, h->fields[i].value);
        buf_append_str(b, "\r\n");
    }
    if (h->body == HEAD_LENGTH)
        buf_printf(b, "Content-Length: %llu\r\n", (unsigned long long)h->body_bytes);
    if (h->body == HEAD_CHUNKED)
        buf_append_str(b, "Transfer-Encoding: chunked\r\n");
}

static bool drops(struct head_text name, const void *ctx)
{
    return head_drops(ctx, name);
}

void head_print(const struct head *h, bool to_proxy, struct buf *b)
{
    char where[HOSTNAME_WITH_PORT_SIZE];

    (void)hostname_with_port(where, &h->host, h->port);
    if (h->port == HTTP_PORT)
        *strrchr(where, ':') = '\0';
    print_text(b, h->method);
    buf_printf(b, " %s%s%s", to_proxy ? "http://" : "", to_proxy ? where : "",
               h->path.len == 0 || h->path.at[0] != '/' ? "/" : "");
    print_text(b, h->path);
    buf_printf(b, " HTTP/1.%u\r\nHost: %s\r\n", h->minor, where);
    head_print_fields(h, drops, h, b);
    buf_append_str(b, "Connection: close\r\n");
}
