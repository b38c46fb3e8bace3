/* envoy.h - a session of the realtime channel (hub/liaison.h): it stands in for its agent at the
 * inbox. It polls there, hands on what polls answer, submits what its client sends, and says in
 * Socket.IO what there is to say; requests and times are the channel's. What it says waits for the
 * client's next GET. One that was closed stays until the calls that are under way have come back.
 * Source: as there. */
#pragma once
#include "util/buf.h"
#include "util/engineio.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct envoy;
struct server_request;

enum {
    ENVOY_KEY_MAX = 200,     /* of one key's: the next takes the oldest one's place */
    ENVOY_WAIT_S = 30,       /* of its long polls at the inbox */
    ENVOY_OUT_MAX = 1000000, /* bytes that wait: whoever never asks for them gets no more */
    ENVOY_CALLS_MAX = 64,    /* of one session that the storage has, at a time */
    ENVOY_SID_BYTES = 20
};

/* What it needs of the hub. */
struct envoy_ops {
    /* Gives a call without a request to the storage; it comes back by envoy_answered(). */
    void (*give)(struct call *c, void *ctx);
    /* Takes a parked call off the list of those that wait. */
    void (*unpark)(struct call *c, void *ctx);
    /* What the call handed out must go out again. Takes it over. */
    void (*take_back)(struct call *c, void *ctx);
};

struct envoy_list {
    const struct envoy_ops *ops;
    void *ctx;
    struct envoy *head; /* open and closed ones, the newest first */
    size_t open;
};

struct envoy {
    struct envoy_list *list;
    struct envoy *prev, *next;
    char sid[ENVOY_SID_BYTES + 1];
    /* who it is, by the headers of its handshake; NULL: not said */
    char *key, *agent_header, *instance_header;
    bool joining, joined;
    bool warned;                                 /* the log has a line on what it sends in vain */
    bool ending;                                 /* once what it has to say is out */
    bool closed;                                 /* kept for the calls that are under way */
    struct server_request *get;                  /* that waits, NULL: none */
    struct server_request *replying;             /* a GET whose answer is on its way */
    struct buf out;                              /* packets for the next GET */
    struct call *poll;                           /* at the inbox, NULL: none */
    size_t calls;                                /* under way, the poll too */
    uint64_t join_by_ms, ping_at_ms, pong_by_ms; /* 0: none; the channel's */
};

/* An open one at the head of the list, with nothing said of who it is. */
struct envoy *envoy_new(struct envoy_list *list);
/* last: what a GET that waits is answered with. s may be gone after this. */
void envoy_close(struct envoy *s, enum engineio_type last);
/* What its client sent. False: the session is to end. */
bool envoy_take(struct envoy *s, const struct engineio_packet *packet);
/* Answers a GET that waits, where there is something, and asks the inbox for more; s may be gone
 * after this. */
void envoy_flush(struct envoy *s);
/* A call of its own (c->envoy) has its answer (or, a long poll, nothing). Takes it over; the
 * session may be gone after this. */
void envoy_answered(struct call *c);
/* Answers with packets, a payload of Engine.IO; takes ownership of it. */
void envoy_reply(struct server_request *r, char *packets);
