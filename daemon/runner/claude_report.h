/* claude_report.h - one line of Claude Code as progress. Pure.
 * Source: Nairi messages, section "Progress", table "Claude". */
#pragma once
#include "runner/runner.h"
#include "runner/toolcalls.h"

struct json;

struct claude_report {
    struct toolcalls *calls; /* remembers and recalls */
    runner_event_fn fn;
    void *ctx;
};

/* Lines of these types; whatever else the line is. */
void claude_report_assistant(const struct claude_report *r, const struct json *line);
void claude_report_user(const struct claude_report *r, const struct json *line);
void claude_report_tool_progress(const struct claude_report *r, const struct json *line);
void claude_report_system(const struct claude_report *r, const struct json *line);
