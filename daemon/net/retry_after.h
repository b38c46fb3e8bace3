/* retry_after.h - how long a server asks us to stay away. Pure.
 * Source: RFC 9110 s10.2.3: seconds, or a date. */
#pragma once
#include <stdint.h>

/* More than that is not believed: a day is past every deadline of ours, and fits uint32_t. */
enum { RETRY_AFTER_MAX_MS = 24 * 60 * 60 * 1000 };

/* value: the header's text, may be NULL. server_now_ms: wall time by the server's own Date header
 * if it sent one, else by our clock. Returns 0 for none, the past or nonsense; at most
 * RETRY_AFTER_MAX_MS. */
uint32_t retry_after_parse(const char *value, int64_t server_now_ms);
