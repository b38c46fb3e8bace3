/* caps.h - capabilities(7): giving them up. Async-signal-safe. */
#pragma once
#include <stdint.h>

#define CAPS_BIT(cap) (UINT64_C(1) << (cap))

/* Keeps of the permitted and effective sets what is in mask, empties the inheritable and ambient
 * sets and, where we may, the bounding set; no_new_privs on top, so that no execve(2) can bring one
 * back. Returns 0 or a negative errno. */
int caps_keep(uint64_t mask);
/* Its two halves: the bounding set, of which nothing is needed before an execve(2), and the rest.
 */
int caps_empty_bounds(void);
int caps_keep_sets(uint64_t mask);
/* Locks the bits that would let user id 0 regain any; a change of ids then takes none away, either.
 * Needs SETPCAP. */
int caps_lock(void);
/* As caps_keep(0), and locks the bits that would let user id 0 regain any. Needs SETPCAP. */
int caps_drop_all(void);
