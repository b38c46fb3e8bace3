/* feed.h - the realtime channel between a daemon and the server, as main/pushes.c has it: it comes
 * and goes, brings messages in their order, some of them twice, and loses what is on its way when
 * it goes. Our hub (leases) only says that there is something; the hosted service says what. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct side;
struct sim;

struct feed {
    bool wanted, up;
    uint32_t number;  /* of the connection */
    uint64_t last_ms; /* when the last message on its way arrives */
};

/* The daemon's order: be there, or don't. */
void feed_want(struct sim *sim, struct side *side, bool open);
/* It comes up, or goes down: what was planned for that connection. */
void feed_turn(struct sim *sim, struct side *side, uint32_t number);
/* A user wrote this message; MESSAGES: there may be something else. */
void feed_tell(struct sim *sim, uint32_t message);
/* Something comes right now, whatever the daemon is about. */
void feed_nudge(struct sim *sim, struct side *side);
void feed_deliver(struct sim *sim, struct side *side, uint32_t message, uint32_t number);
/* The daemon is gone. */
void feed_end(struct side *side);
