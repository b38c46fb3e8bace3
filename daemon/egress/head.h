/* head.h - the head of one HTTP/1 request, read strictly, and as it is sent on. Pure.
 * Everything that two readers could understand in two ways is refused: line ends other than CRLF,
 * folded fields, white space before a colon, control bytes, more than one Host, Content-Length or
 * Transfer-Encoding, both of the last two, codings other than chunked, a user in the URL. So is
 * TRACE, by which a proxy on the way would show the request that it got, our password in it.
 * Sources: RFC 9110 s7.6, RFC 9112 s2 to s7, RFC 3986 s3. */
#pragma once
#include "util/hostname.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

enum { HEAD_MAX = 16 * 1024, HEAD_FIELDS_MAX = 100 };

enum head_form {
    HEAD_CONNECT,  /* CONNECT HOST:PORT */
    HEAD_ABSOLUTE, /* GET http://HOST[:PORT]/PATH */
    HEAD_ORIGIN,   /* GET /PATH: inside a tunnel */
};

enum head_body { HEAD_NO_BODY, HEAD_LENGTH, HEAD_CHUNKED };

struct head_text {
    const char *at; /* borrowed from what was parsed */
    size_t len;
};

struct head {
    enum head_form form;
    struct head_text method;
    struct hostname host; /* where to: of the target, or for HEAD_ORIGIN of the Host field */
    uint16_t port;
    struct head_text path; /* with the query; "" stands for "/" */
    unsigned minor;        /* HTTP/1.minor: 0 or 1 */
    enum head_body body;
    uint64_t body_bytes; /* of HEAD_LENGTH */
    bool expects;        /* 100-continue */
    size_t field_count;
    struct {
        struct head_text name, value;
    } fields[HEAD_FIELDS_MAX];
};

/* The length of the head at the beginning of bytes with its empty line, 0 if its end isn't there
 * yet, -EMSGSIZE past HEAD_MAX, -EBADMSG as soon as a line ends in anything but CRLF. seen: how
 * many of the bytes were there at the last call. */
ssize_t head_find_end(const char *bytes, size_t len, size_t seen);
/* bytes: a whole head. in_tunnel: only HEAD_ORIGIN is wanted, otherwise the other two. -EBADMSG
 * with the reason, a phrase, in *ret_why; -EOPNOTSUPP for another version of HTTP. */
int head_parse(const char *bytes, size_t len, bool in_tunnel, struct head *ret_head,
               const char **ret_why);
/* Whether a field of that name is for us or for this connection only, or among those that are
 * written anew when a request is sent on. */
bool head_drops(const struct head *h, struct head_text name);
/* For those who write a head of their own: appends the fields that drops() doesn't leave out, and
 * how the body's end is told. */
typedef bool (*head_drops_fn)(struct head_text name, const void *ctx);
void head_print_fields(const struct head *h, head_drops_fn drops, const void *ctx, struct buf *b);
/* As the server is to see it, HEAD_CONNECT excepted: one request, after which the connection ends;
 * Host from the target; no field that is meant for us or for this connection. to_proxy: for a proxy
 * on the way, with the whole URL. The empty line at the end is left to the caller, who may have
 * another field. */
void head_print(const struct head *h, bool to_proxy, struct buf *b);
