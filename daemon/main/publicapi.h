/* publicapi.h - Nairi's public API as a client sees it: one request at a time, and what its answer
 * means. No retries here. Source: Nairi public API, section 8 of the protocol's description. */
#pragma once
#include "net/http.h"
#include "util/cleanup.h"
#include <stdint.h>

struct clientenv;
struct err;
struct json;
struct loop;
struct publicapi;

enum publicapi_verdict {
    PUBLICAPI_OK,
    PUBLICAPI_UNKNOWN_ID,  /* 404 */
    PUBLICAPI_REFUSED,     /* another 4xx: the same request will never pass */
    PUBLICAPI_KEY_REFUSED, /* 401, 403 with a JSON body */
    PUBLICAPI_BUSY,        /* 429, 503: not done; later */
    PUBLICAPI_DOWN,        /* no answer, or none of the server: whether it was done is unknown */
    PUBLICAPI_VERDICT_COUNT
};

struct publicapi_answer {
    enum publicapi_verdict verdict;
    const struct json *body; /* PUBLICAPI_OK: a JSON object, borrowed for the call; NULL: the sink
                                has it */
    uint32_t retry_after_ms; /* 0: none said */
    const char *text;        /* a sentence, "" for PUBLICAPI_OK; borrowed for the call */
};
typedef void (*publicapi_fn)(const struct publicapi_answer *answer, void *ctx);

/* client: url and key must be set; borrowed. A server on this machine is never reached by a
 * proxy. */
int publicapi_new(struct loop *loop, const struct clientenv *client, struct publicapi **ret_api,
                  struct err *err);
/* path: after /api/public/v1, of characters that need no encoding. body: a JSON text, copied; NULL
 * for none. The callback may start the next request. */
void publicapi_call(struct publicapi *api, const char *method, const char *path, const char *body,
                    publicapi_fn fn, void *ctx);
/* POST of a form with that file, whose source is called until the answer. */
void publicapi_upload(struct publicapi *api, const char *path, const struct http_form *form,
                      publicapi_fn fn, void *ctx);
/* GET of something large: the body of the answer goes to sink, and OK has none. */
void publicapi_download(struct publicapi *api, const char *path, http_sink_fn sink, void *sink_ctx,
                        publicapi_fn fn, void *ctx);
/* "METHOD URL" as a line of shell for a person, with the key by its variable. To be freed. */
char *publicapi_curl(const struct publicapi *api, const char *method, const char *path);
void publicapi_free(struct publicapi *api); /* cancels what is in flight, without callbacks */
DEFINE_CLEANUP(struct publicapi *, publicapi_free);
