/* envvar.h - the environment variables of an agent, which its daemons fetch when they start.
 * Values are sealed (cipher.h) and shown to the organisation. Source: Nairi public API, "Agent
 * configuration", /agents/{id}/env-vars; the bounds are ours. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct call;
struct json;
struct model;
struct query;

enum {
    ENVVAR_KEY_MAX = 256,
    ENVVAR_VALUE_MAX = 32 << 10, /* the kernel takes 128 KiB, and a program has others besides */
    ENVVAR_COUNT_MAX = 128,      /* of an agent */
    ENVVAR_TOTAL_MAX = 512 << 10 /* of the values of an agent */
};

/* Letters, digits and _, no digit first, and none of the names by which agents are set up. 1, or 0
 * and c is refused with 400; member: what it is called in the body. */
int envvar_check_key(struct call *c, const char *member, const char *key);
/* Opens a sealed value: 1 and a text to be wiped and freed, or 0 and c is refused with 500. */
int envvar_unseal(struct call *c, const struct model *m, const char *id, const void *sealed,
                  size_t len, char **ret_text);
/* Appends {"key", "value"} of each row to list and ends q; its columns: id, key, sealed value. 1, 0
 * if c was refused, or a negative errno. */
int envvar_deliver_rows(struct call *c, const struct model *m, struct query *q, struct json *list);
/* The same for all of the agent. 1, 0 if c was refused, or a negative errno. */
int envvar_deliver(struct call *c, struct model *m, int64_t agent, struct json *list);

/* Handlers. */
int envvar_list(struct call *c, struct model *m);
int envvar_create(struct call *c, struct model *m);
int envvar_patch(struct call *c, struct model *m);
int envvar_delete(struct call *c, struct model *m);
