/* variables.h - settings that come from the environment. Pure: the environment is an argument. */
#pragma once
#include <stdbool.h>

struct strv;
struct table_row;

/* The value of name, or NULL if it is unset or empty. Borrowed from env. */
const char *variables_get(const char *const *env, const char *name);
/* The value for a row: its own variable first, then the legacy ones; NULL if there is none.
 * ret_name: which variable it was, borrowed from env or from the caller's buffer. */
const char *variables_for(const char *const *env, const struct table_row *row, char *buffer,
                          const char **ret_name);
/* Whether a name is the daemon's own, or that of the present one, which no task gets to see: the
 * settings, the keys, and what the present daemon keeps from its programs.
 * Source: Nairi agents API, sections "Environment variables" and "CLI agents, common". */
bool variables_are_ours(const char *name);
/* A sentence for each variable that begins with NAIRID_ and means nothing to us. */
void variables_unknown(const char *const *env, struct strv *warnings);
