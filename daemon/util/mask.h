/* mask.h - keeps known secret values out of what leaves us.
 * Holds the values (in wiped memory) and finds them as they are and in their usual encodings:
 * base64 and base64url at each of the three offsets (also broken into lines of 64 or 76), hex in
 * any of the forms that dumps give it (util/hexmask.h), percent-encoding, and JSON string escapes,
 * once and twice. Of a value with several lines, such as a private key, each line of 16 bytes or
 * more counts too, but not those that begin with "-----". A value shorter than MASK_MIN is refused:
 * masking it would shred ordinary text.
 * Time goes with the length of the text, not with the number of values.
 * Several threads may mask, add and drop. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>

struct buf;
struct mask;

enum { MASK_MIN = 8 };

struct mask *mask_new(void);
/* 0, or -EINVAL if the value is shorter than MASK_MIN. The same value twice is kept once. */
int mask_add(struct mask *m, const char *value, size_t len);
/* No longer, once it has been dropped as often as it was added: for values that others replace all
 * the time. What a task may still print is not to be dropped. */
void mask_drop(struct mask *m, const char *value, size_t len);
/* Hands out all that is looked for as a string of bytes: not hex. For those who look by themselves,
 * as in a stream; borrowed for the call. */
typedef void (*mask_fn)(const char *bytes, size_t len, void *ctx);
void mask_each(const struct mask *m, mask_fn fn, void *ctx);
/* Replaces each hit in b (or several that overlap) by "[secret]". Returns how many there were. m
 * may be NULL. */
size_t mask_apply(const struct mask *m, struct buf *b);
/* The same for a text that was cut at its end: 8 bytes or more there that are the beginning of a
 * value count as one. */
size_t mask_apply_cut(const struct mask *m, struct buf *b);
/* mask_apply() for a string: takes ownership of text (NULL counts as ""), returns what to free. */
char *mask_text(const struct mask *m, char *text);
char *mask_text_cut(const struct mask *m, char *text);
void mask_free(struct mask *m);
DEFINE_CLEANUP(struct mask *, mask_free);
