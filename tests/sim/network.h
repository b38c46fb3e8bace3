/* network.h - requests on their way between daemons and server, and what becomes of them: lost,
 * late, twice, in another order, cut, answered by somebody else. */
#pragma once
#include "core/core.h"
#include "sim/schedule.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct side;
struct sim;

/* What a poll's answer lists: as the server had it when it answered. */
struct listing {
    uint32_t messages; /* a bit each */
    uint32_t granted;  /* of those, the ones handed out by this very answer */
    uint32_t jobs;     /* a bit each */
    bool cancels;      /* stops were told */
    struct {
        uint64_t fence;
        bool cancel_requested;
    } job[JOBS];
};

struct answer {
    enum core_answer what;
    uint32_t retry_after_ms;
    bool waited;
    struct listing listing;
};

struct request {
    uint32_t side, life; /* who sent it */
    uint64_t seq;        /* its number of the message or the poll */
    enum core_post post; /* NONE: a poll */
    uint32_t wait_ms;
    /* a post, as it left */
    uint32_t message;
    uint64_t fence, held_fence; /* sent; and as the daemon had it */
    enum task_reply_kind kind;
    char *text; /* owned */
    bool shortened;
    char *ids;          /* of the files that go with a reply; owned, NULL: none */
    uint32_t tag, file; /* an upload's: which attempt's, and its number there */
    bool more;          /* others are left after it */
    uint32_t job;       /* COMPLETE */
    int64_t used_ms;    /* COMPLETE */
    bool stray;         /* nobody waits for its answer: the sabotage's own */
    /* where it is */
    uint64_t sent_ms;
    bool awaited;                 /* the daemon still listens */
    uint32_t arrivals;            /* how often it came to the server */
    bool repeated, second_counts; /* of two answers the daemon gets one */
    bool parked;
    uint64_t parked_until_ms;
    bool answered;
    struct answer answer;
};

struct network {
    struct request **requests; /* all of them, owned */
    size_t len, cap;
    size_t oldest;                /* what came before is over */
    uint64_t cut_until_ms[SIDES]; /* nothing passes from or to that side */
};

/* Takes over r's texts. Returns its number. */
uint32_t network_send(struct sim *sim, const struct request *r);
void network_arrive(struct sim *sim, uint32_t index);
void network_answer(struct sim *sim, uint32_t index);
void network_timeout(struct sim *sim, uint32_t index);
/* The time of a parked poll is over. */
void network_unpark(struct sim *sim, uint32_t index);
/* Something may be there for the poll of that side which the server has parked. */
void network_wake(struct sim *sim, uint32_t side);
/* The daemon no longer listens: to its poll, or to anything. */
void network_drop_poll(struct sim *sim, const struct side *side);
/* The same for its processing or progress post about that message, which may get there all the
 * same; false: it has been answered. */
bool network_drop_remark(struct sim *sim, const struct side *side, uint64_t seq);
void network_drop_all(struct sim *sim, const struct side *side);
/* The server is gone for a while: whoever waits hears of it. */
void network_reset(struct sim *sim);
void network_done(struct network *n);
