#include "main/reach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "main/switchboard.h"
#include "main/terminal.h"
#include "net/http.h"
#include "settings/settings.h"
#include "settings/url.h"
#include "task/mcp.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/utf8.h"

enum { TIMEOUT_MS = 15 * 1000, RESPONSE_MAX_BYTES = 1024 * 1024, WORDS_MAX = 160 };

struct question {
    struct loop *loop;
    struct reach *reach;
    const char *base;
};

static enum reach_verdict classify(int status, bool is_json)
{
    if (status == 429 || status == 503)
        return REACH_BUSY;
    if (!is_json)
        return REACH_DOWN;
    if (status == 200)
        return REACH_OK;
    if (status == 401 || status == 403)
        return REACH_KEY_REFUSED;
    return status == 404 || status == 405 ? REACH_UNVERIFIED : REACH_DOWN;
}

/* What a server says for itself is its own: cleaned, and not longer than a line. */
static void append_words(struct reach *r, const struct json *body)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    const char *said = json_get_str(body, "error");
    size_t len = strlen(r->text);

    if (str_is_empty(said))
        return;
    terminal_clean(&clean, said, strcspn(said, "\n"));
    snprintf(r->text + len, sizeof r->text - len, " (%.*s)",
             (int)utf8_cut(buf_str(&clean), clean.len, WORDS_MAX), buf_str(&clean));
}

static void on_answer(const struct http_response *response, void *ctx)
{
    const struct question *q = ctx;
    struct reach *r = q->reach;
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct err why = { 0 };

    loop_stop(q->loop);
    if (response->outcome != HTTP_DONE) {
        snprintf(r->text, sizeof r->text, "%s", response->error);
        return;
    }
    if (json_parse(response->body, response->body_len, &body, &why) == -ENOMEM) {
        snprintf(r->text, sizeof r->text, "%s", why.text);
        return;
    } /* else without body: no JSON */
    r->verdict = classify(response->status, json_is_object(body));
    if (response->date_ms > 0)
        r->skew_ms = response->date_ms - clock_wall_ms();
    if (r->verdict == REACH_OK)
        snprintf(r->text, sizeof r->text, "%s takes the key", q->base);
    else
        snprintf(r->text, sizeof r->text, "%s answered HTTP %d%s", q->base, response->status,
                 body ? "" : " without JSON: is server.url that of a Nairi server?");
    if (r->verdict != REACH_OK)
        append_words(r, body);
}

static int ask(struct question *q, const struct settings *s, const struct secret *key,
               struct http **ret_http, struct err *err)
{
    const struct http_options options = { .user_agent = "nairid/" NAIRID_VERSION,
                                          .ca_file = s->server_ca_file,
                                          .proxy = s->server_proxy };
    AUTO_FREE char *url = mem_printf("%s/api/agents/env", q->base);
    AUTO_FREE char *agent = mem_printf("X-AGENT-ID: %s", s->agent_id);
    char *authorization;
    int r = http_new(q->loop, &options, ret_http, err);

    if (r < 0)
        return r;
    authorization = mem_printf("Authorization: Bearer %s", secret_text(key));
    http_start(*ret_http,
               &(struct http_request){
                   .method = "GET",
                   .url = url,
                   .headers = (const char *const[]){ authorization, "Accept: application/json",
                                                     s->agent_from_repo ? NULL : agent, NULL },
                   .timeout_ms = TIMEOUT_MS,
                   .max_response_bytes = RESPONSE_MAX_BYTES,
               },
               on_answer, q);
    secret_wipe(authorization, strlen(authorization));
    free(authorization);
    loop_run(q->loop);
    return 0;
}

void reach_ask(const struct settings *s, const struct secret *key, struct reach *ret_reach)
{
    AUTO_FREE char *base = url_normal(s->server_url);
    struct question q = { .reach = ret_reach, .base = base };
    struct http *http = NULL;
    struct err err = { 0 };
    int r = loop_new(&q.loop, &err);

    *ret_reach = (struct reach){ .verdict = REACH_DOWN };
    if (r == 0)
        r = ask(&q, s, key, &http, &err);
    if (r < 0)
        snprintf(ret_reach->text, sizeof ret_reach->text, "%s", err.text);
    http_free(http);
    loop_free(q.loop);
}

/* ---- an MCP gateway ---- */

struct inquiry {
    struct loop *loop;
    const char *url;
    struct mcp *mcp;
    struct strv *problems;
    struct err *err;
    int result;
};

static void on_servers(const struct switchboard_answer *answer, void *ctx)
{
    struct inquiry *q = ctx;

    loop_stop(q->loop);
    if (answer->error)
        q->result = err_set(q->err, -EHOSTUNREACH, "%s", answer->error);
    else
        q->result = mcp_add_gateway(q->mcp, q->url, answer->body, answer->len, q->problems, q->err);
    if (!answer->error && q->result < 0)
        err_prefix(q->err, "the MCP gateway %s (runner.mcp_gateway) has no list of servers",
                   q->url);
}

int reach_gateway(const struct settings *s, const char *url, struct strv *problems, struct err *err)
{
    CLEANUP_PTR(mcp_free) struct mcp *mcp = mcp_new();
    struct inquiry q = { .url = url, .mcp = mcp, .problems = problems, .err = err };
    struct switchboard *board;
    int r = loop_new(&q.loop, err);

    if (r < 0)
        return r;
    board = switchboard_new(q.loop, s);
    r = switchboard_ask(board, url, on_servers, &q, err);
    if (r == 0)
        loop_run(q.loop);
    switchboard_free(board);
    loop_free(q.loop);
    if (r == 0)
        r = q.result;
    return r < 0 ? r : (int)mcp_len(mcp); /* bounded */
}
