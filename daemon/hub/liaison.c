#include "hub/liaison.h"

#include <assert.h>
#include <string.h>

#include "hub/call.h"
#include "hub/envoy.h"
#include "hub/lease.h"
#include "hub/server.h"
#include "loop/loop.h"
#include "util/engineio.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"

struct liaison_list {
    struct loop *loop;
    struct loop_timer *timer;
    struct envoy_list envoys;
    bool stopping;
};

static const char *const paths[] = { "/socket.io/", "/socketio/" };
static_assert(ARRAY_SIZE(paths) == LIAISON_PATH_COUNT, "both paths");

bool liaison_has_path(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (str_eq(path, paths[i]))
            return true;
    return false;
}

static void reply_refusal(struct server_request *r, enum engineio_refusal refusal)
{
    server_reply(r, refusal == ENGINEIO_FORBIDDEN ? 403 : 400, engineio_print_refusal(refusal),
                 NULL);
}

/* ---- requests of a session ---- */

static void arm(struct liaison_list *list);

static void take_post(struct liaison_list *list, struct envoy *s, struct server_request *r)
{
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet packet;
    size_t len;
    AUTO_FREE char *body = server_request_take_body(r, &len);
    bool go_on = true;
    int rc = 0;

    if (len > LIAISON_BODY_MAX) {
        server_reply(r, 413, call_error_text("the body is longer than maxPayload"), NULL);
        envoy_close(s, ENGINEIO_CLOSE);
        return;
    }
    while (go_on && (rc = engineio_next(body, len, &cursor, &packet, NULL)) > 0)
        go_on = envoy_take(s, &packet);
    if (rc < 0)
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
    else
        server_reply_as(r, 200, "text/html", mem_strdup("ok"), NULL);
    if (rc < 0 || !go_on)
        envoy_close(s, ENGINEIO_NOOP);
    else
        envoy_flush(s);
    arm(list);
}

static void take_get(struct envoy *s, struct server_request *r)
{
    if (s->get) { /* two at a time: neither may go on */
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
        envoy_close(s, ENGINEIO_CLOSE);
        return;
    }
    s->get = r;
    if (s->joined)
        server_request_trust(r);
    server_request_watch(r);
    envoy_flush(s);
}

/* ---- all requests ---- */

static struct envoy *find(const struct liaison_list *list, const char *sid)
{
    for (struct envoy *s = list->envoys.head; s; s = s->next)
        if (!s->closed && str_eq(s->sid, sid))
            return s;
    return NULL;
}

/* NULL for what is no name, or too long for one. */
static char *header_text(struct server_request *r, const char *name)
{
    const char *text = server_request_header(r, name);
    size_t len = text ? strlen(text) : 0;

    if (len == 0 || len > LEASE_INSTANCE_MAX)
        return NULL;
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            return NULL;
    return mem_strdup(text);
}

static void make_sid(char sid[ENVOY_SID_BYTES + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";
    uint8_t bytes[ENVOY_SID_BYTES];

    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < ENVOY_SID_BYTES; i++)
        sid[i] = letters[bytes[i] & 63];
    sid[ENVOY_SID_BYTES] = '\0';
}

/* Sessions that haven't joined are anybody's: they don't keep agents out. Who shows no key goes
 * first, then the oldest; not those whose key is being looked at, which takes no time. */
static bool make_place(struct liaison_list *list)
{
    struct envoy *victim = NULL;
    size_t strangers = 0;

    for (struct envoy *s = list->envoys.head; s; s = s->next) { /* the newest first */
        if (s->closed || s->joined)
            continue;
        strangers++;
        if (!s->poll && (!victim || !s->key || victim->key))
            victim = s;
    }
    if (strangers < LIAISON_STRANGERS_MAX && list->envoys.open < LIAISON_MAX)
        return true;
    if (!victim)
        return false;
    envoy_close(victim, ENGINEIO_CLOSE);
    return true;
}

static void open_session(struct liaison_list *list, struct server_request *r)
{
    static const struct server_header later[] = { { "Retry-After", "10" }, { NULL, NULL } };
    struct engineio_open open = { .ping_interval_ms = LIAISON_PING_MS,
                                  .ping_timeout_ms = LIAISON_PONG_MS,
                                  .max_payload = LIAISON_BODY_MAX };
    uint64_t now_ms = loop_now_ms(list->loop);
    struct envoy *s;
    AUTO_FREE char *text = NULL;

    if (list->stopping || !make_place(list)) {
        server_reply(r, 503, call_error_text("no more realtime sessions: poll instead"), later);
        return;
    }
    s = envoy_new(&list->envoys);
    make_sid(s->sid);
    s->key = header_text(r, "X-CCAGENT-API-KEY");
    s->agent_header = header_text(r, "X-AGENT-ID");
    s->instance_header = header_text(r, "X-CCAGENT-ID");
    s->join_by_ms = now_ms + LIAISON_JOIN_MS;
    s->ping_at_ms = now_ms + LIAISON_PING_MS;
    memcpy(open.sid, s->sid, sizeof s->sid);
    text = engineio_print_open(&open);
    envoy_reply(r, mem_printf("%d%s", (int)ENGINEIO_OPEN, text));
    arm(list);
}

