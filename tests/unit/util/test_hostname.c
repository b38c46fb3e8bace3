#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "util/cleanup.h"
#include "util/hostname.h"

static void each_host_has_one_form(void **state)
{
    static const struct {
        const char *text;
        enum hostname_kind kind;
        const char *want;
    } cases[] = {
        { "example.org", HOSTNAME_NAME, "example.org" },
        { "Example.ORG", HOSTNAME_NAME, "example.org" },
        { "example.org.", HOSTNAME_NAME, "example.org" },
        { "XN--BCHER-KVA.example", HOSTNAME_NAME, "xn--bcher-kva.example" },
        { "db", HOSTNAME_NAME, "db" },
        { "my_service-1", HOSTNAME_NAME, "my_service-1" },
        { "1e100.net", HOSTNAME_NAME, "1e100.net" },
        { "127.0.0.1", HOSTNAME_IPV4, "127.0.0.1" },
        { "127.0.0.1.", HOSTNAME_IPV4, "127.0.0.1" },
        { "255.255.255.255", HOSTNAME_IPV4, "255.255.255.255" },
        { "[::1]", HOSTNAME_IPV6, "::1" },
        { "[0:0:0:0:0:0:0:1]", HOSTNAME_IPV6, "::1" },
        { "[FD00::A]", HOSTNAME_IPV6, "fd00::a" },
        { "[::ffff:127.0.0.1]", HOSTNAME_IPV6, "::ffff:127.0.0.1" },
        { "[::ffff:7f00:1]", HOSTNAME_IPV6, "::ffff:127.0.0.1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct hostname host;

        assert_int_equal(hostname_parse(cases[i].text, strlen(cases[i].text), &host, NULL), 0);
        assert_int_equal(host.kind, cases[i].kind);
        assert_string_equal(host.text, cases[i].want);
    }
}

static void what_could_be_read_two_ways_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a.b..",
        "-a.b",
        "a-.b",
        "a b",
        "a/b",
        "a@b",
        "a:b",
        "a%62",
        "a\tb",
        "a\r\nb",
        "a\xc3\xa4.org",
        "a*.org",
        "*",
        "*.org",
        "a,b",
        "a\\b",
        "a?b",
        "a#b",
        /* addresses as inet_aton(3) and browsers read them */
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0X7F000001",
        "127.1",
        "127.0.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.1",
        "256.0.0.1",
        "1.2.3.0x4",
        "a.0x",
        "a.0x7f",
        "example.1",
        "127.0.0.1..",
        "0",
        "1.2.3.",
        /* IPv6 */
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1]x",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "[::1]]",
        "[::g]",
        "[1:2:3:4:5:6:7:8:9]",
        "[::ffff:127.0.0.01]",
        "[::1 ]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct hostname host;
        const char *why = NULL;

        if (hostname_parse(bad[i], strlen(bad[i]), &host, &why) != -EINVAL || !why)
            fail_msg("'%s' is taken as '%s'", bad[i], host.text);
    }
}

static void a_nul_inside_is_refused(void **state)
{
    struct hostname host;

    (void)state;
    assert_int_equal(hostname_parse("example.org\0.evil.org", 21, &host, NULL), -EINVAL);
    assert_int_equal(hostname_parse("[::1\0]", 6, &host, NULL), -EINVAL);
}

static void lengths_end_where_dns_has_them(void **state)
{
    char text[HOSTNAME_MAX + 2];
    struct hostname host;

    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t i = HOSTNAME_LABEL_MAX; i < sizeof text; i += HOSTNAME_LABEL_MAX + 1)
        text[i] = '.';
    assert_int_equal(hostname_parse(text, HOSTNAME_MAX, &host, NULL), 0);
    assert_int_equal(strlen(host.text), HOSTNAME_MAX);
    assert_int_equal(hostname_parse(text, HOSTNAME_MAX + 1, &host, NULL), -EINVAL);
    memset(text, 'a', sizeof text);
    assert_int_equal(hostname_parse(text, HOSTNAME_LABEL_MAX, &host, NULL), 0);
    assert_int_equal(hostname_parse(text, HOSTNAME_LABEL_MAX + 1, &host, NULL), -EINVAL);
}

static void ports_are_plain_numbers(void **state)
{
    static const char *const bad[] = { "",   "0",  "00",  "080", "65536", "99999", "100000",
                                       "+1", "-1", " 80", "80 ", "8x",    "0x50" };
    uint16_t port = 0;

    (void)state;
    assert_int_equal(hostname_parse_port("1", 1, &port), 0);
    assert_int_equal(port, 1);
    assert_int_equal(hostname_parse_port("65535", 5, &port), 0);
    assert_int_equal(port, 65535);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(hostname_parse_port(bad[i], strlen(bad[i]), &port), -EINVAL);
    assert_int_equal(port, 65535);
}

static void a_host_and_port_stand_as_in_a_url(void **state)
{
    const struct hostname name = { .text = "example.org" };
    const struct hostname six = { .kind = HOSTNAME_IPV6, .text = "::1" };
    char buffer[HOSTNAME_WITH_PORT_SIZE];

    (void)state;
    assert_string_equal(hostname_with_port(buffer, &name, 443), "example.org:443");
    assert_string_equal(hostname_with_port(buffer, &six, 80), "[::1]:80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_host_has_one_form),
        cmocka_unit_test(what_could_be_read_two_ways_is_refused),
        cmocka_unit_test(a_nul_inside_is_refused),
        cmocka_unit_test(lengths_end_where_dns_has_them),
        cmocka_unit_test(ports_are_plain_numbers),
        cmocka_unit_test(a_host_and_port_stand_as_in_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
