/* codex_stream.h - what Codex prints with exec --json: one JSON object a line, of which
 * turn.completed and turn.failed are the end. Pure; a struct runner's parser. The answer is the
 * last agent_message before turn.completed; those before are remarks. Lines that aren't JSON are
 * skipped and kept for the error. Codex never gives up while its network is away: after
 * CODEX_STREAM_WAITS_MAX lines that say so, with nothing between, the turn counts as failed.
 * Progress: Nairi messages, section "Progress", table "Codex". */
#pragma once
#include "runner/runner.h"

enum { CODEX_STREAM_WAITS_MAX = 6 }; /* with growing pauses: about two minutes */

struct runner_parser *codex_stream_new(const struct settings *settings, const char *session);
void codex_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                       void *ctx);
void codex_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                         struct runner_result *ret_result);
void codex_stream_free(struct runner_parser *p);
