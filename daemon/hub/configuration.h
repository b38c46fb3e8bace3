/* configuration.h - what a daemon asks for when it starts, and on SIGHUP: environment variables
 * (its agent's own, and the secrets of its vaults) and artifacts. This hub issues no model tokens,
 * and says so. Source: Nairi agents API, endpoints 1 to 4. */
#pragma once

struct call;
struct model;

/* Handlers: GET /api/agents/token, /env, /artifacts. */
int configuration_token(struct call *c, struct model *m);
int configuration_env(struct call *c, struct model *m);
int configuration_artifacts(struct call *c, struct model *m);
/* GET /api/agents/attachments/{id}: the file of an artifact, or attachment_fetch(). */
int configuration_file(struct call *c, struct model *m);
