#include "hub/petition.h"

#include <string.h>

#include "hub/access.h"
#include "hub/call.h"
#include "hub/lease.h"
#include "hub/route.h"
#include "hub/server.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

void petition_refuse(struct server_request *r, unsigned status, const char *text,
                     const struct server_header *headers)
{
    server_reply(r, status, call_error_text(text), headers);
}

static void reply_unauthorized(struct server_request *r, const char *text)
{
    static const struct server_header headers[] = { { "WWW-Authenticate", "Bearer" },
                                                    { NULL, NULL } };

    petition_refuse(r, 401, text, headers);
}

static uint64_t header_number(struct server_request *r, const char *name, bool *ret_bad)
{
    const char *text = server_request_header(r, name);
    uint64_t n = 0;

    if (text && (str_to_u64(text, INT64_MAX, &n) < 0 || n == 0))
        *ret_bad = true;
    return n;
}

/* NULL and *ret_bad for what is too long or not printable ASCII. */
static char *header_name(struct server_request *r, const char *name, bool *ret_bad)
{
    const char *text = server_request_header(r, name);
    size_t len = text ? strlen(text) : 0;

    if (len == 0)
        return NULL;
    for (const char *s = text; *s; s++)
        if (*s < ' ' || *s > '~')
            *ret_bad = true;
    if (len > LEASE_INSTANCE_MAX)
        *ret_bad = true;
    return *ret_bad ? NULL : mem_strdup(text);
}

struct call *petition_call(struct server_request *r, struct route_match *match)
{
    struct call *c = call_new();
    const char *why = NULL;
    bool bad = false, bad_query = false;

    c->request = r;
    c->route = match->route;
    c->target = TAKE_PTR(match->target);
    c->item = TAKE_PTR(match->item);
    for (size_t i = 0; i < CALL_ARGUMENT_COUNT; i++) {
        const char *name = call_argument_name((enum call_argument)i);
        const char *text = server_request_argument(r, name);

        c->arguments[i] = text ? route_decode(text, strlen(text)) : NULL;
        bad_query = bad_query || (text && !c->arguments[i]);
    }
    if (!access_parse(server_request_header(r, "Authorization"), c->route->key, &c->claim, &why)) {
        reply_unauthorized(r, why);
        call_free(c);
        return NULL;
    }
    if (c->route->key == KEY_AGENT) {
        c->agent_header = header_name(r, "X-AGENT-ID", &bad);
        c->instance_header = header_name(r, "X-CCAGENT-ID", &bad);
        c->fence = header_number(r, "X-Nairi-Fence", &bad);
    }
    if (bad_query) {
        petition_refuse(r, 400, "the query is not percent-encoded UTF-8", NULL);
        call_free(c);
        return NULL;
    }
    if (bad) {
        petition_refuse(r, 400, "X-AGENT-ID, X-CCAGENT-ID or X-Nairi-Fence is malformed", NULL);
        call_free(c);
        return NULL;
    }
    return c;
}
