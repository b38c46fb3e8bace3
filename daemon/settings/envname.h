/* envname.h - which variables a server may set in the environment of tasks. Pure.
 * Not those that the sandbox or the daemon itself has a meaning for: what the program finds by them
 * (PATH, LD_*), where it writes (HOME), its way out (proxies), and where a model's key is sent to.
 * Those are the operator's. Source: Nairi's public API, agent configuration: a key is
 * [A-Za-z_][A-Za-z0-9_]* and begins with neither NAIRI_ nor CCAGENT_. */
#pragma once
#include <stdbool.h>

enum { ENVNAME_MAX = 128 };

/* Whether it is a name at all: [A-Za-z_][A-Za-z0-9_]*, at most ENVNAME_MAX bytes. */
bool envname_is_valid(const char *name);
/* Why the server may not set it, as the end of a sentence; static, NULL: it may. */
const char *envname_refusal(const char *name);
