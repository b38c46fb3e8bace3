/* The machine's own addresses, in all the ways that a name server can spell them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "egress/locals.h"

static bool are_there(const struct locals *l, const char *text)
{
    struct sockaddr_in four = { .sin_family = AF_INET };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return locals_have(l, (const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return locals_have(l, (const struct sockaddr *)&six);
}

static void those_of_the_interfaces_are_known(void **state)
{
    CLEANUP_PTR(locals_free) struct locals *l = NULL;
    struct ifaddrs *found;

    (void)state;
    assert_int_equal(locals_new(&l, NULL), 0);
    assert_true(are_there(l, "127.0.0.1"));
    assert_int_equal(getifaddrs(&found), 0);
    for (const struct ifaddrs *i = found; i; i = i->ifa_next) {
        char text[INET_ADDRSTRLEN], inside[64];
        struct sockaddr_in four;

        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        assert_true(locals_have(l, i->ifa_addr));
        if (i->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&four, i->ifa_addr, sizeof four);
        assert_non_null(inet_ntop(AF_INET, &four.sin_addr, text, sizeof text));
        (void)snprintf(inside, sizeof inside, "::ffff:%s", text);
        assert_true(are_there(l, inside));
        (void)snprintf(inside, sizeof inside, "64:ff9b::%s", text);
        assert_true(are_there(l, inside));
    }
    freeifaddrs(found);
}

static void others_are_not(void **state)
{
    const struct sockaddr_un local = { .sun_family = AF_UNIX };
    CLEANUP_PTR(locals_free) struct locals *l = NULL;

    (void)state;
    assert_int_equal(locals_new(&l, NULL), 0);
    assert_false(are_there(l, "8.8.8.8"));
    assert_false(are_there(l, "::127.0.0.1"));
    assert_false(are_there(l, "2001:4860:4860::8888"));
    assert_false(are_there(l, "::ffff:8.8.8.8"));
    assert_false(locals_have(l, (const struct sockaddr *)&local));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_the_interfaces_are_known),
        cmocka_unit_test(others_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
