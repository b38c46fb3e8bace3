/* inbox.h - GET /api/agents/jobs: what an instance of an agent has to do.
 * A plain poll lists everything that the instance holds and everything that is free (which it holds
 * from then on). A long poll (Prefer: wait=N) answers only when there is something that the
 * instance hasn't been told of yet, and lists that together with what the instance holds of the
 * same jobs; it is parked (c->park) while there is nothing. What is answered is never handed to
 * another instance. One instance holds at most INBOX_MESSAGES_MAX unacked messages of together
 * INBOX_BYTES_MAX (one message alone may be longer); when more wait, the answer says "more": true.
 * Now and then an answer asks for idle jobs: "check_idle_jobs": true, which is check_idle_jobs_v1.
 * Source: Nairi agents API, endpoint 6; RFC 7240 for Prefer; fence, cancel_requested, more,
 * check_idle_jobs are ours.
 */
#pragma once
#include <stdint.h>

struct call;
struct model;

enum {
    INBOX_MESSAGES_MAX = 1000,
    INBOX_BYTES_MAX = 8 << 20,
    INBOX_WAKE_STEP = 100, /* a full instance is woken when this many acks made room */
    INBOX_WAIT_MAX_S = 120,
};

/* Handler. */
int inbox_poll(struct call *c, struct model *m);
/* The answer of a long poll whose time is over. To be freed. */
char *inbox_nothing(const struct call *c);
/* After an ack by this instance: whether a poll of it may find more now. 1, 0, or a negative errno.
 */
int inbox_has_room(struct model *m, int64_t agent, const char *instance);
/* What an answer that did not arrive had handed out may be handed out again. */
int inbox_return(struct model *m, const struct call *c);
/* "wait=50" among the preferences of a Prefer header: the seconds, capped; 0 if there is none. */
uint32_t inbox_parse_prefer(const char *header);
