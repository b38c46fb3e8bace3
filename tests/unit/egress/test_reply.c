#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "egress/reply.h"
#include "util/buf.h"
#include "util/cleanup.h"

static void an_answers_head_is_passed_on_without_what_is_about_the_connection(void **state)
{
    static const char text[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\n"
                               "keep-alive: 5\r\nCONNECTION: keep-alive\r\nLocation: /\r\n"
                               "X-Y:z\r\nX-RateLimit-Left: 3\r\nx-ratelimit-: 4\r\nRequest-Id:z\r\n"
                               "Request-Id-2: z\r\n\r\nbody";
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    assert_int_equal(reply_read(text, strlen(text), &out), strlen(text) - 4);
    assert_string_equal(buf_str(&out),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                        "X-RateLimit-Left: 3\r\nRequest-Id:z\r\nConnection: close\r\n\r\n");
}

static void what_is_no_answer_is_none(void **state)
{
    static const struct {
        const char *text;
        int want;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\n", 0 },
        { "HTTP/1.1 307 Moved\r\n\r\n", -ELOOP },
        { "HTTP/1.1 302\r\n\r\n", -ELOOP },
        { "HTTP/1.1 101 Switching\r\n\r\n", -EBADMSG },
        { "HTTP/2 200 OK\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 020 OK\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 2000 OK\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 200 OK\nA: b\n\n", -EBADMSG },
        { "HTTP/1.1 200 OK\r\n folded\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", -EBADMSG },
        { "HTTP/1.1 200 OK\r\n: b\r\n\r\n", -EBADMSG },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf out = { 0 };
        ssize_t n = reply_read(cases[i].text, strlen(cases[i].text), &out);

        if (n != cases[i].want || out.len != 0)
            fail_msg("%s: %zd", cases[i].text, n);
    }
}

static void an_interim_answer_and_one_that_nothing_changed_are_told_apart(void **state)
{
    static const char early[] = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n";
    static const char same[] = "HTTP/1.1 304 Not Modified\r\n\r\n";
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    assert_int_equal(reply_read(early, strlen(early), &out), strlen(early));
    assert_int_equal(out.len, 0);
    assert_int_equal(reply_read(same, strlen(same), &out), strlen(same));
    assert_true(out.len > 0);
}

static void how_long_an_answer_is_its_head_says_or_nobody_knows(void **state)
{
    static const struct {
        const char *fields;
        enum head_body body;
        uint64_t bytes;
    } cases[] = {
        { "content-LENGTH:  12 \r\n", HEAD_LENGTH, 12 },
        { "A: b\r\nContent-Length: 0\r\nC: d\r\n", HEAD_LENGTH, 0 },
        { "Transfer-Encoding: Chunked\r\n", HEAD_CHUNKED, 0 },
        { "X-Content-Length: 1\r\n", HEAD_NO_BODY, 0 },
        { "Content-Length: 1\r\nContent-Length: 1\r\n", HEAD_NO_BODY, 0 },
        { "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HEAD_NO_BODY, 0 },
        { "Content-Length: -1\r\n", HEAD_NO_BODY, 0 },
        { "Content-Length:\r\n", HEAD_NO_BODY, 0 },
        { "Content-Length: 1234567890123456789\r\n", HEAD_NO_BODY, 0 },
        { "Transfer-Encoding: gzip, chunked\r\n", HEAD_NO_BODY, 0 },
        { "", HEAD_NO_BODY, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf text = { 0 }, out = { 0 };
        uint64_t bytes = 0;
        enum head_body body;

        buf_printf(&text, "HTTP/1.1 200 OK\r\n%s\r\n", cases[i].fields);
        assert_int_equal(reply_read(text.data, text.len, &out), text.len);
        body = reply_body(out.data, out.len, &bytes);
        if (body != cases[i].body || (body == HEAD_LENGTH && bytes != cases[i].bytes))
            fail_msg("%s: %d", cases[i].fields, (int)body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answers_head_is_passed_on_without_what_is_about_the_connection),
        cmocka_unit_test(what_is_no_answer_is_none),
        cmocka_unit_test(an_interim_answer_and_one_that_nothing_changed_are_told_apart),
        cmocka_unit_test(how_long_an_answer_is_its_head_says_or_nobody_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
