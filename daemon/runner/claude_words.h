/* claude_words.h - what to tell a person in a chat when Claude Code failed: the cause, what they or
 * the operator of the machine can do, and the program's own words. Pure; one table. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* What the result line says; strings are borrowed, NULL where it says nothing. */
struct claude_failure {
    const char *subtype; /* "success", "error_max_turns", ... */
    const char *code;    /* of the last failed API call: "rate_limit", "billing_error", ... */
    int64_t status;      /* of that call in HTTP; 0: there was no answer */
    const char *words;   /* valid UTF-8 */
};

/* Allocated. *ret_session_gone: there is no such conversation to go on with. */
char *claude_words(const struct claude_failure *failure, bool *ret_session_gone);
/* The same from standard error, for a run that printed no result; NULL where that says nothing. */
char *claude_words_stderr(const char *tail, bool *ret_session_gone);
