/* values.h - durations, sizes and percentages as people write them. Pure.
 * Parsing returns -EINVAL for anything that isn't one and -ERANGE for what 64 bits can't hold. */
#pragma once
#include <stdint.h>

struct buf;

enum { VALUES_TEXT_MAX = 32 };

/* "500ms", "50s", "1h30m", "7d": each unit (d h m s ms) at most once, the larger first; "0" needs
 * none. */
int values_duration(const char *text, uint64_t *ret_ms);
/* "256K", "64M", "4G", "1T" (powers of 1024; Ki and KiB mean the same), "100B"; "0" needs no unit.
 */
int values_size(const char *text, uint64_t *ret_bytes);
/* "200%". */
int values_percent(const char *text, uint64_t *ret_percent);

/* Back again, exactly, in as few units as can be. Return buffer. */
const char *values_duration_text(char buffer[VALUES_TEXT_MAX], uint64_t ms);
const char *values_size_text(char buffer[VALUES_TEXT_MAX], uint64_t bytes);
/* Text as it may stand in a YAML file: plain where nothing could misread it, otherwise quoted. What
 * isn't UTF-8 becomes U+FFFD. */
void values_word(struct buf *b, const char *text);
