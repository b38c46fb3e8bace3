/* heritage.h - which settings of the present daemon were found, and what they mean here: a sentence
 * for each, for `nairid check` and the log.
 * Source: Nairi agents API, sections "Environment variables" and "Command line". */
#pragma once
#include "util/strv.h"

struct settings;
struct settings_input;

struct heritage {
    struct strv meant; /* what it sets here */
    struct strv idle;  /* what has no effect, or another one, with what to do */
};

/* env: as settings_load() reads it, with the ".env". For settings.c; frees nothing. */
void heritage_find(const struct settings_input *in, const char *const *env,
                   const struct settings *s, struct heritage *ret_heritage);
void heritage_done(struct heritage *h);
