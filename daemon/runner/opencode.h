/* opencode.h - the runner for OpenCode: `opencode run --format json`, the prompt on standard input,
 * one JSON object a line on standard output. How the program behaves was observed with version
 * 1.18.33 (tests/fixtures/opencode).
 * It is told by OPENCODE_CONFIG_CONTENT, which stands above all configuration that a task could
 * write into its workspace or home: where the model is, what needs no question, where the system
 * prompt and the rules are. MCP servers come in a file that OPENCODE_CONFIG names. */
#pragma once
#include "runner/runner.h"

extern const struct runner runner_opencode;
