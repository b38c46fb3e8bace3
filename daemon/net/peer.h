/* peer.h - whom a URL is about, as "host:port" for people. Internal to net/. Pure. */
#pragma once
#include <stdbool.h>

enum { PEER_MAX = 300 }; /* a host name has at most 253 bytes */

/* -EINVAL for what is not an http or https URL without user name and password. */
int peer_parse(const char *url, char peer[PEER_MAX]);
/* Whether text from outside can stand in a request: no control character is in it. */
bool peer_is_clean(const char *s);
