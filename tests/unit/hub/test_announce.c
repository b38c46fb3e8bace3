#include "hub/announce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/engineio.h"
#include "util/json.h"
#include "util/socketio.h"
#include "util/str.h"
#include "util/ulid.h"

/* The only packet of a body. To be freed. */
static struct socketio_packet packet_of(const struct buf *body)
{
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet engine = { 0 };
    struct socketio_packet packet = { 0 };

    assert_int_equal(engineio_next(body->data, body->len, &cursor, &engine, NULL), 1);
    assert_int_equal(engine.type, ENGINEIO_MESSAGE);
    assert_int_equal(socketio_parse(engine.data, engine.len, &packet, NULL), 0);
    assert_int_equal(engineio_next(body->data, body->len, &cursor, &engine, NULL), 0);
    return packet;
}

static void nothing_to_do_is_no_packet(void **state)
{
    CLEANUP(buf_done) struct buf body = { 0 };

    (void)state;
    announce_listing(&body, "{\"jobs\":[]}");
    assert_int_equal(body.len, 0);
}

static void the_question_for_idle_jobs_is_a_message_of_its_own(void **state)
{
    CLEANUP(socketio_packet_done) struct socketio_packet packet = { 0 };
    CLEANUP(buf_done) struct buf body = { 0 };
    const struct json *envelope;

    (void)state;
    announce_listing(&body, "{\"jobs\":[],\"check_idle_jobs\":true}");
    packet = packet_of(&body);
    assert_string_equal(socketio_event(&packet), "cc_message");
    envelope = socketio_argument(&packet, 0);
    assert_string_equal(json_get_str(envelope, "type"), "check_idle_jobs_v1");
    assert_true(ulid_has_prefix(json_get_str(envelope, "id"), "msg"));
    assert_true(json_is_object(json_get(envelope, "payload")));
    assert_int_equal(json_len(json_get(envelope, "payload")), 0);
}

static void what_only_a_poll_tells_is_pointed_at(void **state)
{
    CLEANUP(socketio_packet_done) struct socketio_packet packet = { 0 };
    CLEANUP(buf_done) struct buf body = { 0 };

    (void)state;
    announce_listing(&body, "{\"jobs\":[],\"more\":true}");
    packet = packet_of(&body);
    assert_string_equal(socketio_event(&packet), "nairi_poll");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do_is_no_packet),
        cmocka_unit_test(the_question_for_idle_jobs_is_a_message_of_its_own),
        cmocka_unit_test(what_only_a_poll_tells_is_pointed_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
