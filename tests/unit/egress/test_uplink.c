#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "egress/uplink.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static void a_proxy_is_a_host_a_port_and_perhaps_a_user(void **state)
{
    static const struct {
        const char *url, *host, *field;
        uint16_t port;
    } cases[] = {
        { "http://proxy.lan:3128", "proxy.lan", "", 3128 },
        { "HTTP://Proxy.lan:3128/", "proxy.lan", "", 3128 },
        { "proxy.lan:3128", "proxy.lan", "", 3128 },
        { "http://[::1]", "::1", "", 1080 },
        { "http://u:p@proxy.lan:1", "proxy.lan", "Proxy-Authorization: Basic dTpw\r\n", 1 },
        { "http://u:p%40%zz@proxy.lan:1", "proxy.lan",
          "Proxy-Authorization: Basic dTpwQCV6eg==\r\n", 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct uplink u;

        assert_int_equal(uplink_parse(cases[i].url, &u, NULL), 0);
        assert_string_equal(u.host.text, cases[i].host);
        assert_int_equal(u.port, cases[i].port);
        assert_string_equal(u.field, cases[i].field);
        uplink_done(&u);
    }
}

static void other_proxies_are_refused_without_their_password(void **state)
{
    static const char *const bad[] = { "https://u:secret@proxy:1", "socks5://u:secret@proxy:1",
                                       "http://u:secret@:1", "http://u:secret@proxy:0",
                                       "http://u:secret@127.1:80" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = { 0 };
        struct uplink u;

        assert_int_equal(uplink_parse(bad[i], &u, &err), -EINVAL);
        assert_non_null(strstr(err.text, "server.proxy"));
        assert_null(strstr(err.text, "secret"));
    }
}

static void only_a_grant_is_taken_for_one(void **state)
{
    static const char granted[] = "HTTP/1.1 200 OK\r\nX: y\r\n\r\nSSH";

    (void)state;
    assert_int_equal(uplink_read_answer(granted, sizeof granted - 1), sizeof granted - 4);
    for (size_t len = 0; len < sizeof granted - 4; len++)
        assert_int_equal(uplink_read_answer(granted, len), 0);
    assert_int_equal(uplink_read_answer("HTTP/1.1 407 No\r\n\r\n", 19), -ECONNREFUSED);
    assert_int_equal(uplink_read_answer("SSH-2.0-x\r\n\r\n", 13), -ECONNREFUSED);
    assert_int_equal(uplink_read_answer("\r\n\r\n", 4), -ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_is_a_host_a_port_and_perhaps_a_user),
        cmocka_unit_test(other_proxies_are_refused_without_their_password),
        cmocka_unit_test(only_a_grant_is_taken_for_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
