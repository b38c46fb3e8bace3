#include "main/provisions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "main/attempts.h"
#include "main/daemon.h"
#include "main/exhibit.h"
#include "main/gate.h"
#include "main/installer.h"
#include "main/manifest.h"
#include "main/policy.h"
#include "main/unpacker.h"
#include "main/wire.h"
#include "runner/runner.h"
#include "settings/pairs.h"
#include "upstream/provision.h"
#include "upstream/upstream.h"
#include "util/backoff.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/secret.h"
#include "util/str.h"
#include "workspace/shelf.h"

enum {
    RETRY_MS = 1000,
    RETRY_CAP_MS = 5 * 60 * 1000,
    WAIT_MS = 30 * 1000,       /* of tasks, at most */
    REFRESH_MIN_MS = 5 * 1000, /* between two tokens, however short they live */
    INSIST_AFTER = 3,          /* failures: then there may be less than all */
    TOKENS_MAX = 16,           /* that tasks may still have, and so are masked */
};

enum kind { TOKEN, ENV, ARTIFACTS, KIND_COUNT };

struct source {
    struct provisions *owner;
    enum kind kind;
    struct loop_timer *timer; /* the next request */
    struct backoff backoff;
    bool asked;   /* a request, or what follows from its answer, is in flight */
    bool again;   /* HUP came meanwhile */
    bool settled; /* it has been answered once */
    bool none;    /* the server has nothing of it */
    char *error;  /* of the last try; NULL: it went well */
};

struct provisions {
    struct daemon *daemon;
    struct source sources[KIND_COUNT];
    struct provision_token token;
    struct provision_env env;
    struct shelf *shelf;
    struct installer *installer;
    struct manifest manifest; /* of the set in force */
    bool is_shown;            /* it is this server's */
    struct strv missing;      /* places of MCP servers that the policy doesn't allow */
    struct strv tokens;       /* those that are masked, the newest last */
    struct loop_timer *bound;
    struct gate gate; /* before which tasks wait */
};

static const char *const names[KIND_COUNT] = {
    [TOKEN] = "token",
    [ENV] = "env",
    [ARTIFACTS] = "artifacts",
};

static void ask(struct source *s);

/* ---- tasks that wait ---- */

static void spawn(uint64_t seq, void *ctx)
{
    struct provisions *p = ctx;

    attempts_spawn(p->daemon->attempts, seq);
}

static void open_gate(struct provisions *p)
{
    loop_timer_stop(p->bound);
    gate_open(&p->gate, spawn, p);
}

static void open_when_settled(struct provisions *p)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (!p->sources[i].settled)
            return;
    if (!p->gate.is_open)
        open_gate(p);
}

static void on_bound(struct loop_timer *timer, void *ctx)
{
    struct provisions *p = ctx;

    (void)timer; /* one-shot */
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (!p->sources[i].settled)
            log_warning("provisions_late", "what", names[i], "error",
                        p->sources[i].error ? p->sources[i].error : "there is no answer yet",
                        "text", "tasks begin without it; it counts for those after it has come");
    open_gate(p);
}

bool provisions_hold(struct provisions *p, uint64_t seq)
{
    return gate_hold(&p->gate, seq);
}

bool provisions_let_go(struct provisions *p, uint64_t seq)
{
    return gate_let_go(&p->gate, seq);
}

/* ---- variables ---- */

static bool has_name(const struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (str_eq(pairs->items[i].name, name))
            return true;
    return false;
}

/* What the operator says of a name goes before the server's, and the server's variables before its
 * token, as in the daemon that we replace. */
static void add_pairs(struct provisions *p, const struct settings_pairs *from,
                      struct settings_pairs *to)
{
    const struct settings *s = &p->daemon->settings;

    for (size_t i = 0; i < from->len; i++) {
        const struct settings_pair *pair = &from->items[i];

        if (has_name(&s->runner_env, pair->name) || has_name(&s->runner_secrets, pair->name) ||
            has_name(to, pair->name))
            continue;
        pairs_add(to, pair->name, pair->value);
    }
}

static void apply_variables(struct provisions *p)
{
    struct settings_pairs fresh = { 0 };

    add_pairs(p, &p->env.pairs, &fresh);
    add_pairs(p, &p->token.pair, &fresh);
    pairs_done(&p->daemon->settings.runner_provided);
    p->daemon->settings.runner_provided = fresh;
}

