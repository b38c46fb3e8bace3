/* ulid.h - identifiers: PREFIX_ and 26 characters of Crockford base 32, 48 bits of milliseconds and
 * 80 bits of whatever follows. Pure: time and random bits are passed in.
 * Source: the ULID specification; prefixes as in Nairi's API (msg_, prg_, ccaid_, job_, cmsg_,
 * ...). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ULID_LEN = 26, ULID_ID_MAX = 48 }; /* ULID_ID_MAX: prefix, underscore, ULID and the NUL */

/* "PREFIX_ULID" into id. prefix: at most 16 characters, without the underscore. Returns id. */
char *ulid_make(char id[ULID_ID_MAX], const char *prefix, int64_t wall_ms,
                const uint8_t entropy[10]);
/* The same id for the same source, for ever: the time part of source's ULID if it ends in one (0
 * otherwise), then 80 bits of BLAKE2b-256 over "PURPOSE\0SOURCE". So a retry, a restart or a second
 * daemon names the same reply alike. Returns id. */
char *ulid_derive(char id[ULID_ID_MAX], const char *prefix, const char *purpose,
                  const char *source);
/* Whether s is prefix, "_" and a well-formed ULID (either case, no I L O U, first digit 0 to 7). */
bool ulid_has_prefix(const char *s, const char *prefix);
bool ulid_is_valid(const char *s); /* the bare 26 characters */
