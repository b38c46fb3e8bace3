/* claude.h - the runner for Claude Code: `claude -p`, the prompt on standard input, one JSON object
 * a line on standard output. How the program behaves was observed with version 2.1.197
 * (tests/fixtures/claude). Environment that it is given besides runner.env:
 * CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC and DISABLE_AUTOUPDATER; its key comes by
 * runner.secrets. */
#pragma once
#include "runner/runner.h"

extern const struct runner runner_claude;
