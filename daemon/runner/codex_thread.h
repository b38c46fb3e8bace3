/* codex_thread.h - a conversation of Codex's as it is remembered between messages: its thread's id
 * and, as Codex counts tokens from the beginning of a thread on, what was counted before. Pure, a
 * plain value. As text, which fits RUNNER_SESSION_MAX: the id, or the id and four numbers to base
 * 36, with underscores between. */
#pragma once
#include "task/usage.h"
#include <stdbool.h>

enum { CODEX_THREAD_ID_MAX = 36, CODEX_THREAD_TEXT_MAX = 65 };

struct codex_thread {
    char id[CODEX_THREAD_ID_MAX + 1]; /* a UUID */
    struct usage counted;             /* tokens alone */
};

/* Whether id is a UUID in its usual form. Codex takes anything else for a name, and begins a new
 * thread where it knows no such. */
bool codex_thread_is_id(const char *id);
/* False where text is none. */
bool codex_thread_parse(const char *text, struct codex_thread *ret_thread);
/* What is counted too high for the text is left out of it. Returns text. */
const char *codex_thread_print(const struct codex_thread *t, char text[CODEX_THREAD_TEXT_MAX]);
