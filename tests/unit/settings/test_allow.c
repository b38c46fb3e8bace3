#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "settings/allow.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

static bool matches(const char *entry, const char *host, uint16_t port)
{
    struct allow a;
    struct hostname h;
    struct err err;

    if (allow_parse(entry, &a, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(hostname_parse(host, strlen(host), &h, NULL), 0);
    return allow_matches(&a, &h, port);
}

static void an_entry_has_one_normal_form(void **state)
{
    static const struct {
        const char *text, *want;
        unsigned grants;
    } cases[] = {
        { "example.org:443", "example.org:443", 0 },
        { "Example.ORG.:443", "example.org:443", 0 },
        { "*.Example.org:443", "*.example.org:443", 0 },
        { "example.org:*", "example.org:*", 0 },
        { "10.1.2.3:5432", "10.1.2.3:5432", 0 },
        { "[FD00:0::1]:443", "[fd00::1]:443", 0 },
        { "[::1]:*", "[::1]:*", 0 },
        { "db.internal:5432 raw  private", "db.internal:5432 private raw",
          ALLOW_PRIVATE | ALLOW_RAW },
        { "localhost:80 loopback", "localhost:80 loopback", ALLOW_LOOPBACK },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf once = { 0 }, twice = { 0 };
        struct allow a;

        assert_int_equal(allow_parse(cases[i].text, &a, NULL), 0);
        assert_int_equal(a.grants, cases[i].grants);
        allow_print(&a, &once);
        assert_string_equal(buf_str(&once), cases[i].want);
        assert_int_equal(allow_parse(buf_str(&once), &a, NULL), 0);
        allow_print(&a, &twice);
        assert_string_equal(buf_str(&twice), cases[i].want);
    }
}

static void what_is_no_entry_is_refused_in_words(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "want HOST:PORT" },
        { "example.org", "want HOST:PORT" },
        { ":443", "want HOST:PORT" },
        { "[::1]", "want HOST:PORT" },
        { "fd00::1:443", "letters, digits" },
        { "https://example.org:443", "letters, digits" },
        { "example.org:443/x", "the port must be" },
        { "example.org:", "the port must be" },
        { "example.org:0", "the port must be" },
        { "example.org:65536", "the port must be" },
        { "example.org:https", "the port must be" },
        { "example.org:**", "the port must be" },
        { "*:443", "every host" },
        { "*example.org:443", "every host" },
        { "*.:443", "the host is missing" },
        { "a.*.org:443", "letters, digits" },
        { "*.10.0.0.1:443", "'*.' goes with a name" },
        { "*.[::1]:443", "'*.' goes with a name" },
        { "127.1:80", "ends in a number" },
        { "user@example.org:443", "letters, digits" },
        { "b\xc3\xbc"
          "cher.example:443",
          "xn-- form" },
        { "example.org:443 Private", "only the words" },
        { "example.org:443 raw raw", "only the words" },
        { "example.org:443 tls", "only the words" },
        { " example.org:443", "want HOST:PORT" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct allow a;
        struct err err = { 0 };

        if (allow_parse(cases[i].text, &a, &err) != -EINVAL)
            fail_msg("'%s' is taken", cases[i].text);
        if (!strstr(err.text, cases[i].want))
            fail_msg("'%s': %s", cases[i].text, err.text);
    }
}

static void a_name_matches_itself_only(void **state)
{
    (void)state;
    assert_true(matches("example.org:443", "EXAMPLE.org.", 443));
    assert_false(matches("example.org:443", "example.org", 80));
    assert_false(matches("example.org:443", "www.example.org", 443));
    assert_false(matches("example.org:443", "example.org.evil.org", 443));
    assert_false(matches("example.org:443", "badexample.org", 443));
    assert_false(matches("example.org:443", "example.or", 443));
}

static void a_wildcard_matches_what_is_below_and_not_the_name_itself(void **state)
{
    (void)state;
    assert_true(matches("*.example.org:443", "a.example.org", 443));
    assert_true(matches("*.example.org:443", "a.b.c.example.org", 443));
    assert_false(matches("*.example.org:443", "example.org", 443));
    assert_false(matches("*.example.org:443", "badexample.org", 443));
    assert_false(matches("*.example.org:443", "a.example.org.evil.org", 443));
    assert_false(matches("*.example.org:443", "a.example.org", 80));
    assert_false(matches("*.org:443", "1.2.3.4", 443));
}

static void a_star_is_every_port(void **state)
{
    (void)state;
    assert_true(matches("example.org:*", "example.org", 1));
    assert_true(matches("example.org:*", "example.org", 65535));
}

static void addresses_match_in_any_spelling_and_never_a_name(void **state)
{
    (void)state;
    assert_true(matches("[fd00::1]:443", "[FD00:0:0::1]", 443));
    assert_true(matches("127.0.0.1:80", "127.0.0.1.", 80));
    assert_false(matches("127.0.0.1:80", "[::ffff:127.0.0.1]", 80));
    assert_false(matches("127.0.0.1:80", "127.0.0.2", 80));
    assert_false(matches("[::1]:80", "127.0.0.1", 80));
}

static void a_url_of_the_operators_names_its_host_wherever_that_is(void **state)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        { "https://Api.example.org/v1", "api.example.org:443 private loopback" },
        { "http://gateway", "gateway:80 private loopback" },
        { "http://127.0.0.1:8080/x", "127.0.0.1:8080" },
        { "https://[::1]", "[::1]:443" },
        { "https://[::1]:8443/", "[::1]:8443" },
        { "ftp://example.org", NULL },
        { "https://127.1/", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        int r = allow_print_url(cases[i].url, &b);

        assert_int_equal(r, cases[i].want ? 0 : -EINVAL);
        assert_string_equal(buf_str(&b), cases[i].want ? cases[i].want : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_has_one_normal_form),
        cmocka_unit_test(what_is_no_entry_is_refused_in_words),
        cmocka_unit_test(a_name_matches_itself_only),
        cmocka_unit_test(a_wildcard_matches_what_is_below_and_not_the_name_itself),
        cmocka_unit_test(a_star_is_every_port),
        cmocka_unit_test(a_url_of_the_operators_names_its_host_wherever_that_is),
        cmocka_unit_test(addresses_match_in_any_spelling_and_never_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