/* Before any task has it. One too short to be masked is no secret. */
static void mask_pairs(const struct provisions *p, const struct settings_pairs *pairs)
{
    for (size_t i = 0; i < pairs->len; i++)
        (void)mask_add(p->daemon->mask, pairs->items[i].value, strlen(pairs->items[i].value));
}

/* ---- artifacts ---- */

static void look_at_places(struct provisions *p)
{
    struct strv missing = { 0 };

    policy_find_missing(&p->daemon->settings, &p->manifest.mcp_places, &missing);
    for (size_t i = 0; i < missing.len; i++)
        log_warning("mcp_host_not_allowed", "host", missing.items[i], "text",
                    "an MCP server that the control plane or the gateway provides is there, and "
                    "tasks can't reach it: add it to sandbox.network.allow (mode allowlist), or "
                    "leave it so");
    strv_done(&p->missing);
    p->missing = missing;
}

/* ---- answers ---- */

static void set_error(struct source *s, const char *error)
{
    free(s->error);
    s->error = mem_strdup(error);
}

/* Asked, answered, and done with. next_ms: when to ask again; 0: not before HUP. */
static void settle(struct source *s, uint64_t next_ms)
{
    struct provisions *p = s->owner;

    s->asked = false;
    s->settled = true;
    s->backoff.failures = 0;
    set_error(s, NULL);
    if (s->again)
        ask(s);
    else if (next_ms > 0)
        loop_timer_arm(s->timer, next_ms);
    open_when_settled(p);
}

/* To be tried again. */
static void fail(struct source *s, const char *error, uint32_t retry_after_ms)
{
    uint32_t wait_ms = backoff_next(&s->backoff, random_u32(), retry_after_ms);
    char span[32];

    s->asked = false;
    if (!str_eq(s->error, error)) /* once for each reason */
        log_warning("provisions_failed", "what", names[s->kind], "error", error, "retry_in",
                    clock_span(span, wait_ms), "text", "what there is stays in use");
    set_error(s, error);
    if (s->again)
        ask(s);
    else
        loop_timer_arm(s->timer, wait_ms);
}

/* A task may print one that has been replaced since, so some are kept. */
static void mask_token(struct provisions *p, const struct provision_token *token)
{
    const char *value = token->pair.len > 0 ? token->pair.items[0].value : NULL;

    if (!value || (p->tokens.len > 0 && str_eq(p->tokens.items[p->tokens.len - 1], value)))
        return;
    (void)mask_add(p->daemon->mask, value, strlen(value)); /* one too short is no secret */
    strv_add(&p->tokens, value);
    if (p->tokens.len > TOKENS_MAX) {
        char *oldest = p->tokens.items[0];

        mask_drop(p->daemon->mask, oldest, strlen(oldest));
        secret_wipe(oldest, strlen(oldest));
        free(oldest);
        p->tokens.len--;
        memmove(p->tokens.items, p->tokens.items + 1, p->tokens.len * sizeof p->tokens.items[0]);
    }
}

static void forget_tokens(struct provisions *p)
{
    for (size_t i = 0; i < p->tokens.len; i++)
        secret_wipe(p->tokens.items[i], strlen(p->tokens.items[i]));
    strv_done(&p->tokens);
}

static void take_token(struct source *s, const struct upstream_document *document)
{
    struct provisions *p = s->owner;
    struct provision_token token = { 0 };
    struct err err = { 0 };
    uint64_t next_ms;
    char when[32];

    if (document->ok && provision_read_token(document->body, document->len, &token, &err) < 0) {
        fail(s, err.text, 0);
        return;
    }
    mask_token(p, &token);
    provision_token_done(&p->token);
    p->token = token;
    apply_variables(p);
    next_ms = provision_refresh_in_ms(token.expires_ms, clock_wall_ms(), REFRESH_MIN_MS);
    if (token.pair.len > 0)
        log_info("token", "variable", token.pair.items[0].name, "expires_at",
                 token.expires_ms ? clock_rfc3339(when, token.expires_ms) : NULL);
    settle(s, next_ms);
}

static void take_env(struct source *s, const struct upstream_document *document)
{
    struct provisions *p = s->owner;
    struct provision_env env = { 0 };
    struct err err = { 0 };

    if (document->ok && provision_read_env(document->body, document->len, &env, &err) < 0) {
        fail(s, err.text, 0);
        return;
    }
    for (size_t i = 0; i < env.problems.len; i++)
        log_warning("variable_bad", "text", env.problems.items[i]);
    mask_pairs(p, &env.pairs);
    provision_env_done(&p->env);
    p->env = env;
    apply_variables(p);
    if (env.pairs.len > 0)
        log_info("variables", "count", LOG_N(env.pairs.len));
    settle(s, 0);
}

