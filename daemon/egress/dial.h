/* dial.h - a connection to a place: its name resolved, each address judged by the rules and then
 * that very address connected to, one after the other until one answers. So a name that leads
 * elsewhere a moment later gains nothing. */
#pragma once
#include "egress/ipclass.h"
#include "util/hostname.h"
#include <stdbool.h>
#include <stdint.h>

struct dial;
struct locals;
struct loop;
struct resolver;

struct dial_result {
    int fd;    /* connected, non-blocking, the caller's; or -1, and */
    int error; /* -ENOENT: no such name; -EACCES: no address that the rules permit, the first was of
                  this class; -ETIMEDOUT, -ECONNREFUSED and so on: nobody answers there */
    enum ipclass class;
};

typedef void (*dial_fn)(const struct dial_result *result, void *ctx);

struct dial_order {
    struct loop *loop;
    struct resolver *resolver;
    const struct locals *locals;
    const struct hostname *host;
    uint16_t port;
    unsigned grants;
    bool anywhere; /* any address will do: the operator's own proxy */
};

/* fn is called once, from the loop and never from here; it frees the dial. */
struct dial *dial_new(const struct dial_order *order, dial_fn fn, void *ctx);
void dial_free(struct dial *d);
