#include "net/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/failure.h"
#include "net/http_date.h"
#include "net/multi.h"
#include "net/retry_after.h"
#include "net/sockets.h"
#include "net/transfer.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

enum { CONNECT_TIMEOUT_MS = 10 * 1000, CONNECTIONS_MAX = 16 };

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
        .os_errno = call->sockets.error ? call->sockets.error
                                        : transfer_info(call->easy, CURLINFO_OS_ERRNO),
        .connect_code = transfer_info(call->easy, CURLINFO_HTTP_CONNECTCODE),
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

    r->status = (int)transfer_info(call->easy, CURLINFO_RESPONSE_CODE);
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
    long status = transfer_info(easy, CURLINFO_RESPONSE_CODE);

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

void http_resume(struct http_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    transfer_watch_stall(call);
    /* The headers of a form's part come before its contents: curl learns only after them that the
     * source has none yet, and a resume that was earlier than that would be lost. */
    if (call->source)
        (void)curl_easy_pause(call->easy, CURLPAUSE_SEND); /* where it fails the next one does */
    /* gives what it holds at once; where the sink stops it, curl would go on without those bytes */
    if (curl_easy_pause(call->easy, CURLPAUSE_CONT) != CURLE_OK || call->stopped) {
        call->stopped = true;
        loop_timer_arm(call->timer, 0);
    }
}

/* ---- the start of a call ---- */

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
    if (transfer_prepare(call, request) == 0) {
        loop_timer_arm(call->timer, request->timeout_ms);
        if (call->stall_ms > 0)
            call->stall = loop_timer_new(http->loop, on_stall, call);
        transfer_watch_stall(call);
        return call;
    }
    if (call->easy)
        curl_easy_cleanup(call->easy);
    call->easy = NULL; /* on_deadline() reports what transfer_prepare() wrote */
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

struct loop *http_loop(const struct http *http)
{
    return http->loop;
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
