#include "hub/status.h"

#include <assert.h>
#include <errno.h>

#include "util/cleanup.h"
#include "util/str.h"

struct step {
    bool legal;
    enum status next;
};

#define STEP(to)                                                                                   \
    {                                                                                              \
        .legal = true, .next = STATUS_##to                                                         \
    }

static const struct step steps[STATUS_COUNT][STATUS_EVENT_COUNT] = {
    [STATUS_QUEUED] = { [STATUS_EV_HAND] = STEP(PENDING),
                        [STATUS_EV_ANSWER] = STEP(COMPLETED),
                        [STATUS_EV_FAIL] = STEP(FAILED) },
    [STATUS_PENDING] = { [STATUS_EV_HAND] = STEP(PENDING),
                         [STATUS_EV_ANSWER] = STEP(COMPLETED),
                         [STATUS_EV_FAIL] = STEP(FAILED) },
}; /* STATUS_COMPLETED and STATUS_FAILED have no row: they are final */

static const char *const names[] = {
    [STATUS_QUEUED] = "queued",
    [STATUS_PENDING] = "pending",
    [STATUS_COMPLETED] = "completed",
    [STATUS_FAILED] = "failed",
};
static_assert(ARRAY_SIZE(names) == STATUS_COUNT, "a name for each status");

int status_step(enum status *status, enum status_event event)
{
    const struct step *s = &steps[*status][event];

    if (!s->legal)
        return -EPROTO;
    *status = s->next;
    return 0;
}

bool status_is_final(enum status status)
{
    return status == STATUS_COMPLETED || status == STATUS_FAILED;
}

const char *status_name(enum status status)
{
    return names[status];
}

int status_parse(const char *name, enum status *ret_status)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(name, names[i])) {
            *ret_status = (enum status)i;
            return 0;
        }
    }
    return -EINVAL;
}
