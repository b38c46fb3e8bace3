/* A body of the realtime channel, as either end gets it: each packet that is read can be written
 * again and is then read alike, and so can what stands in it. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/engineio.h"
#include "util/err.h"
#include "util/json.h"
#include "util/socketio.h"

static void check_sentence(int code, const struct err *err)
{
    FUZZ_CHECK(code == -EBADMSG || code == -EPROTONOSUPPORT || code == -EMSGSIZE);
    FUZZ_CHECK(err->code == code && err->text[0]);
}

static void check_event(const struct socketio_packet *p)
{
    CLEANUP(buf_done) struct buf text = { 0 };
    CLEANUP(socketio_packet_done) struct socketio_packet again = { 0 };
    const struct json *argument = socketio_argument(p, 0);
    AUTO_FREE char *json = argument ? json_print(argument) : NULL;

    socketio_print_event(&text, socketio_event(p), json);
    FUZZ_CHECK(socketio_parse(text.data, text.len, &again, NULL) == 0);
    FUZZ_CHECK(strcmp(socketio_event(&again), socketio_event(p)) == 0);
    FUZZ_CHECK(!socketio_argument(&again, 0) == !argument);
}

static void check_message(const struct engineio_packet *packet)
{
    CLEANUP(socketio_packet_done) struct socketio_packet p = { 0 };
    struct err err = { 0 };
    int rc = socketio_parse(packet->data, packet->len, &p, &err);

    if (rc < 0) {
        check_sentence(rc, &err);
        FUZZ_CHECK(!p.data);
        return;
    }
    FUZZ_CHECK(p.space[0] == '/' && strlen(p.space) <= SOCKETIO_NAMESPACE_MAX);
    FUZZ_CHECK(!p.has_ack == (p.ack == 0) || p.ack >> 53 == 0);
    FUZZ_CHECK((p.type == SOCKETIO_EVENT) == (socketio_event(&p) != NULL));
    if (p.type == SOCKETIO_EVENT)
        check_event(&p);
}

static void check_open(const struct engineio_packet *packet)
{
    struct engineio_open open, again;
    AUTO_FREE char *text = NULL;

    if (engineio_parse_open(packet->data, packet->len, &open, NULL) < 0)
        return;
    open.max_payload = open.max_payload >> 53 ? 1 : open.max_payload; /* JSON's numbers end there */
    text = engineio_print_open(&open);
    FUZZ_CHECK(engineio_parse_open(text, strlen(text), &again, NULL) == 0);
    FUZZ_CHECK(strcmp(open.sid, again.sid) == 0);
    FUZZ_CHECK(open.ping_interval_ms == again.ping_interval_ms);
    FUZZ_CHECK(open.max_payload == again.max_payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    CLEANUP(buf_done) struct buf joined = { 0 };
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet packet;
    struct err err = { 0 };
    int rc, code = engineio_parse_refusal(body, size);

    FUZZ_CHECK(code == -EBADMSG || (code >= 0 && code < ENGINEIO_REFUSAL_COUNT));
    while ((rc = engineio_next(body, size, &cursor, &packet, &err)) > 0) {
        FUZZ_CHECK(packet.data > body && packet.data + packet.len <= body + size);
        FUZZ_CHECK(engineio_append(&joined, packet.type, packet.data, packet.len) == 0);
        if (packet.type == ENGINEIO_MESSAGE)
            check_message(&packet);
        else if (packet.type == ENGINEIO_OPEN)
            check_open(&packet);
    }
    if (rc < 0)
        check_sentence(rc, &err);
    else
        FUZZ_CHECK(joined.len == size && memcmp(joined.data, body, size) == 0);
    return 0;
}
