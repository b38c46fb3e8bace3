/* upstream.h - the control plane as the daemon's client sees it: poll, submit, ack, get, download,
 * upload.
 * Every request has a deadline, and nothing here is called back before the call that asked returns.
 * What an answer means is classified here (upstream/verdict.c, pure);
 * what to do about it is decided elsewhere: no retries, no backoff in this module.
 * Source: Nairi agents API, endpoints 1 to 8; Prefer: wait=N is RFC 7240; X-Nairi-Fence and
 * X-CCAGENT-ID are additions of our hub, which other servers ignore. */
#pragma once
#include "upstream/listing.h"
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct http;
struct http_form;
struct secret;
struct upstream;

enum { UPSTREAM_ID_MAX = 100 };

enum upstream_verdict {
    UPSTREAM_OK,
    UPSTREAM_REFUSED,     /* 404 or 410 with a JSON body: permanent for this message; a download
                           * that is no file, too */
    UPSTREAM_TOO_LARGE,   /* 413, or 400 or 422 with a JSON body: maybe a shorter one passes */
    UPSTREAM_CONFLICT,    /* 409 with a JSON body: our lease on the job is lost */
    UPSTREAM_KEY_REFUSED, /* 401 or 403 with a JSON body */
    UPSTREAM_BUSY,        /* 429 or 503: wait, Retry-After counts for every request */
    UPSTREAM_DOWN,        /* unreachable, time-out, TLS, a gateway's 5xx, a log-in page, no list */
    UPSTREAM_FAILED,      /* this post alone: 500, other errors in JSON, a filter's page */
    UPSTREAM_VERDICT_COUNT
};

struct upstream_answer {
    enum upstream_verdict verdict;
    uint32_t retry_after_ms;   /* 0: none said */
    uint64_t fence;            /* from X-Nairi-Fence, 0: none */
    bool waited;               /* poll: the server honoured Prefer: wait (Preference-Applied) */
    int64_t clock_skew_ms;     /* server's Date minus our wall clock; 0 if it sent none */
    int status;                /* HTTP status, 0 if none */
    const char *attachment_id; /* upload with UPSTREAM_OK: 1 to UPSTREAM_ID_MAX letters, digits, '_'
                                * and '-' */
    const char *text;          /* the sentence for log or error: what failed, why, what to do */
    struct listing *listing;   /* poll with UPSTREAM_OK; borrowed for the call, messages may be
                                * taken. A problem comes back at every poll that lists its cause */
};
typedef void (*upstream_done_fn)(const struct upstream_answer *answer, void *ctx);

struct upstream_options {
    const char *url;         /* server.url; a trailing "/socketio/" or "/" is dropped */
    const char *agent_id;    /* X-AGENT-ID; NULL: not sent */
    const char *instance_id; /* X-CCAGENT-ID */
    struct secret *key;      /* borrowed until upstream_free() or upstream_set_key() */
    uint32_t timeout_ms;     /* of a request that doesn't wait; 0: 60 s. One that waits gets this,
                              * or 30 s where that is less, past its wait */
};

/* http outlives it. -EINVAL with a sentence for a URL or an id that can't be sent. */
int upstream_new(struct http *http, const struct upstream_options *options,
                 struct upstream **ret_upstream, struct err *err);
/* Of all requests that begin from now on; borrowed, as the one in the options. */
void upstream_set_key(struct upstream *u, struct secret *key);
struct upstream_call;
/* One poll at a time: a second one while one is in flight is a bug of ours (assert). wait_ms 0: a
 * plain poll without Prefer, which lists everything we hold. */
void upstream_poll(struct upstream *u, uint32_t wait_ms, upstream_done_fn fn, void *ctx);
void upstream_poll_cancel(struct upstream *u); /* fn is not called; without one nothing happens */
/* body: an envelope as JSON text, copied. fence 0: header not sent. Ends by fn, once; until then
 * the call may be cancelled. */
struct upstream_call *upstream_submit(struct upstream *u, const char *body, uint64_t fence,
                                      upstream_done_fn fn, void *ctx);
/* ack_id: of the message, as the server named it; any bytes, escaped here. */
void upstream_ack(struct upstream *u, const char *ack_id, uint64_t fence, upstream_done_fn fn,
                  void *ctx);
/* A document of the agents API that is asked for: endpoints 1 to 3. */
struct upstream_document {
    bool ok;                 /* status 200: body has it */
    bool none;               /* 404 or 410: the server has no such thing */
    bool is_json;            /* its body is said to be */
    uint32_t retry_after_ms; /* 0: none said */
    const char *body;        /* borrowed for the call, as text */
    size_t len;
    const char *text; /* !ok: what failed; no word of the server's is in it */
};
typedef void (*upstream_document_fn)(const struct upstream_document *document, void *ctx);
/* GET /api/agents/NAME; a body of max_bytes at most. */
void upstream_get(struct upstream *u, const char *name, size_t max_bytes, upstream_document_fn fn,
                  void *ctx);
/* Who takes a file. */
struct upstream_sink {
    /* Whether so many bytes of an answer may come now; if not, upstream_resume() is called later.
     */
    bool (*has_room)(size_t len, void *ctx);
    /* Bytes of the file, no more than what there was room for. A negative errno ends it: the answer
     * is then UPSTREAM_FAILED, and only who took them knows why. */
    int (*take)(const void *bytes, size_t len, void *ctx);
    void *ctx;
};
/* An attachment: id is printable ASCII. At most max_bytes of it; where it is larger, or not there,
 * or empty, or no base64, the answer is UPSTREAM_REFUSED (or TOO_LARGE) for good. timeout_ms: of
 * the whole; a server that is silent for the request's timeout is given up earlier. Ends by fn,
 * once; until then the call may be cancelled or resumed. */
struct upstream_call *upstream_download(struct upstream *u, const char *id, uint64_t max_bytes,
                                        uint32_t timeout_ms, const struct upstream_sink *sink,
                                        upstream_done_fn fn, void *ctx);
void upstream_resume(struct upstream_call *call);
void upstream_cancel(struct upstream_call *call); /* fn is not called */
/* A file for people. Its contents come from form->source, as http.h has it; while that said -EAGAIN
 * upstream_resume() goes on. It has an hour at most, and may be cancelled. */
struct upstream_call *upstream_upload(struct upstream *u, const struct http_form *form,
                                      uint64_t fence, upstream_done_fn fn, void *ctx);
void upstream_free(struct upstream *u); /* cancels what is in flight, without callbacks */
DEFINE_CLEANUP(struct upstream *, upstream_free);
