/* codex_report.h - one line of Codex as progress. Pure.
 * Source: Nairi messages, section "Progress", table "Codex". */
#pragma once
#include "runner/runner.h"

struct json;

/* An item of an item.started, item.updated or item.completed line: type is the part behind the
 * point. */
void codex_report_item(const struct json *item, const char *type, runner_event_fn fn, void *ctx);
