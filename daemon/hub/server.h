/* server.h - HTTP on the loop, over libmicrohttpd; its only home.
 * Collects whole requests, hands them up, and sends the answer whenever it is given: at once or
 * later, on the loop's thread. Bodies are bounded (413), and so is the time in which a request must
 * have arrived and an answer must have been taken; a slow client loses its connection, and at the
 * limit a stranger does. Files pass
 * through: a streamed body is handed up in parts, an answer can be read from a source, either can
 * be held while a disk is slow, and the time counts for each SERVER_STRIDE of them. Answers to
 * what never reaches the program (a malformed request line, too large headers) are libmicrohttpd's
 * own. Plain HTTP/1.1; no TLS. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct loop;
struct server;
struct server_request;

enum {
    SERVER_BODY_MAX = 8 << 20,     /* bytes of a request's body */
    SERVER_SHORT_MAX = 16 << 10,   /* of one that anybody may send */
    SERVER_BODIES_MAX = 128 << 20, /* of all requests together; more are answered 503 */
    SERVER_CONNECTIONS_MAX = 1000,
    SERVER_STRIDE = 64 << 10, /* bytes of a streamed body or answer in the time of a whole one */
};

struct server_limits {
    uint32_t request_ms; /* for a request to arrive, counted from the end of the one before */
    uint32_t answer_ms;  /* for the client to take the answer */
    unsigned
        connections; /* at a time: strangers make place (guest.h), or more wait in the kernel */
};

struct server_ops {
    /* A whole request is here. Answer it once with server_reply(), now or later. */
    void (*arrived)(struct server_request *r, void *ctx);
    /* The client of a watched request has closed its connection. Still to be answered, though
     * nobody will read it. */
    void (*gone)(struct server_request *r, void *ctx);
    /* It is over and r is gone after this. delivered: the answer was written to the socket. Not
     * called for requests that never arrived, unless they have data (server_request_set_data()). */
    void (*ended)(struct server_request *r, bool delivered, void *ctx);
    /* The headers of a request are here, and its body may follow. It may be answered now, or asked
     * to be streamed. May be NULL. */
    void (*begins)(struct server_request *r, void *ctx);
    /* Bytes of a streamed body, before `arrived`; no more come once it is answered. May be NULL if
     * nothing is ever streamed. */
    void (*part)(struct server_request *r, const char *bytes, size_t len, void *ctx);
};

/* Where the bytes of an answer come from. */
struct server_source {
    uint64_t size; /* of all of it */
    /* Up to max bytes of what comes next: the count; 0: there are none yet, and the request is
     * held; negative: there will be none, the connection is to be cut. */
    ssize_t (*read)(char *bytes, size_t max, void *ctx);
    void (*done)(void *ctx); /* once, before r is gone */
    void *ctx;
};

struct server_header {
    const char *name;
    const char *value; /* NULL: left out */
};

/* Takes ownership of listen_fd, also on failure. */
int server_new(struct loop *loop, int listen_fd, const struct server_limits *limits,
               const struct server_ops *ops, void *ctx, struct server **ret_server,
               struct err *err);
/* No new connections from now on. */
void server_quiet(struct server *s);
size_t server_requests(const struct server *s); /* arrived, and not yet ended */
/* Every request must have been answered. */
void server_free(struct server *s);
DEFINE_CLEANUP(struct server *, server_free);

/* Borrowed from the request, as the next. */
const char *server_request_method(const struct server_request *r);
/* The path as it came, undecoded, without the query. */
const char *server_request_path(const struct server_request *r);
/* NULL if absent; the first one if repeated. Any case. Borrowed from the request. */
const char *server_request_header(struct server_request *r, const char *name);
/* The same for a member of the query ("?name=value"), as it came, undecoded. */
const char *server_request_argument(struct server_request *r, const char *name);
/* Hands out the body, once: NUL-terminated, to be freed by the caller. It counts until the request
 * has ended. */
char *server_request_take_body(struct server_request *r, size_t *ret_len);
void *server_request_data(const struct server_request *r);
void server_request_set_data(struct server_request *r, void *data);
/* Ask to be told (ops.gone), from the end of ops.arrived on, should the client leave before the
 * answer. */
void server_request_watch(struct server_request *r);
bool server_request_is_gone(const struct server_request *r);

/* From `begins`: whether the body may have more than SERVER_SHORT_MAX bytes, so that it matters
 * whose it is: all bodies together have SERVER_BODIES_MAX. */
bool server_request_is_long(struct server_request *r);
/* From `begins`: a body of more than max bytes is answered 413. SERVER_BODY_MAX unless said. */
void server_request_limit(struct server_request *r, uint64_t max);
/* The client has shown who it is: its connection doesn't make place for others. */
void server_request_trust(struct server_request *r);

/* From `begins`: the body goes to `part`; one of more than max bytes is answered 413. False: it is
 * announced to be so long that nothing of it will be read; leave the request alone. */
bool server_request_stream(struct server_request *r, uint64_t max);
/* From `begins`, `part` or a source's read: nothing more of it is asked for or handed up until
 * server_request_go(). */
void server_request_hold(struct server_request *r);
void server_request_go(struct server_request *r); /* nothing happens if it isn't held */

/* body: JSON text, takes ownership. headers: ends with a NULL name; may be NULL; values copied. */
void server_reply(struct server_request *r, unsigned status, char *body,
                  const struct server_header *headers);
/* The same for text of another type. */
void server_reply_as(struct server_request *r, unsigned status, const char *type, char *body,
                     const struct server_header *headers);
/* The same for a body that is read as it goes. */
void server_reply_from(struct server_request *r, unsigned status, const char *type,
                       const struct server_source *source, const struct server_header *headers);
