/* agent.h - agents as the public API shows and changes them.
 * An agent is named by its id (cci_ULID) or by its slug, the agent_id of its object; a slug may
 * contain slashes ("github.com/owner/repo").
 * Source: Nairi public API, "Agents" and the page of PATCH: an absent field stays, a string is
 * stored (the empty one too), null goes back to the default, and what changes nothing leaves
 * updated_at alone. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct call;
struct db;
struct model;

enum { AGENT_SLUG_MAX = 128, AGENT_NAME_MAX = 200, AGENT_INSTANCES_MAX = 1000 };

/* The row of the agent with this id or slug: 1, 0 if there is none, or a negative errno. */
int agent_find(struct db *db, const char *id_or_slug, int64_t *ret_seq);
/* Whether it hasn't been deleted: 1, 0, or a negative errno. */
int agent_is_there(struct db *db, int64_t seq);
bool agent_slug_is_valid(const char *slug);
/* The agent that stands in c's path. 1, or 0 and c is refused, or a negative errno. */
int agent_find_target(struct call *c, struct model *m, int64_t *ret_seq);
/* Makes one of default settings. entropy and time for its id are drawn here. */
int agent_make(struct db *db, const char *slug, int64_t wall_ms, int64_t *ret_seq);
/* "My Agent!" to "my-agent"; "agent" where nothing is left. */
void agent_slug_from_name(const char *name, char slug[AGENT_SLUG_MAX + 1]);

/* Handlers. An agent that is deleted leaves its conversations to be read: its keys are revoked, its
 * configuration goes, what waits is answered with an error, and its slug is free. Nothing can be
 * deployed from here: that is noted in deploy_status until a daemon of the agent has fetched its
 * configuration, which it does at its start and on SIGHUP. */
int agent_list(struct call *c, struct model *m);
int agent_create(struct call *c, struct model *m);
int agent_get(struct call *c, struct model *m);
int agent_patch(struct call *c, struct model *m);
int agent_delete(struct call *c, struct model *m);
int agent_deploy(struct call *c, struct model *m);
