#include "hub/address.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/err.h"

static void addresses_are_read_and_shown(void **state)
{
    static const struct {
        const char *text, *shown;
        bool loopback;
    } rows[] = {
        { "127.0.0.1:8420", "127.0.0.1:8420", true }, { "127.9.9.9:1", "127.9.9.9:1", true },
        { "localhost:0", "127.0.0.1:0", true },       { ":8420", "127.0.0.1:8420", true },
        { "8420", "127.0.0.1:8420", true },           { "[::1]:65535", "[::1]:65535", true },
        { "0.0.0.0:80", "0.0.0.0:80", false },        { "[::]:80", "[::]:80", false },
        { "10.1.2.3:80", "10.1.2.3:80", false },      { "[fe80::1]:80", "[fe80::1]:80", false },
        { "128.0.0.1:80", "128.0.0.1:80", false },
    };
    struct address a;
    char text[ADDRESS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(address_parse(rows[i].text, &a, NULL), 0);
        assert_string_equal(address_text(&a, text), rows[i].shown);
        assert_int_equal(address_is_loopback(&a), rows[i].loopback);
    }
}

static void what_is_no_address_is_refused_by_name(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "x",
        "host:80",
        "127.0.0.1",
        "1.2.3:1",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "[::1]",
        "::1:80",
        "[::1:80",
        "127.0.0.1:65536",
        "[]:80",
        "[zz]:80",
        "127.0.0.1 :80",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
    };
    struct address a;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(address_parse(texts[i], &a, &err), -EINVAL);
        assert_non_null(strstr(err.text, "HOST:PORT"));
    }
}

static void port_0_becomes_the_kernels_choice(void **state)
{
    struct address a;
    AUTO_CLOSE int first = -1, second = -1;
    char text[ADDRESS_TEXT_MAX];
    struct err err;

    (void)state;
    assert_int_equal(address_parse("127.0.0.1:0", &a, NULL), 0);
    assert_int_equal(address_listen(&a, &first, &err), 0);
    assert_null(strstr(address_text(&a, text), ":0"));
    assert_int_equal(address_listen(&a, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_shown),
        cmocka_unit_test(what_is_no_address_is_refused_by_name),
        cmocka_unit_test(port_0_becomes_the_kernels_choice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
