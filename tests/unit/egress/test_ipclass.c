#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "egress/ipclass.h"
#include "util/cleanup.h"

static enum ipclass class_of(const char *text)
{
    struct sockaddr_in four = { .sin_family = AF_INET };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return ipclass_of((const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return ipclass_of((const struct sockaddr *)&six);
}

static void expect(enum ipclass want, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (class_of(texts[i]) != want)
            fail_msg("%s is taken for %s", texts[i], ipclass_text(class_of(texts[i])));
}

static void the_internet_is_public(void **state)
{
    static const char *const texts[] = {
        "1.1.1.1",          "8.8.8.8",
        "9.255.255.255",    "11.0.0.0",
        "100.63.255.255",   "100.128.0.0",
        "126.255.255.255",  "128.0.0.0",
        "169.253.255.255",  "169.255.0.0",
        "172.15.255.255",   "172.32.0.0",
        "192.0.1.0",        "192.0.3.0",
        "192.167.255.255",  "192.169.0.0",
        "198.17.255.255",   "198.20.0.0",
        "223.255.255.255",  "2600::1",
        "2001:200::1",      "2001:4860:4860::8888",
        "2003::1",          "3ffe::1",
        "3fff:1000::1",     "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8", "2001:db7::1",
        "2001:db9::1",
    };

    (void)state;
    expect(IPCLASS_PUBLIC, texts, ARRAY_SIZE(texts));
}

static void networks_of_ones_own_are_private(void **state)
{
    static const char *const texts[] = {
        "10.0.0.0",    "10.255.255.255",  "100.64.0.0",        "100.127.255.255",
        "172.16.0.0",  "172.31.255.255",  "192.168.0.0",       "192.168.255.255",
        "198.18.0.0",  "198.19.255.255",  "fc00::1",           "fdff::1",
        "fd00:ec3::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "::ffff:192.168.1.1",
    };

    (void)state;
    expect(IPCLASS_PRIVATE, texts, ARRAY_SIZE(texts));
}

static void this_machine_is_loopback(void **state)
{
    static const char *const texts[] = { "127.0.0.1",         "127.0.0.0",
                                         "127.255.255.255",   "::1",
                                         "::ffff:127.0.0.1",  "::ffff:7f00:1",
                                         "64:ff9b::127.0.0.1" };

    (void)state;
    expect(IPCLASS_LOOPBACK, texts, ARRAY_SIZE(texts));
}

static void metadata_and_reserved_addresses_are_never_reached_by_name(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",
        "0.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd00:c1::a9fe:a9fe",
        "fd20:ce::254",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::2",
        "::7f00:1",
        "::127.0.0.1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001::1",
        "2001:db8::1",
        "100::1",
        "3fff::1",
        "64:ff9b:1::1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "64:ff9b::169.254.169.254",
        "4000::1",
        "5f00::1",
        "::ffff:0:127.0.0.1",
    };

    (void)state;
    expect(IPCLASS_NEVER, texts, ARRAY_SIZE(texts));
}

static void what_is_no_ip_address_is_never_reached(void **state)
{
    const struct sockaddr_un local = { .sun_family = AF_UNIX };

    (void)state;
    assert_int_equal(ipclass_of((const struct sockaddr *)&local), IPCLASS_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_internet_is_public),
        cmocka_unit_test(networks_of_ones_own_are_private),
        cmocka_unit_test(this_machine_is_loopback),
        cmocka_unit_test(metadata_and_reserved_addresses_are_never_reached_by_name),
        cmocka_unit_test(what_is_no_ip_address_is_never_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
