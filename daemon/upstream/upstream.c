#include "upstream/upstream.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net/http.h"
#include "settings/url.h"
#include "upstream/heading.h"
#include "upstream/lister.h"
#include "upstream/parcel.h"
#include "upstream/verdict.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

enum {
    TIMEOUT_MS = 60 * 1000,
    POLL_GRACE_MS = 30 * 1000, /* past the wait that was asked for, at most */
    /* What isn't read can't be answered, so no less; our own hub lists 8 MiB at most. */
    LISTING_MAX_BYTES = 64 * 1024 * 1024,
    LISTING_SHORT_BYTES = 256 * 1024, /* parsed on the loop, in some 5 ms at most */
    ANSWER_MAX_BYTES = 64 * 1024,
    DOWNLOAD_EXTRA_BYTES = 64 * 1024, /* past twice the file: base64 with some escapes in it */
    UPLOAD_BYTES_A_S = 16 * 1024,     /* a slower line is given up */
    UPLOAD_MOST_MS = 60 * 60 * 1000
};

struct upstream_call {
    struct upstream *u;
    struct upstream_call *prev, *next;
    struct http_call *http;
    enum verdict_request request;
    upstream_done_fn fn;
    upstream_document_fn document_fn; /* in its place, of upstream_get() */
    void *ctx;
    struct download *download;     /* NULL: it is none */
    struct lister_job *parsing;    /* of a poll whose answer has come; NULL: none, or not yet */
    struct upstream_answer answer; /* what is known of it meanwhile */
};

/* What is being downloaded. */
struct download {
    char *id;
    struct parcel parcel;
    struct upstream_sink sink;
    struct err fault; /* of the answer's contents; code 0: none so far */
};

struct upstream {
    struct http *http;
    char *base, *agent_id, *instance_id;
    struct secret *key; /* borrowed */
    uint32_t timeout_ms;
    struct lister *lister;
    struct upstream_call *calls;
    struct upstream_call *poll; /* among calls, NULL: none */
};

/* ---- answers ---- */

static void call_free(struct upstream_call *call)
{
    struct upstream *u = call->u;

    if (call->prev)
        call->prev->next = call->next;
    else
        u->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (u->poll == call)
        u->poll = NULL;
    if (call->download)
        free(call->download->id);
    free(call->download);
    free(call);
}

/* Nobody is told. */
static void call_drop(struct upstream_call *call)
{
    lister_drop(call->parsing);
    http_cancel(call->http);
    call_free(call);
}

static uint64_t fence_of(const struct http_response *r)
{
    const char *value = http_header(r, "X-Nairi-Fence");
    uint64_t fence;

    return value && str_to_u64(value, UINT64_MAX, &fence) == 0 ? fence : 0;
}

/* RFC 7240 s3: the server names the preferences that it honoured. */
static bool has_waited(const struct http_response *r)
{
    const char *value = http_header(r, "Preference-Applied");

    return value && strcasestr(value, "wait") != NULL;
}

/* What is wrong with a file that came; 0: nothing, or the sink alone knows. */
static int check_download(struct upstream_call *call, const struct http_response *r)
{
    struct download *d = call->download;

    if (!d || r->outcome != HTTP_DONE || r->status < 200 || r->status > 299 || d->fault.code < 0)
        return d ? d->fault.code : 0;
    if (r->status != 200)
        return err_set(&d->fault, -EBADMSG, "the answer has status %d instead of 200", r->status);
    if (parcel_end(&d->parcel, &d->fault) < 0)
        return d->fault.code;
    if (d->parcel.id[0] && !str_eq(d->parcel.id, d->id))
        return err_set(&d->fault, -EBADMSG, "the answer is about another attachment");
    return 0;
}

/* What the server calls a file that it has taken; NULL: it doesn't say, or no id looks like that.
 * It goes into the journal and into what is sent. */
static const char *id_of(const struct http_response *r, struct json **ret_root)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    const char *id;

    if (r->outcome != HTTP_DONE || r->status < 200 || r->status > 299 ||
        json_parse(r->body, r->body_len, ret_root, NULL) < 0)
        return NULL;
    id = json_get_str(*ret_root, "attachment_id");
    return !str_is_empty(id) && strlen(id) <= UPSTREAM_ID_MAX && id[strspn(id, letters)] == '\0'
               ? id
               : NULL;
}

