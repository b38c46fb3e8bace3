#include "hub/access.h"

#include <string.h>
#include <strings.h>

#include "hub/call.h"
#include "hub/db.h"
#include "hub/lease.h"
#include "hub/storage.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

static const char *const wrong_kind[] = {
    [KEY_ORG] = "this is an agent key (nairid_...), and the public API wants an organisation key "
                "(nr_...): make one with 'nairi-hub key create --org NAME'",
    [KEY_AGENT] = "this is an organisation key (nr_...), and the agents API wants an agent key "
                  "(nairid_...): make one with 'nairi-hub key create --agent SLUG'",
};

static const char *const no_key[] = {
    [KEY_ORG] = "this is no organisation key of this hub: it would begin with nr_",
    [KEY_AGENT] = "this is no agent key of this hub: it would begin with nairid_",
};

static const char *const cut[] = {
    [KEY_ORG] = "this organisation key (nr_...) isn't whole: copy all of it",
    [KEY_AGENT] = "this agent key (nairid_...) isn't whole: copy all of it",
};

int access_parse(const char *header, enum key_kind want, struct key_claim *ret_claim,
                 const char **ret_why)
{
    static const char scheme[] = "Bearer ";
    const char *key;

    if (!header) {
        *ret_why = "no key: send it in the header 'Authorization: Bearer KEY'";
        return 0;
    }
    if (strncasecmp(header, scheme, strlen(scheme)) != 0) {
        *ret_why = "the Authorization header isn't of the form 'Bearer KEY'";
        return 0;
    }
    key = header + strlen(scheme);
    key += strspn(key, " ");
    for (size_t i = 0; i < ARRAY_SIZE(wrong_kind); i++) {
        if (i != want && str_starts_with(key, key_prefix((enum key_kind)i))) {
            *ret_why = wrong_kind[want];
            return 0;
        }
    }
    if (key_parse(key, strlen(key), ret_claim) < 0) {
        *ret_why = str_starts_with(key, key_prefix(want)) ? cut[want] : no_key[want];
        return 0;
    }
    return 1;
}

static int load_agent(struct call *c, struct model *m, int64_t agent, const char *key_id)
{
    struct query *q = db_query(m->db, "SELECT slug, id FROM agents WHERE seq = ?1", "i", agent);
    int rc = query_next(q);

    if (rc > 0) {
        c->agent.seq = agent;
        c->agent.slug = mem_strdup(query_text(q, 0));
        c->instance = mem_strdup(c->instance_header ? c->instance_header : key_id);
        if (c->agent_header && !str_eq(c->agent_header, query_text(q, 0)) &&
            !str_eq(c->agent_header, query_text(q, 1)))
            rc = call_refuse(c, 403,
                             "this key belongs to the agent '%s', and X-AGENT-ID names '%s': use "
                             "that agent's key, or correct the agent id",
                             c->agent.slug, c->agent_header);
    }
    query_end(q);
    return rc;
}

int access_check(struct call *c, struct model *m, enum key_kind want)
{
    struct key_found key;
    char text[32];
    int rc = key_find(m->db, &c->claim, &key);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return call_refuse(c, 401, "this key is unknown or was revoked");
    if (key.expires_ms != 0 && key.expires_ms <= m->wall_ms)
        return call_refuse(c, 401,
                           "this key expired at %s, as 'nairi-hub key rotate' has replaced it: use "
                           "the new one",
                           clock_rfc3339(text, key.expires_ms));
    return want == KEY_AGENT ? load_agent(c, m, key.agent, key.id) : 1;
}
