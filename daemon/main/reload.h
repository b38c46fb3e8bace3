/* reload.h - settings, key and secrets as the running daemon has them: at the start, and on HUP
 * anew, all or nothing. */
#pragma once

struct daemon;
struct err;
struct secret;
struct settings;
struct settings_pair;

/* The first settings, the key and the mask into d. Takes over what *settings holds, on success
 * only; d->key_from_env in any case. */
int reload_first(struct daemon *d, struct settings *settings, struct err *err);
void reload(struct daemon *d); /* HUP; says in the log what came of it */
/* One of runner.secrets as its file has it now; before anybody gets it, the mask knows it. */
int reload_secret(const struct daemon *d, const struct settings_pair *pair,
                  struct secret **ret_secret, struct err *err);
