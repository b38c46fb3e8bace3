#include "net/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loop/loop.h"
#include "net/multi.h"
#include "util/cleanup.h"
#include "util/str.h"

enum {
    HEADER_MAX_BYTES = 64 * 1024,     /* of one answer, interim answers (1xx) included */
    ERROR_BODY_MAX_BYTES = 64 * 1024, /* kept where the body was to go to a sink */
    KEEPALIVE_IDLE_S = 30,            /* under the idle limits of common NATs and load balancers */
    KEEPALIVE_INTERVAL_S = 10,
    CONNECTION_IDLE_S = 60, /* an idle connection older than that is not trusted any more */
    CONNECTION_AGE_S = 300, /* so that a changed address of the server is noticed */
    DNS_CACHE_S = 60,
};

long transfer_info(CURL *easy, CURLINFO info)
{
    long n = 0;

    (void)curl_easy_getinfo(easy, info, &n); /* stays 0 where curl knows nothing */
    return n;
}

void transfer_watch_stall(const struct http_call *call)
{
    if (call->stall && !call->paused)
        loop_timer_arm(call->stall, call->stall_ms);
}

/* ---- curl's callbacks: they only collect ---- */

/* Before the request is written to its connection, which may have been used before. */
static int on_request(void *ctx, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
    struct http_call *call = ctx;

    (void)peer_ip;
    (void)local_ip;
    (void)peer_port;
    /* a new connection may well hold something: a TLS server's tickets */
    call->strays = transfer_info(call->easy, CURLINFO_NUM_CONNECTS) == 0 &&
                   sockets_has_unread(call->http->sockets, local_port);
    return call->strays ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * count;

    /* curl keeps the lines for curl_easy_header(), but takes a header that is cut short for whole
     */
    if (len >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0)
        call->header_whole = false;
    else if (len > 0 && (bytes[0] == '\r' || bytes[0] == '\n'))
        call->header_whole = true;
    call->header_bytes += len;
    if (call->header_bytes <= HEADER_MAX_BYTES)
        return len;
    call->headers_too_large = true;
    return 0;
}

static size_t give_to_sink(struct http_call *call, const char *bytes, size_t len)
{
    int r;

    if (len > call->max_response_bytes - call->sunk_bytes) {
        call->body_too_large = true;
        return 0;
    }
    r = call->sink(bytes, len, call->sink_ctx);
    call->paused = r == -EAGAIN;
    if (call->paused) {
        if (call->stall)
            loop_timer_stop(call->stall);
        return CURL_WRITEFUNC_PAUSE;
    }
    call->stopped = r < 0;
    if (call->stopped)
        return 0;
    call->sunk_bytes += len;
    transfer_watch_stall(call);
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * count, max = call->max_response_bytes;

    if (call->stopped)
        return 0;
    if (call->sink && transfer_info(call->easy, CURLINFO_RESPONSE_CODE) == 200)
        return give_to_sink(call, bytes, len);
    if (call->sink && max > ERROR_BODY_MAX_BYTES)
        max = ERROR_BODY_MAX_BYTES;
    if (len > max - call->body.len) {
        call->body_too_large = true;
        return 0;
    }
    buf_append(&call->body, bytes, len);
    transfer_watch_stall(call);
    return len;
}

/* An upload's next piece, and where curl begins again: on another connection. */
static size_t on_source(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    uint64_t left = call->source_bytes - call->source_at;
    size_t len = size * count < left ? size * count : (size_t)left;
    ssize_t n;

    if (call->stopped)
        return CURL_READFUNC_ABORT;
    if (len == 0)
        return 0;
    n = call->source(call->source_at, bytes, len, call->source_ctx);
    call->paused = n == -EAGAIN;
    if (call->paused) {
        if (call->stall)
            loop_timer_stop(call->stall);
        return CURL_READFUNC_PAUSE;
    }
    call->stopped = n <= 0 || (size_t)n > len;
    if (call->stopped)
        return CURL_READFUNC_ABORT;
    call->source_at += (uint64_t)n;
    transfer_watch_stall(call);
    return (size_t)n;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_call *call = ctx;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > call->source_bytes)
        return CURL_SEEKFUNC_FAIL;
    call->source_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- the options ---- */

