/* clock.h - the two clocks, and the time formats of the wire.
 * Monotonic for every wait; wall time only where it is printed, stored or sent. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC */
int64_t clock_wall_ms(void);  /* since the epoch, UTC */

/* "2026-04-12T18:45:12.000Z" (RFC 3339, UTC, milliseconds). Returns buffer. */
const char *clock_rfc3339(char buffer[32], int64_t wall_ms);
/* RFC 3339 with any offset, with or without a fraction. -EINVAL for anything else. */
int clock_parse_rfc3339(const char *s, int64_t *ret_wall_ms);
/* "350ms", "12s", "5m", "2h", "1h30m", "7d"; for people. Returns buffer. */
const char *clock_span(char buffer[32], uint64_t span_ms);
