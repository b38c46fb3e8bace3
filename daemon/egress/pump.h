/* pump.h - passes bytes between a client and a server, both ways, until they are done.
 * As a tunnel everything passes, and the end of one direction is passed on as such. As a request
 * only the body passes that the head announced, whatever the client sends behind it, and the
 * server's end is the end. */
#pragma once
#include "egress/head.h"
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct pump;

enum pump_end {
    PUMP_DONE,
    PUMP_BROKEN, /* one side failed, or the client's body isn't as announced */
    PUMP_IDLE,   /* nothing moved for long */
    PUMP_SPENT,  /* spend() said no */
};

struct pump_ops {
    void (*over)(enum pump_end end, void *ctx); /* once, from the loop; frees the pump */
    bool (*spend)(size_t bytes, void *ctx);     /* false: that was too much */
};

struct pump_order {
    struct loop *loop;
    int client, server;         /* connected and non-blocking; stay the caller's */
    struct head_text to_server; /* goes before what the client sends; copied, as the next one */
    struct head_text early;     /* what the client has sent already */
    bool is_request;
    enum head_body body; /* of a request */
    uint64_t body_bytes;
};

enum { PUMP_EARLY_MAX = 64 * 1024 }; /* to_server and early together */

/* Begins to pass. */
struct pump *pump_new(const struct pump_order *order, const struct pump_ops *ops, void *ctx);
void pump_free(struct pump *r); /* closes neither socket */
