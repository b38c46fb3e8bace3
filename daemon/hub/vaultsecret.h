/* vaultsecret.h - the secrets of a vault (vault.h has what becomes of them).
 * PATCH takes any of env_key, value and allowed_domains; {} changes nothing. */
#pragma once

struct call;
struct model;

/* Handlers of /vaults/{id}/secrets. */
int vaultsecret_list(struct call *c, struct model *m);
int vaultsecret_create(struct call *c, struct model *m);
int vaultsecret_patch(struct call *c, struct model *m);
int vaultsecret_delete(struct call *c, struct model *m);
