#include "task/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NANO = 1000000000 };

uint64_t usage_nano(double usd)
{
    return usd > 0 && usd < 1e9 ? (uint64_t)(usd * NANO + 0.5) : 0;
}

void usage_set_model(struct usage *u, const char *name)
{
    size_t len = name ? strcspn(name, "[") : 0;

    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return;
    if (len == 0 || len >= USAGE_MODEL_MAX)
        return;
    memcpy(u->model, name, len);
    u->model[len] = '\0';
}

bool usage_is_something(const struct usage *u)
{
    return u->input_tokens || u->output_tokens || u->cache_read_tokens || u->cache_write_tokens ||
           u->cost_nano_usd;
}

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
