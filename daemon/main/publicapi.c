#include "main/publicapi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main/clientenv.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/json.h"
#include "util/mem.h"
#include "util/str.h"

#define PREFIX "/api/public/v1"

enum {
    TIMEOUT_MS = 30 * 1000, /* of a request, or of silence while a file is on its way */
    FILE_TIMEOUT_MS = 6 * 60 * 60 * 1000,
    RESPONSE_MAX_BYTES = 64 * 1024 * 1024, /* a long conversation with all its progress */
};

struct publicapi {
    struct http *http;
    struct http_call *call; /* NULL: none in flight */
    char *base;             /* with PREFIX, without a final slash */
    char *authorization;    /* a header line; wiped */
    bool has_sink;
    publicapi_fn fn;
    void *ctx;
};

/* Whether the URL's host is this machine by name or number. */
static bool is_loopback(const char *url)
{
    static const char *const hosts[] = { "localhost", "[::1]" };
    const char *host = strstr(url, "://");

    if (!host)
        return false;
    host += strlen("://");
    if (str_starts_with(host, "127."))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        size_t len = strlen(hosts[i]);

        if (strncmp(host, hosts[i], len) == 0 && strchr(":/", host[len]))
            return true;
    }
    return false;
}

/* Also takes a URL that has the prefix already, as in the service's examples. */
static char *make_base(const char *url)
{
    AUTO_FREE char *base = mem_strdup(url);
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        base[--len] = '\0';
    if (str_ends_with(base, PREFIX))
        return TAKE_PTR(base);
    return mem_printf("%s" PREFIX, base);
}

int publicapi_new(struct loop *loop, const struct clientenv *client, struct publicapi **ret_api,
                  struct err *err)
{
    const struct http_options options = {
        .user_agent = "nairid/" NAIRID_VERSION,
        .proxy = is_loopback(client->url) ? "" : NULL,
        .url_name = "NAIRI_API_URL",
        .max_connections = 1,
    };
    struct publicapi *api;
    struct http *http = NULL;
    int r;

    if (!str_starts_with(client->url, "http://") && !str_starts_with(client->url, "https://"))
        return err_set(err, -EINVAL, "NAIRI_API_URL is '%s': want http://HOST or https://HOST",
                       client->url);
    r = http_new(loop, &options, &http, err);
    if (r < 0)
        return r;
    api = mem_new(struct publicapi);
    api->http = http;
    api->base = make_base(client->url);
    api->authorization = mem_printf("Authorization: Bearer %s", secret_text(client->key));
    *ret_api = api;
    return 0;
}

/* What the server says for a person: {"error": "..."}; NULL if it says nothing. */
static const char *error_text(const struct json *body)
{
    return json_get_str(body, "error");
}

static enum publicapi_verdict classify(int status, bool is_json)
{
    if (status >= 200 && status < 300)
        return is_json ? PUBLICAPI_OK : PUBLICAPI_DOWN;
    if (status == 429 || status == 503)
        return PUBLICAPI_BUSY;
    if (!is_json) /* a proxy's page, say */
        return PUBLICAPI_DOWN;
    if (status == 401 || status == 403)
        return PUBLICAPI_KEY_REFUSED;
    if (status == 404)
        return PUBLICAPI_UNKNOWN_ID;
    if (status >= 400 && status < 500 && status != 408)
        return PUBLICAPI_REFUSED;
    return PUBLICAPI_DOWN;
}

