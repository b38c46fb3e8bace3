/* ipclass.h - what kind of place an IP address is. Pure.
 * Sources: the IANA special-purpose address registries (RFC 6890), RFC 6598 (shared space), RFC
 * 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo). What carries an IPv4 address inside is judged
 * by that one. */
#pragma once

struct sockaddr;

enum ipclass {
    IPCLASS_NEVER,    /* link-local, metadata services, multicast, reserved: reached only if the
                         address itself is named */
    IPCLASS_LOOPBACK, /* this machine */
    IPCLASS_PRIVATE,  /* networks that aren't the internet */
    IPCLASS_PUBLIC,
};

/* NEVER for what is neither IPv4 nor IPv6. */
enum ipclass ipclass_of(const struct sockaddr *address);
/* "a private address" and so on, for messages. */
const char *ipclass_text(enum ipclass class);
