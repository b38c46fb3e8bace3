/* pathway.h - the way to a place: a connection to it, or to the proxy on the way where there is one
 * for it, and there a tunnel if that is wanted. */
#pragma once
#include "egress/ipclass.h"
#include "util/hostname.h"
#include <stdbool.h>
#include <stdint.h>

struct locals;
struct loop;
struct resolver;
struct pathway;
struct uplink;

struct pathway_result {
    int fd;    /* connected, non-blocking, the caller's; or -1, and */
    int error; /* as of struct dial_result; -ECONNABORTED: the proxy on the way refuses */
    bool by_uplink;
    enum ipclass class; /* of -EACCES */
};

typedef void (*pathway_fn)(const struct pathway_result *result, void *ctx);

struct pathway_order {
    struct loop *loop;
    struct resolver *resolver;
    const struct locals *locals;
    const struct uplink *uplink; /* NULL: none */
    const struct hostname *host;
    uint16_t port;
    unsigned grants;
    bool tunnel; /* through the proxy on the way: else it is to be spoken to as one */
};

/* fn is called once, from the loop and never from here; it frees the route. */
struct pathway *pathway_new(const struct pathway_order *order, pathway_fn fn, void *ctx);
void pathway_free(struct pathway *r);
/* Why there is none, as a sentence that the caller frees; for all errors but -EACCES. */
char *pathway_describe(const struct pathway_result *result, const struct hostname *host,
                       uint16_t port);
