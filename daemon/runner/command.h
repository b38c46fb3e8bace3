/* command.h - the runner for any command: argv from the settings, the prompt on standard input,
 * standard output is the reply, its last line so far the progress. */
#pragma once
#include "runner/runner.h"

extern const struct runner runner_command;
