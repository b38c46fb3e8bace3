#include "hub/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "hub/deposit.h"
#include "hub/route.h"
#include "hub/server.h"
#include "hub/skillzip.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

struct call *call_new(void)
{
    return mem_new(struct call);
}

static void reset_caller(struct call *c)
{
    free(c->agent.slug);
    c->agent = (struct call_agent){ 0 };
    free(c->instance);
    c->instance = NULL;
}

void call_reset(struct call *c)
{
    reset_caller(c);
    free(c->reply);
    c->reply = NULL;
    c->status = 0;
    c->fence_out = 0;
    free(c->wake.instance);
    c->wake = (struct call_wake){ 0 };
    c->park = false;
    free(c->granted);
    c->granted = NULL;
    c->granted_count = 0;
    c->cancels = false;
    c->file = (struct call_file){ 0 };
    c->more = (struct call_more){ 0 };
    c->orphan[0] = '\0';
}

void call_free(struct call *c)
{
    if (!c)
        return;
    call_reset(c);
    deposit_free(c->deposit);
    if (c->skill)
        skillzip_done(c->skill);
    free(c->skill);
    free(c->target);
    free(c->item);
    free(c->body);
    for (size_t i = 0; i < CALL_ARGUMENT_COUNT; i++)
        free(c->arguments[i]);
    free(c->agent_header);
    free(c->instance_header);
    free(c);
}

const char *call_argument_name(enum call_argument argument)
{
    static const char *const names[] = {
        [CALL_BEFORE] = "before", [CALL_STATUS] = "status", [CALL_UPDATED_AFTER] = "updated_after",
        [CALL_SORT] = "sort",     [CALL_LIMIT] = "limit",   [CALL_OFFSET] = "offset"
    };

    static_assert(ARRAY_SIZE(names) == CALL_ARGUMENT_COUNT, "a name for each argument");
    return names[argument];
}

int call_reply(struct call *c, unsigned status, struct json *root)
{
    free(c->reply);
    c->reply = json_print(root);
    c->status = status;
    json_free(root);
    return 0;
}

int call_done(struct call *c)
{
    free(c->reply);
    c->reply = mem_strdup("");
    c->status = 204;
    return 0;
}

char *call_error_text(const char *text)
{
    CLEANUP_PTR(json_free) struct json *root = json_object();

    json_add_str(root, "error", text);
    return json_print(root);
}

int call_refuse(struct call *c, unsigned status, const char *fmt, ...)
{
    struct err err = { 0 }; /* for its bounded text */
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(&err, 0, fmt, ap);
    va_end(ap);
    free(c->reply);
    c->reply = call_error_text(err.text);
    c->status = status;
    return 0;
}

int call_parse_body(struct call *c, struct json **ret_root)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct err err = { 0 };
    int r;

    if (c->body_len == 0)
        return call_refuse(c, 400, "the request's body is empty, and must be a JSON object");
    r = json_parse(c->body, c->body_len, &root, &err);
    if (r == -ENOMEM) /* ours, and not the client's fault: it may try again */
        return call_refuse(c, 503, "the hub is short of memory: %s", err.text);
    if (r < 0)
        return call_refuse(c, 400, "the request's body is no JSON: %s", err.text);
    if (!json_is_object(root))
        return call_refuse(c, 400, "the request's body must be a JSON object");
    *ret_root = TAKE_PTR(root);
    return 1;
}

void call_make_id(char id[ULID_ID_MAX], const char *prefix, const struct model *m)
{
    uint8_t entropy[10];

    random_bytes(entropy, sizeof entropy);
    ulid_make(id, prefix, m->wall_ms, entropy);
}

void call_wake_agent(struct call *c, int64_t agent, const char *instance)
{
    free(c->wake.instance);
    c->wake.agent = agent;
    c->wake.instance = mem_strdup(instance);
}

void call_fail(struct call *c, int result)
{
    log_error("database_failed", "path", c->route->path, "error", c->op.error, "cause",
              strerror(-result));
    call_refuse(c, 500, "the hub can't %s its database: %s%s",
                c->op.durable ? "write to" : "read from", c->op.error,
                result == -ENOSPC ? " (the disk is full: make room where hub.db is)" : "");
}

void call_trust(const struct call *c, int result)
{
    if (c->request && result >= 0 && c->status != 401)
        server_request_trust(c->request);
}
