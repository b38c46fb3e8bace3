/* profile.h - what each profile shows of the host, as data. Core: pure.
 *   strict  the system's programs and libraries, and the few files of /etc that they need to start
 *   agent   besides, what compilers, interpreters and TLS clients read in /etc, and terminals of
 *           its own (the default)
 *   host    besides, the host's further software and its whole /etc, read-only
 * Nothing of the host that no row names is there at all: not /home, /root, /run, /var, /sys. */
#pragma once
#include "sandbox/plan.h"
#include <stddef.h>

enum { PROFILE_STRICT = 1, PROFILE_AGENT = 2, PROFILE_HOST = 4, PROFILE_ALL = 7 };

/* A struct plan_step of constants. */
struct profile_row {
    unsigned profiles; /* PROFILE_ bits of those that have it */
    enum plan_step_type type;
    uint32_t flags;
    uint32_t mode;
    uint64_t size_bytes;
    const char *target;
    const char *text; /* NULL where the type has none */
};

/* In the order in which they are to be carried out. Parents of targets aren't listed. */
const struct profile_row *profile_rows(size_t *ret_count);
unsigned profile_bit(enum plan_profile profile);
