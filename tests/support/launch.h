/* launch.h - how a runner starts its program, for the tests of it. */
#pragma once
#include "runner/runner.h"

/* Fails the test where there is no start. To be freed with runner_start_done(). */
struct runner_start launch_with(const struct runner *runner, const struct settings *s,
                                const struct runner_turn *turn);
/* The arguments, with spaces between. */
void launch_assert_argv(const struct runner_start *start, const char *want);
/* The prompt, on standard input, and with it a brief; the workspace is to be written. */
void launch_assert_prompt(const struct runner_start *start, const char *want);
/* What its environment has of that name, of which the last one counts; NULL: nothing. */
const char *launch_env(const struct runner_start *start, const char *name);
/* A message without a word is no start, and the sentence says so. */
void launch_assert_empty_refused(const struct runner *runner, const struct settings *s);
