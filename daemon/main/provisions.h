/* provisions.h - what the control plane provides for tasks: a model's token, variables, artifacts.
 * Asked for once the server has answered a poll, and on HUP, the token also before it ends; a
 * failure is tried again with growing pauses and stops nothing. Tasks wait for the first answers
 * from the start on, but no longer than a request may take (server.request_timeout, 30 s at most),
 * and then begin with what is there. What comes later counts for later attempts. Values are
 * secrets: masked, and in this process and the tasks' environment only.
 * Source: Nairi agents API, endpoints 1 to 4, and "Keys". */
#pragma once
#include "spawner/spawner.h"
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct err;
struct exhibit;
struct json;
struct provisions;
struct runner;
struct shelf_set;

/* d outlives it. Nothing is asked for yet. */
struct provisions *provisions_new(struct daemon *d);
void provisions_free(struct provisions *p);
/* Asks for nothing more, before those whom it asks are freed. p: may be NULL. */
void provisions_stop(struct provisions *p);
int provisions_start(struct provisions *p, struct err *err); /* makes a thread */
/* Asks for the first time: the server has answered a poll. Where it can't be reached, the polls
 * alone say so. */
void provisions_ask(struct provisions *p);
void provisions_ask_again(struct provisions *p); /* after HUP */

/* Whether the task has to wait: its order (attempts_spawn()) then comes later. */
bool provisions_hold(struct provisions *p, uint64_t seq);
/* Whether it waited; it doesn't any more. */
bool provisions_let_go(struct provisions *p, uint64_t seq);

/* What an attempt of the runner is shown of the artifacts, to be freed with exhibit_done(). Its set
 * is held, to be released by whoever keeps it. */
void provisions_view(struct provisions *p, const struct runner *runner, struct exhibit *ret_view);
void provisions_release(struct provisions *p, struct shelf_set *set); /* set may be NULL */

/* For the status: names and counts, no values. */
struct json *provisions_status(const struct provisions *p);

/* The spawner's words about tasks that are none of the core's. */
bool provisions_is_one(uint64_t task);
void provisions_output(struct provisions *p, const char *bytes, size_t len);
void provisions_exited(struct provisions *p, const struct spawner_exit *e);
