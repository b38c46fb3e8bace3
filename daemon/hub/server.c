#include "hub/server.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "hub/guest.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    POOL_BYTES = 8 << 10,   /* libmicrohttpd's memory of one connection; bounds the headers too */
    DRAIN_MAX = 64 << 20,   /* a body past its limit is read so far, so that the 413 arrives */
    BLOCK_BYTES = 32 << 10, /* libmicrohttpd's memory for an answer that is read as it goes */
    OWN_LIMIT_S = 3600,     /* never reached, see resume() */
    MHD_FLAGS = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME,
};

struct server {
    struct loop *loop;
    struct MHD_Daemon *mhd;
    struct loop_fd *watcher; /* of libmicrohttpd's epoll descriptor */
    struct loop_timer *timer;
    struct server_limits limits;
    struct server_ops ops;
    void *ctx;
    struct guest_list *guests;
    size_t requests;
    size_t body_bytes; /* of requests that haven't ended */
};

struct server_request {
    struct server *server;
    struct MHD_Connection *mhd;
    struct guest *guest;
    char *method;
    char *path;
    struct buf body;
    uint64_t body_max;
    uint64_t received; /* bytes of body, also those not kept */
    size_t kept;       /* counted in the server's body_bytes */
    bool streamed;
    bool beginning;  /* held since its headers came */
    bool hopeless;   /* nothing of its body is to be awaited */
    uint64_t stride; /* bytes of the body or of the answer since the deadline was set */
    struct server_source source;
    bool crowded_out;
    bool arrived;
    bool suspended;
    bool resumed; /* and hasn't been looked at since */
    bool watched; /* once it is suspended */
    bool gone;
    struct loop_fd *watcher; /* of the client's socket while suspended */
    struct MHD_Response *response;
    unsigned status;
    void *data;
};

/* ---- libmicrohttpd in our loop ---- */

static void pump(struct server *s)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    (void)MHD_run(s->mhd); /* fails only where the daemon has a thread of its own */
    if (MHD_get_timeout(s->mhd, &wait_ms) == MHD_YES)
        loop_timer_arm(s->timer, wait_ms);
    else
        loop_timer_stop(s->timer);
}

static void on_epoll(struct loop_fd *watcher, unsigned events, void *ctx)
{
    (void)watcher;
    (void)events;
    pump(ctx);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    pump(ctx);
}

/* ---- connections ---- */

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *s = ctx;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

        *socket_context = guest_new(s->guests, fd, s->limits.request_ms);
        return;
    }
    /* At the limit, and where accept(2) had no descriptor or memory left, libmicrohttpd stops
     * listening, and looks whether it may again only when it runs the next time. */
    if (s->watcher)
        loop_fd_feed(s->watcher, LOOP_READ);
    guest_free(*socket_context);
    *socket_context = NULL;
}

/* ---- requests ---- */

static struct server_request *request_new(struct server *s, struct MHD_Connection *mhd,
                                          const char *path, const char *method)
{
    struct server_request *r = mem_new(struct server_request);

    r->server = s;
    r->mhd = mhd;
    r->guest = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    r->method = mem_strdup(method);
    r->path = mem_strdup(path);
    r->body_max = SERVER_BODY_MAX;
    return r;
}

static void request_free(struct server_request *r)
{
    loop_fd_free(r->watcher);
    r->server->body_bytes -= r->kept;
    if (guest_held(r->guest) == r)
        guest_set_held(r->guest, NULL);
    if (r->source.done)
        r->source.done(r->source.ctx);
    if (r->response)
        MHD_destroy_response(r->response);
    buf_done(&r->body);
    free(r->method);
    free(r->path);
    free(r);
}

static void reply_too_large(struct server_request *r)
{
    server_reply(r, MHD_HTTP_CONTENT_TOO_LARGE,
                 mem_printf("{\"error\":\"the request's body is longer than %" PRIu64 " bytes\"}",
                            r->body_max),
                 NULL);
}

static void reply_crowded_out(struct server_request *r)
{
    static const struct server_header headers[] = { { "Retry-After", "1" }, { NULL, NULL } };

    server_reply(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                 mem_strdup("{\"error\":\"too many large requests at a time: try again\"}"),
                 headers);
}

