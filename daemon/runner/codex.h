/* codex.h - the runner for OpenAI's Codex: `codex exec --json`, the prompt on standard input, one
 * JSON object a line on standard output. How the program behaves was observed with version 0.169.0
 * (tests/fixtures/codex). All that it is told stands in its arguments (-c KEY=VALUE), which go
 * before what any file says: nothing that a task leaves in its home changes where it asks its model
 * or how it is run. Its own sandbox can't be made within ours, and is off. */
#pragma once
#include "runner/runner.h"

extern const struct runner runner_codex;
