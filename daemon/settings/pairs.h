/* pairs.h - struct settings_pairs: NAME and value, in the order of the file. Pure. */
#pragma once
#include <stdbool.h>

struct settings_pairs;

void pairs_add(struct settings_pairs *p, const char *name, const char *value); /* copies */
/* The value of name, borrowed, or NULL. */
const char *pairs_find(const struct settings_pairs *p, const char *name);
bool pairs_equal(const struct settings_pairs *a, const struct settings_pairs *b);
void pairs_done(struct settings_pairs *p);
