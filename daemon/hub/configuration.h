/* configuration.h - what a daemon asks for when it starts. This hub configures no daemon, and says
 * so in the form of each answer.
 * Source: Nairi agents API, endpoints 1 to 3. */
#pragma once

struct call;
struct model;

/* Handlers: GET /api/agents/token, /env, /artifacts. */
int configuration_token(struct call *c, struct model *m);
int configuration_env(struct call *c, struct model *m);
int configuration_artifacts(struct call *c, struct model *m);
