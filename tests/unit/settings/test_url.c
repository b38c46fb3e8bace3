#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "settings/url.h"
#include "util/cleanup.h"

static void base_urls_have_a_scheme_and_a_host(void **state)
{
    static const char *const good[] = { "https://api.nairi.ai", "http://127.0.0.1:8080",
                                        "http://[::1]:80/x",    "HTTPS://host/a/b/",
                                        "https://[fe80::1]",    "http://h:65535",
                                        "wss://h/socketio/" };
    static const struct {
        const char *url, *why;
    } bad[] = {
        { "", "must begin with https:// or http://" },
        { "api.nairi.ai", "must begin with https:// or http://" },
        { "ftp://h", "must begin with https:// or http://" },
        { "https://", "the host is missing" },
        { "https:///x", "the host is missing" },
        { "https://:80", "the host is missing" },
        { "https://u:p@h", "user and password don't belong in it" },
        { "https://h:0", "the port must be 1 to 65535" },
        { "https://h:65536", "the port must be 1 to 65535" },
        { "https://h:", "the port must be 1 to 65535" },
        { "https://h:8x", "the port must be 1 to 65535" },
        { "https://h?x", "no ? and no # may be in it" },
        { "https://h/#x", "no ? and no # may be in it" },
        { "https://h\r\nX: y", "only ASCII without spaces may be in it" },
        { "https://h\xc3\xa4", "only ASCII without spaces may be in it" },
        { "https://[::1", "the address in [] isn't IPv6" },
        { "https://[]", "the address in [] isn't IPv6" },
        { "https://[x]", "the address in [] isn't IPv6" },
        { "https://[1.2]", "the address in [] isn't IPv6" },
        { "https://[:::]", "the address in [] isn't IPv6" },
        { "https://*o/s", "a name is made of letters, digits and '-', with dots between; write "
                          "other scripts in the xn-- form" },
        { "https://a,b:80", "a name is made of letters, digits and '-', with dots between; write "
                            "other scripts in the xn-- form" },
        { "https://127.1", "it ends in a number, and an IPv4 address is four decimal ones" },
        { "https://[::1]x", "only a port may follow the ]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_null(url_check(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_string_equal(url_check(bad[i].url), bad[i].why);
}

static void slashes_and_the_old_suffix_at_the_end_are_left_out(void **state)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        { "https://h", "https://h" },
        { "https://h/", "https://h" },
        { "https://h/a//", "https://h/a" },
        { "https://api.nairi.ai/socketio/", "https://api.nairi.ai" },
        { "https://api.nairi.ai/socketio", "https://api.nairi.ai" },
        { "https://h/xsocketio", "https://h/xsocketio" },
        { "https://h/socketio//socketio/", "https://h" },
        { "http://socketio", "http://socketio" },
        { "wss://api.nairi.ai/socketio/", "https://api.nairi.ai" },
        { "WS://127.0.0.1:8080", "http://127.0.0.1:8080" },
        { "HTTPS://h/x", "https://h/x" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *normal = url_normal(cases[i].url);

        AUTO_FREE char *again = url_normal(normal);

        assert_string_equal(normal, cases[i].want);
        assert_string_equal(again, cases[i].want);
    }
}

static void only_clear_text_to_other_machines_is_exposed(void **state)
{
    static const char *const safe[] = {
        "https://h",        "http://localhost", "http://LOCALHOST:80/x", "http://127.0.0.1:1",
        "http://127.9.9.9", "http://[::1]:1",   "http://[::1]",          "wss://h"
    };
    static const char *const exposed[] = {
        "http://h",     "http://127.evil.example", "http://localhost.example",
        "http://[::2]", "http://10.0.0.1",         "HTTP://h",
        "ws://h"
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
        assert_false(url_is_exposed(safe[i]));
    for (size_t i = 0; i < ARRAY_SIZE(exposed); i++)
        assert_true(url_is_exposed(exposed[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_urls_have_a_scheme_and_a_host),
        cmocka_unit_test(slashes_and_the_old_suffix_at_the_end_are_left_out),
        cmocka_unit_test(only_clear_text_to_other_machines_is_exposed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
