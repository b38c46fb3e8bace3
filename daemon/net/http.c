#include "net/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/failure.h"
#include "net/http_date.h"
#include "net/multi.h"
#include "net/peer.h"
#include "net/retry_after.h"
#include "net/sockets.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

enum {
    HEADER_MAX_BYTES = 64 * 1024,     /* of one answer, interim answers (1xx) included */
    ERROR_BODY_MAX_BYTES = 64 * 1024, /* kept where the body was to go to a sink */
    CONNECT_TIMEOUT_MS = 10 * 1000,
    CONNECTIONS_MAX = 16,
    KEEPALIVE_IDLE_S = 30, /* under the idle limits of common NATs and load balancers */
    KEEPALIVE_INTERVAL_S = 10,
    CONNECTION_IDLE_S = 60, /* an idle connection older than that is not trusted any more */
    CONNECTION_AGE_S = 300, /* so that a changed address of the server is noticed */
    DNS_CACHE_S = 60,
    ERROR_TEXT_MAX = ERR_TEXT_MAX
};

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
    char error[ERROR_TEXT_MAX];
};

/* ---- the end of a call ---- */

static void call_unlink(struct http_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->http->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->prev = call->next = NULL;
}

static void call_free(struct http_call *call)
{
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_mime_free(call->mime);
    for (struct curl_slist *h = call->headers; h; h = h->next)
        secret_wipe(h->data, strlen(h->data)); /* one of them may hold a key */
    curl_slist_free_all(call->headers);
    loop_timer_free(call->timer);
    loop_timer_free(call->stall);
    buf_done(&call->body);
    free(call);
}

static long info_long(CURL *easy, CURLINFO info)
{
    long n = 0;

    (void)curl_easy_getinfo(easy, info, &n); /* stays 0 where curl knows nothing */
    return n;
}

static bool is_connected(CURL *easy)
{
    curl_off_t us = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us); /* as above */
    return us > 0;
}

/* The call's handle is out of the multi handle, so its connection is free for the next call. */
static void call_finish(struct http_call *call, enum http_outcome outcome)
{
    struct http *http = call->http;

    call->response.outcome = outcome;
    call->response.reached = call->easy && is_connected(call->easy);
    call->response.body = buf_str(&call->body);
    call->response.body_len = call->body.len;
    call->response.error = call->error;
    if (!call->response.content_type)
        call->response.content_type = "";
    loop_timer_stop(call->timer);
    if (call->stall)
        loop_timer_stop(call->stall);
    call_unlink(call);
    http->in_callback++;
    call->fn(&call->response, call->ctx);
    http->in_callback--;
    call_free(call);
}

static bool is_proxied(const struct http *http)
{
    static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                         "ALL_PROXY" };

    if (http->proxy)
        return http->proxy[0] != '\0';
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!str_is_empty(getenv(names[i])))
            return true;
    return false;
}

static struct failure_facts call_facts(const struct http_call *call)
{
    return (struct failure_facts){
        .peer = call->peer,
        .url_name = call->http->url_name,
        .detail = call->curl_error,
        .os_errno =
            call->sockets.error ? call->sockets.error : info_long(call->easy, CURLINFO_OS_ERRNO),
        .connect_code = info_long(call->easy, CURLINFO_HTTP_CONNECTCODE),
        .proxied = is_proxied(call->http),
        .got_headers = call->header_bytes > 0,
        .headers_too_large = call->headers_too_large,
        .body_too_large = call->body_too_large,
        .stopped = call->stopped,
        .connected = is_connected(call->easy),
        .connect_timeout_ms = call->http->connect_timeout_ms,
        .timeout_ms = call->timeout_ms,
        .max_response_bytes = call->max_response_bytes,
    };
}

static void read_answer(struct http_call *call)
{
    struct http_response *r = &call->response;
    int64_t now_ms = clock_wall_ms();
    const char *date = NULL;

    r->status = (int)info_long(call->easy, CURLINFO_RESPONSE_CODE);
    r->content_type = http_header(r, "Content-Type");
    date = http_header(r, "Date");
    if (date && http_date_parse(date, now_ms, &r->date_ms) < 0)
        r->date_ms = 0;
    r->retry_after_ms =
        retry_after_parse(http_header(r, "Retry-After"), r->date_ms ? r->date_ms : now_ms);
}

