#include "core/attempt.h"

#include <assert.h>
#include <errno.h>

#include "util/cleanup.h"

struct step {
    bool legal;
    enum attempt_state next;
    enum attempt_action action;
};
#define STEP(to, act)                                                                              \
    {                                                                                              \
        .legal = true, .next = ATTEMPT_##to, .action = ATTEMPT_##act                               \
    }

/* clang-format off */
static const struct step steps[ATTEMPT_STATE_COUNT][ATTEMPT_EVENT_COUNT] = {
    [ATTEMPT_NONE]     = { [ATTEMPT_EV_SPAWN]   = STEP(STARTING, SPAWN),
                           [ATTEMPT_EV_SURVEY]  = STEP(SURVEYED, SURVEY) }, /* of a life before */
    [ATTEMPT_STARTING] = { [ATTEMPT_EV_STARTED] = STEP(ALIVE, WATCH),
                           [ATTEMPT_EV_FINAL]   = STEP(ANSWERED, GRACE), /* overtook the start */
                           [ATTEMPT_EV_STOP]    = STEP(STOPPING, KILL),
                           [ATTEMPT_EV_ENDED]   = STEP(NONE, CLOSE) },
    [ATTEMPT_ALIVE]    = { [ATTEMPT_EV_FINAL]   = STEP(ANSWERED, GRACE),
                           [ATTEMPT_EV_STOP]    = STEP(STOPPING, KILL),
                           [ATTEMPT_EV_ENDED]   = STEP(NONE, CLOSE),
                           [ATTEMPT_EV_SURVEY]  = STEP(SURVEYED, SURVEY) },
    [ATTEMPT_ANSWERED] = { [ATTEMPT_EV_STARTED] = STEP(ANSWERED, NOTHING),
                           [ATTEMPT_EV_FINAL]   = STEP(ANSWERED, NOTHING), /* said once more */
                           [ATTEMPT_EV_STOP]    = STEP(STOPPING, KILL),
                           [ATTEMPT_EV_ENDED]   = STEP(NONE, CLOSE),
                           [ATTEMPT_EV_SURVEY]  = STEP(SURVEYED, SURVEY) },
    [ATTEMPT_STOPPING] = { [ATTEMPT_EV_STARTED] = STEP(STOPPING, NOTHING), /* crossed the kill */
                           [ATTEMPT_EV_FINAL]   = STEP(STOPPING, NOTHING), /* of our kill's making */
                           [ATTEMPT_EV_STOP]    = STEP(STOPPING, KILL),    /* a shorter grace */
                           [ATTEMPT_EV_ENDED]   = STEP(NONE, CLOSE),
                           [ATTEMPT_EV_SURVEY]  = STEP(SURVEYED, SURVEY) },
    [ATTEMPT_SURVEYED] = { [ATTEMPT_EV_STOP]    = STEP(SURVEYED, KILL), /* the survey */
                           [ATTEMPT_EV_ABANDON] = STEP(ABANDONED, NOTHING),
                           [ATTEMPT_EV_SURVEYED] = STEP(NONE, CLOSE) },
    [ATTEMPT_ABANDONED] = { [ATTEMPT_EV_STOP]   = STEP(ABANDONED, NOTHING), /* it was told */
                           [ATTEMPT_EV_SURVEYED] = STEP(NONE, CLOSE) },
};
static const char *const state_names[] = {
    [ATTEMPT_NONE]     = "none",
    [ATTEMPT_STARTING] = "starting",
    [ATTEMPT_ALIVE]    = "alive",
    [ATTEMPT_ANSWERED] = "answered",
    [ATTEMPT_STOPPING] = "stopping",
    [ATTEMPT_SURVEYED] = "surveyed",
    [ATTEMPT_ABANDONED] = "abandoned",
};
/* What it means that patience_ms has passed. */
static const enum ending_stop silence[] = {
    [ATTEMPT_NONE]     = ENDING_STOP_NONE,
    [ATTEMPT_STARTING] = ENDING_STOP_START,
    [ATTEMPT_ALIVE]    = ENDING_STOP_NONE,
    [ATTEMPT_ANSWERED] = ENDING_STOP_FINAL,
    [ATTEMPT_STOPPING] = ENDING_STOP_NONE,
    [ATTEMPT_SURVEYED] = ENDING_STOP_NONE,
    [ATTEMPT_ABANDONED] = ENDING_STOP_NONE,
};
/* Which reason stands when there are two. */
static const int stop_rank[] = {
    [ENDING_STOP_NONE]     = 0,
    [ENDING_STOP_SHUTDOWN] = 1,
    [ENDING_STOP_START]    = 2,
    [ENDING_STOP_TIMEOUT]  = 2,
    [ENDING_STOP_IDLE]     = 2,
    [ENDING_STOP_OUTPUT]   = 2,
    [ENDING_STOP_FINAL]    = 2,
    [ENDING_STOP_CANCEL]   = 3,
    [ENDING_STOP_LEASE]    = 4,
};
/* clang-format on */
static_assert(ARRAY_SIZE(state_names) == ATTEMPT_STATE_COUNT, "every state has a name");
static_assert(ARRAY_SIZE(silence) == ATTEMPT_STATE_COUNT, "every state has its meaning");
static_assert(ARRAY_SIZE(stop_rank) == ENDING_STOP_COUNT, "every reason has a rank");

int attempt_step(struct attempt *a, enum attempt_event ev, enum attempt_action *ret_action)
{
    const struct step *s = &steps[a->state][ev];

    if (!s->legal)
        return -EPROTO;
    a->state = s->next; /* the only assignment to .state in the program */
    *ret_action = s->action;
    return 0;
}

const char *attempt_state_name(enum attempt_state state)
{
    return state_names[state];
}

void attempt_note_stop(struct attempt *a, enum ending_stop stop)
{
    if (stop_rank[stop] > stop_rank[a->stop])
        a->stop = stop;
}

uint64_t attempt_deadline(const struct attempt *a, uint32_t timeout_ms, uint32_t idle_timeout_ms,
                          enum ending_stop *ret_stop)
{
    uint64_t wall = a->started_ms + timeout_ms, idle = a->output_ms + idle_timeout_ms;

    if (a->state == ATTEMPT_NONE)
        return UINT64_MAX;
    if (a->state != ATTEMPT_ALIVE) {
        *ret_stop = silence[a->state];
        return a->patience_ms;
    }
    *ret_stop = wall <= idle ? ENDING_STOP_TIMEOUT : ENDING_STOP_IDLE;
    return wall <= idle ? wall : idle;
}