uint64_t liaison_body_max(const struct liaison_list *list, struct server_request *r)
{
    const char *sid = server_request_argument(r, "sid");
    const struct envoy *s = sid ? find(list, sid) : NULL;

    return s && s->joined ? SERVER_BODY_MAX : SERVER_SHORT_MAX;
}

void liaison_arrived(struct liaison_list *list, struct server_request *r)
{
    const char *transport = server_request_argument(r, "transport");
    const char *sid = server_request_argument(r, "sid");
    bool get = str_eq(server_request_method(r), "GET");
    struct envoy *s = sid ? find(list, sid) : NULL;

    if (!str_eq(transport, "polling"))
        reply_refusal(r, ENGINEIO_NO_TRANSPORT);
    else if (sid && !s)
        reply_refusal(r, ENGINEIO_NO_SESSION);
    else if (!sid && !get)
        reply_refusal(r, ENGINEIO_BAD_METHOD);
    else if (!sid && !str_eq(server_request_argument(r, "EIO"), "4"))
        reply_refusal(r, ENGINEIO_BAD_VERSION);
    else if (!sid)
        open_session(list, r);
    else if (get)
        take_get(s, r);
    else if (str_eq(server_request_method(r), "POST"))
        take_post(list, s, r);
    else
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
}

void liaison_gone(struct liaison_list *list, struct server_request *r)
{
    for (struct envoy *s = list->envoys.head; s; s = s->next) {
        if (s->get != r)
            continue;
        envoy_close(s, ENGINEIO_NOOP);
        return;
    }
}

void liaison_ended(struct liaison_list *list, struct server_request *r, bool delivered)
{
    for (struct envoy *s = list->envoys.head; s; s = s->next) {
        if (s->replying != r)
            continue;
        s->replying = NULL;
        if (!delivered) /* what was in it is lost: it begins anew, and is listed all that it holds
                         */
            envoy_close(s, ENGINEIO_NOOP);
        return;
    }
}

/* ---- time ---- */

static uint64_t deadline_ms(const struct envoy *s)
{
    uint64_t at_ms = s->pong_by_ms ? s->pong_by_ms : s->ping_at_ms;

    return s->join_by_ms && s->join_by_ms < at_ms ? s->join_by_ms : at_ms;
}

static void arm(struct liaison_list *list)
{
    uint64_t first_ms = UINT64_MAX, now_ms = loop_now_ms(list->loop);

    for (const struct envoy *s = list->envoys.head; s; s = s->next)
        if (!s->closed && deadline_ms(s) < first_ms)
            first_ms = deadline_ms(s);
    if (first_ms == UINT64_MAX)
        loop_timer_stop(list->timer);
    else
        loop_timer_arm(list->timer, first_ms > now_ms ? first_ms - now_ms : 0);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct liaison_list *list = ctx;
    uint64_t now_ms = loop_now_ms(list->loop);
    struct envoy *next;

    (void)timer; /* armed again below */
    for (struct envoy *s = list->envoys.head; s; s = next) {
        next = s->next;
        if (s->closed || deadline_ms(s) > now_ms)
            continue;
        if (s->pong_by_ms || s->ping_at_ms > now_ms) { /* silent, or never joined */
            envoy_close(s, ENGINEIO_CLOSE);
            continue;
        }
        s->ping_at_ms = now_ms + LIAISON_PING_MS;
        s->pong_by_ms = now_ms + LIAISON_PONG_MS;
        (void)engineio_append(&s->out, ENGINEIO_PING, NULL, 0);
        envoy_flush(s);
    }
    arm(list);
}

/* ---- the whole ---- */

struct liaison_list *liaison_list_new(struct loop *loop, const struct envoy_ops *ops, void *ctx)
{
    struct liaison_list *list = mem_new(struct liaison_list);

    *list = (struct liaison_list){ .loop = loop, .envoys = { .ops = ops, .ctx = ctx } };
    list->timer = loop_timer_new(loop, on_timer, list);
    return list;
}

void liaison_list_stop(struct liaison_list *list)
{
    struct envoy *next;

    list->stopping = true;
    for (struct envoy *s = list->envoys.head; s; s = next) {
        next = s->next;
        envoy_close(s, ENGINEIO_CLOSE);
    }
    loop_timer_stop(list->timer);
}

void liaison_list_free(struct liaison_list *list)
{
    if (!list)
        return;
    liaison_list_stop(list);
    assert(!list->envoys.head);
    loop_timer_free(list->timer);
    free(list);
}
