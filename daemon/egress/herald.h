/* herald.h - tells the spawner what a task was refused: each place with each reason once, at most
 * GATEWAY_REFUSALS_MAX in all. */
#pragma once
#include "sandbox/gateway.h"

struct herald {
    int words; /* not owned */
    size_t count;
    struct {
        uint32_t why;
        char place[HOSTNAME_WITH_PORT_SIZE];
    } told[GATEWAY_REFUSALS_MAX];
};

/* The word is in the socket when it returns, so that it comes before the news of the task's end
 * even if the task ends at once. detail: NULL for none. */
void herald_refuse(struct herald *h, enum gateway_refusal why, const struct hostname *host,
                   uint16_t port, const char *detail);
/* Whether the spawner was told: 0, or a negative errno; then the task would wait for ever, so end.
 */
int herald_ready(const struct herald *h);
void herald_fail(const struct herald *h, const struct err *err);
