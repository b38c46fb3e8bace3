#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "egress/chunked.h"
#include "util/cleanup.h"

static int scan(const char *text, size_t *used)
{
    struct chunked c = { 0 };

    return chunked_scan(&c, text, strlen(text), used);
}

static void a_body_ends_where_it_says(void **state)
{
    static const char *const bodies[] = { "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n",
                                          "A\r\n0123456789\r\n00\r\n\r\n",
                                          "1\r\n\r\r\n2\r\n\r\n\r\n0\r\n\r\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        char text[100];
        size_t used = 0, len = strlen(bodies[i]);

        assert_int_equal(scan(bodies[i], &used), 1);
        assert_int_equal(used, len);
        /* what follows isn't looked at */
        memcpy(text, bodies[i], len + 1);
        strcat(text, "GET http://other/ HTTP/1.1\r\n");
        assert_int_equal(scan(text, &used), 1);
        assert_int_equal(used, len);
    }
}

static void pieces_of_any_size_give_the_same(void **state)
{
    static const char body[] = "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nrest";
    const size_t whole = sizeof body - 1 - 4;

    (void)state;
    for (size_t piece = 1; piece < sizeof body; piece++) {
        struct chunked c = { 0 };
        size_t at = 0, used = 0;
        int r = 0;

        while (r == 0) {
            size_t n = sizeof body - 1 - at < piece ? sizeof body - 1 - at : piece;

            r = chunked_scan(&c, body + at, n, &used);
            at += used;
        }
        assert_int_equal(r, 1);
        assert_int_equal(at, whole);
    }
}

static void what_two_readers_could_read_differently_is_refused(void **state)
{
    static const char *const bad[] = {
        "\r\n",
        "5 \r\nhello",
        " 5\r\nhello",
        "5;x=y\r\nhello",
        "0x5\r\nhello",
        "-1\r\n",
        "+5\r\nhello",
        "5\nhello",
        "5\r\nhello0",
        "5\r\nhello\n0",
        "5\r\nhello\r0",
        "g\r\n",
        "0\r\nX: y\r\n",
        "0\r\n\n",
        "0\n\r\n",
        "1000000000000000\r\n",
        "fffffffffffffffff\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t used = 0;

        if (scan(bad[i], &used) != -EBADMSG)
            fail_msg("%zu is taken", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_ends_where_it_says),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(what_two_readers_could_read_differently_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
