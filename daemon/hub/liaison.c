#include "hub/liaison.h"

#include <assert.h>
#include <string.h>

#include "hub/access.h"
#include "hub/announce.h"
#include "hub/call.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/route.h"
#include "hub/server.h"
#include "loop/loop.h"
#include "util/buf.h"
#include "util/engineio.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/socketio.h"
#include "util/str.h"

enum { SID_BYTES = 20 };

struct liaison {
    struct liaison_list *list;
    struct liaison *prev, *next;
    char sid[SID_BYTES + 1];
    /* who it is, by the headers of its handshake */
    char *key, *agent_header, *instance_header;
    bool joining, joined;
    bool warned;                                 /* the log has a line on what it sends in vain */
    bool ending;                                 /* once what it has to say is out */
    bool closed;                                 /* kept for the calls that are under way */
    struct server_request *get;                  /* that waits, NULL: none */
    struct server_request *replying;             /* a GET whose answer is on its way */
    struct buf out;                              /* packets for the next GET */
    struct call *poll;                           /* at the inbox, NULL: none */
    size_t calls;                                /* under way, the poll too */
    uint64_t join_by_ms, ping_at_ms, pong_by_ms; /* 0: none */
};

struct liaison_list {
    struct loop *loop;
    struct loop_timer *timer;
    struct liaison_ops ops;
    void *ctx;
    struct liaison *head; /* open and closed ones */
    size_t open;
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

/* ---- answers ---- */

static void reply_refusal(struct server_request *r, enum engineio_refusal refusal)
{
    server_reply(r, refusal == ENGINEIO_FORBIDDEN ? 403 : 400, engineio_print_refusal(refusal),
                 NULL);
}

static void reply_packets(struct server_request *r, char *packets)
{
    server_reply_as(r, 200, "text/plain; charset=UTF-8", packets, NULL);
}

/* ---- the end of a session ---- */

static void release(struct liaison *s)
{
    if (!s->closed || s->calls > 0)
        return;
    if (s->prev)
        s->prev->next = s->next;
    else
        s->list->head = s->next;
    if (s->next)
        s->next->prev = s->prev;
    buf_done(&s->out);
    free(s->key);
    free(s->agent_header);
    free(s->instance_header);
    free(s);
}

static void drop_call(struct liaison_list *list, struct call *c)
{
    if (c->granted_count > 0 || c->cancels)
        list->ops.take_back(c, list->ctx);
    else
        call_free(c);
}

/* last: what a GET that waits is answered with. s may be gone after this. */
static void close_session(struct liaison *s, enum engineio_type last)
{
    struct liaison_list *list = s->list;

    if (s->closed)
        return;
    s->closed = true;
    list->open--;
    if (s->poll && s->poll->parked) {
        list->ops.unpark(s->poll, list->ctx);
        call_free(TAKE_PTR(s->poll));
        s->calls--;
    }
    if (s->get)
        reply_packets(TAKE_PTR(s->get), mem_printf("%d", (int)last));
    s->replying = NULL;
    release(s);
}

/* ---- polls at the inbox, and what is sent ---- */

static struct call *make_call(struct liaison *s, const char *method, const char *path)
{
    AUTO_FREE char *bearer = mem_printf("Bearer %s", s->key ? s->key : "");
    struct route_match match = { 0 };
    struct call *c = call_new();
    const char *why;

