/* hostname.h - host names and IP addresses as text, each in one normal form, and nothing that one
 * program could read as another host than the next. Pure.
 * Names are lower case without the dot at the end; letters, digits, '-' and '_' of ASCII only, so a
 * name in other scripts has to come in its xn-- form (RFC 5890). What ends in a number is an IPv4
 * address (WHATWG URL, "ends in a number") and must be four decimal numbers: 127.1, 0x7f.1 and
 * 017700000001, which inet_aton(3) reads as addresses, are refused. An IPv6 address stands in
 * brackets, has no zone, and is written as RFC 5952 has it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { HOSTNAME_MAX = 253, HOSTNAME_SIZE = HOSTNAME_MAX + 1, HOSTNAME_LABEL_MAX = 63 };

enum hostname_kind { HOSTNAME_NAME, HOSTNAME_IPV4, HOSTNAME_IPV6 };

struct hostname {
    enum hostname_kind kind;
    char text[HOSTNAME_SIZE]; /* an IPv6 address without its brackets */
};

/* -EINVAL, and in *ret_why (may be NULL) what is wrong with it, for a message. */
int hostname_parse(const char *text, size_t len, struct hostname *ret_host, const char **ret_why);
/* A port without sign, space or leading zero, 1 to 65535. -EINVAL for anything else. */
int hostname_parse_port(const char *text, size_t len, uint16_t *ret_port);
/* "HOST:PORT", as it stands in a URL. Returns buffer. */
enum { HOSTNAME_WITH_PORT_SIZE = HOSTNAME_SIZE + 8 };
const char *hostname_with_port(char buffer[HOSTNAME_WITH_PORT_SIZE], const struct hostname *host,
                               uint16_t port);
