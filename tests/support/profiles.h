/* profiles.h - the profiles that are built in, for tests that make policies. */
#pragma once

struct profile;

/* Kept until the program ends; a name that is none of them ends it. */
const struct profile *profiles_get(const char *name);