static void on_installed(const struct installer_result *result, void *ctx)
{
    struct source *s = ctx;
    struct provisions *p = s->owner;

    if (!result->ok) {
        fail(s, result->error, result->retry_after_ms);
        return;
    }
    manifest_done(&p->manifest);
    p->manifest = *result->manifest;
    *result->manifest = (struct manifest){ 0 };
    p->is_shown = true;
    manifest_suit(&p->manifest, &p->daemon->settings); /* which may be new */
    look_at_places(p);
    log_info("artifacts", "rules", LOG_N(p->manifest.rules), "skills", LOG_N(p->manifest.skills),
             "mcp_servers", LOG_N(p->manifest.mcp_servers), "left_out",
             LOG_N(p->manifest.problems.len));
    if (result->error) {
        s->settled = true; /* what there is, is there */
        open_when_settled(p);
        fail(s, result->error, result->retry_after_ms);
    } else {
        settle(s, 0);
    }
}

static void take_artifacts(struct source *s, const struct upstream_document *document)
{
    struct provisions *p = s->owner;
    struct provision_files files = { 0 };
    bool tired = s->backoff.failures >= INSIST_AFTER;
    struct err err = { 0 };

    if (document->ok && provision_read_files(document->body, document->len, &files, &err) < 0) {
        fail(s, err.text, 0);
        return;
    }
    /* nothing, and nothing before: no set is needed for that */
    if (files.len == 0 && files.problems.len == 0 && !p->is_shown &&
        !policy_gateway(&p->daemon->settings)) {
        provision_files_done(&files);
        settle(s, 0);
        return;
    }
    installer_start(p->installer, &files, tired, tired && !p->is_shown, on_installed, s);
}

static void on_document(const struct upstream_document *document, void *ctx)
{
    static void (*const take[KIND_COUNT])(struct source *, const struct upstream_document *) = {
        [TOKEN] = take_token, [ENV] = take_env, [ARTIFACTS] = take_artifacts
    };
    struct source *s = ctx;

    if (!document->ok && !document->none) {
        fail(s, document->text, document->retry_after_ms);
        return;
    }
    if (document->none && !s->none)
        log_info("provisions_none", "what", names[s->kind], "text",
                 "the server provides nothing of it");
    s->none = document->none;
    if (document->none && !document->is_json && s->kind == ARTIFACTS && s->owner->is_shown) {
        settle(s, 0); /* some page on the way: what is there isn't thrown away for that */
        return;
    }
    take[s->kind](s, document);
}

/* Its CLI has a login of its own then. */
static bool is_self_hosted(const struct daemon *d)
{
    static const char *const prefixes[] = { "nairid_", "eksecd_", "ccagent_" };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts_with(secret_text(d->key.key), prefixes[i]))
            return true;
    return false;
}

static void ask(struct source *s)
{
    struct daemon *d = s->owner->daemon;

    loop_timer_stop(s->timer);
    s->again = s->asked;
    if (s->asked)
        return;
    if (s->kind == TOKEN &&
        (is_self_hosted(d) || !str_is_empty(d->settings.sandbox_network_proxy))) {
        provision_token_done(&s->owner->token);
        apply_variables(s->owner);
        settle(s, 0);
        return;
    }
    s->asked = true;
    upstream_get(d->upstream, names[s->kind], PROVISION_ANSWER_MAX, on_document, s);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* one-shot */
    ask(ctx);
}

void provisions_ask_again(struct provisions *p)
{
    apply_variables(p); /* the settings are new */
    manifest_suit(&p->manifest, &p->daemon->settings);
    look_at_places(p);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        p->sources[i].backoff.failures = 0;
        ask(&p->sources[i]);
    }
}

/* ---- what attempts are shown ---- */

static struct exhibit_stock stock_of(const struct provisions *p, struct shelf_set *set)
{
    const struct settings *settings = &p->daemon->settings;

    return (struct exhibit_stock){ .settings = settings,
                                   .rung = p->daemon->ground.rung,
                                   .gateway = policy_gateway(settings),
                                   .set = set,
                                   .manifest = &p->manifest };
}

void provisions_view(struct provisions *p, const struct runner *runner, struct exhibit *ret_view)
{
    const struct exhibit_stock stock = stock_of(p, p->is_shown ? shelf_hold(p->shelf) : NULL);

    exhibit_make(&stock, runner, ret_view);
}

void provisions_release(struct provisions *p, struct shelf_set *set)
{
    shelf_release(p->shelf, set);
}