static void call_fail(struct http_call *call, enum http_outcome outcome)
{
    if (outcome != HTTP_TOO_LARGE && outcome != HTTP_STOPPED)
        call->http->failed_ms = loop_now_ms(call->http->loop);
    buf_clear(&call->body); /* half an answer is none */
    call_finish(call, outcome);
}

/* Nothing of the request was sent: once more, over a new connection. Whether that works. */
static bool start_over(struct http_call *call)
{
    if (!call->strays)
        return false;
    call->strays = false;
    return curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           multi_add(call->http->multi, call->easy) == 0;
}

/* RFC 9112 section 4: three digits. libcurl reads some other first lines as a number, too. */
static bool has_status(CURL *easy)
{
    long status = info_long(easy, CURLINFO_RESPONSE_CODE);

    return status >= 100 && status <= 999;
}

static void on_transfer_done(CURL *easy, CURLcode result, void *ctx)
{
    struct http_call *call = NULL;
    struct failure_facts facts;

    (void)ctx;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call); /* set on every handle */
    if (result == CURLE_ABORTED_BY_CALLBACK && start_over(call))
        return;
    if (result == CURLE_OK && !call->header_whole)
        result = CURLE_PARTIAL_FILE;
    if (result == CURLE_OK && !has_status(easy))
        result = CURLE_UNSUPPORTED_PROTOCOL;
    if (result == CURLE_OK) {
        read_answer(call);
        call_finish(call, HTTP_DONE);
        return;
    }
    facts = call_facts(call);
    if (result == CURLE_COULDNT_RESOLVE_HOST && facts.os_errno == 0)
        facts.os_errno = sockets_try(); /* what resolves names wants some, too */
    call_fail(call, failure_explain(result, &facts, call->error, sizeof call->error));
}

static void on_deadline(struct loop_timer *timer, void *ctx)
{
    struct http_call *call = ctx;
    struct failure_facts facts;

    (void)timer;
    if (!call->easy) {
        call_finish(call, HTTP_BROKEN);
        return;
    }
    facts = call_facts(call);
    multi_remove(call->http->multi, call->easy);
    if (call->stopped)
        call_fail(call,
                  failure_explain(CURLE_WRITE_ERROR, &facts, call->error, sizeof call->error));
    else
        call_fail(call, failure_explain_deadline(&facts, call->error, sizeof call->error));
}

static void on_stall(struct loop_timer *timer, void *ctx)
{
    struct http_call *call = ctx;
    struct failure_facts facts = call_facts(call);

    (void)timer;
    facts.timeout_ms = call->stall_ms;
    multi_remove(call->http->multi, call->easy);
    call_fail(call, failure_explain_stall(&facts, call->error, sizeof call->error));
}

static void watch_stall(const struct http_call *call)
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
    call->strays = info_long(call->easy, CURLINFO_NUM_CONNECTS) == 0 &&
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
    watch_stall(call);
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * count, max = call->max_response_bytes;

    if (call->stopped)
        return 0;
    if (call->sink && info_long(call->easy, CURLINFO_RESPONSE_CODE) == 200)
        return give_to_sink(call, bytes, len);
    if (call->sink && max > ERROR_BODY_MAX_BYTES)
        max = ERROR_BODY_MAX_BYTES;
    if (len > max - call->body.len) {
        call->body_too_large = true;
        return 0;
    }
    buf_append(&call->body, bytes, len);
    watch_stall(call);
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
    watch_stall(call);
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

void http_resume(struct http_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    watch_stall(call);
    /* gives what it holds at once; where the sink stops it, curl would go on without those bytes */
    if (curl_easy_pause(call->easy, CURLPAUSE_CONT) != CURLE_OK || call->stopped) {
        call->stopped = true;
        loop_timer_arm(call->timer, 0);
    }
}

/* ---- the start of a call ---- */

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

static int prepare(struct http_call *call, const struct http_request *request)
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