    (void)route_find(method, path, &match); /* it is one of ours */
    c->route = match.route;
    c->liaison = s;
    c->agent_header = mem_strdup(s->agent_header);
    c->instance_header = mem_strdup(s->instance_header);
    (void)access_parse(bearer, KEY_AGENT, &c->claim, &why); /* looked at when it joined */
    return c;
}

static void give(struct liaison *s, struct call *c)
{
    s->calls++;
    s->list->ops.give(c, s->list->ctx);
}

static void poll_inbox(struct liaison *s, uint32_t wait_s)
{
    s->poll = make_call(s, "GET", "/api/agents/jobs");
    s->poll->wait_s = wait_s;
    give(s, s->poll);
}

static void submit(struct liaison *s, const struct json *envelope)
{
    struct call *c;

    if (!s->joined || s->calls >= LIAISON_CALLS_MAX) {
        if (!s->warned)
            log_notice("realtime_dropped", "instance", s->instance_header, "text",
                       s->joined ? "the session sends faster than it is stored"
                                 : "it has not joined yet");
        s->warned = true;
        return;
    }
    c = make_call(s, "POST", "/api/agents/messages");
    c->body = json_print(envelope);
    c->body_len = strlen(c->body);
    give(s, c);
}

/* ---- out ---- */

/* Answers a GET that waits, where there is something; s may be gone after this. */
static void flush(struct liaison *s)
{
    if (s->get && s->out.len > 0) {
        s->replying = TAKE_PTR(s->get);
        reply_packets(s->replying, buf_steal(&s->out));
    }
    if (s->out.len > 0)
        return;
    if (s->ending)
        close_session(s, ENGINEIO_CLOSE);
    else if (s->joined && !s->poll)
        poll_inbox(s, LIAISON_WAIT_S);
}

static void say(struct liaison *s, const struct buf *packet)
{
    (void)engineio_append(&s->out, ENGINEIO_MESSAGE, packet->data, packet->len);
}

static void refuse_to_join(struct liaison *s, const char *space, const char *why)
{
    CLEANUP(buf_done) struct buf packet = { 0 };

    if (s->out.len >= LIAISON_BODY_MAX) /* whoever never asks for them gets no more of them */
        return;
    socketio_print_connect_error(&packet, space, why);
    say(s, &packet);
}

static void welcome(struct liaison *s)
{
    CLEANUP(buf_done) struct buf packet = { 0 };
    AUTO_FREE char *sid = mem_printf("{\"sid\":\"%s_0\"}", s->sid);

    s->joined = true;
    s->join_by_ms = 0;
    socketio_print_connect(&packet, "/", sid);
    say(s, &packet);
}

/* {"error": TEXT} */
static void end_refused(struct liaison *s, const char *reply)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    CLEANUP(buf_done) struct buf packet = { 0 };
    const char *why = "refused";

    if (json_parse(reply, strlen(reply), &root, NULL) == 0 && json_get_str(root, "error"))
        why = json_get_str(root, "error");
    if (s->joined) {
        socketio_print_disconnect(&packet, "/");
        say(s, &packet);
    } else {
        refuse_to_join(s, "/", why);
    }
    s->ending = true;
}

void liaison_answered(struct liaison_list *list, struct call *c)
{
    struct liaison *s = c->liaison;
    bool is_poll = c == s->poll;

    s->calls--;
    s->poll = is_poll ? NULL : s->poll;
    if (s->closed) {
        drop_call(list, c);
        release(s);
        return;
    }
    if (is_poll && c->status == 200) {
        if (!s->joined)
            welcome(s);
        announce_listing(&s->out, c->reply);
    } else if (is_poll) {
        end_refused(s, c->reply);
    } else if (c->status >= 300) {
        log_notice("realtime_refused", "instance", c->instance, "status", LOG_N(c->status), "text",
                   c->reply);
    }
    call_free(c);
    flush(s);
}

/* ---- what the client says ---- */

/* Of an instance there is one: earlier sessions have lost their client, or soon will. And of a key
 * there are so many. */
static void replace_others(const struct liaison *s)
{
    struct liaison *next, *oldest = NULL;
    size_t count = 0;

    for (struct liaison *other = s->list->head; other; other = next) { /* the newest first */
        next = other->next;
        if (other == s || other->closed || !other->joining || !str_eq(other->key, s->key))
            continue;
        if (str_eq(other->instance_header, s->instance_header)) {
            close_session(other, ENGINEIO_CLOSE);
            continue;
        }
        oldest = other;
        count++;
    }
    if (count >= LIAISON_AGENT_MAX)
        close_session(oldest, ENGINEIO_CLOSE);
}

static void join(struct liaison *s, const struct socketio_packet *p)
{
    AUTO_FREE char *bearer = mem_printf("Bearer %s", s->key ? s->key : "");
    struct key_claim claim;
    const char *why;

    if (!str_eq(p->space, "/")) {
        refuse_to_join(s, p->space, "Invalid namespace");
    } else if (!s->key || !access_parse(bearer, KEY_AGENT, &claim, &why)) {
        refuse_to_join(s, "/", s->key ? why : "no key: send it in the header X-CCAGENT-API-KEY");
        s->ending = true;
    } else if (!s->instance_header) {
        refuse_to_join(s, "/", "no instance: name it in the header X-CCAGENT-ID");
        s->ending = true;
    } else if (!s->joining) {
        s->joining = true;
        replace_others(s);
        poll_inbox(s, 0);
    }
}

