/* namespace.h - the name of a directory for what belongs to one agent, as the present daemon makes
 * it of the agent's id or the repository's identifier. Pure.
 * / \ and : become __, a space and whatever isn't a letter, digit, . _ or - becomes -, several - in
 * a row become one, . and - at both ends go; what is empty then is "default".
 * Source: Nairi agents API, section "Start-up order". */
#pragma once

enum { NAMESPACE_MAX = 200 }; /* longest, so that it fits into a directory */

char *namespace_make(const char *id); /* to be freed */
