#include "upstream/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "net/http.h"
#include "settings/url.h"
#include "task/task.h"
#include "upstream/push.h"
#include "upstream/realtime.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/secret.h"
#include "util/str.h"

enum { HEADERS_MAX = 5 };

struct channel {
    struct loop *loop;
    struct http *http;
    struct loop_timer *timer;
    struct realtime *realtime;
    char *paths[REALTIME_PATHS];
    char *agent_id, *instance_id, *repo;
    struct secret *key; /* borrowed */
    struct channel_ops ops;
    void *ctx;
    bool closing;                 /* as of the last event */
    struct http_call *get, *post; /* NULL: none in flight */
};

static struct realtime_now now(const struct channel *c)
{
    return (struct realtime_now){ .mono_ms = loop_now_ms(c->loop), .entropy = random_u32() };
}

static void carry_out(struct channel *c, struct realtime_commands *commands);

/* ---- requests ---- */

static struct realtime_answer answer_of(const struct http_response *r)
{
    return (struct realtime_answer){ .outcome = r->outcome,
                                     .status = r->status,
                                     .body = r->body,
                                     .body_len = r->body_len,
                                     .retry_after_ms = r->retry_after_ms,
                                     .error = r->error };
}

static void on_got(const struct http_response *response, void *ctx)
{
    struct channel *c = ctx;
    struct realtime_commands commands = { 0 };
    const struct realtime_answer answer = answer_of(response);
    const struct realtime_now at = now(c);

    c->get = NULL;
    realtime_got(c->realtime, &answer, &at, &commands);
    carry_out(c, &commands);
}

static void on_posted(const struct http_response *response, void *ctx)
{
    struct channel *c = ctx;
    struct realtime_commands commands = { 0 };
    const struct realtime_answer answer = answer_of(response);
    const struct realtime_now at = now(c);

    c->post = NULL;
    realtime_posted(c->realtime, &answer, &at, &commands);
    carry_out(c, &commands);
}

static struct http_call *request(struct channel *c, const struct realtime_command *command,
                                 bool is_post)
{
    AUTO_FREE char *key = mem_printf("X-CCAGENT-API-KEY: %s", secret_text(c->key));
    AUTO_FREE char *instance = mem_printf("X-CCAGENT-ID: %s", c->instance_id);
    AUTO_FREE char *agent = mem_printf("X-AGENT-ID: %s", c->agent_id ? c->agent_id : "");
    /* a header that ends in a semicolon is sent without a value: we work in no repository */
    AUTO_FREE char *repo =
        mem_printf("X-CCAGENT-REPO%s%s", c->repo ? ": " : ";", c->repo ? c->repo : "");
    AUTO_FREE char *url = mem_printf("%s?EIO=4&transport=polling%s%s", c->paths[command->path],
                                     command->sid[0] ? "&sid=" : "", command->sid);
    const char *headers[HEADERS_MAX + 1] = { key, instance, repo };
    size_t count = 3;
    struct http_request http = { .method = is_post ? "POST" : "GET",
                                 .url = url,
                                 .headers = headers,
                                 .timeout_ms = command->timeout_ms,
                                 .max_response_bytes = REALTIME_BODY_MAX };
    struct http_call *call;

    if (c->agent_id)
        headers[count++] = agent;
    if (is_post) {
        headers[count++] = "Content-Type: text/plain;charset=UTF-8";
        http.body = command->text;
        http.body_len = strlen(command->text);
    }
    assert(count <= HEADERS_MAX);
    call = http_start(c->http, &http, is_post ? on_posted : on_got, c);
    secret_wipe(key, strlen(key));
    return call;
}

static void cancel(struct http_call **call)
{
    if (*call)
        http_cancel(*call);
    *call = NULL;
}

/* ---- messages ---- */

static void deliver(struct channel *c, const char *text)
{
    struct push push = { 0 };

    push_parse(text, strlen(text), &push);
    c->ops.pushed(&push, c->ctx);
    task_free(push.task);
}

/* ---- commands ---- */

