#include "hub/phase.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "util/cleanup.h"
#include "util/str.h"

struct step {
    bool legal;
    enum phase next;
};

#define STEP(to)                                                                                   \
    {                                                                                              \
        .legal = true, .next = PHASE_##to                                                          \
    }

/* A late answer to a message of a job that is over leaves the job over. */
static const struct step steps[PHASE_COUNT][PHASE_EVENT_COUNT] = {
    [PHASE_ACTIVE] = { [PHASE_EV_PROMPT] = STEP(ACTIVE),
                       [PHASE_EV_ANSWER] = STEP(ACTIVE),
                       [PHASE_EV_FAIL] = STEP(ERROR),
                       [PHASE_EV_COMPLETE] = STEP(COMPLETED) },
    [PHASE_COMPLETED] = { [PHASE_EV_PROMPT] = STEP(ACTIVE),
                          [PHASE_EV_ANSWER] = STEP(COMPLETED),
                          [PHASE_EV_FAIL] = STEP(ERROR),
                          [PHASE_EV_COMPLETE] = STEP(COMPLETED) },
    [PHASE_ERROR] = { [PHASE_EV_PROMPT] = STEP(ACTIVE),
                      [PHASE_EV_ANSWER] = STEP(ACTIVE),
                      [PHASE_EV_FAIL] = STEP(ERROR),
                      [PHASE_EV_COMPLETE] = STEP(COMPLETED) },
    [PHASE_ABANDONED] = { [PHASE_EV_PROMPT] = STEP(ACTIVE),
                          [PHASE_EV_ANSWER] = STEP(ABANDONED),
                          [PHASE_EV_FAIL] = STEP(ABANDONED),
                          [PHASE_EV_COMPLETE] = STEP(COMPLETED) },
};

static const char *const names[] = {
    [PHASE_ACTIVE] = "active",
    [PHASE_COMPLETED] = "completed",
    [PHASE_ERROR] = "error",
    [PHASE_ABANDONED] = "abandoned",
};
static_assert(ARRAY_SIZE(names) == PHASE_COUNT, "a name for each phase");

int phase_step(enum phase *phase, enum phase_event event)
{
    const struct step *s = &steps[*phase][event];

    if (!s->legal)
        return -EPROTO;
    *phase = s->next;
    return 0;
}

const char *phase_name(enum phase phase)
{
    return names[phase];
}

int phase_parse(const char *name, enum phase *ret_phase)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(name, names[i])) {
            *ret_phase = (enum phase)i;
            return 0;
        }
    }
    return -EINVAL;
}
