/* codex_words.h - what to tell a person in a chat when Codex failed: the cause, what they or the
 * operator of the machine can do, and the program's own words. Pure; one table. */
#pragma once
#include "runner/words.h"

/* message: of turn.failed, valid UTF-8 or NULL. Allocated. *ret_session_gone: there is no such
 * conversation to go on with. */
char *codex_words(const char *message, bool *ret_session_gone);
/* The same from standard error, for a run that printed no end; NULL where that says nothing. */
char *codex_words_stderr(const char *tail, bool *ret_session_gone);
