/* artifact.h - rules, MCP configurations and skills: what agents are equipped with.
 * An artifact reaches an agent once it is assigned (resource.h), as a file that its daemons
 * download under an attachment's id, another one after each change. MCP configurations, which tend
 * to hold keys, are sealed (cipher.h); one that is_sensitive isn't shown again (its content is
 * null). Source: Nairi public API, "Agent configuration"; agents API, endpoints 3 and 4; the bounds
 * are ours. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct call;
struct json;
struct model;

enum artifact_kind { ARTIFACT_RULE, ARTIFACT_MCP_CONFIG, ARTIFACT_SKILL, ARTIFACT_KIND_COUNT };

enum {
    ARTIFACT_TITLE_MAX = 200,
    ARTIFACT_DESCRIPTION_MAX = 1024,
    ARTIFACT_CONTENT_MAX = 256 << 10,
    ARTIFACT_COUNT_MAX = 500,     /* of a kind */
    ARTIFACT_TOTAL_MAX = 4 << 20, /* of the contents of a kind; skills are attachments */
};

/* A new artifact's or content's row. Texts are borrowed. */
struct artifact_new {
    enum artifact_kind kind;
    const char *title;
    const char *description;
    const char *content; /* NULL for a skill */
    bool is_sensitive;
    const char *attachment; /* of a skill; NULL: a new id */
    int64_t size;           /* of a skill */
};

/* Stores it under a new id and answers with 201, or refuses c. 0 or a negative errno. */
int artifact_insert(struct call *c, struct model *m, const struct artifact_new *what);
/* Appends what is assigned to the agent to list, as endpoint 3 has it. 0 or a negative errno. */
int artifact_deliver(struct model *m, int64_t agent, struct json *list);
/* The file of a rule or an MCP configuration of c's agent under that attachment's id: 1 and c is
 * answered as endpoint 4 has it (or refused), 0 if there is none, or a negative errno. */
int artifact_download(struct call *c, struct model *m, const char *attachment);

/* Handlers. */
int artifact_list_rules(struct call *c, struct model *m);
int artifact_create_rule(struct call *c, struct model *m);
int artifact_get_rule(struct call *c, struct model *m);
int artifact_put_rule(struct call *c, struct model *m);
int artifact_delete_rule(struct call *c, struct model *m);
int artifact_list_mcp_configs(struct call *c, struct model *m);
int artifact_create_mcp_config(struct call *c, struct model *m);
int artifact_get_mcp_config(struct call *c, struct model *m);
int artifact_put_mcp_config(struct call *c, struct model *m);
int artifact_delete_mcp_config(struct call *c, struct model *m);
int artifact_list_skills(struct call *c, struct model *m);
int artifact_get_skill(struct call *c, struct model *m);
int artifact_delete_skill(struct call *c, struct model *m);
