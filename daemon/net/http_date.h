/* http_date.h - the date format of HTTP headers. Pure.
 * Source: RFC 9110 s5.6.7: IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT"), and the two obsolete
 * forms a recipient must accept (RFC 850's, and asctime()'s). The weekday is not checked. */
#pragma once
#include <stdint.h>

/* now_wall_ms: places RFC 850's two-digit year (more than 50 years ahead means the past).
 * -EINVAL for anything else. */
int http_date_parse(const char *s, int64_t now_wall_ms, int64_t *ret_wall_ms);