static void take_event(struct liaison *s, const struct socketio_packet *p)
{
    const struct json *argument = socketio_argument(p, 0);

    if (p->has_ack) {
        CLEANUP(buf_done) struct buf packet = { 0 };

        socketio_print_ack(&packet, p->space, p->ack);
        if (s->out.len < LIAISON_BODY_MAX) /* whoever never asks for them gets no more of them */
            say(s, &packet);
    }
    if (str_eq(socketio_event(p), "cc_message") && json_is_object(argument))
        submit(s, argument);
}

/* False: the session is to end. */
static bool take_message(struct liaison *s, const struct engineio_packet *packet)
{
    CLEANUP(socketio_packet_done) struct socketio_packet p = { 0 };

    if (socketio_parse(packet->data, packet->len, &p, NULL) < 0)
        return false;
    if (p.type == SOCKETIO_CONNECT)
        join(s, &p);
    else if (p.type == SOCKETIO_EVENT && str_eq(p.space, "/"))
        take_event(s, &p);
    return p.type != SOCKETIO_DISCONNECT || !str_eq(p.space, "/");
}

static bool take_packet(struct liaison *s, const struct engineio_packet *packet)
{
    switch (packet->type) {
    case ENGINEIO_PONG:
        s->pong_by_ms = 0;
        return true;
    case ENGINEIO_MESSAGE:
        return take_message(s, packet);
    case ENGINEIO_CLOSE:
        return false;
    case ENGINEIO_NOOP:
    case ENGINEIO_UPGRADE:
        return true;
    case ENGINEIO_OPEN:
    case ENGINEIO_PING:
    case ENGINEIO_TYPE_COUNT:
        break;
    }
    return false;
}

static void arm(struct liaison_list *list);

static void take_post(struct liaison *s, struct server_request *r)
{
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet packet;
    struct liaison_list *list = s->list;
    size_t len;
    AUTO_FREE char *body = server_request_take_body(r, &len);
    bool go_on = true;
    int rc = 0;

    if (len > LIAISON_BODY_MAX) {
        server_reply(r, 413, call_error_text("the body is longer than maxPayload"), NULL);
        close_session(s, ENGINEIO_CLOSE);
        return;
    }
    while (go_on && (rc = engineio_next(body, len, &cursor, &packet, NULL)) > 0)
        go_on = take_packet(s, &packet);
    if (rc < 0)
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
    else
        server_reply_as(r, 200, "text/html", mem_strdup("ok"), NULL);
    if (rc < 0 || !go_on)
        close_session(s, ENGINEIO_NOOP);
    else
        flush(s);
    arm(list);
}

static void take_get(struct liaison *s, struct server_request *r)
{
    if (s->get) { /* two at a time: neither may go on */
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
        close_session(s, ENGINEIO_CLOSE);
        return;
    }
    s->get = r;
    if (s->joined)
        server_request_trust(r);
    server_request_watch(r);
    flush(s);
}

/* ---- requests ---- */

