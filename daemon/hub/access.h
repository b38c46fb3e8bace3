/* access.h - who makes a call, and may he.
 * Organisation keys open the public API, agent keys the agents API, never the other way round.
 * Source: Nairi API, "Keys", "Error handling". */
#pragma once
#include "hub/key.h"

struct call;
struct model;

/* Checks c->claim against the keys and fills in c->agent and c->instance for an agent. 1: go on;
 * 0: c has been refused with 401 or 403; or a negative errno. */
int access_check(struct call *c, struct model *m, enum key_kind want);
/* The same as far as it goes without the database, from the Authorization header (NULL if absent):
 * 1 and *ret_claim, or 0 and a sentence in ret_why. */
int access_parse(const char *header, enum key_kind want, struct key_claim *ret_claim,
                 const char **ret_why);
