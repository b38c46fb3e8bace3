#include "egress/rules.h"

#include <stdlib.h>

#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

struct rules {
    struct allow *entries;
    size_t count;
};

int rules_new(const struct strv *hosts, struct rules **ret_rules, struct err *err)
{
    CLEANUP_PTR(rules_free) struct rules *r = mem_new(struct rules);

    r->entries = mem_calloc(hosts->len + 1, sizeof r->entries[0]);
    for (; r->count < hosts->len; r->count++) {
        int error = allow_parse(hosts->items[r->count], &r->entries[r->count], err);

        if (error < 0)
            return error;
    }
    *ret_rules = TAKE_PTR(r);
    return 0;
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    free(r->entries);
    free(r);
}

bool rules_find(const struct rules *r, const struct hostname *host, uint16_t port,
                unsigned *ret_grants)
{
    bool found = false;

    *ret_grants = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (!allow_matches(&r->entries[i], host, port))
            continue;
        found = true;
        *ret_grants |= r->entries[i].grants;
    }
    return found;
}

bool rules_permit(const struct hostname *host, unsigned grants, enum ipclass class)
{
    if (host->kind != HOSTNAME_NAME)
        return true; /* the entry names that very address */
    switch (class) {
    case IPCLASS_PUBLIC:
        return true;
    case IPCLASS_PRIVATE:
        return grants & ALLOW_PRIVATE;
    case IPCLASS_LOOPBACK:
        return grants & ALLOW_LOOPBACK;
    case IPCLASS_NEVER:
        break;
    }
    return false;
}
