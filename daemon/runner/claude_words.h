/* claude_words.h - what to tell a person in a chat when Claude Code failed: the cause, what they or
 * the operator of the machine can do, and the program's own words. Pure; one table. */
#pragma once
#include "runner/words.h"

/* Of what the result line says; kind is its subtype ("success", "error_max_turns", ...), code that
 * of the last failed call ("rate_limit", "billing_error", ...). Allocated. *ret_session_gone: there
 * is no such conversation to go on with. */
char *claude_words(const struct words_failure *failure, bool *ret_session_gone);
/* The same from standard error, for a run that printed no result; NULL where that says nothing. */
char *claude_words_stderr(const char *tail, bool *ret_session_gone);
