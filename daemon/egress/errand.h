/* errand.h - one request of a task's to a broker: the way to the upstream, TLS, the request with
 * the key, and the answer without it, passed on as it comes. */
#pragma once
#include "egress/claim.h"
#include <stdbool.h>
#include <stddef.h>

struct errand;
struct loop;
struct pathway_order;
struct wallet;

struct errand_result {
    bool answered; /* the task got the beginning of an answer; then whole says if it got all */
    bool whole;
    const char *status; /* !answered: what to tell it, "502 Bad Gateway"; "": it is gone */
    const char *text;   /* why, a sentence's end; "" where whole, or where the task hung up */
};

struct errand_ops {
    void (*over)(const struct errand_result *result, void *ctx); /* once, from the loop; frees it */
    bool (*spend)(size_t bytes, void *ctx);                      /* false: that was too much */
};

struct errand_order {
    struct wallet *wallet;
    const struct claim *claim; /* judged CLAIM_OK */
    const struct head *head;   /* of the request; both are looked at by errand_new() only */
    struct head_text early;    /* of its body, what has come already */
    int client;                /* non-blocking; stays the caller's, nobody else watches it */
    const struct pathway_order *route; /* host, port, grants and tunnel are filled in here */
};

/* Begins it. The wallet, the client, and what the route names outlive it. */
struct errand *errand_new(const struct errand_order *order, const struct errand_ops *ops,
                          void *ctx);
void errand_free(struct errand *e); /* gives up what is under way, without over() */
