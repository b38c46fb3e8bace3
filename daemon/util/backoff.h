/* backoff.h - how long to wait before trying a failing peer again.
 * Pure: reads no clock, draws no randomness, arms no timer; the caller passes entropy in and arms
 * its own timer with the answer. A plain value: copy it, nothing to free. Times are milliseconds.
 * Source: RFC 9110 s10.2.3; Retry-After is a floor, believed up to BACKOFF_SERVER_MAX_MS. */
#pragma once
#include <stdint.h>

enum { BACKOFF_SERVER_MAX_MS = 60 * 60 * 1000 };

struct backoff {
    uint32_t base_ms;  /* longest first wait, > 0 */
    uint32_t cap_ms;   /* longest wait ever, base_ms .. INT32_MAX */
    uint32_t failures; /* since the last success, which sets it to 0 */
};

/* Returns 0, or -EINVAL if the bounds are out of range; *b is then untouched. */
int backoff_init(struct backoff *b, uint32_t base_ms, uint32_t cap_ms);
/* Counts one failure; returns the wait before the next attempt. entropy: any 32 random bits.
 * retry_after_ms: 0 when the peer sent none. */
uint32_t backoff_next(struct backoff *b, uint32_t entropy, uint32_t retry_after_ms);
