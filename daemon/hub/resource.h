/* resource.h - what is assigned to an agent: rules, MCP configurations, skills, vaults.
 * Source: Nairi public API, "Agent configuration", /agents/{id}/resources. Of the types named there
 * this hub keeps nothing for github_repository_integration, anthropic_integration and llm_model, so
 * nothing of those is found. */
#pragma once
#include <stdint.h>

struct call;
struct model;

enum { RESOURCE_COUNT_MAX = 200 }; /* of an agent */

/* Whether no agent has it. 1, or 0 and c is refused with 400 ("cannot delete NOUN: ..."), or a
 * negative errno. */
int resource_check_unassigned(struct call *c, struct model *m, const char *id, const char *noun);

/* Handlers. Assigning again what is assigned answers with 200 and the assignment. */
int resource_list(struct call *c, struct model *m);
int resource_create(struct call *c, struct model *m);
int resource_delete(struct call *c, struct model *m);
