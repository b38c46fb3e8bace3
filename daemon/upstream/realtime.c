#include "upstream/realtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/backoff.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/socketio.h"
#include "util/str.h"
#include "util/utf8.h"

enum state {
    OFF,     /* not wanted */
    WAITING, /* for the next attempt */
    OPENING, /* the handshake is in flight */
    JOINING, /* there is a session */
    UP,
    CLOSING /* the goodbye is in flight */
};

struct realtime {
    enum state state;
    size_t path;
    struct engineio_open session;
    struct buf out;        /* what is to be posted next: packets, joined */
    bool getting, posting; /* what is in flight */
    uint64_t get_started_ms;
    uint32_t empty_answers;
    uint64_t retry_ms;     /* WAITING */
    uint64_t connect_ms;   /* OPENING, JOINING, CLOSING: until then */
    uint64_t heard_ms;     /* JOINING, UP: the last ping */
    uint64_t keepalive_ms; /* UP: the application's next ping */
    uint64_t up_ms;        /* since when it is */
    struct backoff backoff;
    size_t absent; /* paths in a row that had no channel */
    bool ever_up;
    bool absent_said; /* once, until it was there */
    bool down_said;   /* why it is down, until it is up again */
    bool unread_said;
    /* of the event being handled */
    struct realtime_now now;
    struct realtime_commands *commands;
};

struct realtime *realtime_new(void)
{
    struct realtime *r = mem_new(struct realtime);

    (void)backoff_init(&r->backoff, REALTIME_BASE_MS, REALTIME_CAP_MS); /* constants */
    return r;
}

void realtime_free(struct realtime *r)
{
    if (!r)
        return;
    buf_done(&r->out);
    free(r);
}

void realtime_commands_done(struct realtime_commands *c)
{
    for (size_t i = 0; i < c->len; i++)
        free(c->items[i].text);
    free(c->items);
    *c = (struct realtime_commands){ 0 };
}

static struct realtime_command *emit(struct realtime *r, enum realtime_command_type type)
{
    struct realtime_commands *c = r->commands;

    if (c->len == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 8;
        c->items = mem_realloc(c->items, c->cap * sizeof c->items[0]);
    }
    c->items[c->len] = (struct realtime_command){ .type = type, .path = r->path };
    memcpy(c->items[c->len].sid, r->session.sid, sizeof r->session.sid);
    return &c->items[c->len++];
}

static void note(struct realtime *r, int level, const char *name, const char *text)
{
    struct realtime_command *c = emit(r, REALTIME_NOTE);

    c->level = level;
    c->name = name;
    c->text = mem_strdup(text);
}

/* ---- what is said ---- */

static void post(struct realtime *r, uint32_t timeout_ms)
{
    struct realtime_command *c = emit(r, REALTIME_POST);

    c->timeout_ms = timeout_ms;
    c->text = buf_steal(&r->out);
    r->posting = true;
}

static void get(struct realtime *r)
{
    struct realtime_command *c = emit(r, REALTIME_GET);

    c->timeout_ms = r->state == OPENING ? REALTIME_CONNECT_MS
                                        : r->session.ping_interval_ms + r->session.ping_timeout_ms +
                                              REALTIME_MARGIN_MS;
    r->getting = true;
    r->get_started_ms = r->now.mono_ms;
}

static void flush(struct realtime *r)
{
    if (!r->posting && r->out.len > 0)
        post(r, REALTIME_POST_MS);
}

