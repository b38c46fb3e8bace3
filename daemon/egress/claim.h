/* claim.h - what a request asks of the task's brokers, whether it may, and how it is sent on. Pure.
 * The task's own keys, cookies, host, and whatever tells servers of another way, client, method or
 * path than those that were judged, are left out; so is the wish for a compressed answer, in which
 * a key couldn't be found. Names are compared with '_' as '-', as some servers read them. */
#pragma once
#include "egress/head.h"
#include "settings/broker.h"

struct buf;

enum claim_verdict {
    CLAIM_OK,
    CLAIM_UNKNOWN,    /* no broker has that name */
    CLAIM_BAD_PATH,   /* it could be read as another one */
    CLAIM_NOT_LISTED, /* method or path */
    CLAIM_TOO_LARGE,  /* its body */
};

struct claim {
    const struct broker *broker; /* borrowed; NULL for UNKNOWN */
    struct head_text path;       /* behind the broker's name, "/" for nothing; borrowed */
    struct head_text query;      /* with its '?', or empty */
};

/* h: of form HEAD_ORIGIN or HEAD_ABSOLUTE. */
enum claim_verdict claim_judge(const struct broker_list *brokers, const struct head *h,
                               struct claim *ret_claim);
/* The request as the upstream is to see it, and the key last of all. place: the upstream's. Room
 * for CLAIM_PRINT_MAX and the key has to be reserved in b: nothing of it is left elsewhere then. */
enum { CLAIM_PRINT_MAX = 2 * HEAD_MAX + 2 * BROKER_TEXT_MAX };
void claim_print(const struct claim *c, const struct head *h, const struct broker_place *place,
                 const char *key, struct buf *b);
