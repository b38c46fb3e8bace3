#include "task/usage.h"

#include <inttypes.h>
#include <stdio.h>

enum { NANO = 1000000000 };

const char *usage_cost(const struct usage *u, char buffer[USAGE_COST_MAX])
{
    (void)snprintf(buffer, USAGE_COST_MAX, "%" PRIu64 ".%09" PRIu64 "0", u->cost_nano_usd / NANO,
                   u->cost_nano_usd % NANO); /* fits: 11 + 1 + 10 characters and a NUL */
    return buffer;
}

int64_t usage_count(uint64_t tokens)
{
    const int64_t most = ((int64_t)1 << 53) - 1;

    return tokens < (uint64_t)most ? (int64_t)tokens : most;
}
