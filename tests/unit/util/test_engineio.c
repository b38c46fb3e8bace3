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
#include "util/engineio.h"
#include "util/err.h"

#define RS "\x1e"

static int next(const char *body, struct engineio_cursor *cursor, struct engineio_packet *packet)
{
    return engineio_next(body, strlen(body), cursor, packet, NULL);
}

static void assert_packet(const struct engineio_packet *p, enum engineio_type type,
                          const char *data)
{
    assert_int_equal(p->type, type);
    assert_int_equal(p->len, strlen(data));
    assert_memory_equal(p->data, data, p->len);
}

static void a_body_is_taken_apart_at_the_separators(void **state)
{
    static const char body[] = "2" RS "42[\"cc_message\",{\"id\":\"m1\"}]" RS "41" RS "1";
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet p;

    (void)state;
    assert_int_equal(next(body, &cursor, &p), 1);
    assert_packet(&p, ENGINEIO_PING, "");
    assert_int_equal(next(body, &cursor, &p), 1);
    assert_packet(&p, ENGINEIO_MESSAGE, "2[\"cc_message\",{\"id\":\"m1\"}]");
    assert_int_equal(next(body, &cursor, &p), 1);
    assert_packet(&p, ENGINEIO_MESSAGE, "1");
    assert_int_equal(next(body, &cursor, &p), 1);
    assert_packet(&p, ENGINEIO_CLOSE, "");
    assert_int_equal(next(body, &cursor, &p), 0);
    assert_int_equal(next(body, &cursor, &p), 0);
}

static void every_type_has_its_digit(void **state)
{
    (void)state;
    for (int type = 0; type < ENGINEIO_TYPE_COUNT; type++) {
        CLEANUP(buf_done) struct buf body = { 0 };
        struct engineio_cursor cursor = { 0 };
        struct engineio_packet p;

        assert_int_equal(engineio_append(&body, (enum engineio_type)type, "x", 1), 0);
        assert_int_equal(body.data[0], '0' + type);
        assert_int_equal(next(buf_str(&body), &cursor, &p), 1);
        assert_packet(&p, (enum engineio_type)type, "x");
    }
}

static void what_is_no_packet_is_refused_with_its_number(void **state)
{
    static const struct {
        const char *body;
        size_t good; /* packets before it */
        int code;
        const char *word;
    } cases[] = {
        { "", 0, -EBADMSG, "packet 1 is empty" },
        { RS, 0, -EBADMSG, "packet 1 is empty" },
        { "2" RS, 1, -EBADMSG, "packet 2 is empty" },
        { "2" RS RS "3", 1, -EBADMSG, "packet 2 is empty" },
        { "7", 0, -EBADMSG, "packet 1 has no type" },
        { "2" RS "x", 1, -EBADMSG, "packet 2 has no type" },
        { "<html>", 0, -EBADMSG, "packet 1 has no type" },
        { "4x" RS "bAQID", 1, -EPROTONOSUPPORT, "packet 2 is binary" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct engineio_cursor cursor = { 0 };
        struct engineio_packet p;
        struct err err = { 0 };
        size_t len = strlen(cases[i].body);

        for (size_t k = 0; k < cases[i].good; k++)
            assert_int_equal(next(cases[i].body, &cursor, &p), 1);
        assert_int_equal(engineio_next(cases[i].body, len, &cursor, &p, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].word));
    }
}

static void a_body_of_too_many_packets_is_refused(void **state)
{
    CLEANUP(buf_done) struct buf body = { 0 };
    struct engineio_cursor cursor = { 0 };
    struct engineio_packet p;

    (void)state;
    for (int i = 0; i < ENGINEIO_PACKETS_MAX + 1; i++)
        assert_int_equal(engineio_append(&body, ENGINEIO_NOOP, NULL, 0), 0);
    for (int i = 0; i < ENGINEIO_PACKETS_MAX; i++)
        assert_int_equal(next(buf_str(&body), &cursor, &p), 1);
    assert_int_equal(next(buf_str(&body), &cursor, &p), -EMSGSIZE);
}

static void what_is_joined_stays_below_the_limit(void **state)
{
    CLEANUP(buf_done) struct buf body = { 0 };

    (void)state;
    assert_true(engineio_fits(&body, 4, 5));
    assert_false(engineio_fits(&body, 5, 5));
    assert_int_equal(engineio_append(&body, ENGINEIO_MESSAGE, "abcd", 4), 0);
    assert_true(engineio_fits(&body, 0, 7)); /* separator and digit */
    assert_false(engineio_fits(&body, 0, 6));
    assert_false(engineio_fits(&body, SIZE_MAX, SIZE_MAX));
    assert_int_equal(engineio_append(&body, ENGINEIO_PONG, NULL, 0), 0);
    assert_string_equal(buf_str(&body), "4abcd" RS "3");
    assert_int_equal(engineio_append(&body, ENGINEIO_MESSAGE, "a" RS "b", 3), -EINVAL);
    assert_string_equal(buf_str(&body), "4abcd" RS "3");
}

