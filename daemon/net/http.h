/* http.h - HTTP requests on the loop, over one curl multi handle.
 * Names are resolved by curl's threaded resolver, so nothing here blocks. Redirects are never
 * followed. Bodies are collected in memory up to the request's bound, or given to a sink as they
 * come. http and https only. A proxy comes from the options or, as curl reads them, from the
 * environment's variables. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct loop;
struct http;
struct http_call;

struct http_options {
    const char *user_agent;      /* e.g. "nairid/0.1.0" */
    const char *ca_file;         /* PEM bundle, NULL: the system's */
    const char *proxy;           /* NULL: the environment's; "": none */
    const char *url_name;        /* the setting with the URL, for messages; a literal, NULL:
                                    "server.url" */
    uint32_t connect_timeout_ms; /* 0: 10 s */
    uint32_t max_connections;    /* 0: 16 */
};

enum http_outcome {
    HTTP_DONE,        /* an answer with a status arrived whole */
    HTTP_TIMEOUT,     /* no whole answer in timeout_ms */
    HTTP_UNREACHABLE, /* name not found, refused, reset before an answer, proxy failed */
    HTTP_TLS,         /* handshake or certificate */
    HTTP_TOO_LARGE,   /* body past max_response_bytes */
    HTTP_BROKEN,      /* cut short, wrong length, not HTTP */
    HTTP_STOPPED,     /* the sink wanted no more, or the source had no more */
    HTTP_OUTCOME_COUNT
};

/* Takes a piece of the body of an answer with status 200. 0: it has taken it. -EAGAIN: not now; the
 * same bytes, and maybe more with them, come again after http_resume(), and nothing is read from
 * the server until then. Another negative errno: the call ends as HTTP_STOPPED. Called by curl: no
 * function of this header may be called from it. */
typedef int (*http_sink_fn)(const char *bytes, size_t len, void *ctx);

/* Gives a piece of a form's contents from that offset on, up to len bytes, into bytes. How many: at
 * least one, as there are as many as http_form.bytes said. -EAGAIN: not now, http_resume() when.
 * Another negative errno: the call ends as HTTP_STOPPED. Called by curl, as a sink is. */
typedef ssize_t (*http_source_fn)(uint64_t offset, char *bytes, size_t len, void *ctx);

/* A body of type multipart/form-data with one part: a file. Read as it is sent. */
struct http_form {
    const char *name, *filename;
    uint64_t bytes; /* of its contents */
    http_source_fn source;
    void *source_ctx;
};

struct http_request {
    const char *method; /* "GET", "POST", "PATCH", ... */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
    const void *body;           /* copied */
    size_t body_len;
    const struct http_form *form; /* POST: in place of body, NULL: none; its texts are copied */
    uint32_t timeout_ms;          /* whole request, > 0 */
    size_t max_response_bytes;    /* > 0 */
    http_sink_fn sink; /* NULL: the body goes to memory. With one, that of an answer with another
                        * status than 200 does, at most 64 KiB or max_response_bytes of it */
    void *sink_ctx;
    uint32_t stall_ms; /* longest silence of the server, from the start on and between two pieces
                        * either way; a pause of sink or source doesn't count. 0: as long as
                        * timeout_ms */
};

struct http_response {
    enum http_outcome outcome;
    int status;               /* 0 unless HTTP_DONE */
    bool reached;             /* the connection stood: something of the request may have arrived */
    const char *content_type; /* "" if none */
    const char *body;         /* NUL-terminated; "" where the sink has it */
    size_t body_len;
    uint32_t retry_after_ms; /* RFC 9110 s10.2.3, seconds or date form (a date is taken relative
                              * to the response's own Date, else to our clock); 0: none, past
                              * or nonsense */
    int64_t date_ms;         /* the Date header as wall time, 0 if none */
    const char *error;       /* a sentence for outcomes other than HTTP_DONE: what failed, with
                              * host and port, and what to check; "" otherwise */
};

/* Called once, on the loop; the response is borrowed for the call. Not called after http_cancel().
 */
typedef void (*http_done_fn)(const struct http_response *response, void *ctx);

/* Ignores SIGPIPE for the whole process: OpenSSL writes to sockets that may be closed. */
int http_new(struct loop *loop, const struct http_options *options, struct http **ret_http,
             struct err *err);
/* Starts a request; the callback never comes before this returns. Returns a handle valid until the
 * callback or http_cancel(). Bad input (an unparsable URL) ends as HTTP_BROKEN by the callback. */
struct http_call *http_start(struct http *http, const struct http_request *request, http_done_fn fn,
                             void *ctx);
void http_cancel(struct http_call *call); /* the callback doesn't come; NULL: none to cancel */
/* Goes on after sink or source said -EAGAIN; otherwise without effect. */
void http_resume(struct http_call *call);
/* A response header by name, any case: NULL if absent. Only inside the callback. */
const char *http_header(const struct http_response *response, const char *name);
struct loop *http_loop(const struct http *http); /* of http_new() */
/* Cancels what is in flight. Not from within a callback. */
void http_free(struct http *http);
DEFINE_CLEANUP(struct http *, http_free);
