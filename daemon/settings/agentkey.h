/* agentkey.h - the agent key: where it comes from, and that it is of the right kind.
 * Sources, first found wins: the systemd credential "agent-key" ($CREDENTIALS_DIRECTORY),
 * api_key_file, NAIRI_API_KEY, EKSEC_API_KEY in the present daemon's ".env" (settings/envfile.h),
 * those of the environment. A source that is there but can't be
 * used is an error, never skipped: otherwise a typo would use another key.
 * Organisation keys of the public API begin "nr_" and are refused here.
 * Source: Nairi agents API, section "Keys". */
#pragma once
#include "util/secret.h"

struct err;
struct settings;

struct agentkey {
    struct secret *key; /* owned */
    const char *source; /* "systemd credential", "api_key_file", "NAIRI_API_KEY", ... */
};

/* First thing, before any process is forked: moves both variables to locked memory and wipes them
 * in place, whichever source wins later, and on failure too. *ret_key is { 0 } if neither was set.
 */
int agentkey_take_env(struct agentkey *ret_key, struct err *err);
/* from_env: what agentkey_take_env() gave, handed over and emptied, also on failure; NULL for none
 * (a reload: a key that came from the environment stays as it is). -ENOKEY: there is no key
 * anywhere; -EKEYREJECTED: an organisation's; -EINVAL: no key by its looks; others: of
 * secret_load(). Whichever it is, the exit code is EX_CONFIG. */
int agentkey_load(const struct settings *s, struct agentkey *from_env, struct agentkey *ret_key,
                  struct err *err);
void agentkey_done(struct agentkey *k);