static struct liaison *find(const struct liaison_list *list, const char *sid)
{
    for (struct liaison *s = list->head; s; s = s->next)
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

static void make_sid(char sid[SID_BYTES + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";
    uint8_t bytes[SID_BYTES];

    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < SID_BYTES; i++)
        sid[i] = letters[bytes[i] & 63];
    sid[SID_BYTES] = '\0';
}

/* Sessions that haven't joined are anybody's: they don't keep agents out. Who shows no key goes
 * first, then the oldest; not those whose key is being looked at, which takes no time. */
static bool make_place(struct liaison_list *list)
{
    struct liaison *victim = NULL;
    size_t strangers = 0;

    for (struct liaison *s = list->head; s; s = s->next) { /* the newest first */
        if (s->closed || s->joined)
            continue;
        strangers++;
        if (!s->poll && (!victim || !s->key || victim->key))
            victim = s;
    }
    if (strangers < LIAISON_STRANGERS_MAX && list->open < LIAISON_MAX)
        return true;
    if (!victim)
        return false;
    close_session(victim, ENGINEIO_CLOSE);
    return true;
}

static void open_session(struct liaison_list *list, struct server_request *r)
{
    static const struct server_header later[] = { { "Retry-After", "10" }, { NULL, NULL } };
    struct engineio_open open = { .ping_interval_ms = LIAISON_PING_MS,
                                  .ping_timeout_ms = LIAISON_PONG_MS,
                                  .max_payload = LIAISON_BODY_MAX };
    uint64_t now_ms = loop_now_ms(list->loop);
    struct liaison *s;
    AUTO_FREE char *text = NULL;

    if (list->stopping || !make_place(list)) {
        server_reply(r, 503, call_error_text("no more realtime sessions: poll instead"), later);
        return;
    }
    s = mem_new(struct liaison);
    s->list = list;
    s->next = list->head;
    if (s->next)
        s->next->prev = s;
    list->head = s;
    list->open++;
    make_sid(s->sid);
    s->key = header_text(r, "X-CCAGENT-API-KEY");
    s->agent_header = header_text(r, "X-AGENT-ID");
    s->instance_header = header_text(r, "X-CCAGENT-ID");
    s->join_by_ms = now_ms + LIAISON_JOIN_MS;
    s->ping_at_ms = now_ms + LIAISON_PING_MS;
    memcpy(open.sid, s->sid, sizeof s->sid);
    text = engineio_print_open(&open);
    reply_packets(r, mem_printf("%d%s", (int)ENGINEIO_OPEN, text));
    arm(list);
}

uint64_t liaison_body_max(const struct liaison_list *list, struct server_request *r)
{
    const char *sid = server_request_argument(r, "sid");
    const struct liaison *s = sid ? find(list, sid) : NULL;

    return s && s->joined ? SERVER_BODY_MAX : SERVER_SHORT_MAX;
}

void liaison_arrived(struct liaison_list *list, struct server_request *r)
{
    const char *transport = server_request_argument(r, "transport");
    const char *sid = server_request_argument(r, "sid");
    bool get = str_eq(server_request_method(r), "GET");
    struct liaison *s = sid ? find(list, sid) : NULL;

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
        take_post(s, r);
    else
        reply_refusal(r, ENGINEIO_BAD_REQUEST);
}

void liaison_gone(struct liaison_list *list, struct server_request *r)
{
    for (struct liaison *s = list->head; s; s = s->next) {
        if (s->get != r)
            continue;
        close_session(s, ENGINEIO_NOOP);
        return;
    }
}

void liaison_ended(struct liaison_list *list, struct server_request *r, bool delivered)
{
    for (struct liaison *s = list->head; s; s = s->next) {
        if (s->replying != r)
            continue;
        s->replying = NULL;
        if (!delivered) /* what was in it is lost: it begins anew, and is listed all that it holds
                         */
            close_session(s, ENGINEIO_NOOP);
        return;
    }
}

/* ---- time ---- */

static uint64_t deadline_ms(const struct liaison *s)
{
    uint64_t at_ms = s->pong_by_ms ? s->pong_by_ms : s->ping_at_ms;

    return s->join_by_ms && s->join_by_ms < at_ms ? s->join_by_ms : at_ms;
}

static void arm(struct liaison_list *list)
{
    uint64_t first_ms = UINT64_MAX, now_ms = loop_now_ms(list->loop);

    for (const struct liaison *s = list->head; s; s = s->next)
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
    struct liaison *next;

    (void)timer; /* armed again below */
    for (struct liaison *s = list->head; s; s = next) {
        next = s->next;
        if (s->closed || deadline_ms(s) > now_ms)
            continue;
        if (s->pong_by_ms || s->ping_at_ms > now_ms) { /* silent, or never joined */
            close_session(s, ENGINEIO_CLOSE);
            continue;
        }
        s->ping_at_ms = now_ms + LIAISON_PING_MS;
        s->pong_by_ms = now_ms + LIAISON_PONG_MS;
        (void)engineio_append(&s->out, ENGINEIO_PING, NULL, 0);
        flush(s);
    }
    arm(list);
}

/* ---- the whole ---- */

struct liaison_list *liaison_list_new(struct loop *loop, const struct liaison_ops *ops, void *ctx)
{
    struct liaison_list *list = mem_new(struct liaison_list);

    *list = (struct liaison_list){ .loop = loop, .ops = *ops, .ctx = ctx };
    list->timer = loop_timer_new(loop, on_timer, list);
    return list;
}

void liaison_list_stop(struct liaison_list *list)
{
    struct liaison *next;

    list->stopping = true;
    for (struct liaison *s = list->head; s; s = next) {
        next = s->next;
        close_session(s, ENGINEIO_CLOSE);
    }
    loop_timer_stop(list->timer);
}

void liaison_list_free(struct liaison_list *list)
{
    if (!list)
        return;
    liaison_list_stop(list);
    assert(!list->head);
    loop_timer_free(list->timer);
    free(list);
}
