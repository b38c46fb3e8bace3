#include "hub/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/hash.h"
#include "util/mem.h"

struct lease {
    int64_t agent;
    char *instance;
    uint64_t end_ms;
    uint64_t checked_ms; /* when it was asked for idle jobs */
    UT_hash_handle hh;
    char key[]; /* "AGENT/INSTANCE" */
};

struct lease_table {
    struct lease *leases;
    uint64_t grace_end_ms; /* 0: over and dealt with */
};

enum { KEY_MAX = LEASE_INSTANCE_MAX + 24 };

static size_t make_key(char key[KEY_MAX], int64_t agent, const char *instance)
{
    int n = snprintf(key, KEY_MAX, "%" PRId64 "/%.*s", agent, LEASE_INSTANCE_MAX, instance);

    return (size_t)n;
}

static struct lease *find(const struct lease_table *t, int64_t agent, const char *instance)
{
    char key[KEY_MAX];
    size_t len = make_key(key, agent, instance);
    struct lease *l = NULL;

    HASH_FIND(hh, t->leases, key, len, l);
    return l;
}

struct lease_table *lease_table_new(uint64_t now_ms)
{
    struct lease_table *t = mem_new(struct lease_table);

    t->grace_end_ms = now_ms + LEASE_MS;
    return t;
}

static void remove_lease(struct lease_table *t, struct lease *l)
{
    HASH_DEL(t->leases, l);
    free(l->instance);
    free(l);
}

void lease_table_free(struct lease_table *t)
{
    struct lease *l, *next;

    if (!t)
        return;
    HASH_ITER (hh, t->leases, l, next) {
        remove_lease(t, l);
    }
    free(t);
}

static size_t count_of(const struct lease_table *t, int64_t agent)
{
    size_t count = 0;

    for (const struct lease *l = t->leases; l; l = l->hh.next)
        count += l->agent == agent;
    return count;
}

int lease_renew(struct lease_table *t, int64_t agent, const char *instance, uint64_t now_ms,
                uint32_t wait_ms)
{
    struct lease *l = find(t, agent, instance);
    uint64_t end_ms = now_ms + LEASE_MS;

    if (wait_ms + LEASE_WAIT_MARGIN_MS > LEASE_MS)
        end_ms = now_ms + wait_ms + LEASE_WAIT_MARGIN_MS;
    if (!l) {
        char key[KEY_MAX];
        size_t len = make_key(key, agent, instance);

        if (HASH_COUNT(t->leases) >= LEASE_TABLE_MAX || count_of(t, agent) >= LEASE_AGENT_MAX)
            return -ENOSPC;
        l = mem_alloc(sizeof *l + len + 1);
        l->agent = agent;
        l->instance = mem_strdup(instance);
        l->checked_ms = now_ms;
        memcpy(l->key, key, len + 1);
        HASH_ADD(hh, t->leases, key, len, l);
    }
    if (end_ms > l->end_ms) /* a short call during a long poll must not cut that one's lease */
        l->end_ms = end_ms;
    return 0;
}

bool lease_take_check(struct lease_table *t, int64_t agent, const char *instance, uint64_t until_ms,
                      uint32_t interval_ms)
{
    struct lease *l = find(t, agent, instance);

    if (!l || interval_ms == 0 || until_ms - l->checked_ms < interval_ms)
        return false;
    l->checked_ms = until_ms;
    return true;
}

bool lease_is_live(const struct lease_table *t, int64_t agent, const char *instance,
                   uint64_t now_ms)
{
    const struct lease *l = find(t, agent, instance);

    if (l)
        return l->end_ms > now_ms;
    return t->grace_end_ms > now_ms;
}

size_t lease_count(const struct lease_table *t)
{
    return HASH_COUNT(t->leases);
}

size_t lease_list_live(const struct lease_table *t, uint64_t now_ms, int64_t *agents)
{
    size_t count = 0;

    for (const struct lease *l = t->leases; l; l = l->hh.next)
        if (l->end_ms > now_ms)
            agents[count++] = l->agent;
    return count;
}

uint64_t lease_next_end(const struct lease_table *t)
{
    uint64_t end_ms = t->grace_end_ms ? t->grace_end_ms : UINT64_MAX;

    for (const struct lease *l = t->leases; l; l = l->hh.next)
        if (l->end_ms < end_ms)
            end_ms = l->end_ms;
    return end_ms;
}

bool lease_grace_is_over(const struct lease_table *t, uint64_t now_ms)
{
    return t->grace_end_ms != 0 && t->grace_end_ms <= now_ms;
}

const struct lease *lease_next_ended(const struct lease_table *t, const struct lease *after,
                                     uint64_t now_ms)
{
    for (const struct lease *l = after ? after->hh.next : t->leases; l; l = l->hh.next)
        if (l->end_ms <= now_ms)
            return l;
    return NULL;
}

int64_t lease_agent(const struct lease *l)
{
    return l->agent;
}

const char *lease_instance(const struct lease *l)
{
    return l->instance;
}

void lease_forget(struct lease_table *t, uint64_t now_ms)
{
    struct lease *l, *next;

    HASH_ITER (hh, t->leases, l, next) {
        if (l->end_ms <= now_ms)
            remove_lease(t, l);
    }
    if (lease_grace_is_over(t, now_ms))
        t->grace_end_ms = 0;
}