static void lose(struct realtime *r, uint32_t retry_after_ms, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Of what waits to be posted: as much as the server takes at once. */
static size_t most_bytes(const struct realtime *r)
{
    return r->session.max_payload < REALTIME_OUT_MAX ? r->session.max_payload : REALTIME_OUT_MAX;
}

/* One packet more to be posted. What piles up stays below a bound: the server takes nothing. */
static void say(struct realtime *r, enum engineio_type type, const struct buf *data)
{
    size_t len = data ? data->len : 0, most = most_bytes(r);

    if (!engineio_fits(&r->out, len, most)) {
        lose(r, 0, "more than %zu bytes wait to be sent to the server", most);
        return;
    }
    (void)engineio_append(&r->out, type, data ? data->data : NULL, len); /* no separator in it */
}

/* ---- the end of a session ---- */

static void end_session(struct realtime *r)
{
    if (r->getting || r->posting)
        emit(r, REALTIME_CANCEL);
    if (r->state == UP)
        emit(r, REALTIME_DOWN);
    r->getting = r->posting = false;
    buf_clear(&r->out);
    r->session = (struct engineio_open){ 0 };
    r->empty_answers = 0;
}

static void wait_until(struct realtime *r, uint64_t at_ms)
{
    r->state = WAITING;
    r->retry_ms = at_ms;
}

/* A failure is told once, until it works again. */
static void lose(struct realtime *r, uint32_t retry_after_ms, const char *fmt, ...)
{
    bool was_up = r->state == UP;
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (r->state == OFF || r->state == WAITING)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* a server that lets us in and throws us out at once is not a success */
    if (was_up && r->now.mono_ms - r->up_ms >= REALTIME_STABLE_MS)
        r->backoff.failures = 0;
    end_session(r);
    if (!r->down_said)
        note(r, was_up ? LOG_NOTICE : LOG_WARNING, was_up ? "realtime_lost" : "realtime_failed",
             text);
    r->down_said = true;
    r->absent = 0;
    wait_until(r, r->now.mono_ms + backoff_next(&r->backoff, r->now.entropy, retry_after_ms));
}

/* There is no such thing at this path: at the other one, or not at all. */
static void find_absent(struct realtime *r, int status)
{
    end_session(r);
    r->path = (r->path + 1) % REALTIME_PATHS;
    if (++r->absent < REALTIME_PATHS) {
        wait_until(r, r->now.mono_ms);
        return;
    }
    r->absent = 0;
    if (!r->absent_said) {
        AUTO_FREE char *text =
            mem_printf("the server has no realtime channel (it answered %d): messages come by "
                       "polls alone",
                       status);

        note(r, LOG_NOTICE, "realtime_absent", text);
    }
    r->absent_said = true;
    if (r->ever_up) /* it will be back */
        wait_until(r, r->now.mono_ms + backoff_next(&r->backoff, r->now.entropy, 0));
    else
        wait_until(r, r->now.mono_ms + REALTIME_ABSENT_MS + r->now.entropy % REALTIME_CAP_MS);
}

/* ---- packets ---- */

static void joined(struct realtime *r)
{
    if (r->state != JOINING)
        return;
    r->state = UP;
    r->up_ms = r->now.mono_ms;
    r->keepalive_ms = r->now.mono_ms + REALTIME_KEEPALIVE_MS;
    r->ever_up = true;
    r->absent = 0;
    r->absent_said = r->down_said = false;
    emit(r, REALTIME_UP);
    note(r, LOG_NOTICE, "realtime_up", "new messages come at once");
}

static void handle_event(struct realtime *r, const struct socketio_packet *p)
{
    const struct json *argument = socketio_argument(p, 0);

    if (p->has_ack) {
        CLEANUP(buf_done) struct buf ack = { 0 };

        socketio_print_ack(&ack, p->space, p->ack);
        say(r, ENGINEIO_MESSAGE, &ack);
    }
    if (r->state == UP && str_eq(socketio_event(p), "cc_message") && json_is_object(argument))
        emit(r, REALTIME_MESSAGE)->text = json_print(argument);
    else if (r->state == UP && str_eq(socketio_event(p), "nairi_poll"))
        emit(r, REALTIME_MISSED);
}

static void refused(struct realtime *r, const struct json *data)
{
    const char *message = json_is_string(data) ? json_str(data) : json_get_str(data, "message");
    char line[128];

    lose(r, 0, "the server refused to let the daemon join its realtime channel: %s",
         utf8_line(line, sizeof line, message ? message : "no reason given"));
}

static void handle_message(struct realtime *r, const struct engineio_packet *packet)
{
    CLEANUP(socketio_packet_done) struct socketio_packet p = { 0 };
    struct err err = { 0 };

    if (socketio_parse(packet->data, packet->len, &p, &err) < 0) {
        if (!r->unread_said)
            note(r, LOG_WARNING, "realtime_unread", err.text);
        r->unread_said = true;
        emit(r, REALTIME_MISSED);
        return;
    }
    if (!str_eq(p.space, "/"))
        return; /* none that we joined */
    if (p.type == SOCKETIO_CONNECT)
        joined(r);
    else if (p.type == SOCKETIO_DISCONNECT)
        lose(r, 0, "the server ended the realtime channel%s",
             r->now.mono_ms - r->up_ms < 1000 ? " at once: check the agent key and agent.id" : "");
    else if (p.type == SOCKETIO_CONNECT_ERROR)
        refused(r, p.data);
    else if (p.type == SOCKETIO_EVENT)
        handle_event(r, &p);
}

static void handle_packet(struct realtime *r, const struct engineio_packet *packet)
{
    switch (packet->type) {
    case ENGINEIO_PING:
        r->heard_ms = r->now.mono_ms;
        say(r, ENGINEIO_PONG, NULL);
        break;
    case ENGINEIO_CLOSE:
        lose(r, 0, "the server closed the realtime channel's session");
        break;
    case ENGINEIO_MESSAGE:
        handle_message(r, packet);
        break;
    case ENGINEIO_OPEN: /* once is enough; the others are not for a client that polls */
    case ENGINEIO_PONG:
    case ENGINEIO_UPGRADE:
    case ENGINEIO_NOOP:
    case ENGINEIO_TYPE_COUNT:
        break;
    }
}

static bool has_session(const struct realtime *r)
{
    return r->state == JOINING || r->state == UP;
}

/* Packets from cursor on; the session may end with any of them. */
static void handle_packets(struct realtime *r, const struct realtime_answer *a,
                           struct engineio_cursor *cursor)
{
    struct engineio_packet packet;
    struct err err = { 0 };
    bool fruitful = false;
    int rc = 0;

    while (has_session(r) &&
           (rc = engineio_next(a->body, a->body_len, cursor, &packet, &err)) > 0) {
        fruitful = fruitful || packet.type != ENGINEIO_NOOP;
        handle_packet(r, &packet);
    }
    if (!has_session(r))
        return;
    if (rc < 0) {
        lose(r, 0, "the server's answer is not one of the realtime channel: %s", err.text);
        return;
    }
    if (fruitful || r->now.mono_ms - r->get_started_ms >= 1000)
        r->empty_answers = 0;
    else if (++r->empty_answers > REALTIME_EMPTY_MAX)
        lose(r, 0, "the server's realtime channel answers at once with nothing, again and again");
}

/* ---- answers ---- */

/* Whether this is how a server answers that has no such channel, or not by polling. */
static bool is_absent(const struct realtime_answer *a)
{
    int refusal = engineio_parse_refusal(a->body, a->body_len);

    if (a->outcome != HTTP_DONE)
        return false;
    if (a->status == 400)
        return refusal < 0 || refusal == ENGINEIO_NO_TRANSPORT || refusal == ENGINEIO_BAD_VERSION;
    return a->status == 200 || a->status == 404 || a->status == 405 || a->status == 410 ||
           a->status == 501;
}

static void handshaken(struct realtime *r, const struct realtime_answer *a)
{
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet packet = { 0 };
    CLEANUP(buf_done) struct buf join = { 0 };
    struct err err = { 0 };
    int rc = engineio_next(a->body, a->body_len, &cursor, &packet, NULL);

    if (rc <= 0 || packet.type != ENGINEIO_OPEN) {
        find_absent(r, a->status); /* a page for whatever is asked */
        return;
    }
    if (engineio_parse_open(packet.data, packet.len, &r->session, &err) < 0) {
        lose(r, a->retry_after_ms, "the server's realtime channel can't be used: %s", err.text);
        return;
    }
    r->state = JOINING;
    r->heard_ms = r->now.mono_ms;
    socketio_print_connect(&join, "/", "{}");
    say(r, ENGINEIO_MESSAGE, &join);
    if (has_session(r))
        handle_packets(r, a, &cursor);
    if (has_session(r))
        get(r);
    flush(r);
}

static void failed(struct realtime *r, const char *what, const struct realtime_answer *a)
{
    if (a->outcome != HTTP_DONE)
        lose(r, a->retry_after_ms, "%s of the realtime channel: %s", what, a->error);
    else if (engineio_parse_refusal(a->body, a->body_len) == ENGINEIO_NO_SESSION)
        lose(
            r, a->retry_after_ms,
            "the server doesn't know the realtime channel's session any more: it was started anew");
    else
        lose(r, a->retry_after_ms, "%s of the realtime channel was answered with status %d", what,
             a->status);
}

static bool is_good(const struct realtime_answer *a)
{
    return a->outcome == HTTP_DONE && a->status >= 200 && a->status <= 299;
}

static void begin(struct realtime *r, const struct realtime_now *now,
                  struct realtime_commands *commands)
{
    r->now = *now;
    r->commands = commands;
}

static void go_off(struct realtime *r)
{
    end_session(r);
    r->state = OFF;
}

void realtime_got(struct realtime *r, const struct realtime_answer *answer,
                  const struct realtime_now *now, struct realtime_commands *commands)
{
    struct engineio_cursor cursor = { 0 };

    begin(r, now, commands);
    r->getting = false;
    if (r->state == OPENING && is_good(answer)) {
        handshaken(r, answer);
    } else if (r->state == OPENING && is_absent(answer)) {
        find_absent(r, answer->status);
    } else if (has_session(r) && is_good(answer)) {
        handle_packets(r, answer, &cursor);
        if (has_session(r))
            get(r);
        flush(r);
    } else if (r->state != CLOSING) {
        failed(r, "a request", answer);
    }
}

void realtime_posted(struct realtime *r, const struct realtime_answer *answer,
                     const struct realtime_now *now, struct realtime_commands *commands)
{
    begin(r, now, commands);
    r->posting = false;
    if (r->state == CLOSING && r->out.len > 0 && is_good(answer))
        post(r, REALTIME_GOODBYE_MS);
    else if (r->state == CLOSING)
        go_off(r);
    else if (!is_good(answer))
        failed(r, "a post", answer);
    else
        flush(r);
}

/* ---- orders and time ---- */

static void start(struct realtime *r)
{
    r->state = OPENING;
    r->connect_ms = r->now.mono_ms + REALTIME_CONNECT_MS;
    get(r);
}

void realtime_open(struct realtime *r, const struct realtime_now *now,
                   struct realtime_commands *commands)
{
    begin(r, now, commands);
    if (r->state == CLOSING)
        go_off(r);
    if (r->state == OFF)
        start(r);
}

void realtime_close(struct realtime *r, const struct realtime_now *now,
                    struct realtime_commands *commands)
{
    CLEANUP(buf_done) struct buf goodbye = { 0 };

    begin(r, now, commands);
    if (r->state == OFF || r->state == CLOSING)
        return;
    if (r->state != UP) { /* nothing to end */
        go_off(r);
        return;
    }
    emit(r, REALTIME_DOWN);
    socketio_print_disconnect(&goodbye, "/");
    (void)engineio_append(&r->out, ENGINEIO_MESSAGE, goodbye.data, goodbye.len);
    (void)engineio_append(&r->out, ENGINEIO_CLOSE, NULL, 0);
    r->state = CLOSING;
    r->connect_ms = now->mono_ms + REALTIME_GOODBYE_MS;
    if (!r->posting) /* else it follows what is under way */
        post(r, REALTIME_GOODBYE_MS);
}

/* What doesn't fit is best left: the session must not end over it. */
bool realtime_say(struct realtime *r, const char *json, const struct realtime_now *now,
                  struct realtime_commands *commands)
{
    CLEANUP(buf_done) struct buf event = { 0 };

    begin(r, now, commands);
    if (r->state != UP)
        return false;
    socketio_print_event(&event, "cc_message", json);
    if (!engineio_fits(&r->out, event.len, most_bytes(r)))
        return false;
    say(r, ENGINEIO_MESSAGE, &event);
    flush(r);
    return true;
}

static uint64_t silence_ms(const struct realtime *r)
{
    return r->heard_ms + r->session.ping_interval_ms + r->session.ping_timeout_ms;
}

void realtime_tick(struct realtime *r, const struct realtime_now *now,
                   struct realtime_commands *commands)
{
    CLEANUP(buf_done) struct buf ping = { 0 };

    begin(r, now, commands);
    if (r->state == WAITING && now->mono_ms >= r->retry_ms) {
        start(r);
    } else if (r->state == CLOSING && now->mono_ms >= r->connect_ms) {
        go_off(r);
    } else if ((r->state == OPENING || r->state == JOINING) && now->mono_ms >= r->connect_ms) {
        lose(r, 0, "the server's realtime channel wasn't joined within %d s",
             REALTIME_CONNECT_MS / 1000);
    } else if (has_session(r) && now->mono_ms >= silence_ms(r)) {
        lose(r, 0, "the server's realtime channel is silent: no ping in time");
    } else if (r->state == UP && now->mono_ms >= r->keepalive_ms) {
        r->keepalive_ms = now->mono_ms + REALTIME_KEEPALIVE_MS;
        socketio_print_event(&ping, "ping", NULL);
        say(r, ENGINEIO_MESSAGE, &ping);
        flush(r);
    }
}

uint64_t realtime_deadline(const struct realtime *r)
{
    uint64_t silent;

    switch (r->state) {
    case OFF:
        break;
    case WAITING:
        return r->retry_ms;
    case OPENING:
    case CLOSING:
        return r->connect_ms;
    case JOINING:
        silent = silence_ms(r);
        return silent < r->connect_ms ? silent : r->connect_ms;
    case UP:
        silent = silence_ms(r);
        return silent < r->keepalive_ms ? silent : r->keepalive_ms;
    }
    return UINT64_MAX;
}

bool realtime_is_up(const struct realtime *r)
{
    return r->state == UP;
}

bool realtime_is_closing(const struct realtime *r)
{
    return r->state == CLOSING;
}
