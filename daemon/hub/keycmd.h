/* keycmd.h - `nairi-hub key create|list|rotate|revoke`. Works on the database file, whether a hub
 * serves it or not: what is made or revoked counts from that hub's next request on. */
#pragma once

struct err;

/* org or agent: the name of the organisation key, or the slug of the agent, which is made where
 * there is none. Prints the key alone on stdout. */
int keycmd_create(const char *path, const char *org, const char *agent, struct err *err);
int keycmd_list(const char *path, struct err *err);
/* A new key for what the key of that id is for; that one works for overlap (a duration, NULL: 24h)
 * yet. Prints the new key alone on stdout. */
int keycmd_rotate(const char *path, const char *id, const char *overlap, struct err *err);
/* -EINVAL if there is no such valid key. */
int keycmd_revoke(const char *path, const char *id, struct err *err);