struct http_call *http_start(struct http *http, const struct http_request *request, http_done_fn fn,
                             void *ctx)
{
    struct http_call *call = mem_new(struct http_call);

    assert(request->timeout_ms > 0 && request->max_response_bytes > 0);
    call->http = http;
    call->fn = fn;
    call->ctx = ctx;
    call->timeout_ms = request->timeout_ms;
    call->max_response_bytes = request->max_response_bytes;
    call->sink = request->sink;
    call->sink_ctx = request->sink_ctx;
    call->stall_ms = request->stall_ms;
    call->timer = loop_timer_new(http->loop, on_deadline, call);
    call->next = http->calls;
    if (call->next)
        call->next->prev = call;
    http->calls = call;
    if (prepare(call, request) == 0) {
        loop_timer_arm(call->timer, request->timeout_ms);
        if (call->stall_ms > 0)
            call->stall = loop_timer_new(http->loop, on_stall, call);
        watch_stall(call);
        return call;
    }
    if (call->easy)
        curl_easy_cleanup(call->easy);
    call->easy = NULL; /* on_deadline() reports what prepare() wrote */
    loop_timer_arm(call->timer, 0);
    return call;
}

void http_cancel(struct http_call *call)
{
    if (!call)
        return;
    if (call->easy)
        multi_remove(call->http->multi, call->easy);
    call_unlink(call);
    call_free(call);
}

const char *http_header(const struct http_response *response, const char *name)
{
    const struct http_call *call = (const struct http_call *)(const void *)response;
    struct curl_header *header;

    if (!call->easy ||
        curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

/* ---- the whole ---- */

static int check_curl(struct err *err)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

    if (!(v->features & CURL_VERSION_ASYNCHDNS) || v->ares_num > 0)
        return err_set(err, -ENOSYS,
                       "libcurl %s has no threaded resolver, so that looking up a name would stop "
                       "everything else: install Debian's libcurl4",
                       v->version);
    if (!(v->features & CURL_VERSION_SSL))
        return err_set(err, -ENOSYS, "libcurl %s has no TLS: install Debian's libcurl4",
                       v->version);
    return 0;
}

/* libcurl without memory may lose a transfer, or itself. What it asks for is bounded by what we
 * give it and by its own limits, so there is no need to go on: it ends as in mem.h. */
static void *take(size_t size)
{
    return mem_realloc(NULL, size);
}

int http_new(struct loop *loop, const struct http_options *options, struct http **ret_http,
             struct err *err)
{
    struct http *http;
    int rc;

    if (options->ca_file && access(options->ca_file, R_OK) < 0)
        return err_set(err, -errno,
                       "the certificates in '%s' can't be read: %s; check server.ca_file",
                       options->ca_file, strerror(errno));
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, take, free, mem_realloc, mem_strdup,
                             mem_calloc) != CURLE_OK)
        return err_set(err, -ENOSYS, "libcurl can't be initialised");
    rc = check_curl(err);
    if (rc < 0) {
        curl_global_cleanup();
        return rc;
    }
    /* OpenSSL writes to sockets without MSG_NOSIGNAL: a closed one must give EPIPE */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for a valid signal */
    http = mem_new(struct http);
    http->loop = loop;
    http->sockets = sockets_new();
    http->user_agent = mem_strdup(options->user_agent);
    http->ca_file = mem_strdup(options->ca_file);
    http->proxy = mem_strdup(options->proxy);
    http->url_name = options->url_name ? options->url_name : "server.url";
    http->connect_timeout_ms =
        options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    rc =
        multi_new(loop, options->max_connections ? (long)options->max_connections : CONNECTIONS_MAX,
                  on_transfer_done, http, &http->multi, err);
    if (rc < 0) {
        http_free(http);
        return rc;
    }
    *ret_http = http;
    return 0;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    assert(http->in_callback == 0);
    while (http->calls)
        http_cancel(http->calls);
    multi_free(http->multi);
    sockets_free(http->sockets);
    free(http->user_agent);
    free(http->ca_file);
    free(http->proxy);
    free(http);
    curl_global_cleanup();
}
