/* engineio.h - the body of an Engine.IO long-polling request or answer: packets, one type digit and
 * text each, joined by the record separator. Pure. Both ends use it.
 * Source: Engine.IO protocol, revision 4 (github.com/socketio/engine.io-protocol): "Packet
 * encoding", "HTTP long-polling", "Handshake"; Nairi protocol, realtime channel. Binary packets
 * ('b' and base64) are refused: nothing in that channel is binary. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

enum {
    ENGINEIO_PACKETS_MAX = 10000,   /* in one body */
    ENGINEIO_SID_MAX = 128,         /* bytes of a session's id */
    ENGINEIO_PAYLOAD_MAX = 1000000, /* maxPayload where the server names none */
    ENGINEIO_SEPARATOR = 0x1e
};

enum engineio_type { /* the digit is '0' and this */
                     ENGINEIO_OPEN,
                     ENGINEIO_CLOSE,
                     ENGINEIO_PING,
                     ENGINEIO_PONG,
                     ENGINEIO_MESSAGE,
                     ENGINEIO_UPGRADE,
                     ENGINEIO_NOOP,
                     ENGINEIO_TYPE_COUNT
};

struct engineio_packet {
    enum engineio_type type;
    const char *data; /* within the body, not NUL-terminated */
    size_t len;
};

/* Where in a body the next packet begins; { 0 } is its start. */
struct engineio_cursor {
    size_t at;
    size_t packets; /* so far */
};

/* The next packet: 1, or 0 at the end of the body. -EBADMSG for what is none (also for an empty
 * one: no body, no packet between two separators), -EPROTONOSUPPORT for a binary one, -EMSGSIZE for
 * more than ENGINEIO_PACKETS_MAX; err names the packet by its number. */
int engineio_next(const char *body, size_t len, struct engineio_cursor *cursor,
                  struct engineio_packet *ret_packet, struct err *err);
/* Appends a packet to a body, after a separator where it isn't the first. data must not contain the
 * separator, which JSON text never does: -EINVAL. */
int engineio_append(struct buf *body, enum engineio_type type, const char *data, size_t len);
/* Whether a packet with len bytes of data still fits into a body of at most max bytes. */
bool engineio_fits(const struct buf *body, size_t len, size_t max);

/* What an open packet says. */
struct engineio_open {
    char sid[ENGINEIO_SID_MAX + 1];             /* letters, digits, '-' and '_': fit for a query */
    uint32_t ping_interval_ms, ping_timeout_ms; /* 1 ms to an hour */
    size_t max_payload;                         /* of a request's body, > 0 */
};

/* -EBADMSG for what isn't one; err says why. Which upgrades are offered isn't looked at. */
int engineio_parse_open(const char *data, size_t len, struct engineio_open *ret_open,
                        struct err *err);
/* The data of an open packet that offers no upgrade. To be freed. */
char *engineio_print_open(const struct engineio_open *open);

/* Why a request of the transport is refused. */
enum engineio_refusal {
    ENGINEIO_NO_TRANSPORT = 0,
    ENGINEIO_NO_SESSION = 1,
    ENGINEIO_BAD_METHOD = 2,
    ENGINEIO_BAD_REQUEST = 3,
    ENGINEIO_FORBIDDEN = 4,
    ENGINEIO_BAD_VERSION = 5,
    ENGINEIO_REFUSAL_COUNT
};

/* {"code":N,"message":"..."}; to be freed. */
char *engineio_print_refusal(enum engineio_refusal refusal);
/* The reason of a body like that, or -EBADMSG. */
int engineio_parse_refusal(const char *body, size_t len);
