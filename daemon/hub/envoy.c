#include "hub/envoy.h"

#include <string.h>

#include "hub/access.h"
#include "hub/announce.h"
#include "hub/call.h"
#include "hub/route.h"
#include "hub/server.h"
#include "util/engineio.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/socketio.h"
#include "util/str.h"

void envoy_reply(struct server_request *r, char *packets)
{
    server_reply_as(r, 200, "text/plain; charset=UTF-8", packets, NULL);
}

/* ---- its beginning and its end ---- */

struct envoy *envoy_new(struct envoy_list *list)
{
    struct envoy *s = mem_new(struct envoy);

    s->list = list;
    s->next = list->head;
    if (s->next)
        s->next->prev = s;
    list->head = s;
    list->open++;
    return s;
}

static void release(struct envoy *s)
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

static void drop_call(struct envoy_list *list, struct call *c)
{
    if (c->granted_count > 0 || c->cancels)
        list->ops->take_back(c, list->ctx);
    else
        call_free(c);
}

void envoy_close(struct envoy *s, enum engineio_type last)
{
    struct envoy_list *list = s->list;

    if (s->closed)
        return;
    s->closed = true;
    list->open--;
    if (s->poll && s->poll->parked) {
        list->ops->unpark(s->poll, list->ctx);
        call_free(TAKE_PTR(s->poll));
        s->calls--;
    }
    if (s->get)
        envoy_reply(TAKE_PTR(s->get), mem_printf("%d", (int)last));
    s->replying = NULL;
    release(s);
}

/* ---- polls at the inbox, and what is sent ---- */

static struct call *make_call(struct envoy *s, const char *method, const char *path)
{
    AUTO_FREE char *bearer = mem_printf("Bearer %s", s->key ? s->key : "");
    struct route_match match = { 0 };
    struct call *c = call_new();
    const char *why;

    (void)route_find(method, path, &match); /* it is one of ours */
    c->route = match.route;
    c->envoy = s;
    c->agent_header = mem_strdup(s->agent_header);
    c->instance_header = mem_strdup(s->instance_header);
    (void)access_parse(bearer, KEY_AGENT, &c->claim, &why); /* looked at when it joined */
    return c;
}

static void give(struct envoy *s, struct call *c)
{
    s->calls++;
    s->list->ops->give(c, s->list->ctx);
}

static void poll_inbox(struct envoy *s, uint32_t wait_s)
{
    s->poll = make_call(s, "GET", "/api/agents/jobs");
    s->poll->wait_s = wait_s;
    give(s, s->poll);
}

static void submit(struct envoy *s, const struct json *envelope)
{
    struct call *c;

    if (!s->joined || s->calls >= ENVOY_CALLS_MAX) {
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

void envoy_flush(struct envoy *s)
{
    if (s->get && s->out.len > 0) {
        s->replying = TAKE_PTR(s->get);
        envoy_reply(s->replying, buf_steal(&s->out));
    }
    if (s->out.len > 0)
        return;
    if (s->ending)
        envoy_close(s, ENGINEIO_CLOSE);
    else if (s->joined && !s->poll)
        poll_inbox(s, ENVOY_WAIT_S);
}

static void say(struct envoy *s, const struct buf *packet)
{
    (void)engineio_append(&s->out, ENGINEIO_MESSAGE, packet->data, packet->len);
}

static void refuse_to_join(struct envoy *s, const char *space, const char *why)
{
    CLEANUP(buf_done) struct buf packet = { 0 };

    if (s->out.len >= ENVOY_OUT_MAX) /* whoever never asks for them gets no more of them */
        return;
    socketio_print_connect_error(&packet, space, why);
    say(s, &packet);
}

static void welcome(struct envoy *s)
{
    CLEANUP(buf_done) struct buf packet = { 0 };
    AUTO_FREE char *sid = mem_printf("{\"sid\":\"%s_0\"}", s->sid);

    s->joined = true;
    s->join_by_ms = 0;
    socketio_print_connect(&packet, "/", sid);
    say(s, &packet);
}

/* {"error": TEXT} */
static void end_refused(struct envoy *s, const char *reply)
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

void envoy_answered(struct call *c)
{
    struct envoy *s = c->envoy;
    bool is_poll = c == s->poll;

    s->calls--;
    s->poll = is_poll ? NULL : s->poll;
    if (s->closed) {
        drop_call(s->list, c);
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
    envoy_flush(s);
}

/* ---- what the client says ---- */

/* Of an instance there is one: earlier sessions have lost their client, or soon will. And of a key
 * there are so many. */
static void replace_others(const struct envoy *s)
{
    struct envoy *next, *oldest = NULL;
    size_t count = 0;

    for (struct envoy *other = s->list->head; other; other = next) { /* the newest first */
        next = other->next;
        if (other == s || other->closed || !other->joining || !str_eq(other->key, s->key))
            continue;
        if (str_eq(other->instance_header, s->instance_header)) {
            envoy_close(other, ENGINEIO_CLOSE);
            continue;
        }
        oldest = other;
        count++;
    }
    if (count >= ENVOY_KEY_MAX)
        envoy_close(oldest, ENGINEIO_CLOSE);
}

static void join(struct envoy *s, const struct socketio_packet *p)
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

static void take_event(struct envoy *s, const struct socketio_packet *p)
{
    const struct json *argument = socketio_argument(p, 0);

    if (p->has_ack) {
        CLEANUP(buf_done) struct buf packet = { 0 };

        socketio_print_ack(&packet, p->space, p->ack);
        if (s->out.len < ENVOY_OUT_MAX) /* whoever never asks for them gets no more of them */
            say(s, &packet);
    }
    if (str_eq(socketio_event(p), "cc_message") && json_is_object(argument))
        submit(s, argument);
}

/* False: the session is to end. */
static bool take_message(struct envoy *s, const struct engineio_packet *packet)
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

bool envoy_take(struct envoy *s, const struct engineio_packet *packet)
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
