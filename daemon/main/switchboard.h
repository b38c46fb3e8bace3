/* switchboard.h - asks an MCP gateway for its servers: GET URL/servers, directly (as tasks do) and
 * without a key. Its answer is nobody's to trust: task/mcp.h reads it.
 * Source: Nairi, "Provisioned artifacts", AGENT_MCP_PROXY. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct settings;
struct switchboard;

struct switchboard_answer {
    const char *error; /* a sentence, or NULL: it answered */
    uint32_t retry_after_ms;
    const char *body; /* borrowed for the call, as text */
    size_t len;
};
typedef void (*switchboard_fn)(const struct switchboard_answer *answer, void *ctx);

/* Both outlive it. */
struct switchboard *switchboard_new(struct loop *loop, const struct settings *s);
void switchboard_free(struct switchboard *b);
DEFINE_CLEANUP(struct switchboard *, switchboard_free);
/* One question at a time. url: a base URL without a slash at its end. Negative errno with a
 * sentence where it can't be asked at all, then fn isn't called; it never is before this returns.
 */
int switchboard_ask(struct switchboard *b, const char *url, switchboard_fn fn, void *ctx,
                    struct err *err);
void switchboard_cancel(struct switchboard *b);
