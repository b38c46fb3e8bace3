/* transfer.h - one request in flight, as libcurl has it: the options of its handle, and curl's
 * callbacks, which only collect. Its life, from http_start() to its end, is http.c's. For
 * net/http.c only. */
#pragma once
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http.h"
#include "net/peer.h"
#include "net/sockets.h"
#include "util/buf.h"
#include "util/err.h"

struct loop;
struct loop_timer;
struct multi;

struct http {
    struct loop *loop;
    struct multi *multi;
    struct sockets *sockets;
    char *user_agent, *ca_file, *proxy;
    const char *url_name;
    uint32_t connect_timeout_ms;
    struct http_call *calls; /* in flight */
    uint64_t failed_ms;      /* when a connection last failed, 0: never */
    unsigned in_callback;
};

struct http_call {
    struct http_response response; /* first: http_header() finds the call by it */
    struct http *http;
    struct http_call *prev, *next;
    struct sockets_user sockets;
    CURL *easy; /* NULL where the request can't even be tried; error says why */
    struct curl_slist *headers;
    curl_mime *mime;          /* NULL: none */
    struct loop_timer *timer; /* the whole request's deadline; 0 for one that can't be tried */
    struct loop_timer *stall; /* NULL: none */
    http_done_fn fn;
    http_sink_fn sink; /* NULL: none */
    http_source_fn source;
    void *ctx, *sink_ctx, *source_ctx;
    uint64_t source_at, source_bytes;
    struct buf body;
    size_t max_response_bytes, header_bytes;
    size_t sunk_bytes; /* taken by the sink */
    uint32_t timeout_ms, stall_ms;
    bool body_too_large, headers_too_large;
    bool paused, stopped; /* as sink or source said */
    bool strays;          /* something lay unread on the connection that was to be used again */
    bool header_whole;    /* the last header begun has its blank line */
    char peer[PEER_MAX];
    char curl_error[CURL_ERROR_SIZE];
    char error[ERR_TEXT_MAX];
};

/* Makes the call's handle and hands it to the multi handle. 0, or a negative errno with the reason
 * in call->error, which names nothing secret; what was made is then still to be freed. */
int transfer_prepare(struct http_call *call, const struct http_request *request);
/* Something has moved, either way: the server's silence is counted from now on. */
void transfer_watch_stall(const struct http_call *call);
/* 0 where curl knows nothing. */
long transfer_info(CURL *easy, CURLINFO info);
