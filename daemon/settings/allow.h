/* allow.h - one entry of sandbox.network.allow: a place that a task may reach. Pure.
 *   HOST:PORT [WORD...]     example.org:443   *.example.org:443   10.1.2.3:5432   [fd00::1]:*
 * HOST is a name, an address (IPv6 in brackets), or "*." and a name, which stands for every name
 * below that one, at any depth, and not for the name itself. PORT is a number or "*" for all.
 * A name may only lead to public addresses, and in a tunnel (CONNECT) only TLS may be spoken whose
 * SNI is that name, or HTTP to it. Words widen that:
 *   private   addresses of private networks too: 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
 *   loopback  addresses of this machine too: 127/8, ::1, those of its interfaces
 *   raw       anything may be spoken in a tunnel
 * An entry that is an address names it, whatever kind it is of. Link-local addresses (with the
 * clouds' metadata services) can be reached no other way. */
#pragma once
#include "util/hostname.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

enum allow_grant { ALLOW_PRIVATE = 1, ALLOW_LOOPBACK = 2, ALLOW_RAW = 4 };

enum { ALLOW_TEXT_MAX = 512, ALLOW_ANY_PORT = 0 };

struct allow {
    struct hostname host; /* of a wildcard: what follows the "*." */
    bool is_wildcard;
    uint16_t port; /* or ALLOW_ANY_PORT */
    unsigned grants;
};

/* -EINVAL with a sentence that doesn't name the setting. */
int allow_parse(const char *text, struct allow *ret_allow, struct err *err);
bool allow_matches(const struct allow *a, const struct hostname *host, uint16_t port);
/* The entry for the host of an http or https URL that the operator gave: at whatever address. Added
 * to b; -EINVAL if that is no such URL. */
int allow_print_url(const char *url, struct buf *b);
/* In its one normal form; allow_parse() reads it back. */
void allow_print(const struct allow *a, struct buf *b);
