/* codex_report.h - one line of Codex as progress. Pure.
 * Source: Nairi messages, section "Progress", table "Codex". */
#pragma once
#include "runner/runner.h"

struct json;

/* An item of an item.started, item.updated or item.completed line: type is the part behind the
 * point. */
void codex_report_item(const struct json *item, const char *type, runner_event_fn fn, void *ctx);
/* A retry, by the words of its line, or that the turn failed. */
void codex_report_step(const char *summary, const char *status, runner_event_fn fn, void *ctx);