static void the_answer_to_a_handshake_is_read(void **state)
{
    static const char text[] = "{\"sid\":\"lv_VI97HAXpY6yYWAAAB\",\"upgrades\":[\"websocket\"],"
                               "\"pingInterval\":25000,\"pingTimeout\":20000,"
                               "\"maxPayload\":1000}";
    static const char short_text[] = "{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":2}";
    struct engineio_open open;

    (void)state;
    assert_int_equal(engineio_parse_open(text, strlen(text), &open, NULL), 0);
    assert_string_equal(open.sid, "lv_VI97HAXpY6yYWAAAB");
    assert_int_equal(open.ping_interval_ms, 25000);
    assert_int_equal(open.ping_timeout_ms, 20000);
    assert_int_equal(open.max_payload, 1000);
    assert_int_equal(engineio_parse_open(short_text, strlen(short_text), &open, NULL), 0);
    assert_int_equal(open.max_payload, ENGINEIO_PAYLOAD_MAX);
}

static void an_unusable_answer_to_a_handshake_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{\"sid\":\"\",\"pingInterval\":1,\"pingTimeout\":1}",
        "{\"sid\":\"a b\",\"pingInterval\":1,\"pingTimeout\":1}",
        "{\"sid\":\"a&b\",\"pingInterval\":1,\"pingTimeout\":1}",
        "{\"sid\":7,\"pingInterval\":1,\"pingTimeout\":1}",
        "{\"sid\":\"a\",\"pingTimeout\":1}",
        "{\"sid\":\"a\",\"pingInterval\":0,\"pingTimeout\":1}",
        "{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":-1}",
        "{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":1e9}",
        "{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":1,\"maxPayload\":0}",
        "{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":1,\"maxPayload\":\"x\"}",
    };
    char sid[ENGINEIO_SID_MAX + 2], text[256];
    struct engineio_open open;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = { 0 };

        assert_int_equal(engineio_parse_open(cases[i], strlen(cases[i]), &open, &err), -EBADMSG);
        assert_true(err.text[0] != '\0');
    }
    memset(sid, 'x', sizeof sid - 1);
    sid[sizeof sid - 1] = '\0';
    snprintf(text, sizeof text, "{\"sid\":\"%s\",\"pingInterval\":1,\"pingTimeout\":1}", sid);
    assert_int_equal(engineio_parse_open(text, strlen(text), &open, NULL), -EBADMSG);
}

static void an_open_packet_that_is_printed_is_read_back(void **state)
{
    const struct engineio_open open = {
        .sid = "s-1_Z", .ping_interval_ms = 25000, .ping_timeout_ms = 20000, .max_payload = 1000000
    };
    AUTO_FREE char *text = engineio_print_open(&open);
    struct engineio_open again;

    (void)state;
    assert_non_null(strstr(text, "\"upgrades\":[]"));
    assert_int_equal(engineio_parse_open(text, strlen(text), &again, NULL), 0);
    assert_string_equal(again.sid, open.sid);
    assert_int_equal(again.ping_interval_ms, open.ping_interval_ms);
    assert_int_equal(again.ping_timeout_ms, open.ping_timeout_ms);
    assert_int_equal(again.max_payload, open.max_payload);
}

static void a_refusal_has_its_number_and_words(void **state)
{
    static const char *const bad[] = { "",
                                       "{}",
                                       "{\"code\":1}",
                                       "{\"code\":6,\"message\":\"x\"}",
                                       "{\"code\":-1,\"message\":\"x\"}",
                                       "<html>" };
    AUTO_FREE char *unknown = engineio_print_refusal(ENGINEIO_NO_SESSION);

    (void)state;
    assert_string_equal(unknown, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    for (int i = 0; i < ENGINEIO_REFUSAL_COUNT; i++) {
        AUTO_FREE char *text = engineio_print_refusal((enum engineio_refusal)i);

        assert_int_equal(engineio_parse_refusal(text, strlen(text)), i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(engineio_parse_refusal(bad[i], strlen(bad[i])), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_taken_apart_at_the_separators),
        cmocka_unit_test(every_type_has_its_digit),
        cmocka_unit_test(what_is_no_packet_is_refused_with_its_number),
        cmocka_unit_test(a_body_of_too_many_packets_is_refused),
        cmocka_unit_test(what_is_joined_stays_below_the_limit),
        cmocka_unit_test(the_answer_to_a_handshake_is_read),
        cmocka_unit_test(an_unusable_answer_to_a_handshake_is_refused),
        cmocka_unit_test(an_open_packet_that_is_printed_is_read_back),
        cmocka_unit_test(a_refusal_has_its_number_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
