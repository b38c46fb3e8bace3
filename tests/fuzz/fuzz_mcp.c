/* Two MCP configs of the control plane, a zero byte between them: each counts whole or not at all,
 * and what is printed is read again with as many servers. Taken as a gateway's answer, they lead
 * nowhere but to the gateway. */
#include "support/replay.h"

#include <stdlib.h>
#include <string.h>

#include "settings/allow.h"
#include "support/input.h"
#include "task/mcp.h"
#include "util/err.h"
#include "util/json.h"

static void count(const char *value, void *ctx)
{
    size_t *bytes = ctx;

    *bytes += strlen(value);
}

static void add(struct mcp *m, const char *text)
{
    size_t before = mcp_len(m);
    struct err err = { 0 };
    int r = mcp_add(m, text, strlen(text), &err);

    FUZZ_CHECK(r == 0 ? mcp_len(m) > before : mcp_len(m) == before && err.text[0]);
    FUZZ_CHECK(mcp_len(m) <= MCP_SERVERS_MAX);
}

static void ask_gateway(const char *text)
{
    struct mcp *m = mcp_new();
    struct strv problems = { 0 }, places = { 0 };
    struct err err = { 0 };
    int r = mcp_add_gateway(m, "http://gw.lan:9/base", text, strlen(text), &problems, &err);

    FUZZ_CHECK(mcp_len(m) <= MCP_SERVERS_MAX && (r == 0) == !err.text[0]);
    mcp_places(m, &places);
    FUZZ_CHECK(places.len == (mcp_len(m) > 0));
    for (size_t i = 0; i < places.len; i++)
        FUZZ_CHECK(strcmp(places.items[i], "gw.lan:9") == 0);
    strv_done(&problems);
    strv_done(&places);
    mcp_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    char *one = input_until(&in, '\0'), *two = input_rest(&in), *text;
    struct mcp *m = mcp_new(), *again = mcp_new();
    struct strv places = { 0 };
    struct json *root = NULL;
    size_t bytes = 0;

    ask_gateway(one);
    ask_gateway(two);
    add(m, one);
    add(m, two);
    mcp_places(m, &places);
    for (size_t i = 0; i < places.len; i++) {
        struct allow a;

        FUZZ_CHECK(allow_parse(places.items[i], &a, NULL) == 0 && a.grants == 0);
    }
    mcp_each_secret(m, count, &bytes);
    text = mcp_print(m);
    if (mcp_len(m) > 0 && strlen(text) <= MCP_FILE_MAX) {
        (void)mcp_add(again, text, strlen(text), NULL); /* a name may have grown too long */
        FUZZ_CHECK(mcp_len(again) == 0 || mcp_len(again) == mcp_len(m));
    }
    free(text);
    text = mcp_print_opencode(m);
    FUZZ_CHECK(json_parse(text, strlen(text), &root, NULL) < 0 ||
               json_len(json_get(root, "mcp")) == mcp_len(m));
    json_free(root);
    free(text);
    text = mcp_print_codex(m);
    FUZZ_CHECK((mcp_len(m) > 0) == (strncmp(text, "[mcp_servers.\"", 14) == 0));
    free(text);
    strv_done(&places);
    mcp_free(m);
    mcp_free(again);
    free(one);
    free(two);
    return 0;
}