/* All but what the answer means, and what came with it. */
static struct upstream_answer answer_of(const struct http_response *r)
{
    return (struct upstream_answer){
        .retry_after_ms = r->retry_after_ms,
        .fence = fence_of(r),
        .waited = has_waited(r),
        .clock_skew_ms = r->date_ms ? r->date_ms - clock_wall_ms() : 0,
        .status = r->status,
    };
}

/* The end of a call. */
static void give_answer(struct upstream_call *call, const struct verdict_facts *facts,
                        struct upstream_answer answer)
{
    upstream_done_fn fn = call->fn;
    void *ctx = call->ctx;
    struct verdict verdict;

    verdict_judge(facts, &verdict);
    answer.verdict = verdict.verdict;
    answer.text = verdict.text;
    call_free(call); /* the callback may start the next one */
    fn(&answer, ctx);
}

static void give_listing(struct upstream_call *call, struct upstream_answer answer,
                         struct listing *listing, const char *error)
{
    const struct verdict_facts facts = {
        .request = VERDICT_POLL,
        .outcome = HTTP_DONE,
        .status = answer.status,
        .content_type = "",
        .body = "",
        .reached = true,
        .http_error = "",
        .listing_error = error,
        .never_say = secret_text(call->u->key),
    };

    answer.listing = listing;
    give_answer(call, &facts, answer);
}

static void on_listing(struct listing *listing, const char *error, void *ctx)
{
    struct upstream_call *call = ctx;

    call->parsing = NULL;
    give_listing(call, call->answer, listing, error);
}

static void on_list(struct upstream_call *call, const struct http_response *r)
{
    struct listing listing = { 0 };
    struct err why = { 0 };
    bool ok;

    call->http = NULL; /* it is over */
    call->answer = answer_of(r);
    if (r->body_len > LISTING_SHORT_BYTES)
        call->parsing = lister_give(call->u->lister, r->body, r->body_len, on_listing, call);
    if (call->parsing)
        return;
    ok = listing_parse(r->body, r->body_len, &listing, &why) == 0;
    give_listing(call, call->answer, ok ? &listing : NULL, ok ? NULL : why.text);
    listing_done(&listing);
}

static void on_answer(const struct http_response *r, void *ctx)
{
    struct upstream_call *call = ctx;
    CLEANUP_PTR(json_free) struct json *root = NULL;
    const char *id = call->request == VERDICT_UPLOAD ? id_of(r, &root) : NULL;
    struct upstream_answer answer;
    struct verdict_facts facts;

    if (call->request == VERDICT_POLL && r->outcome == HTTP_DONE && r->status == 200) {
        on_list(call, r);
        return;
    }
    facts = (struct verdict_facts){
        .request = call->request,
        .outcome = r->outcome,
        .status = r->status,
        .content_type = r->content_type,
        .body = r->body,
        .body_len = r->body_len,
        .retry_after_ms = r->retry_after_ms,
        .reached = r->reached,
        .has_id = id != NULL,
        .http_error = r->error,
        .file_fault = check_download(call, r),
        .file_error = call->download ? call->download->fault.text : NULL,
        .never_say = secret_text(call->u->key),
    };
    answer = answer_of(r);
    answer.attachment_id = id;
    give_answer(call, &facts, answer);
}

/* ---- requests ---- */

/* Who asks. */
static void add_common_headers(const struct upstream *u, struct heading *h, uint64_t fence)
{
    heading_add(h, "Authorization: Bearer %s", secret_text(u->key));
    heading_add(h, "Accept: application/json");
    if (u->agent_id)
        heading_add(h, "X-AGENT-ID: %s", u->agent_id);
    if (u->instance_id)
        heading_add(h, "X-CCAGENT-ID: %s", u->instance_id);
    if (fence > 0)
        heading_add(h, "X-Nairi-Fence: %" PRIu64, fence);
}

static struct upstream_call *call_new(struct upstream *u, enum verdict_request request,
                                      upstream_done_fn fn, void *ctx)
{
    struct upstream_call *call = mem_new(struct upstream_call);

    *call = (struct upstream_call){ .u = u, .request = request, .fn = fn, .ctx = ctx };
    call->next = u->calls;
    if (call->next)
        call->next->prev = call;
    u->calls = call;
    return call;
}