static void carry_out_one(struct channel *c, const struct realtime_command *command)
{
    switch (command->type) {
    case REALTIME_GET:
        assert(!c->get);
        c->get = request(c, command, false);
        break;
    case REALTIME_POST:
        assert(!c->post);
        c->post = request(c, command, true);
        break;
    case REALTIME_CANCEL:
        cancel(&c->get);
        cancel(&c->post);
        break;
    case REALTIME_UP:
        c->ops.changed(true, c->ctx);
        break;
    case REALTIME_DOWN:
        c->ops.changed(false, c->ctx);
        break;
    case REALTIME_MESSAGE:
        deliver(c, command->text);
        break;
    case REALTIME_MISSED:
        c->ops.pushed(NULL, c->ctx);
        break;
    case REALTIME_NOTE:
        log_event((enum log_level)command->level, command->name, "text", command->text,
                  (char *)NULL);
        break;
    }
}

static void carry_out(struct channel *c, struct realtime_commands *commands)
{
    uint64_t at, now_ms;

    for (size_t i = 0; i < commands->len; i++)
        carry_out_one(c, &commands->items[i]);
    realtime_commands_done(commands);
    if (c->closing && !realtime_is_closing(c->realtime))
        c->ops.closed(c->ctx);
    c->closing = realtime_is_closing(c->realtime);
    at = realtime_deadline(c->realtime);
    now_ms = loop_now_ms(c->loop);
    if (at == UINT64_MAX)
        loop_timer_stop(c->timer);
    else
        loop_timer_arm(c->timer, at > now_ms ? at - now_ms : 0);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct channel *c = ctx;
    struct realtime_commands commands = { 0 };
    const struct realtime_now at = now(c);

    (void)timer; /* armed again by what follows */
    realtime_tick(c->realtime, &at, &commands);
    carry_out(c, &commands);
}

void channel_want(struct channel *c, bool open)
{
    struct realtime_commands commands = { 0 };
    const struct realtime_now at = now(c);

    if (open)
        realtime_open(c->realtime, &at, &commands);
    else
        realtime_close(c->realtime, &at, &commands);
    carry_out(c, &commands);
}

bool channel_say(struct channel *c, const char *envelope)
{
    struct realtime_commands commands = { 0 };
    const struct realtime_now at = now(c);
    bool said = realtime_say(c->realtime, envelope, &at, &commands);

    carry_out(c, &commands);
    return said;
}

bool channel_is_closing(const struct channel *c)
{
    return realtime_is_closing(c->realtime);
}

/* ---- the whole ---- */

/* base without its path: the client that we replace knows of no other (zishang520/socket.io). */
static char *origin_of(const char *base)
{
    const char *host = strstr(base, "://");

    return mem_strndup(base,
                       host ? (size_t)(host + 3 - base) + strcspn(host + 3, "/") : strlen(base));
}

int channel_new(struct loop *loop, struct http *http, const struct channel_options *options,
                const struct channel_ops *ops, void *ctx, struct channel **ret_channel,
                struct err *err)
{
    AUTO_FREE char *base = url_normal(options->url), *origin = NULL;
    const char *why = url_check(base);
    struct channel *c;

    if (why)
        return err_set(err, -EINVAL, "server.url: %s", why);
    origin = origin_of(base);
    c = mem_new(struct channel);
    *c = (struct channel){ .loop = loop, .http = http, .key = options->key, .ops = *ops };
    c->ctx = ctx;
    c->paths[0] = mem_printf("%s/socket.io/", origin);
    c->paths[1] = mem_printf("%s/socketio/", base);
    c->agent_id = mem_strdup(options->agent_id);
    c->instance_id = mem_strdup(options->instance_id);
    c->repo = mem_strdup(options->repo);
    c->realtime = realtime_new();
    c->timer = loop_timer_new(loop, on_timer, c);
    *ret_channel = c;
    return 0;
}

void channel_set_key(struct channel *c, struct secret *key)
{
    c->key = key;
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    cancel(&c->get);
    cancel(&c->post);
    loop_timer_free(c->timer);
    realtime_free(c->realtime);
    for (size_t i = 0; i < REALTIME_PATHS; i++)
        free(c->paths[i]);
    free(c->agent_id);
    free(c->instance_id);
    free(c->repo);
    free(c);
}
