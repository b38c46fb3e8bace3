#include "support/profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/profile.h"
#include "util/err.h"

static struct profile *known[8];

static void forget(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        profile_free(known[i]);
}

const struct profile *profiles_get(const char *name)
{
    struct err err = { 0 };
    size_t i = 0;

    for (; known[i]; i++)
        if (strcmp(known[i]->name, name) == 0)
            return known[i];
    if (profile_load(name, &known[i], &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    if (i == 0)
        (void)atexit(forget);
    return known[i];
}