static struct upstream_call *call_start(struct upstream *u, enum verdict_request request,
                                        const struct http_request *http, upstream_done_fn fn,
                                        void *ctx)
{
    struct upstream_call *call = call_new(u, request, fn, ctx);

    call->http = http_start(u->http, http, on_answer, call);
    return call;
}

void upstream_poll(struct upstream *u, uint32_t wait_ms, upstream_done_fn fn, void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    AUTO_FREE char *url = mem_printf("%s/api/agents/jobs", u->base);
    uint32_t wait_s = wait_ms > 0 && wait_ms < 1000 ? 1 : wait_ms / 1000;
    uint32_t grace_ms = u->timeout_ms < POLL_GRACE_MS ? u->timeout_ms : POLL_GRACE_MS;

    assert(!u->poll);
    add_common_headers(u, &h, 0);
    if (wait_s > 0)
        heading_add(&h, "Prefer: wait=%" PRIu32, wait_s);
    u->poll = call_start(u, VERDICT_POLL,
                         &(struct http_request){
                             .method = "GET",
                             .url = url,
                             .headers = heading_lines(&h),
                             .timeout_ms = wait_s > 0 ? wait_s * 1000 + grace_ms : u->timeout_ms,
                             .max_response_bytes = LISTING_MAX_BYTES,
                         },
                         fn, ctx);
}

void upstream_poll_cancel(struct upstream *u)
{
    if (u->poll)
        call_drop(u->poll);
}

struct upstream_call *upstream_submit(struct upstream *u, const char *body, uint64_t fence,
                                      upstream_done_fn fn, void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    AUTO_FREE char *url = mem_printf("%s/api/agents/messages", u->base);

    add_common_headers(u, &h, fence);
    heading_add(&h, "Content-Type: application/json");
    return call_start(u, VERDICT_SUBMIT,
                      &(struct http_request){
                          .method = "POST",
                          .url = url,
                          .headers = heading_lines(&h),
                          .body = body,
                          .body_len = strlen(body),
                          .timeout_ms = u->timeout_ms,
                          .max_response_bytes = ANSWER_MAX_BYTES,
                      },
                      fn, ctx);
}

void upstream_ack(struct upstream *u, const char *ack_id, uint64_t fence, upstream_done_fn fn,
                  void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    CLEANUP(buf_done) struct buf url = { 0 };

    buf_printf(&url, "%s/api/agents/messages/", u->base);
    heading_escape(&url, ack_id);
    buf_append_str(&url, "/ack");
    add_common_headers(u, &h, fence);
    (void)call_start(u, VERDICT_ACK,
                     &(struct http_request){
                         .method = "POST",
                         .url = buf_str(&url),
                         .headers = heading_lines(&h),
                         .timeout_ms = u->timeout_ms,
                         .max_response_bytes = ANSWER_MAX_BYTES,
                     },
                     fn, ctx);
}

/* ---- documents ---- */

static void on_document(const struct http_response *r, void *ctx)
{
    struct upstream_call *call = ctx;
    upstream_document_fn fn = call->document_fn;
    void *fn_ctx = call->ctx;
    bool done = r->outcome == HTTP_DONE;
    AUTO_FREE char *text =
        done ? mem_printf("the server answered with status %d", r->status) : mem_strdup(r->error);
    const struct upstream_document document = {
        .ok = done && r->status == 200,
        .none = done && (r->status == 404 || r->status == 410),
        .is_json = strcasestr(r->content_type, "json") != NULL,
        .retry_after_ms = r->retry_after_ms,
        .body = r->body,
        .len = r->body_len,
        .text = text,
    };

    call_free(call); /* the callback may start the next one */
    fn(&document, fn_ctx);
}

void upstream_get(struct upstream *u, const char *name, size_t max_bytes, upstream_document_fn fn,
                  void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    AUTO_FREE char *url = mem_printf("%s/api/agents/%s", u->base, name);
    struct upstream_call *call = call_new(u, VERDICT_POLL, NULL, ctx);

    call->document_fn = fn;
    add_common_headers(u, &h, 0);
    call->http = http_start(u->http,
                            &(struct http_request){
                                .method = "GET",
                                .url = url,
                                .headers = heading_lines(&h),
                                .timeout_ms = u->timeout_ms,
                                .max_response_bytes = max_bytes,
                            },
                            on_document, call);
}