/* Options that are the same for every request. */
static const struct {
    CURLoption option;
    long value;
} fixed_options[] = {
    { CURLOPT_NOSIGNAL, 1 },
    /* A slow resolver thread is left behind instead of being joined, which would block the loop. */
    { CURLOPT_QUICK_EXIT, 1 },
    { CURLOPT_FOLLOWLOCATION, 0 },
    { CURLOPT_HTTP09_ALLOWED, 0 },
    /* One request a connection at a time: a stalled long poll can't hold up a reply. */
    { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
    { CURLOPT_NETRC, CURL_NETRC_IGNORED },
    { CURLOPT_HEADEROPT, CURLHEADER_SEPARATE }, /* our headers are not for a proxy's CONNECT */
    { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
    { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    { CURLOPT_SSL_VERIFYPEER, 1 },
    { CURLOPT_SSL_VERIFYHOST, 2 },
    { CURLOPT_TCP_NODELAY, 1 },
    { CURLOPT_TCP_KEEPALIVE, 1 },
    { CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
    { CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
    { CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S },
};

#define SET(easy, option, value) (curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

/* After a failure no connection made before it is used again, nor an address looked up before it:
 * behind a dead link every pooled connection is dead too, and each would cost a whole timeout. */
static bool set_freshness(struct http_call *call)
{
    uint64_t failed_ms = call->http->failed_ms;
    uint64_t since_s = CONNECTION_AGE_S;

    if (failed_ms > 0)
        since_s = (loop_now_ms(call->http->loop) - failed_ms) / 1000;
    if (since_s > CONNECTION_AGE_S)
        since_s = CONNECTION_AGE_S;
    return SET(call->easy, CURLOPT_FRESH_CONNECT, since_s == 0 ? 1L : 0L) &&
           SET(call->easy, CURLOPT_MAXLIFETIME_CONN, since_s == 0 ? 1L : (long)since_s) &&
           SET(call->easy, CURLOPT_DNS_CACHE_TIMEOUT,
               since_s < DNS_CACHE_S ? (long)since_s : (long)DNS_CACHE_S);
}

static bool set_peer_options(struct http_call *call)
{
    const struct http *http = call->http;
    CURL *easy = call->easy;
    bool ok = SET(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
              SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms) &&
              SET(easy, CURLOPT_USERAGENT, http->user_agent);

    if (ok && http->proxy)
        ok = SET(easy, CURLOPT_PROXY, http->proxy);
    if (ok && http->ca_file) /* instead of the system's, not besides them */
        ok = SET(easy, CURLOPT_CAINFO, http->ca_file) && SET(easy, CURLOPT_CAPATH, NULL) &&
             SET(easy, CURLOPT_PROXY_CAINFO, http->ca_file) &&
             SET(easy, CURLOPT_PROXY_CAPATH, NULL);
    return ok && set_freshness(call);
}

static bool set_callbacks(struct http_call *call)
{
    CURL *easy = call->easy;

    return sockets_attach(call->http->sockets, easy, &call->sockets) &&
           SET(easy, CURLOPT_PREREQFUNCTION, on_request) && SET(easy, CURLOPT_PREREQDATA, call) &&
           SET(easy, CURLOPT_PRIVATE, call) && SET(easy, CURLOPT_ERRORBUFFER, call->curl_error) &&
           SET(easy, CURLOPT_HEADERFUNCTION, on_header) && SET(easy, CURLOPT_HEADERDATA, call) &&
           SET(easy, CURLOPT_WRITEFUNCTION, on_body) && SET(easy, CURLOPT_WRITEDATA, call) &&
           SET(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->max_response_bytes);
}

static bool set_form(struct http_call *call, const struct http_form *form)
{
    curl_mimepart *part;

    call->source = form->source;
    call->source_ctx = form->source_ctx;
    call->source_bytes = form->bytes;
    call->mime = curl_mime_init(call->easy);
    part = call->mime ? curl_mime_addpart(call->mime) : NULL;
    return part && peer_is_clean(form->name) && peer_is_clean(form->filename) &&
           curl_mime_name(part, form->name) == CURLE_OK &&
           curl_mime_filename(part, form->filename) == CURLE_OK &&
           curl_mime_type(part, "application/octet-stream") == CURLE_OK &&
           curl_mime_data_cb(part, (curl_off_t)form->bytes, on_source, on_seek, NULL, call) ==
               CURLE_OK &&
           SET(call->easy, CURLOPT_MIMEPOST, call->mime);
}

static bool set_method(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;

    if (request->form)
        return set_form(call, request->form);
    if (str_eq(request->method, "GET"))
        return SET(easy, CURLOPT_HTTPGET, 1L);
    return SET(easy, CURLOPT_POST, 1L) &&
           SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len) &&
           SET(easy, CURLOPT_COPYPOSTFIELDS, request->body_len ? request->body : "") &&
           SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool add_header(struct http_call *call, const char *header)
{
    struct curl_slist *longer = curl_slist_append(call->headers, header);

    if (!longer)
        return false;
    call->headers = longer;
    return true;
}

static bool set_headers(struct http_call *call, const struct http_request *request)
{
    bool has_type = request->form != NULL;
    bool ok = add_header(call, "Expect:"); /* no round trip before a large body */

    for (size_t i = 0; ok && request->headers && request->headers[i]; i++) {
        has_type = has_type || strncasecmp(request->headers[i], "Content-Type:", 13) == 0;
        ok = peer_is_clean(request->headers[i]) && add_header(call, request->headers[i]);
    }
    if (ok && !has_type) /* else curl says that it is a form */
        ok = add_header(call, "Content-Type:");
    return ok && SET(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

int transfer_prepare(struct http_call *call, const struct http_request *request)
{
    struct err e = { 0 };

    if (peer_parse(request->url, call->peer) < 0) {
        /* without the URL's text: what is not understood may hold a password */
        (void)err_set(&e, -EINVAL,
                      "the address is not an http or https URL without user name and "
                      "password: check %s",
                      call->http->url_name);
    } else if (!peer_is_clean(request->method) || str_is_empty(request->method)) {
        (void)err_set(&e, -EINVAL, "the request's method is not one");
    } else if (!(call->easy = curl_easy_init())) {
        (void)err_set(&e, -ENOMEM, "libcurl made no handle for %s", call->peer);
    } else {
        bool ok = SET(call->easy, CURLOPT_URL, request->url) && set_callbacks(call) &&
                  set_peer_options(call) && set_method(call, request) && set_headers(call, request);

        for (size_t i = 0; ok && i < ARRAY_SIZE(fixed_options); i++)
            ok = SET(call->easy, fixed_options[i].option, fixed_options[i].value);
        if (!ok)
            (void)err_set(&e, -EINVAL,
                          "the request to %s can't be made: a header holds a control character, or "
                          "libcurl lacks an option",
                          call->peer);
        else if (multi_add(call->http->multi, call->easy) < 0)
            (void)err_set(&e, -EIO, "libcurl does not take the request to %s", call->peer);
    }
    if (e.code == 0)
        return 0;
    (void)snprintf(call->error, sizeof call->error, "%s", e.text); /* of the same size */
    return e.code;
}
