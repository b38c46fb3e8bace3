/* url.h - the base URL of the control plane. Pure.
 * Source: RFC 3986 s3, of which only scheme, host, port and path are wanted here. */
#pragma once
#include <stdbool.h>

/* NULL if url is http(s)://HOST[:PORT][/PATH], otherwise what is wrong with it, for a message. */
const char *url_check(const char *url);
/* A copy without slashes at the end and without the "/socketio" that the present daemon's
 * variable ends in. The caller frees it. */
char *url_normal(const char *url);
/* Whether it is http: to a host that isn't this machine, so that keys travel in the clear. */
bool url_is_exposed(const char *url);
