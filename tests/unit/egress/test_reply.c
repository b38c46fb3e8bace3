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
                               "X-Y:z\r\n\r\nbody";
    CLEANUP(buf_done) struct buf out = { 0 };

    (void)state;
    assert_int_equal(reply_read(text, strlen(text), &out), strlen(text) - 4);
    assert_string_equal(buf_str(&out), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                       "X-Y:z\r\nConnection: close\r\n\r\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answers_head_is_passed_on_without_what_is_about_the_connection),
        cmocka_unit_test(what_is_no_answer_is_none),
        cmocka_unit_test(an_interim_answer_and_one_that_nothing_changed_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