static void drop_body(struct server_request *r)
{
    r->server->body_bytes -= r->kept;
    r->kept = 0;
    buf_done(&r->body);
}

static void collect(struct server_request *r, const char *bytes, size_t len)
{
    r->received += len;
    if (r->received > r->body_max || r->crowded_out || r->response) {
        drop_body(r);
        return;
    }
    if (r->streamed) {
        r->server->ops.part(r, bytes, len, r->server->ctx);
        return;
    }
    if (r->server->body_bytes + len > SERVER_BODIES_MAX) {
        r->crowded_out = true;
        drop_body(r);
        return;
    }
    r->kept += len;
    r->server->body_bytes += len;
    buf_append(&r->body, bytes, len);
}

/* Headers that say where a request ends and whose it is: what stands before us may read the other
 * one (RFC 9112 s11.2, request smuggling). */
static const char *const once[] = { MHD_HTTP_HEADER_CONTENT_LENGTH,
                                    MHD_HTTP_HEADER_TRANSFER_ENCODING, MHD_HTTP_HEADER_HOST,
                                    MHD_HTTP_HEADER_AUTHORIZATION };

static enum MHD_Result count_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    unsigned *counts = ctx;

    (void)kind;
    (void)value;
    for (size_t i = 0; i < ARRAY_SIZE(once); i++)
        counts[i] += strcasecmp(name, once[i]) == 0;
    return MHD_YES;
}

/* NULL, or what is ambiguous about the request's headers. */
static const char *find_ambiguity(struct server_request *r)
{
    unsigned counts[ARRAY_SIZE(once)] = { 0 };

    (void)MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, count_header, counts);
    for (size_t i = 0; i < ARRAY_SIZE(once); i++)
        if (counts[i] > 1)
            return once[i];
    return counts[0] > 0 && counts[1] > 0 ? "its length" : NULL;
}

static void reply_ambiguous(struct server_request *r, const char *what)
{
    static const struct server_header headers[] = { { MHD_HTTP_HEADER_CONNECTION, "close" },
                                                    { NULL, NULL } };

    server_reply(r, MHD_HTTP_BAD_REQUEST,
                 mem_printf("{\"error\":\"a request must not have %s twice\"}", what), headers);
}

static uint64_t drain_max(const struct server_request *r)
{
    return r->streamed ? r->body_max + DRAIN_MAX : DRAIN_MAX;
}

static bool announces_too_much(struct server_request *r)
{
    const char *length = server_request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n;

    return length && str_to_u64(length, UINT64_MAX, &n) == 0 && n > drain_max(r);
}

static enum MHD_Result queue(struct server_request *r)
{
    enum MHD_Result result = MHD_queue_response(r->mhd, r->status, r->response);

    MHD_destroy_response(r->response);
    r->response = NULL;
    guest_serve(r->guest, r->server->limits.answer_ms);
    return result;
}

static void hand_up(struct server *s, struct server_request *r)
{
    if (r->received > r->body_max) {
        reply_too_large(r);
    } else if (r->crowded_out) {
        reply_crowded_out(r);
    } else {
        r->arrived = true;
        s->requests++;
        guest_keep(r->guest);
        s->ops.arrived(r, s->ctx);
    }
}

/* Whoever keeps up with a file gets the time for it. */
static void stride(struct server_request *r, size_t len)
{
    r->stride += len;
    if (r->stride < SERVER_STRIDE)
        return;
    r->stride = 0;
    if (guest_is_awaited(r->guest))
        guest_await(r->guest, r->server->limits.request_ms);
    else
        guest_serve(r->guest, r->server->limits.answer_ms);
}

/* Whether an answer that is there before the body goes out now: to a client that waits for a word
 * before it sends, and where the body's end can't be awaited. Others first get rid of their body,
 * as what is sent to a connection that is closed takes the answer with it. */
static bool answers_early(struct server_request *r)
{
    return r->response && (r->hopeless || server_request_header(r, MHD_HTTP_HEADER_EXPECT));
}

static enum MHD_Result begin(struct server *s, struct server_request *r)
{
    const char *ambiguity = find_ambiguity(r);

