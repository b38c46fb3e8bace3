/* reach.h - one question to the control plane that changes nothing there: is it there, does it take
 * the key, what time does it have. A poll would not do: it takes leases.
 * Source: Nairi agents API, endpoint 2 (GET /api/agents/env). */
#pragma once
#include "util/err.h"
#include <stdint.h>

struct secret;
struct settings;
struct strv;

enum reach_verdict {
    REACH_OK,
    REACH_UNVERIFIED,  /* a server answers, but not this question: the key may be right or wrong */
    REACH_BUSY,        /* 429, 503: it is there, and that is all it says */
    REACH_KEY_REFUSED, /* 401, 403 with a JSON body */
    REACH_DOWN,        /* not reached, or what answers is no such server */
    REACH_VERDICT_COUNT
};

struct reach {
    enum reach_verdict verdict;
    char text[ERR_TEXT_MAX]; /* a sentence */
    int64_t skew_ms;         /* the server's clock minus ours; 0 where it says no time */
};

/* Runs a loop of its own until the answer is there, 15 s at most. */
void reach_ask(const struct settings *s, const struct secret *key, struct reach *ret_reach);
/* The same to an MCP gateway, at most for server.request_timeout: how many servers it has, or a
 * negative errno with a sentence. What of its answer can't be used is added to problems. */
int reach_gateway(const struct settings *s, const char *url, struct strv *problems,
                  struct err *err);
