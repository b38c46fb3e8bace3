#include "hub/standing.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "util/cleanup.h"
#include "util/str.h"

struct step {
    bool legal;
    enum standing next;
};

#define STEP(to)                                                                                   \
    {                                                                                              \
        .legal = true, .next = STANDING_##to                                                       \
    }

/* A late answer to a message of a job that is over leaves the job over. */
static const struct step steps[STANDING_COUNT][STANDING_EVENT_COUNT] = {
    [STANDING_ACTIVE] = { [STANDING_EV_PROMPT] = STEP(ACTIVE),
                          [STANDING_EV_ANSWER] = STEP(ACTIVE),
                          [STANDING_EV_FAIL] = STEP(ERROR),
                          [STANDING_EV_COMPLETE] = STEP(COMPLETED) },
    [STANDING_COMPLETED] = { [STANDING_EV_PROMPT] = STEP(ACTIVE),
                             [STANDING_EV_ANSWER] = STEP(COMPLETED),
                             [STANDING_EV_FAIL] = STEP(ERROR),
                             [STANDING_EV_COMPLETE] = STEP(COMPLETED) },
    [STANDING_ERROR] = { [STANDING_EV_PROMPT] = STEP(ACTIVE),
                         [STANDING_EV_ANSWER] = STEP(ACTIVE),
                         [STANDING_EV_FAIL] = STEP(ERROR),
                         [STANDING_EV_COMPLETE] = STEP(COMPLETED) },
    [STANDING_ABANDONED] = { [STANDING_EV_PROMPT] = STEP(ACTIVE),
                             [STANDING_EV_ANSWER] = STEP(ABANDONED),
                             [STANDING_EV_FAIL] = STEP(ABANDONED),
                             [STANDING_EV_COMPLETE] = STEP(COMPLETED) },
};

static const char *const names[] = {
    [STANDING_ACTIVE] = "active",
    [STANDING_COMPLETED] = "completed",
    [STANDING_ERROR] = "error",
    [STANDING_ABANDONED] = "abandoned",
};
static_assert(ARRAY_SIZE(names) == STANDING_COUNT, "a name for each standing");

int standing_step(enum standing *standing, enum standing_event event)
{
    const struct step *s = &steps[*standing][event];

    if (!s->legal)
        return -EPROTO;
    *standing = s->next;
    return 0;
}

const char *standing_name(enum standing standing)
{
    return names[standing];
}

int standing_parse(const char *name, enum standing *ret_standing)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(name, names[i])) {
            *ret_standing = (enum standing)i;
            return 0;
        }
    }
    return -EINVAL;
}
