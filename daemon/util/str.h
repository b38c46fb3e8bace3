/* str.h - strings: comparing, numbers, nearest names. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_is_empty(const char *s);          /* NULL or "" */
bool str_starts_with(const char *s, const char *prefix);
bool str_ends_with(const char *s, const char *suffix);
/* Whole string as a decimal number; -EINVAL for anything else (sign, space, hex), -ERANGE above
 * max. */
int str_to_u64(const char *s, uint64_t max, uint64_t *ret_n);
/* The decimal form, for log fields: str_u64((char[24]){ 0 }, n). Returns buffer. */
const char *str_u64(char buffer[24], uint64_t n);
/* The entry of names (count of them) nearest to word by edit distance, or NULL if none is within a
 * third of the longer length. Borrowed from names. */
const char *str_nearest(const char *word, const char *const *names, size_t count);
