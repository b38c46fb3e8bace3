#include "main/switchboard.h"

#include <stdlib.h>

#include "net/http.h"
#include "settings/settings.h"
#include "task/mcp.h"
#include "util/mem.h"

struct switchboard {
    struct loop *loop;
    const struct settings *settings;
    struct http *http; /* NULL: nothing was asked yet */
    struct http_call *call;
    char *url;
    switchboard_fn fn;
    void *ctx;
};

struct switchboard *switchboard_new(struct loop *loop, const struct settings *s)
{
    struct switchboard *b = mem_new(struct switchboard);

    b->loop = loop;
    b->settings = s;
    return b;
}

void switchboard_cancel(struct switchboard *b)
{
    if (b->call)
        http_cancel(b->call);
    b->call = NULL;
}

void switchboard_free(struct switchboard *b)
{
    if (!b)
        return;
    http_free(b->http);
    free(b->url);
    free(b);
}

static void on_response(const struct http_response *response, void *ctx)
{
    struct switchboard *b = ctx;
    AUTO_FREE char *error = NULL;

    b->call = NULL;
    if (response->outcome != HTTP_DONE)
        error = mem_printf("the MCP gateway can't be asked: %s", response->error);
    else if (response->status != 200)
        error = mem_printf("the MCP gateway %s (runner.mcp_gateway) answers with status %d, and "
                           "not with a list of its servers: is that its URL?",
                           b->url, response->status);
    b->fn(&(struct switchboard_answer){ .error = error,
                                        .retry_after_ms = response->retry_after_ms,
                                        .body = response->body,
                                        .len = response->body_len },
          b->ctx);
}

static int open_http(struct switchboard *b, struct err *err)
{
    const struct http_options options = { .user_agent = "nairid/" NAIRID_VERSION,
                                          .ca_file = b->settings->server_ca_file,
                                          .proxy = "",
                                          .url_name = "runner.mcp_gateway" };

    return b->http ? 0 : http_new(b->loop, &options, &b->http, err);
}

int switchboard_ask(struct switchboard *b, const char *url, switchboard_fn fn, void *ctx,
                    struct err *err)
{
    static const char *const headers[] = { "Accept: application/json", NULL };
    AUTO_FREE char *whole = mem_printf("%s/servers", url);
    int r = open_http(b, err);

    if (r < 0)
        return r;
    free(b->url);
    b->url = mem_strdup(url);
    b->fn = fn;
    b->ctx = ctx;
    b->call = http_start(b->http,
                         &(struct http_request){
                             .method = "GET",
                             .url = whole,
                             .headers = headers,
                             .timeout_ms = b->settings->server_request_timeout_ms,
                             .max_response_bytes = MCP_FILE_MAX,
                         },
                         on_response, b);
    return 0;
}
