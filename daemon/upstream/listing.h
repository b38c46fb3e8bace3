/* listing.h - the answer to GET /api/agents/jobs, checked and made ours. Pure.
 * Source: Nairi agents API, endpoint 6: {"jobs":[{"id","mode","system_prompt","messages":[{"id",
 * "type","payload","created_at"}]}]}; and our hub's additions: "fence", "cancel_requested",
 * "check_idle_jobs". Untrusted input: one malformed job or message is reported and left out, the
 * rest is used. */
#pragma once
#include "task/task.h"
#include <stdbool.h>
#include <stddef.h>

struct err;

struct listing_job {
    char *id;
    uint64_t fence; /* 0: the server gives none */
    bool cancel_requested;
    struct task **messages; /* state RECEIVED; seq, received_ms and attempt are 0 */
    size_t message_count;
};

struct listing {
    struct listing_job *jobs;
    size_t job_count;
    /* One sentence for each thing left out, for the log: each once, at most 17, the last of which
     * then counts the rest. Printable ASCII. */
    struct listing_problem *problems;
    size_t problem_count;
    bool more;       /* the hub has more than it listed */
    bool check_idle; /* the server asks which jobs are over: a message check_idle_jobs_v1, which
                      * stays unacknowledged, or, from our hub, "check_idle_jobs": true */
};

struct listing_problem {
    char text[256];
};

/* body: JSON text. -EBADMSG with a sentence when it is no such answer at all. */
int listing_parse(const char *body, size_t len, struct listing *ret_listing, struct err *err);
/* Whether messages of that type can be listed; NULL: no. */
bool listing_knows_type(const char *type);
/* Hands a message out of the listing: the caller owns it, the place becomes NULL. */
struct task *listing_take(struct listing_job *job, size_t index);
void listing_done(struct listing *l);
