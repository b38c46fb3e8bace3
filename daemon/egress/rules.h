/* rules.h - what one task may reach: the entries of its policy, asked about a place and about the
 * addresses that it leads to. Pure. */
#pragma once
#include "egress/ipclass.h"
#include "settings/allow.h"
#include "util/cleanup.h"
#include <stdbool.h>

struct err;
struct rules;
struct strv;

/* -EINVAL for an entry that isn't one. */
int rules_new(const struct strv *hosts, struct rules **ret_rules, struct err *err);
void rules_free(struct rules *r);
DEFINE_CLEANUP(struct rules *, rules_free);

/* Whether some entry has the place; *ret_grants is then what all that have it grant together. */
bool rules_find(const struct rules *r, const struct hostname *host, uint16_t port,
                unsigned *ret_grants);
/* Whether a place that was found may be reached at an address of that kind. */
bool rules_permit(const struct hostname *host, unsigned grants, enum ipclass class);
