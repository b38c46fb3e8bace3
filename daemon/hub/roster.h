/* roster.h - lists of conversations.
 * GET /api/public/v1/agents/{id}/conversations, of one agent, and GET /api/public/v1/conversations,
 * of all of them (ours, for the web page): the same query and the same answer,
 * {"conversations": [{"id", "agent_id", "status", "mode", "title", "created_at", "updated_at"}]},
 * with "more": true where the list goes on behind it (ours). agent_id is the agent's id (cci_);
 * title the beginning of the first prompt, on one line; updated_at moves with each message but
 * progress, and with the status.
 * Query: status (names separated by commas), updated_after (RFC 3339; later than that), sort, limit
 * (1 to ROWS_LIMIT_MAX; ROSTER_LIMIT), offset. What isn't valid is answered 400.
 * Source: Nairi public API, "Conversations". */
#pragma once

struct call;
struct model;

enum {
    ROSTER_LIMIT = 50,
    ROSTER_TITLE_MAX = 120, /* bytes */
};

/* Handlers. */
int roster_list(struct call *c, struct model *m);
int roster_list_of_agent(struct call *c, struct model *m);
