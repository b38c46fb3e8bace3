/* claude_stream.h - what Claude Code prints with --output-format stream-json: one JSON object a
 * line, the last of them (type "result") the answer or the failure. Pure; a struct runner's parser.
 * Progress: Nairi messages, section "Progress", table "Claude"; besides, a step for each retry of
 * the API, for thinking, and for a conversation being compacted. Lines that aren't JSON are
 * skipped and kept for the error. */
#pragma once
#include "runner/runner.h"

struct runner_parser *claude_stream_new(const struct settings *settings, const char *session);
void claude_stream_feed(struct runner_parser *p, const char *bytes, size_t len, runner_event_fn fn,
                        void *ctx);
void claude_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                          struct runner_result *ret_result);
void claude_stream_free(struct runner_parser *p);
