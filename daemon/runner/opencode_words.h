/* opencode_words.h - what to tell a person in a chat when OpenCode failed: the cause, what they or
 * the operator of the machine can do, and the program's own words. Pure; one table. */
#pragma once
#include "runner/words.h"

/* Of what its line of type "error" says; kind is the error's name ("APIError",
 * "ContextOverflowError", ...). Allocated. */
char *opencode_words(const struct words_failure *failure);
/* For a run that printed neither an answer nor an error: from the end of standard error. Allocated;
 * NULL where that says nothing. *ret_session_gone: there is no such conversation to go on with. */
char *opencode_words_stderr(const char *tail, bool *ret_session_gone);
/* For one that ended by itself in the middle of its work. reason: of its last step, "" where there
 * was none. rejected: the tool that it was not allowed to use, NULL for none. Allocated. */
char *opencode_words_unfinished(const char *reason, const char *rejected, const char *stderr_tail);
