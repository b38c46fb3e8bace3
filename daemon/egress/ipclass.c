#include "egress/ipclass.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/cleanup.h"

/* The first row that fits counts. */
static const struct {
    uint32_t net;
    unsigned bits;
    enum ipclass class;
} nets4[] = {
    { 0x00000000, 8, IPCLASS_NEVER },    /* "this network"; 0.0.0.0 leads to loopback */
    { 0x0a000000, 8, IPCLASS_PRIVATE },  /* 10/8 */
    { 0x646464c8, 32, IPCLASS_NEVER },   /* 100.100.100.200: a cloud's metadata */
    { 0x64400000, 10, IPCLASS_PRIVATE }, /* 100.64/10, carriers' NAT */
    { 0x7f000000, 8, IPCLASS_LOOPBACK }, /* 127/8 */
    { 0xa9fe0000, 16, IPCLASS_NEVER },   /* 169.254/16: link-local, clouds' metadata */
    { 0xac100000, 12, IPCLASS_PRIVATE }, /* 172.16/12 */
    { 0xc0000000, 24, IPCLASS_NEVER },   /* 192.0.0/24: protocol assignments */
    { 0xc0000200, 24, IPCLASS_NEVER },   /* 192.0.2/24: documentation */
    { 0xc0586300, 24, IPCLASS_NEVER },   /* 192.88.99/24: 6to4 relays, given up */
    { 0xc0a80000, 16, IPCLASS_PRIVATE }, /* 192.168/16 */
    { 0xc6120000, 15, IPCLASS_PRIVATE }, /* 198.18/15: benchmarks */
    { 0xc6336400, 24, IPCLASS_NEVER },   /* 198.51.100/24: documentation */
    { 0xcb007100, 24, IPCLASS_NEVER },   /* 203.0.113/24: documentation */
    { 0xa83f8110, 32, IPCLASS_NEVER },   /* 168.63.129.16: a cloud's host agent */
    { 0xe0000000, 3, IPCLASS_NEVER },    /* multicast, reserved, broadcast */
};

static enum ipclass class4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_SIZE(nets4); i++)
        if ((address ^ nets4[i].net) >> (32 - nets4[i].bits) == 0)
            return nets4[i].class;
    return IPCLASS_PUBLIC;
}

struct net6 {
    uint8_t prefix[16];
    unsigned bits;
    enum ipclass class;
    int inner; /* where an IPv4 address is inside, that decides; 0: none */
};

/* The first row that fits counts. What no row has lies outside of 2000::/3 and isn't assigned. */
static const struct net6 nets6[] = {
    { .prefix = { [15] = 1 }, .bits = 128, .class = IPCLASS_LOOPBACK },           /* ::1 */
    { .prefix = { [10] = 0xff, 0xff }, .bits = 96, .inner = 12 },                 /* mapped */
    { .prefix = { 0x00, 0x64, 0xff, 0x9b }, .bits = 96, .inner = 12 },            /* NAT64 */
    { .prefix = { 0x20, 0x01, 0x0d, 0xb8 }, .bits = 32, .class = IPCLASS_NEVER }, /* docs */
    { .prefix = { 0x20, 0x01, 0x00 }, .bits = 23, .class = IPCLASS_NEVER },       /* Teredo... */
    { .prefix = { 0x20, 0x02 }, .bits = 16, .class = IPCLASS_NEVER },             /* 6to4 */
    { .prefix = { 0x3f, 0xff }, .bits = 20, .class = IPCLASS_NEVER },             /* docs */
    { .prefix = { 0x20 }, .bits = 3, .class = IPCLASS_PUBLIC },                   /* global */
    /* clouds' metadata and credentials, each among the private ones */
    { .prefix = { 0xfd, 0x00, 0x0e, 0xc2 }, .bits = 32, .class = IPCLASS_NEVER },
    { .prefix = { 0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe },
      .bits = 128,
      .class = IPCLASS_NEVER },
    { .prefix = { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54 },
      .bits = 128,
      .class = IPCLASS_NEVER },
    { .prefix = { 0xfc }, .bits = 7, .class = IPCLASS_PRIVATE }, /* ULA */
};

static bool is_in(const uint8_t *address, const struct net6 *net)
{
    unsigned bytes = net->bits / 8, rest = net->bits % 8;

    if (memcmp(address, net->prefix, bytes) != 0)
        return false;
    return rest == 0 || (address[bytes] ^ net->prefix[bytes]) >> (8 - rest) == 0;
}

static enum ipclass class6(const uint8_t *address)
{
    for (size_t i = 0; i < ARRAY_SIZE(nets6); i++) {
        const uint8_t *inner = address + nets6[i].inner;

        if (!is_in(address, &nets6[i]))
            continue;
        if (nets6[i].inner == 0)
            return nets6[i].class;
        return class4((uint32_t)inner[0] << 24 | (uint32_t)inner[1] << 16 |
                      (uint32_t)inner[2] << 8 | inner[3]);
    }
    return IPCLASS_NEVER;
}

enum ipclass ipclass_of(const struct sockaddr *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    switch (address->sa_family) {
    case AF_INET:
        memcpy(&four, address, sizeof four);
        return class4(ntohl(four.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&six, address, sizeof six);
        return class6(six.sin6_addr.s6_addr);
    default:
        return IPCLASS_NEVER;
    }
}

const char *ipclass_text(enum ipclass class)
{
    switch (class) {
    case IPCLASS_NEVER:
        return "a link-local or reserved address";
    case IPCLASS_LOOPBACK:
        return "a loopback address";
    case IPCLASS_PRIVATE:
        return "a private address";
    case IPCLASS_PUBLIC:
        break;
    }
    return "a public address";
}
