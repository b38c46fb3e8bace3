#include "util/backoff.h"

#include <errno.h>

int backoff_init(struct backoff *b, uint32_t base_ms, uint32_t cap_ms)
{
    if (base_ms == 0 || cap_ms < base_ms || cap_ms > INT32_MAX)
        return -EINVAL;
    *b = (struct backoff){ .base_ms = base_ms, .cap_ms = cap_ms };
    return 0;
}

uint32_t backoff_next(struct backoff *b, uint32_t entropy, uint32_t retry_after_ms)
{
    uint32_t most_ms = b->base_ms, least_ms, jitter_ms;

    for (uint32_t i = 0; i < b->failures && most_ms < b->cap_ms; i++)
        most_ms = most_ms > b->cap_ms / 2 ? b->cap_ms : most_ms * 2;
    least_ms = most_ms / 2; /* half is fixed: unlucky jitter must not become a hot loop */
    jitter_ms = entropy % (most_ms - least_ms + 1);
    if (b->failures < UINT32_MAX)
        b->failures++;
    if (retry_after_ms > 0) /* jitter stays on top: a fleet told "60 s" must not return as one */
        least_ms = retry_after_ms < BACKOFF_SERVER_MAX_MS ? retry_after_ms : BACKOFF_SERVER_MAX_MS;
    return least_ms + jitter_ms;
}
