/* manifest.h - what a set of artifacts (workspace/shelf.h) says of itself: for whom it is, and what
 * is in it. */
#pragma once
#include "util/strv.h"
#include <stddef.h>

struct buf;
struct settings;

struct manifest {
    size_t rules, skills, mcp_servers;
    char *gateway;          /* where the MCP servers come from; NULL: from the control plane */
    struct strv mcp_places; /* of remote MCP servers, as entries of settings/allow.h */
    struct strv problems;   /* sentences */
};

/* JSON, to be freed; of the server and the agent that the settings name. */
char *manifest_print(const struct manifest *m, const struct settings *s);
/* That of the set in force in the state directory. -ENOENT where there is none for this server and
 * agent, or it can't be read. */
int manifest_read(const struct settings *s, struct manifest *ret_manifest);
/* Where the MCP servers came from another place than they are to come from now, they don't count
 * any more. */
void manifest_suit(struct manifest *m, const struct settings *s);
/* "2 rules, 1 skill, 3 MCP servers" */
void manifest_describe(const struct manifest *m, struct buf *b);
void manifest_done(struct manifest *m);
