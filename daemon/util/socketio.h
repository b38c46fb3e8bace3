/* socketio.h - one packet of Socket.IO, as it stands in an Engine.IO message. Pure. Both ends use
 * it.
 * Source: Socket.IO protocol, revision 5 (github.com/socketio/socket.io-protocol): type digit,
 * "N-" attachments (binary types only), "/namespace," (left out for "/"), ack number, JSON. Binary
 * types are refused. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct json;

enum {
    SOCKETIO_NAMESPACE_MAX = 128,         /* bytes, with its '/' */
    SOCKETIO_PACKET_MAX = 8 * 1024 * 1024 /* bytes; the JSON of it is parsed at once */
};

enum socketio_type { /* the digit is '0' and this */
                     SOCKETIO_CONNECT,
                     SOCKETIO_DISCONNECT,
                     SOCKETIO_EVENT,
                     SOCKETIO_ACK,
                     SOCKETIO_CONNECT_ERROR,
                     SOCKETIO_BINARY_EVENT,
                     SOCKETIO_BINARY_ACK,
                     SOCKETIO_TYPE_COUNT
};

struct socketio_packet {
    enum socketio_type type;
    char space[SOCKETIO_NAMESPACE_MAX + 1]; /* "/" unless another is named; printable ASCII */
    bool has_ack;
    uint64_t ack;      /* below 2^53 */
    struct json *data; /* owned; NULL: none. EVENT: an array that begins with a string; ACK: an
                        * array; CONNECT: an object or NULL; CONNECT_ERROR: an object or a string */
};

/* -EBADMSG for what is no packet, or has data that its type doesn't have; -EPROTONOSUPPORT for a
 * binary one; -EMSGSIZE past SOCKETIO_PACKET_MAX. */
int socketio_parse(const char *s, size_t len, struct socketio_packet *ret_packet, struct err *err);
void socketio_packet_done(struct socketio_packet *p);
/* The name of an event, and its n-th argument from 0; NULL if it has no such. Borrowed. */
const char *socketio_event(const struct socketio_packet *p);
const struct json *socketio_argument(const struct socketio_packet *p, size_t n);

/* Append to b. json: an argument as JSON text, NULL: none. */
void socketio_print_event(struct buf *b, const char *name, const char *json);
/* An empty acknowledgement of the event with that number. */
void socketio_print_ack(struct buf *b, const char *space, uint64_t ack);
void socketio_print_connect(struct buf *b, const char *space, const char *json);
void socketio_print_disconnect(struct buf *b, const char *space);
void socketio_print_connect_error(struct buf *b, const char *space, const char *message);
