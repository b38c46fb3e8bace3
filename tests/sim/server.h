/* server.h - the control plane. With leases it is our hub, statement by statement (hub/inbox.c,
 * hub/submission.c, hub/conversation.c, hub/lease.h); without, the hosted service as far as it is
 * documented, whose listings may lag behind. */
#pragma once
#include "sim/network.h"
#include "sim/schedule.h"
#include "task/task.h"
#include <stdbool.h>
#include <stdint.h>

struct sim;

struct server_message {
    char id[8], ack_id[8];
    uint32_t job;
    enum taste taste;
    bool exists;      /* a user wrote it */
    bool pending;     /* it was handed out, and nobody gave it back since */
    bool final;       /* answered, or given up */
    uint32_t replies; /* terminal ones that were stored */
    bool given_up;    /* by the server itself, at a user's stop: that is its reply */
    bool refused;     /* for good, and said so */
    uint32_t given;   /* to which side */
    bool acked;
    uint64_t acked_ms;
    enum task_reply_kind kind;
    char *reply; /* owned */
    uint32_t reply_from;
    bool too_large; /* a 413 was said to a reply of it */
};

struct server_job {
    char id[8];
    uint32_t holder;
    uint64_t fence;      /* 0 for ever without leases */
    uint32_t cancel_end; /* messages below are to be stopped; 0: none */
    bool cancel_told;
    int64_t complete_ms[SIDES]; /* the last end of it that each has told: its time of last use */
};

struct server {
    struct server_message messages[MESSAGES];
    struct server_job jobs[JOBS];
    uint64_t lease_end_ms[SIDES];
    bool lease_known[SIDES];
    uint64_t grace_end_ms;
    uint64_t sweep_ms; /* what the next one is for */
    uint64_t down_until_ms, failing_until_ms;
};

void server_init(struct sim *sim);
void server_done(struct server *s);
/* A user's doing. */
void server_prompt(struct sim *sim, uint32_t message);
void server_stop_job(struct sim *sim, uint32_t job);
/* Answers a poll; false: there is nothing, and it waits. */
bool server_poll(struct sim *sim, const struct request *r, struct answer *ret_answer);
void server_post(struct sim *sim, const struct request *r, struct answer *ret_answer);
/* What an answer that didn't arrive had handed out. */
void server_take_back(struct sim *sim, const struct request *r);
void server_sweep(struct sim *sim);
void server_restart(struct sim *sim);
bool server_is_settled(const struct server_message *m);
/* The message that an id names, MESSAGES: none. */
uint32_t server_message_of(const char *id);
uint32_t server_job_of(const char *id);
