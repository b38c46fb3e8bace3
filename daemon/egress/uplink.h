/* uplink.h - the proxy on the way out, where the operator's network has one: HTTP, by CONNECT and
 * by requests with the whole URL. It resolves the names, so where they lead can't be judged here.
 * Places that are addresses, or that may be private or loopback ones, are reached without it. */
#pragma once
#include "util/hostname.h"
#include <stdbool.h>

struct buf;
struct err;

struct uplink {
    struct hostname host;
    uint16_t port;
    char *field; /* "Proxy-Authorization: ..." with CRLF; "" for none. A secret */
};

/* url: http://[USER:PASSWORD@]HOST[:PORT][/], or HOST:PORT. -EINVAL, with a sentence that doesn't
 * show the password. */
int uplink_parse(const char *url, struct uplink *ret_uplink, struct err *err);
void uplink_done(struct uplink *u);
/* The request for a tunnel to a place, appended. */
void uplink_print_connect(const struct uplink *u, const struct hostname *host, uint16_t port,
                          struct buf *b);
/* What it answered so far: the length of its head where that grants the tunnel, 0 where it isn't
 * whole yet, -ECONNREFUSED where it doesn't, or isn't an answer. */
enum { UPLINK_ANSWER_MAX = 8192 };
int uplink_read_answer(const char *bytes, size_t len);