/* ---- for people ---- */

static struct json *list_of(const struct strv *v)
{
    struct json *list = json_array();

    for (size_t i = 0; i < v->len; i++)
        json_push_str(list, v->items[i]);
    return list;
}

static void add_problems(const struct provisions *p, struct json *list)
{
    const struct strv *const problems[] = { &p->env.problems, &p->manifest.problems };
    const struct exhibit_stock stock = stock_of(p, NULL);

    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct source *s = &p->sources[i];
        AUTO_FREE char *text = mem_printf("%s: %s", names[i], s->error ? s->error : "");

        if (s->error)
            json_push_str(list, text);
    }
    for (size_t k = 0; k < ARRAY_SIZE(problems); k++)
        for (size_t i = 0; i < problems[k]->len; i++)
            json_push_str(list, problems[k]->items[i]);
    exhibit_find_unfit(&stock, list);
}

struct json *provisions_status(const struct provisions *p)
{
    const struct settings_pairs *pairs = &p->daemon->settings.runner_provided;
    struct json *root = json_object(), *variables = json_array(), *problems = json_array();
    bool settled = true;
    char when[32];

    for (size_t i = 0; i < KIND_COUNT; i++)
        settled &= p->sources[i].settled && !p->sources[i].asked && !p->sources[i].error;
    for (size_t i = 0; i < pairs->len; i++)
        json_push_str(variables, pairs->items[i].name);
    json_add_str(root, "state", settled ? "ready" : p->gate.is_open ? "fetching" : "awaited");
    json_add(root, "variables", variables);
    if (p->token.expires_ms > 0)
        json_add_str(root, "token_expires_at", clock_rfc3339(when, p->token.expires_ms));
    json_add_i64(root, "rules", (int64_t)p->manifest.rules);
    json_add_i64(root, "skills", (int64_t)p->manifest.skills);
    json_add_i64(root, "mcp_servers", (int64_t)p->manifest.mcp_servers);
    json_add(root, "hosts_not_allowed", list_of(&p->missing));
    add_problems(p, problems);
    json_add(root, "problems", problems);
    return root;
}

/* ---- archives ---- */

bool provisions_is_one(uint64_t task)
{
    return unpacker_is_one(task);
}

void provisions_output(struct provisions *p, const char *bytes, size_t len)
{
    installer_output(p->installer, bytes, len);
}

void provisions_exited(struct provisions *p, const struct spawner_exit *e)
{
    installer_exited(p->installer, e);
}

/* ---- the whole ---- */

struct provisions *provisions_new(struct daemon *d)
{
    struct provisions *p = mem_new(struct provisions);
    struct err doubt = { 0 };

    p->daemon = d;
    p->bound = loop_timer_new(d->loop, on_bound, p);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        p->sources[i] = (struct source){ .owner = p, .kind = (enum kind)i };
        p->sources[i].timer = loop_timer_new(d->loop, on_timer, &p->sources[i]);
        (void)backoff_init(&p->sources[i].backoff, RETRY_MS, RETRY_CAP_MS); /* they are in range */
    }
    p->shelf = shelf_new(d->settings.state_dir, &doubt);
    if (doubt.code < 0)
        log_warning("artifacts_unseen", "error", doubt.text, "text",
                    "the set that was there isn't used; what the server provides takes its place");
    return p;
}

int provisions_start(struct provisions *p, struct err *err)
{
    uint32_t most_ms = p->daemon->settings.server_request_timeout_ms;
    int r = installer_new(p->daemon, p->shelf, &p->installer, err);

    if (r < 0)
        return r;
    p->is_shown = installer_read(p->installer, &p->manifest);
    look_at_places(p);
    loop_timer_arm(p->bound, most_ms < WAIT_MS ? most_ms : WAIT_MS);
    return 0;
}

void provisions_ask(struct provisions *p)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        ask(&p->sources[i]);
}

void provisions_stop(struct provisions *p)
{
    if (!p)
        return;
    installer_free(p->installer);
    p->installer = NULL;
}

void provisions_free(struct provisions *p)
{
    if (!p)
        return;
    provisions_stop(p);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        loop_timer_free(p->sources[i].timer);
        free(p->sources[i].error);
    }
    loop_timer_free(p->bound);
    provision_token_done(&p->token);
    provision_env_done(&p->env);
    manifest_done(&p->manifest);
    forget_tokens(p);
    strv_done(&p->missing);
    shelf_free(p->shelf);
    gate_done(&p->gate);
    free(p);
}