/* ---- downloads ---- */

static int take_piece(const char *bytes, size_t len, void *ctx)
{
    struct upstream_call *call = ctx;
    struct download *d = call->download;

    if (!d->sink.has_room(len, d->sink.ctx))
        return -EAGAIN;
    return parcel_feed(&d->parcel, bytes, len, &d->fault);
}

struct upstream_call *upstream_download(struct upstream *u, const char *id, uint64_t max_bytes,
                                        uint32_t timeout_ms, const struct upstream_sink *sink,
                                        upstream_done_fn fn, void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    CLEANUP(buf_done) struct buf url = { 0 };
    struct upstream_call *call = call_new(u, VERDICT_DOWNLOAD, fn, ctx);

    call->download = mem_new(struct download);
    call->download->id = mem_strdup(id);
    call->download->sink = *sink;
    parcel_init(&call->download->parcel, max_bytes, sink->take, sink->ctx);
    buf_printf(&url, "%s/api/agents/attachments/", u->base);
    heading_escape(&url, id);
    add_common_headers(u, &h, 0);
    call->http = http_start(u->http,
                            &(struct http_request){
                                .method = "GET",
                                .url = buf_str(&url),
                                .headers = heading_lines(&h),
                                .timeout_ms = timeout_ms,
                                .max_response_bytes = (size_t)max_bytes * 2 + DOWNLOAD_EXTRA_BYTES,
                                .sink = take_piece,
                                .sink_ctx = call,
                                .stall_ms = u->timeout_ms,
                            },
                            on_answer, call);
    return call;
}

void upstream_resume(struct upstream_call *call)
{
    http_resume(call->http);
}

void upstream_cancel(struct upstream_call *call)
{
    call_drop(call);
}

/* ---- uploads ---- */

struct upstream_call *upstream_upload(struct upstream *u, const struct http_form *form,
                                      uint64_t fence, upstream_done_fn fn, void *ctx)
{
    CLEANUP(heading_done) struct heading h = { 0 };
    AUTO_FREE char *url = mem_printf("%s/api/agents/attachments", u->base);
    uint64_t most_ms = u->timeout_ms + form->bytes / UPLOAD_BYTES_A_S * 1000;

    add_common_headers(u, &h, fence);
    return call_start(
        u, VERDICT_UPLOAD,
        &(struct http_request){
            .method = "POST",
            .url = url,
            .headers = heading_lines(&h),
            .form = form,
            .timeout_ms = most_ms < UPLOAD_MOST_MS ? (uint32_t)most_ms : UPLOAD_MOST_MS,
            .max_response_bytes = ANSWER_MAX_BYTES,
            .stall_ms = u->timeout_ms,
        },
        fn, ctx);
}

/* ---- the whole ---- */

static int check_id(const char *id, const char *name, struct err *err)
{
    for (const char *c = id; c && *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(err, -EINVAL,
                           "%s can't be sent: only letters, digits and punctuation of ASCII may "
                           "be in it",
                           name);
    return 0;
}

int upstream_new(struct http *http, const struct upstream_options *options,
                 struct upstream **ret_upstream, struct err *err)
{
    AUTO_FREE char *base = url_normal(options->url);
    const char *why = url_check(base);
    struct upstream *u;

    if (why)
        return err_set(err, -EINVAL, "server.url: %s", why);
    if (check_id(options->agent_id, "agent.id", err) < 0 ||
        check_id(options->instance_id, "the instance id", err) < 0)
        return -EINVAL;
    u = mem_new(struct upstream);
    u->http = http;
    u->lister = lister_new(http_loop(http));
    u->base = TAKE_PTR(base);
    u->agent_id = mem_strdup(options->agent_id);
    u->instance_id = mem_strdup(options->instance_id);
    u->key = options->key;
    u->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    *ret_upstream = u;
    return 0;
}

void upstream_set_key(struct upstream *u, struct secret *key)
{
    u->key = key;
}

void upstream_free(struct upstream *u)
{
    if (!u)
        return;
    while (u->calls)
        call_drop(u->calls);
    lister_free(u->lister);
    free(u->base);
    free(u->agent_id);
    free(u->instance_id);
    free(u);
}
