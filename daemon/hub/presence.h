/* presence.h - which agents are there, and what each is at: for the public API's agent object.
 * instances_online counts the instances whose lease runs. working_on names the messages that were
 * handed out and aren't answered, oldest first, PRESENCE_WORK_MAX at most, with the newest progress
 * of each, shortened. Both are ours. */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct json;
struct model;
struct presence;

enum { PRESENCE_WORK_MAX = 20, PRESENCE_TEXT_MAX = 200 /* bytes of a text of progress */ };

/* As of m's moment; m outlives it. */
struct presence *presence_new(struct model *m);
void presence_free(struct presence *p);
DEFINE_CLEANUP(struct presence *, presence_free);
/* Adds both members to the object of this agent. 0 or a negative errno. */
int presence_add(const struct presence *p, int64_t agent, struct json *object);
