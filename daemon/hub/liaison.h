/* liaison.h - the realtime channel: what agents get by Socket.IO instead of by polls of their own.
 * A session (hub/envoy.h) stands in for its agent at the inbox: it polls there on the agent's
 * behalf (a plain poll when the agent joins, long ones after that), so that messages, leases and
 * stops are exactly those of polls, and hands on what they answer as events cc_message. What an
 * agent sends by it goes the way of POST /api/agents/messages. Polling transport only; a request
 * for the websocket transport is refused as the protocol says, so that clients go on by polling.
 * Source: Engine.IO revision 4, Socket.IO revision 5, Nairi protocol 3.1 to 3.4: both paths,
 * /socket.io/ and /socketio/. Additions of ours, which other clients ignore: the member "job" of an
 * envelope, and the event "nairi_poll" where there is something that only a poll tells. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stdint.h>

struct envoy_ops;
struct liaison_list;
struct loop;
struct server_request;

enum {
    LIAISON_MAX = 1000,          /* sessions at a time; more are answered 503 */
    LIAISON_STRANGERS_MAX = 100, /* of those, that haven't joined: the next takes one's place */
    LIAISON_PING_MS = 25 * 1000, /* pingInterval */
    LIAISON_PONG_MS = 20 * 1000, /* pingTimeout */
    LIAISON_JOIN_MS = 45 * 1000, /* for a new session to join */
    LIAISON_BODY_MAX = 1000000,  /* maxPayload */
    LIAISON_PATH_COUNT = 2
};

/* ops: borrowed for as long as it lives. */
struct liaison_list *liaison_list_new(struct loop *loop, const struct envoy_ops *ops, void *ctx);
/* Every session ends; the calls that are under way must have come back. */
void liaison_list_free(struct liaison_list *list);
DEFINE_CLEANUP(struct liaison_list *, liaison_list_free);
/* Ends every session; what waits is answered. No new ones from now on. */
void liaison_list_stop(struct liaison_list *list);

/* Whether the path is one of the channel's. */
bool liaison_has_path(const char *path);
/* How long the body of this request may be: whoever hasn't joined has not much to say. */
uint64_t liaison_body_max(const struct liaison_list *list, struct server_request *r);
void liaison_arrived(struct liaison_list *list, struct server_request *r);
/* The request's client has left; its answer has ended. It may be none of a session's. */
void liaison_gone(struct liaison_list *list, struct server_request *r);
void liaison_ended(struct liaison_list *list, struct server_request *r, bool delivered);
