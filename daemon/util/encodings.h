/* encodings.h - the forms in which a secret value is seen, as strings of bytes: as it is; base64
 * and base64url at each of the three offsets, also broken into lines of 64 or 76; percent-encoding
 * with what different writers leave as it is; JSON string escapes, once and twice; and each line of
 * 16 bytes or more of a value that has several, but not those that begin with "-----". Hex is not
 * among them (util/hexmask.h). Pure: what is made is wiped again.
 * Source: RFC 4648 s4, s5; RFC 2045 s6.8 (76), RFC 7468 s3 (64); RFC 3986 s2; RFC 8259 s7. */
#pragma once
#include <stddef.h>

/* One form, borrowed for the call. Some come more than once, and some are short. */
typedef void (*encodings_fn)(const char *bytes, size_t len, void *ctx);

void encodings_each(const char *value, size_t len, encodings_fn fn, void *ctx);
