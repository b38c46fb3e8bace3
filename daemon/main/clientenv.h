/* clientenv.h - who a client of the public API is: URL, organisation key, agent.
 * Stored as `client.env` in the state directory of `nairid up`, fit for a shell's `.`:
 *     NAIRI_API_URL=http://127.0.0.1:8420
 *     NAIRI_PUBLIC_API_KEY=nr_...
 *     NAIRI_AGENT_ID=local
 *     export NAIRI_API_URL NAIRI_PUBLIC_API_KEY NAIRI_AGENT_ID */
#pragma once
#include "util/secret.h"
#include <stddef.h>

struct err;

#define CLIENTENV_FILE "client.env"

struct clientenv {
    char *url;          /* without path; NULL if not known */
    struct secret *key; /* NULL if not known */
    char *agent_id;     /* NULL if not known */
};

/* The state directory of `nairid up`: given, else $XDG_STATE_HOME/nairid-up, else
 * $HOME/.local/state/nairid-up. To be freed; -EINVAL where none of them is set. */
int clientenv_state_dir(const char *given, char **ret_dir, struct err *err);

/* Assignments of the three names, one a line, quoted or not; other lines are ignored. What is
 * missing is NULL. -EINVAL for a key that can't be one. */
int clientenv_parse(const char *text, size_t len, struct clientenv *ret_client, struct err *err);
/* DIR/client.env. -ENOENT: there is none. */
int clientenv_load(const char *dir, struct clientenv *ret_client, struct err *err);
/* All three must be set. Mode 0600, replaced in one step. */
int clientenv_save(const char *dir, const struct clientenv *c, struct err *err);
/* Whose key it is: -EINVAL with a sentence for an agent's, and for what can't be in a header. */
int clientenv_check_key(const struct secret *key, struct err *err);
void clientenv_done(struct clientenv *c);
