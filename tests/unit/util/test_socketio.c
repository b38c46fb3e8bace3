#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/socketio.h"

static int parse(const char *s, struct socketio_packet *packet)
{
    return socketio_parse(s, strlen(s), packet, NULL);
}

static void an_event_has_a_name_and_arguments(void **state)
{
    CLEANUP(socketio_packet_done) struct socketio_packet p = { 0 };

    (void)state;
    assert_int_equal(parse("2[\"cc_message\",{\"id\":\"m1\"},7]", &p), 0);
    assert_int_equal(p.type, SOCKETIO_EVENT);
    assert_string_equal(p.space, "/");
    assert_false(p.has_ack);
    assert_string_equal(socketio_event(&p), "cc_message");
    assert_string_equal(json_get_str(socketio_argument(&p, 0), "id"), "m1");
    assert_non_null(socketio_argument(&p, 1));
    assert_null(socketio_argument(&p, 2));
}

static void namespace_and_number_are_read(void **state)
{
    static const struct {
        const char *text;
        enum socketio_type type;
        const char *space;
        bool has_ack;
        uint64_t ack;
    } cases[] = {
        { "0", SOCKETIO_CONNECT, "/", false, 0 },
        { "0{}", SOCKETIO_CONNECT, "/", false, 0 },
        { "0{\"sid\":\"x\"}", SOCKETIO_CONNECT, "/", false, 0 },
        { "0/admin,", SOCKETIO_CONNECT, "/admin", false, 0 },
        { "0/admin", SOCKETIO_CONNECT, "/admin", false, 0 },
        { "0/admin,{\"token\":\"123\"}", SOCKETIO_CONNECT, "/admin", false, 0 },
        { "1", SOCKETIO_DISCONNECT, "/", false, 0 },
        { "1/admin,", SOCKETIO_DISCONNECT, "/admin", false, 0 },
        { "212[\"x\"]", SOCKETIO_EVENT, "/", true, 12 },
        { "2/admin,456[\"x\"]", SOCKETIO_EVENT, "/admin", true, 456 },
        { "29007199254740991[\"x\"]", SOCKETIO_EVENT, "/", true, 9007199254740991U },
        { "312[]", SOCKETIO_ACK, "/", true, 12 },
        { "4{\"message\":\"Not authorized\"}", SOCKETIO_CONNECT_ERROR, "/", false, 0 },
        { "4\"Not authorized\"", SOCKETIO_CONNECT_ERROR, "/", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(socketio_packet_done) struct socketio_packet p = { 0 };

        assert_int_equal(parse(cases[i].text, &p), 0);
        assert_int_equal(p.type, cases[i].type);
        assert_string_equal(p.space, cases[i].space);
        assert_int_equal(p.has_ack, cases[i].has_ack);
        assert_int_equal(p.ack, cases[i].ack);
    }
}

static void what_is_no_packet_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "7",
        "x",
        "0[]",
        "0\"x\"",
        "1{}",
        "2",
        "2{}",
        "2[]",
        "2[7]",
        "2[\"x\"",
        "2[\"x\"]x",
        "3[]",
        "31{}",
        "3",
        "4",
        "4[]",
        "4null",
        "/",
        "2/a b,[\"x\"]",
        "2/\n,[\"x\"]",
        "29007199254740992[\"x\"]",
        "299999999999999999999999[\"x\"]",
        "2-1[\"x\"]",
    };
    CLEANUP(buf_done) struct buf space = { 0 };
    struct socketio_packet p = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = { 0 };

        assert_int_equal(socketio_parse(cases[i], strlen(cases[i]), &p, &err), -EBADMSG);
        assert_true(err.text[0] != '\0');
        assert_null(p.data);
    }
    buf_append_str(&space, "0/");
    while (space.len < SOCKETIO_NAMESPACE_MAX + 2)
        buf_append_char(&space, 'x');
    assert_int_equal(parse(buf_str(&space), &p), -EBADMSG);
}

static void binary_packets_are_refused_as_such(void **state)
{
    struct socketio_packet p = { 0 };

    (void)state;
    assert_int_equal(parse("51-[\"x\",{\"_placeholder\":true,\"num\":0}]", &p), -EPROTONOSUPPORT);
    assert_int_equal(parse("61-2[]", &p), -EPROTONOSUPPORT);
}

static void a_packet_past_the_limit_is_not_parsed(void **state)
{
    AUTO_FREE char *text = mem_alloc(SOCKETIO_PACKET_MAX + 1);
    struct socketio_packet p = { 0 };

    (void)state;
    memset(text, ' ', SOCKETIO_PACKET_MAX + 1);
    memcpy(text, "2[\"x\"]", 6);
    assert_int_equal(socketio_parse(text, SOCKETIO_PACKET_MAX, &p, NULL), 0);
    socketio_packet_done(&p);
    assert_int_equal(socketio_parse(text, SOCKETIO_PACKET_MAX + 1, &p, NULL), -EMSGSIZE);
}

static void what_is_printed_is_as_the_protocol_has_it(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    (void)state;
    socketio_print_event(&b, "cc_message", "{\"id\":1}");
    buf_append_char(&b, ' ');
    socketio_print_event(&b, "ping", NULL);
    buf_append_char(&b, ' ');
    socketio_print_event(&b, "a\"b", NULL);
    buf_append_char(&b, ' ');
    socketio_print_ack(&b, "/", 12);
    buf_append_char(&b, ' ');
    socketio_print_ack(&b, "/admin", 3);
    buf_append_char(&b, ' ');
    socketio_print_connect(&b, "/", "{}");
    buf_append_char(&b, ' ');
    socketio_print_connect(&b, "/admin", NULL);
    buf_append_char(&b, ' ');
    socketio_print_disconnect(&b, "/");
    buf_append_char(&b, ' ');
    socketio_print_connect_error(&b, "/", "Not authorized");
    assert_string_equal(buf_str(&b), "2[\"cc_message\",{\"id\":1}] 2[\"ping\"] 2[\"a\\\"b\"] 312[] "
                                     "3/admin,3[] 0{} 0/admin, 1 "
                                     "4{\"message\":\"Not authorized\",\"data\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_a_name_and_arguments),
        cmocka_unit_test(namespace_and_number_are_read),
        cmocka_unit_test(what_is_no_packet_is_refused),
        cmocka_unit_test(binary_packets_are_refused_as_such),
        cmocka_unit_test(a_packet_past_the_limit_is_not_parsed),
        cmocka_unit_test(what_is_printed_is_as_the_protocol_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
