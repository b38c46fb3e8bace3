/* opencode_stream.h - what OpenCode prints with `run --format json`: one JSON object a line, steps
 * of the model with what was said and done in them. The answer is what was said in the last step,
 * if that ended with reason "stop"; there is no line that ends the run. Pure; a struct runner's
 * parser.
 * Progress: Nairi messages, section "Progress", table "OpenCode". Lines that aren't JSON are
 * skipped and kept for the error. */
#pragma once
#include "runner/runner.h"

struct runner_parser *opencode_stream_new(const struct settings *settings, const char *session);
void opencode_stream_feed(struct runner_parser *p, const char *bytes, size_t len,
                          runner_event_fn fn, void *ctx);
void opencode_stream_finish(struct runner_parser *p, const struct runner_exit *end,
                            struct runner_result *ret_result);
void opencode_stream_free(struct runner_parser *p);
