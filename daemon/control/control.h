/* control.h - the admin socket: one JSON object a line in, one out.
 * DIR/control.sock, 0600, also where DIR is long (control/adminsock.h), peer uid checked to be
 * ours or root. Requests: {"verb":"status"}, {"verb":"cancel","job":"job_..."}, {"verb":"drain"},
 * {"verb":"logs","job":"job_..."}.
 * Answers: {"ok":true, ...} or {"ok":false,"error":"..."}. Bounded: 64 KiB a request, 16 clients,
 * 10 s for a client that stalls. adminclient.h is the other side. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct control;
struct err;
struct json;
struct loop;

enum { CONTROL_LATER = 1 };

/* Answers one request: fills the object answer (it has no members yet; "ok" is added). On a
 * negative errno with err the client gets {"ok":false,"error":text}. CONTROL_LATER: the answer is
 * to be held back until control_answer(), with this number; a client that has to wait too long for
 * it is sent away without. Must not free the control. */
typedef int (*control_fn)(const struct json *request, uint64_t number, struct json *answer,
                          struct err *err, void *ctx);

/* A socket that nobody listens on is replaced; -EADDRINUSE: another daemon listens there. */
int control_new(struct loop *loop, const char *dir, control_fn fn, void *ctx,
                struct control **ret_control, struct err *err);
/* Sends the answer that was held back, as much of it as can be sent at once before this returns.
 * Nothing happens where that client is gone. */
void control_answer(struct control *c, uint64_t number);
void control_free(struct control *c); /* removes the socket */
DEFINE_CLEANUP(struct control *, control_free);
