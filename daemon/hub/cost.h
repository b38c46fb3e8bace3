/* cost.h - the cost fields of an assistant message. Pure.
 * Source: Nairi public API, "Cost fields on assistant messages"; that daemons send them as "usage"
 * in the payload is an addition of ours. Untrusted input: what has another type than the public API
 * gives it, or is out of range, is left out. */
#pragma once

struct json;

enum { COST_MODEL_MAX = 200 };

/* usage: the payload's member, or NULL. {"cost_usd": ..., ...} as JSON text with no other members
 * than those of the public API, or NULL if there is none. The caller frees it. */
char *cost_pick(const struct json *usage);
