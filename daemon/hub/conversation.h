/* conversation.h - what people do with conversations: start, continue, stop.
 * Source: Nairi public API, "Conversations" and "Control-plane transitions"; stop is ours. */
#pragma once
#include "hub/storage.h"

struct call;

enum { CONVERSATION_PROMPT_MAX = 1 << 20 }; /* bytes */

/* Handlers: POST /conversations/start, .../{id}/continue, .../{id}/stop. */
int conversation_start(struct call *c, struct model *m);
int conversation_continue(struct call *c, struct model *m);
int conversation_stop(struct call *c, struct model *m);

/* Once, when the hub starts: what was handed out before is handed out again. */
int conversation_recover(struct db *db);

/* Carried out when leases end: what dead instances were given becomes free, and what was to be
 * stopped there is answered here. */
struct conversation_sweep {
    struct storage_op op; /* must be first; run and kept are set by conversation_sweep_init() */
    uint64_t now_ms;
};
void conversation_sweep_init(struct conversation_sweep *sweep);
