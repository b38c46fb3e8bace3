#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "egress/head.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"

/* The reason why it is refused, "" if it isn't. */
static const char *refusal(const char *text, bool in_tunnel, struct head *h)
{
    ssize_t end = head_find_end(text, strlen(text), 0);
    const char *why = "";

    if (end == -EBADMSG)
        return "line end";
    if (end <= 0)
        return "no end";
    return head_parse(text, (size_t)end, in_tunnel, h, &why) < 0 ? why : "";
}

static void must_parse(const char *text, bool in_tunnel, struct head *h)
{
    const char *why = refusal(text, in_tunnel, h);

    if (*why)
        fail_msg("%s: %s", text, why);
}

static void a_target_says_where_to(void **state)
{
    static const struct {
        const char *line, *host, *path;
        uint16_t port;
        enum head_form form;
    } cases[] = {
        { "CONNECT Example.org.:443", "example.org", "", 443, HEAD_CONNECT },
        { "CONNECT [::1]:8443", "::1", "", 8443, HEAD_CONNECT },
        { "GET http://example.org", "example.org", "", 80, HEAD_ABSOLUTE },
        { "GET http://example.org/", "example.org", "/", 80, HEAD_ABSOLUTE },
        { "GET HTTP://EXAMPLE.org:8080/a?b", "example.org", "/a?b", 8080, HEAD_ABSOLUTE },
        { "GET http://example.org?q=a@b", "example.org", "?q=a@b", 80, HEAD_ABSOLUTE },
        { "GET http://[fd00::1]:81/x", "fd00::1", "/x", 81, HEAD_ABSOLUTE },
        { "GET http://example.org/http://other/", "example.org", "/http://other/", 80,
          HEAD_ABSOLUTE },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *text = mem_printf("%s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].line);
        AUTO_FREE struct head *h = mem_new(struct head);

        must_parse(text, false, h);
        assert_int_equal(h->form, cases[i].form);
        assert_string_equal(h->host.text, cases[i].host);
        assert_int_equal(h->port, cases[i].port);
        assert_int_equal(h->path.len, strlen(cases[i].path));
        assert_memory_equal(h->path.at, cases[i].path, h->path.len);
    }
}

static void inside_a_tunnel_the_host_field_says_where_to(void **state)
{
    AUTO_FREE struct head *h = mem_new(struct head);

    (void)state;
    must_parse("GET /x HTTP/1.1\r\nHost: Example.org:8080\r\n\r\n", true, h);
    assert_int_equal(h->form, HEAD_ORIGIN);
    assert_string_equal(h->host.text, "example.org");
    assert_int_equal(h->port, 8080);
    assert_string_equal(refusal("GET /x HTTP/1.1\r\n\r\n", true, h), "the host is missing");
    assert_string_equal(refusal("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", true, h),
                        "TRACE, and CONNECT in a tunnel, aren't passed on");
    assert_string_equal(refusal("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", true, h),
                        "want a path that begins with /");
    assert_string_equal(refusal("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", true, h),
                        "TRACE, and CONNECT in a tunnel, aren't passed on");
}

static void an_ambiguous_request_is_refused(void **state)
{
#define GET "GET http://a/ HTTP/1.1\r\n"
    static const struct {
        const char *text, *want;
    } cases[] = {
        /* line ends */
        { "GET http://a/ HTTP/1.1\n\n", "line end" },
        { "GET http://a/ HTTP/1.1\r\nA: b\n\r\n", "line end" },
        { GET "A: b\rC: d\r\n\r\n", "line end" },
        { GET "\rA: b\r\n\r\n", "line end" },
        { "\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "\r\nGET http://a/ HTTP/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        /* the request line */
        { "GET  http://a/ HTTP/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "GET http://a/  HTTP/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "GET\thttp://a/ HTTP/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "GET http://a/ HTTP/1.1 \r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "GET http://a/\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "G(T http://a/ HTTP/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "GETGETGETGETGETGETGETGETGET http://a/ HTTP/1.1\r\n\r\n",
          "the request line isn't METHOD URL HTTP/1.1" },
        { "GET http://a/ http/1.1\r\n\r\n", "the request line isn't METHOD URL HTTP/1.1" },
        { "TRACE http://a/ HTTP/1.1\r\n\r\n", "TRACE, and CONNECT in a tunnel, aren't passed on" },
        { "trace http://a/ HTTP/1.1\r\n\r\n", "TRACE, and CONNECT in a tunnel, aren't passed on" },
        { "GET http://a/ HTTP/2.0\r\n\r\n", "only HTTP/1.0 and HTTP/1.1 are spoken here" },
        { "PRI * HTTP/2.0\r\n\r\n", "only HTTP/1.0 and HTTP/1.1 are spoken here" },
        { "GET http://a/ HTTP/1.2\r\n\r\n", "only HTTP/1.0 and HTTP/1.1 are spoken here" },
        /* the target */
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
          "want CONNECT HOST:PORT, or a URL that begins with http://" },
        { "GET https://a/ HTTP/1.1\r\n\r\n",
          "want CONNECT HOST:PORT, or a URL that begins with http://" },
        { "connect a:443 HTTP/1.1\r\n\r\n",
          "want CONNECT HOST:PORT, or a URL that begins with http://" },
        { "GET http://u@a/ HTTP/1.1\r\n\r\n", "a URL with a user in it" },
        { "GET http://u:p@a:80/ HTTP/1.1\r\n\r\n", "a URL with a user in it" },
        { "GET http://allowed:80@evil/ HTTP/1.1\r\n\r\n", "a URL with a user in it" },
        { "GET http:///x HTTP/1.1\r\n\r\n", "the host is missing" },
        { "GET http://a\\b/ HTTP/1.1\r\n\r\n",
          "a name is made of letters, digits and '-', with dots between; write other scripts in "
          "the xn-- form" },
        { "GET http://a%2eb/ HTTP/1.1\r\n\r\n",
          "a name is made of letters, digits and '-', with dots between; write other scripts in "
          "the xn-- form" },
        { "GET http://a/#x HTTP/1.1\r\n\r\n", "a byte that can't be in a URL" },
        { "GET http://a/\xc3\xa4 HTTP/1.1\r\n\r\n", "a byte that can't be in a URL" },
        { "GET http://a:/ HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        { "GET http://a:0080/ HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        { "GET http://[::1]x/ HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        { "GET http://0x7f.1/ HTTP/1.1\r\n\r\n",
          "it ends in a number, and an IPv4 address is four decimal ones" },
        { "GET http://2130706433/ HTTP/1.1\r\n\r\n",
          "it ends in a number, and an IPv4 address is four decimal ones" },
        { "CONNECT a HTTP/1.1\r\n\r\n", "the port is missing" },
        { "CONNECT a:443/ HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        { "CONNECT u@a:443 HTTP/1.1\r\n\r\n",
          "a name is made of letters, digits and '-', with dots between; write other scripts in "
          "the xn-- form" },
        { "CONNECT a:443:443 HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        { "CONNECT http://a:443 HTTP/1.1\r\n\r\n", "the port must be 1 to 65535" },
        /* fields */
        { GET " A: b\r\n\r\n", "a folded field" },
        { GET "A: b\r\n c\r\n\r\n", "a folded field" },
        { GET "A: b\r\n\tc\r\n\r\n", "a folded field" },
        { GET "A : b\r\n\r\n", "a line that isn't NAME: VALUE" },
        { GET "A\r\n\r\n", "a line that isn't NAME: VALUE" },
        { GET ": b\r\n\r\n", "a line that isn't NAME: VALUE" },
        { GET "A: b\001\r\n\r\n", "a control byte in a field" },
        { GET "Host: a\r\nHost: a\r\n\r\n", "more than one Host" },
        { GET "Host: a b\r\n\r\n",
          "a name is made of letters, digits and '-', with dots between; write other scripts in "
          "the xn-- form" },
        /* the body */
        { GET "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "more than one Content-Length" },
        { GET "Content-Length: 1, 1\r\n\r\n", "Content-Length isn't a number" },
        { GET "Content-Length: +1\r\n\r\n", "Content-Length isn't a number" },
        { GET "Content-Length: 0x1\r\n\r\n", "Content-Length isn't a number" },
        { GET "Content-Length: \r\n\r\n", "Content-Length isn't a number" },
        { GET "Content-Length: 9999999999999999999\r\n\r\n", "Content-Length isn't a number" },
        { GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
          "both Content-Length and Transfer-Encoding" },
        { GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
          "more than one Transfer-Encoding" },
        { GET "Transfer-Encoding: gzip, chunked\r\n\r\n",
          "a Transfer-Encoding other than chunked in HTTP/1.1" },
        { GET "Transfer-Encoding: identity\r\n\r\n",
          "a Transfer-Encoding other than chunked in HTTP/1.1" },
        { GET "Transfer-Encoding: xchunked\r\n\r\n",
          "a Transfer-Encoding other than chunked in HTTP/1.1" },
        { "GET http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
          "a Transfer-Encoding other than chunked in HTTP/1.1" },
        { GET "Connection: close, Content-Length\r\nContent-Length: 5\r\n\r\n",
          "Connection names a field that belongs to the request" },
        { "CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "CONNECT with a body" },
        { "CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "CONNECT with a body" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE struct head *h = mem_new(struct head);

        assert_string_equal(refusal(cases[i].text, false, h), cases[i].want);
    }
}

static void a_nul_ends_nothing(void **state)
{
    static const char text[] = "GET http://a/ HTTP/1.1\r\nA: b\0c\r\n\r\n";
    AUTO_FREE struct head *h = mem_new(struct head);
    const char *why = "";

    (void)state;
    assert_int_equal(head_find_end(text, sizeof text - 1, 0), sizeof text - 1);
    assert_int_equal(head_parse(text, sizeof text - 1, false, h, &why), -EBADMSG);
    assert_string_equal(why, "a control byte in a field");
}

static void the_end_is_found_however_the_bytes_come(void **state)
{
    static const char text[] = GET "A: b\r\n\r\nGET next";
    const ssize_t want = (ssize_t)(sizeof text - 1 - 8);

    (void)state;
    for (size_t seen = 0; seen < (size_t)want; seen++) {
        assert_int_equal(head_find_end(text, seen, seen > 0 ? seen - 1 : 0), 0);
        assert_int_equal(head_find_end(text, sizeof text - 1, seen), want);
    }
}

static void a_head_without_end_is_given_up(void **state)
{
    AUTO_FREE char *text = mem_alloc(HEAD_MAX + 1);

    (void)state;
    memset(text, 'a', HEAD_MAX + 1);
    assert_int_equal(head_find_end(text, HEAD_MAX - 1, 0), 0);
    assert_int_equal(head_find_end(text, HEAD_MAX, 0), -EMSGSIZE);
}

static void too_many_fields_are_refused(void **state)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE struct head *h = mem_new(struct head);

    (void)state;
    buf_append_str(&b, GET);
    for (int i = 0; i < HEAD_FIELDS_MAX; i++)
        buf_append_str(&b, "A: b\r\n");
    buf_append_str(&b, "\r\n");
    must_parse(buf_str(&b), false, h);
    b.len -= 2;
    buf_append_str(&b, "A: b\r\n\r\n");
    assert_string_equal(refusal(buf_str(&b), false, h), "too many fields");
}

static void what_is_sent_on_is_made_anew(void **state)
{
    static const struct {
        const char *text, *want;
        bool to_proxy;
    } cases[] = {
        { "GET http://Example.org HTTP/1.1\r\nHost: evil.org\r\nAccept: */*\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nConnection: close\r\n", false },
        { "POST http://example.org:8080?q HTTP/1.0\r\nContent-Length: 007\r\nX:y\r\n\r\n",
          "POST /?q HTTP/1.0\r\nHost: example.org:8080\r\nX: y\r\nContent-Length: 7\r\n"
          "Connection: close\r\n",
          false },
        { "PUT http://[::1]:80/a HTTP/1.1\r\nTRANSFER-encoding: CHUNKED\r\n\r\n",
          "PUT /a HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n",
          false },
        { GET "Connection: X-Mine , keep-alive\r\nX-Mine: 1\r\nx-yours: 2\r\nKeep-Alive: 5\r\n"
              "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: trailers\r\n"
              "Upgrade: h2c\r\nHTTP2-Settings: x\r\nCookie: c\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nx-yours: 2\r\nCookie: c\r\nConnection: close\r\n", false },
        { "GET http://a:81/x HTTP/1.1\r\n\r\n",
          "GET http://a:81/x HTTP/1.1\r\nHost: a:81\r\nConnection: close\r\n", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        AUTO_FREE struct head *h = mem_new(struct head);

        must_parse(cases[i].text, false, h);
        head_print(h, cases[i].to_proxy, &b);
        assert_string_equal(buf_str(&b), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_says_where_to),
        cmocka_unit_test(inside_a_tunnel_the_host_field_says_where_to),
        cmocka_unit_test(an_ambiguous_request_is_refused),
        cmocka_unit_test(a_nul_ends_nothing),
        cmocka_unit_test(the_end_is_found_however_the_bytes_come),
        cmocka_unit_test(a_head_without_end_is_given_up),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(what_is_sent_on_is_made_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
