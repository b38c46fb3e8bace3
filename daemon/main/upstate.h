/* upstate.h - the state directory of `nairid up`: its lock, the hub's database, and the keys, which
 * are made with `nairi-hub key create` where they are missing.
 *   DIR/hub.db      the hub's       DIR/agent.key    the daemon's key, 0600
 *   DIR/daemon/     the daemon's    DIR/client.env   what a client needs (main/clientenv.h), 0600
 */
#pragma once
#include "main/clientenv.h"

struct strv;

struct upstate {
    char *dir; /* absolute */
    char *database, *agent_key, *daemon_dir;
    int lock_fd;
    struct clientenv client; /* key and agent_id; url once the hub has said it */
};

/* Makes and locks the directory. given: --state, NULL for the default. -EWOULDBLOCK: another one
 * uses it. */
int upstate_open(const char *given, struct upstate *ret_state, struct err *err);
/* Reads the keys, or makes them if one is missing, the database is, or they are another agent's.
 * hub: the program; env: its environment. */
int upstate_keys(struct upstate *s, const char *agent_id, const char *hub, const struct strv *env,
                 struct err *err);
void upstate_done(struct upstate *s);
