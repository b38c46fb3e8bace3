/* url.h - the base URL of the control plane. Pure.
 * Source: RFC 3986 s3, of which only scheme, host, port and path are wanted here. */
#pragma once
#include <stdbool.h>

/* NULL if url is http(s)://HOST[:PORT][/PATH], or the same with ws(s), otherwise what is wrong with
 * it, for a message. */
const char *url_check(const char *url);
/* A copy in lower-case http or https (for ws and wss, which the present daemon's variable may
 * name), without slashes at the end and without the "/socketio" that this variable ends in. The
 * same for a copy of a copy. The caller frees it. */
char *url_normal(const char *url);
/* Whether it is http: to a host that isn't this machine, so that keys travel in the clear. */
bool url_is_exposed(const char *url);
