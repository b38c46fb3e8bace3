/* vault.h - vaults and their secrets. A secret's value goes in and never out by the public API.
 * The daemons of an agent that a vault is assigned to (resource.h) get its secrets among their
 * environment variables, but for those with allowed_domains: this hub has no proxy that would hold
 * a secret back from other hosts, so such a one is kept and not handed out ("delivered": false,
 * ours). An env var of the agent goes before a secret of the same key, and a vault that was
 * assigned earlier before a later one. Source: Nairi public API, "Agent configuration", /vaults;
 * the bounds are ours. */
#pragma once
#include <stdint.h>

struct call;
struct json;
struct model;

enum {
    VAULT_COUNT_MAX = 100,
    VAULT_NAME_MAX = 200,
    VAULT_DESCRIPTION_MAX = 4096,
    VAULT_SECRETS_MAX = 100,   /* of a vault */
    VAULT_TOTAL_MAX = 1 << 20, /* of the values of all vaults together */
    VAULT_DOMAINS_MAX = 50,    /* of a secret */
};

/* Appends {"key", "value"} of each secret that is delivered to list. 1, 0 if c was refused, or a
 * negative errno. */
int vault_deliver(struct call *c, struct model *m, int64_t agent, struct json *list);

/* Handlers of /vaults. */
int vault_list(struct call *c, struct model *m);
int vault_create(struct call *c, struct model *m);
int vault_get(struct call *c, struct model *m);
int vault_patch(struct call *c, struct model *m);
int vault_delete(struct call *c, struct model *m);
