#include "util/socketio.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/str.h"

enum { ACK_BITS = 53 }; /* what JavaScript counts exactly */

/* What is left to be read of a packet. */
struct rest {
    const char *s;
    size_t len;
};

static int read_space(struct rest *r, struct socketio_packet *p, struct err *err)
{
    const char *comma;
    size_t len;

    memcpy(p->space, "/", 2);
    if (r->len == 0 || *r->s != '/')
        return 0;
    comma = memchr(r->s, ',', r->len);
    len = comma ? (size_t)(comma - r->s) : r->len;
    if (len > SOCKETIO_NAMESPACE_MAX)
        return err_set(err, -EBADMSG, "the namespace has %zu bytes", len);
    for (size_t i = 0; i < len; i++)
        if (r->s[i] <= ' ' || r->s[i] > '~')
            return err_set(err, -EBADMSG, "the namespace isn't printable ASCII");
    memcpy(p->space, r->s, len);
    p->space[len] = '\0';
    r->s += len + (comma != NULL);
    r->len -= len + (comma != NULL);
    return 0;
}

static int read_ack(struct rest *r, struct socketio_packet *p, struct err *err)
{
    while (r->len > 0 && *r->s >= '0' && *r->s <= '9') {
        p->ack = p->ack * 10 + (uint64_t)(*r->s - '0');
        if (p->ack >> ACK_BITS != 0)
            return err_set(err, -EBADMSG, "the packet's number has more than %d bits", ACK_BITS);
        p->has_ack = true;
        r->s++;
        r->len--;
    }
    return 0;
}

static bool has_fitting_data(const struct socketio_packet *p)
{
    switch (p->type) {
    case SOCKETIO_CONNECT:
        return !p->data || json_is_object(p->data);
    case SOCKETIO_DISCONNECT:
        return !p->data;
    case SOCKETIO_EVENT:
        return socketio_event(p) != NULL;
    case SOCKETIO_ACK:
        return p->has_ack && json_is_array(p->data);
    case SOCKETIO_CONNECT_ERROR:
        return json_is_object(p->data) || json_is_string(p->data);
    case SOCKETIO_BINARY_EVENT:
    case SOCKETIO_BINARY_ACK:
    case SOCKETIO_TYPE_COUNT:
        break;
    }
    return false;
}

static int read_packet(struct rest *r, struct socketio_packet *p, struct err *err)
{
    int rc = read_space(r, p, err);

    if (rc == 0)
        rc = read_ack(r, p, err);
    if (rc == 0 && r->len > 0) {
        rc = json_parse(r->s, r->len, &p->data, err);
        if (rc < 0)
            return err_prefix(err, "the packet's data"), rc;
    }
    if (rc == 0 && !has_fitting_data(p))
        rc = err_set(err, -EBADMSG, "the packet's data doesn't fit its type '%c'",
                     (char)('0' + (int)p->type));
    return rc;
}

int socketio_parse(const char *s, size_t len, struct socketio_packet *ret_packet, struct err *err)
{
    struct socketio_packet p = { 0 };
    struct rest r;
    int rc;

    if (len > SOCKETIO_PACKET_MAX)
        return err_set(err, -EMSGSIZE, "a packet of %zu bytes, more than %d", len,
                       SOCKETIO_PACKET_MAX);
    if (len == 0 || *s < '0' || *s >= '0' + SOCKETIO_TYPE_COUNT)
        return err_set(err, -EBADMSG, "the packet has no type of Socket.IO 5");
    p.type = (enum socketio_type)(*s - '0');
    if (p.type == SOCKETIO_BINARY_EVENT || p.type == SOCKETIO_BINARY_ACK)
        return err_set(err, -EPROTONOSUPPORT,
                       "the packet is binary, which this channel doesn't carry");
    r = (struct rest){ .s = s + 1, .len = len - 1 };
    rc = read_packet(&r, &p, err);
    if (rc < 0) {
        socketio_packet_done(&p);
        return rc;
    }
    *ret_packet = p;
    return 0;
}

void socketio_packet_done(struct socketio_packet *p)
{
    json_free(p->data);
    *p = (struct socketio_packet){ 0 };
}

const char *socketio_event(const struct socketio_packet *p)
{
    if (p->type != SOCKETIO_EVENT || !json_is_array(p->data))
        return NULL;
    return json_str(json_first(p->data));
}

const struct json *socketio_argument(const struct socketio_packet *p, size_t n)
{
    const struct json *node = socketio_event(p) ? json_next(json_first(p->data)) : NULL;

    while (node && n-- > 0)
        node = json_next(node);
    return node;
}

/* ---- printing ---- */

static void print_head(struct buf *b, enum socketio_type type, const char *space)
{
    buf_append_char(b, (char)('0' + (int)type));
    if (str_eq(space, "/"))
        return;
    buf_append_str(b, space);
    buf_append_char(b, ',');
}

void socketio_print_event(struct buf *b, const char *name, const char *json)
{
    CLEANUP_PTR(json_free) struct json *array = json_array();
    AUTO_FREE char *text = NULL;

    json_push_str(array, name);
    text = json_print(array);
    print_head(b, SOCKETIO_EVENT, "/");
    if (!json) {
        buf_append_str(b, text);
        return;
    }
    buf_append(b, text, strlen(text) - 1); /* without its ']' */
    buf_append_char(b, ',');
    buf_append_str(b, json);
    buf_append_char(b, ']');
}

void socketio_print_ack(struct buf *b, const char *space, uint64_t ack)
{
    print_head(b, SOCKETIO_ACK, space);
    buf_printf(b, "%" PRIu64 "[]", ack);
}

void socketio_print_connect(struct buf *b, const char *space, const char *json)
{
    print_head(b, SOCKETIO_CONNECT, space);
    buf_append_str(b, json ? json : "");
}

void socketio_print_disconnect(struct buf *b, const char *space)
{
    print_head(b, SOCKETIO_DISCONNECT, space);
}

void socketio_print_connect_error(struct buf *b, const char *space, const char *message)
{
    CLEANUP_PTR(json_free) struct json *object = json_object();
    AUTO_FREE char *text = NULL;

    json_add_str(object, "message", message);
    json_add(object, "data", json_object()); /* the client in Go wants both */
    text = json_print(object);
    print_head(b, SOCKETIO_CONNECT_ERROR, space);
    buf_append_str(b, text);
}