static void describe(struct publicapi_answer *a, const struct publicapi *api,
                     const struct http_response *response, const struct json *body,
                     char text[ERR_TEXT_MAX])
{
    const char *said = error_text(body);

    switch (a->verdict) {
    case PUBLICAPI_OK:
    case PUBLICAPI_VERDICT_COUNT:
        text[0] = '\0';
        break;
    case PUBLICAPI_KEY_REFUSED:
        snprintf(text, ERR_TEXT_MAX, "%s refused the key (HTTP %d%s%s): check NAIRI_PUBLIC_API_KEY",
                 api->base, response->status, said ? ", " : "", said ? said : "");
        break;
    case PUBLICAPI_UNKNOWN_ID:
    case PUBLICAPI_REFUSED:
    case PUBLICAPI_BUSY:
    case PUBLICAPI_DOWN:
        if (response->outcome != HTTP_DONE)
            snprintf(text, ERR_TEXT_MAX, "%s", response->error);
        else if (said)
            snprintf(text, ERR_TEXT_MAX, "%s (HTTP %d)", said, response->status);
        else
            snprintf(text, ERR_TEXT_MAX, "%s answered HTTP %d%s", api->base, response->status,
                     body ? "" : " and no JSON: is that a Nairi server?");
        break;
    }
    a->text = text;
}

static void on_done(const struct http_response *response, void *ctx)
{
    struct publicapi *api = ctx;
    CLEANUP_PTR(json_free) struct json *body = NULL;
    struct publicapi_answer answer = { .verdict = PUBLICAPI_DOWN,
                                       .retry_after_ms = response->retry_after_ms };
    struct err why = { 0 };
    char text[ERR_TEXT_MAX];
    int r = 0;

    api->call = NULL;
    if (response->outcome == HTTP_DONE) {
        r = json_parse(response->body, response->body_len, &body, &why); /* < 0: no JSON */
        answer.verdict = api->has_sink && response->status == 200
                             ? PUBLICAPI_OK
                             : classify(response->status, json_is_object(body));
        answer.body = body;
    }
    describe(&answer, api, response, body, text);
    if (r == -ENOMEM)
        answer.text = why.text;
    api->fn(&answer, api->ctx);
}

/* The URL and the headers are filled in here. */
static void start(struct publicapi *api, const char *path, struct http_request *request,
                  publicapi_fn fn, void *ctx)
{
    AUTO_FREE char *url = mem_printf("%s%s", api->base, path);
    const char *const headers[] = { api->authorization, "Accept: application/json",
                                    request->body ? "Content-Type: application/json" : NULL, NULL };

    request->url = url;
    request->headers = headers;
    api->has_sink = request->sink != NULL;
    api->fn = fn;
    api->ctx = ctx;
    api->call = http_start(api->http, request, on_done, api);
}

void publicapi_call(struct publicapi *api, const char *method, const char *path, const char *body,
                    publicapi_fn fn, void *ctx)
{
    struct http_request request = {
        .method = method,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = TIMEOUT_MS,
        .max_response_bytes = RESPONSE_MAX_BYTES,
    };

    start(api, path, &request, fn, ctx);
}

void publicapi_upload(struct publicapi *api, const char *path, const struct http_form *form,
                      publicapi_fn fn, void *ctx)
{
    struct http_request request = {
        .method = "POST",
        .form = form,
        .timeout_ms = FILE_TIMEOUT_MS,
        .stall_ms = TIMEOUT_MS,
        .max_response_bytes = RESPONSE_MAX_BYTES,
    };

    start(api, path, &request, fn, ctx);
}

void publicapi_download(struct publicapi *api, const char *path, http_sink_fn sink, void *sink_ctx,
                        publicapi_fn fn, void *ctx)
{
    struct http_request request = {
        .method = "GET",
        .timeout_ms = FILE_TIMEOUT_MS,
        .stall_ms = TIMEOUT_MS,
        .max_response_bytes = SIZE_MAX / 4, /* as much as there is room for on the disk */
        .sink = sink,
        .sink_ctx = sink_ctx,
    };

    start(api, path, &request, fn, ctx);
}

char *publicapi_curl(const struct publicapi *api, const char *method, const char *path)
{
    return mem_printf("curl -X %s -H \"Authorization: Bearer $NAIRI_PUBLIC_API_KEY\" %s%s", method,
                      api->base, path);
}

void publicapi_free(struct publicapi *api)
{
    if (!api)
        return;
    if (api->call)
        http_cancel(api->call);
    http_free(api->http);
    secret_wipe(api->authorization, strlen(api->authorization));
    free(api->authorization);
    free(api->base);
    free(api);
}
