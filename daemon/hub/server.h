/* server.h - HTTP on the loop, over libmicrohttpd; its only home.
 * Collects whole requests, hands them up, and sends the answer whenever it is given: at once or
 * later, on the loop's thread. Bodies are bounded (413), and so is the time in which a request must
 * have arrived and an answer must have been taken; a slow client loses its connection. Answers to
 * what never reaches the program (a malformed request line, too large headers) are libmicrohttpd's
 * own. Plain HTTP/1.1; no TLS. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct server;
struct server_request;

enum {
    SERVER_BODY_MAX = 8 << 20,     /* bytes of a request's body */
    SERVER_BODIES_MAX = 128 << 20, /* of all requests together; more are answered 503 */
    SERVER_CONNECTIONS_MAX = 1000,
};

struct server_limits {
    uint32_t request_ms;  /* for a request to arrive, counted from the end of the one before */
    uint32_t answer_ms;   /* for the client to take the answer */
    unsigned connections; /* at a time; more wait in the kernel's queue */
};
/* 60 s, 120 s, SERVER_CONNECTIONS_MAX. */
extern const struct server_limits server_limits_default;

struct server_ops {
    /* A whole request is here. Answer it once with server_reply(), now or later. */
    void (*arrived)(struct server_request *r, void *ctx);
    /* The client of a watched request has closed its connection. Still to be answered, though
     * nobody will read it. */
    void (*gone)(struct server_request *r, void *ctx);
    /* It is over and r is gone after this. delivered: the answer was written to the socket. Not
     * called for requests that never arrived. */
    void (*ended)(struct server_request *r, bool delivered, void *ctx);
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

/* body: JSON text, takes ownership. headers: ends with a NULL name; may be NULL; values copied. */
void server_reply(struct server_request *r, unsigned status, char *body,
                  const struct server_header *headers);
/* The same for text of another type. */
void server_reply_as(struct server_request *r, unsigned status, const char *type, char *body,
                     const struct server_header *headers);