    if (ambiguity) {
        r->hopeless = true;
        reply_ambiguous(r, ambiguity);
        return queue(r);
    }
    if (s->ops.begins)
        s->ops.begins(r, s->ctx);
    r->beginning = guest_held(r->guest) == r;
    if (!r->response && announces_too_much(r)) {
        r->hopeless = true;
        reply_too_large(r);
    }
    return answers_early(r) && !r->beginning ? queue(r) : MHD_YES;
}

/* Called when the headers are here, for each part of the body, at the end, and after a resume. */
static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *path,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *len, void **request)
{
    struct server *s = ctx;
    struct server_request *r = *request;

    (void)version;
    if (!r) {
        *request = r = request_new(s, mhd, path, method);
        return begin(s, r);
    }
    if (r->resumed)
        (void)MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u); /* can't fail */
    r->resumed = false;
    if (r->beginning) { /* libmicrohttpd asks again */
        r->beginning = false;
        return answers_early(r) ? queue(r) : MHD_YES;
    }
    if (*len > 0) {
        collect(r, bytes, *len);
        if (r->streamed)
            stride(r, *len);
        *len = 0;
        return r->received <= drain_max(r) ? MHD_YES : MHD_NO;
    }
    r->suspended = false;
    if (!r->arrived && !r->response)
        hand_up(s, r);
    if (r->response)
        return queue(r);
    r->suspended = true;
    MHD_suspend_connection(mhd);
    if (r->watched)
        server_request_watch(r);
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct server *s = ctx;
    struct server_request *r = *request;

    (void)mhd;
    if (!r)
        return;
    *request = NULL;
    guest_await(r->guest, s->limits.request_ms);
    s->requests -= r->arrived;
    if (r->arrived || r->data)
        s->ops.ended(r, code == MHD_REQUEST_TERMINATED_COMPLETED_OK, s->ctx);
    request_free(r);
}

/* Paths go up as they came: what %2F or %00 means is decided there. */
static size_t keep_escaped(void *ctx, struct MHD_Connection *mhd, char *s)
{
    (void)ctx;
    (void)mhd;
    return strlen(s);
}

const char *server_request_method(const struct server_request *r)
{
    return r->method;
}

const char *server_request_path(const struct server_request *r)
{
    return r->path;
}

const char *server_request_header(struct server_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

const char *server_request_argument(struct server_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, name);
}

char *server_request_take_body(struct server_request *r, size_t *ret_len)
{
    *ret_len = r->body.len;
    return buf_steal(&r->body);
}

void *server_request_data(const struct server_request *r)
{
    return r->data;
}

void server_request_set_data(struct server_request *r, void *data)
{
    r->data = data;
}

/* ---- clients that leave while they wait ---- */

static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct server_request *r = ctx;

    (void)events;
    loop_fd_set(watcher, 0); /* gone, or its next request is here: nothing more to learn */
    if (!guest_has_left(r->guest))
        return;
    r->gone = true;
    r->server->ops.gone(r, r->server->ctx);
}

void server_request_watch(struct server_request *r)
{
    r->watched = true;
    if (!r->watcher && r->suspended)
        r->watcher = loop_fd_new(r->server->loop, guest_fd(r->guest), LOOP_READ, on_client, r);
}

bool server_request_is_gone(const struct server_request *r)
{
    return r->gone || guest_has_left(r->guest);
}

/* ---- answers ---- */

void server_reply(struct server_request *r, unsigned status, char *body,
                  const struct server_header *headers)
{
    server_reply_as(r, status, "application/json", body, headers);
}

/* A resume has no wake-up of its own: without a run of libmicrohttpd it would wait for whatever
 * comes next. And that reads from the client before it asks us, and closes the connection where a
 * client has ended its sending side behind its request; but for connections with a time limit of
 * their own, which it asks about first. */
static void resume(struct server_request *r)
{
    r->resumed = true;
    (void)MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
                                    (unsigned)OWN_LIMIT_S); /* can't fail */
    MHD_resume_connection(r->mhd);
    loop_fd_feed(r->server->watcher, LOOP_READ);
}

