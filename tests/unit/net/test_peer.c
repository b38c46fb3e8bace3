#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/peer.h"
#include "util/cleanup.h"

static void a_url_names_its_host_and_port(void **state)
{
    static const struct {
        const char *url, *peer;
    } cases[] = {
        { "http://h/x?y#z", "h:80" },
        { "https://h", "h:443" },
        { "HTTPS://h:8443/", "h:8443" },
        { "http://127.0.0.1:1/", "127.0.0.1:1" },
        { "http://[::1]:8080/x", "[::1]:8080" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char peer[PEER_MAX];

        assert_int_equal(peer_parse(cases[i].url, peer), 0);
        assert_string_equal(peer, cases[i].peer);
    }
}

static void other_urls_are_refused(void **state)
{
    static const char *const wrong[] = { "",
                                         "h",
                                         "http://",
                                         "ftp://h/",
                                         "file:///etc/passwd",
                                         "http://user@h/",
                                         "http://user:password@h/",
                                         "http://h:70000/",
                                         "http://h/\r\nX: y",
                                         "http://h\t/" };
    char longest[400], peer[PEER_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(peer_parse(wrong[i], peer), -EINVAL);
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "http://", 7);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(peer_parse(longest, peer), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_names_its_host_and_port),
        cmocka_unit_test(other_urls_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