bool server_request_is_long(struct server_request *r)
{
    const char *length = server_request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n = UINT64_MAX;

    if (!length && !server_request_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return false;
    return !length || str_to_u64(length, UINT64_MAX, &n) < 0 || n > SERVER_SHORT_MAX;
}

void server_request_limit(struct server_request *r, uint64_t max)
{
    r->body_max = max;
}

void server_request_trust(struct server_request *r)
{
    guest_trust(r->guest);
}

bool server_request_stream(struct server_request *r, uint64_t max)
{
    r->streamed = true;
    r->body_max = max;
    return !announces_too_much(r);
}

void server_request_hold(struct server_request *r)
{
    if (guest_held(r->guest))
        return;
    guest_set_held(r->guest, r);
    MHD_suspend_connection(r->mhd);
}

void server_request_go(struct server_request *r)
{
    if (!guest_held(r->guest))
        return;
    guest_set_held(r->guest, NULL);
    resume(r);
}

static void give_response(struct server_request *r, unsigned status, const char *type,
                          struct MHD_Response *response, const struct server_header *headers)
{
    assert(!r->response);
    if (!response)
        mem_die();
    if (status != MHD_HTTP_NO_CONTENT)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    for (const struct server_header *h = headers; h && h->name; h++)
        if (h->value) /* values are ours; one that isn't fit for a header is left out */
            (void)MHD_add_response_header(response, h->name, h->value);
    r->response = response;
    r->status = status;
    loop_fd_free(r->watcher);
    r->watcher = NULL;
    if (!r->suspended)
        return;
    r->suspended = false;
    resume(r);
}

void server_reply_as(struct server_request *r, unsigned status, const char *type, char *body,
                     const struct server_header *headers)
{
    give_response(r, status, type,
                  MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE),
                  headers);
}

static ssize_t read_source(void *ctx, uint64_t at, char *bytes, size_t max)
{
    struct server_request *r = ctx;
    ssize_t n = r->source.read(bytes, max, r->source.ctx);

    (void)at; /* it is read from its beginning to its end */
    if (n < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > 0)
        stride(r, (size_t)n);
    return n;
}

void server_reply_from(struct server_request *r, unsigned status, const char *type,
                       const struct server_source *source, const struct server_header *headers)
{
    r->source = *source;
    give_response(
        r, status, type,
        MHD_create_response_from_callback(source->size, BLOCK_BYTES, read_source, r, NULL),
        headers);
}

/* ---- the server ---- */

int server_new(struct loop *loop, int listen_fd, const struct server_limits *limits,
               const struct server_ops *ops, void *ctx, struct server **ret_server, struct err *err)
{
    AUTO_CLOSE int fd = listen_fd;
    struct server *s = mem_new(struct server);
    int epoll_fd;

    *s = (struct server){ .loop = loop, .limits = *limits, .ops = *ops, .ctx = ctx };
    s->guests = guest_list_new(loop, limits->connections);
    errno = 0;
    s->mhd = MHD_start_daemon(
        MHD_FLAGS, 0, NULL, NULL, on_access, s, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL, MHD_OPTION_CONNECTION_LIMIT,
        limits->connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!s->mhd) {
        int code = errno > 0 ? -errno : -EIO; /* it has no other way to tell */

        guest_list_free(s->guests);
        free(s);
        return err_set(err, code, "start the HTTP server: %s", strerror(-code));
    }
    (void)TAKE_FD(fd); /* libmicrohttpd closes it */
    epoll_fd = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    s->watcher = loop_fd_new(loop, epoll_fd, LOOP_READ, on_epoll, s);
    s->timer = loop_timer_new(loop, on_timer, s);
    pump(s);
    *ret_server = s;
    return 0;
}

void server_quiet(struct server *s)
{
    int fd = MHD_quiesce_daemon(s->mhd);

    if (fd >= 0)
        (void)close(fd); /* only the number is given back: nothing was written */
}

size_t server_requests(const struct server *s)
{
    return s->requests;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    for (struct guest *g = NULL; (g = guest_next(s->guests, g));)
        if (guest_held(g))
            server_request_go(guest_held(g));
    loop_fd_free(s->watcher);
    s->watcher = NULL;
    MHD_stop_daemon(s->mhd);
    loop_timer_free(s->timer);
    guest_list_free(s->guests);
    free(s);
}
