#include "core/phase.h"

#include <assert.h>
#include <errno.h>
#include <sysexits.h>

#include "util/cleanup.h"

struct step {
    bool legal;
    enum phase_state next;
    enum phase_action action;
    int code; /* CODE_SAME: keep */
};
enum { CODE_SAME = -1 };
#define STEP(to, act, exit_code)                                                                   \
    {                                                                                              \
        .legal = true, .next = PHASE_##to, .action = PHASE_##act, .code = (exit_code)              \
    }

/* clang-format off */
static const struct step steps[PHASE_STATE_COUNT][PHASE_EVENT_COUNT] = {
    [PHASE_SERVING] = {
        [PHASE_EV_BROKEN]      = STEP(DONE, EXIT, EX_TEMPFAIL),
        [PHASE_EV_DRAIN]       = STEP(DRAINING, HALT, EX_OK),
        [PHASE_EV_TERM]        = STEP(DRAINING, HALT, EX_OK),
        [PHASE_EV_QUIT]        = STEP(STOPPING, KILL_TASKS, EX_OK),
        [PHASE_EV_KEY_REFUSED] = STEP(KEYLESS, HALT, EX_NOPERM),
        [PHASE_EV_UNREACHABLE] = STEP(DONE, EXIT, EX_UNAVAILABLE),
    },
    [PHASE_DRAINING] = {
        [PHASE_EV_BROKEN]      = STEP(DONE, EXIT, EX_TEMPFAIL),
        [PHASE_EV_DRAIN]       = STEP(DRAINING, NOTHING, CODE_SAME),
        [PHASE_EV_TERM]        = STEP(STOPPING, STOP_TASKS, CODE_SAME),
        [PHASE_EV_QUIT]        = STEP(STOPPING, KILL_TASKS, CODE_SAME),
        [PHASE_EV_DEADLINE]    = STEP(STOPPING, STOP_TASKS, EX_TEMPFAIL),
        [PHASE_EV_EMPTY]       = STEP(DONE, EXIT, CODE_SAME),
    },
    [PHASE_KEYLESS] = {
        [PHASE_EV_BROKEN]      = STEP(DONE, EXIT, EX_TEMPFAIL),
        [PHASE_EV_DRAIN]       = STEP(KEYLESS, NOTHING, CODE_SAME),
        [PHASE_EV_TERM]        = STEP(STOPPING, STOP_TASKS, CODE_SAME),
        [PHASE_EV_QUIT]        = STEP(STOPPING, KILL_TASKS, CODE_SAME),
        [PHASE_EV_DEADLINE]    = STEP(STOPPING, STOP_TASKS, CODE_SAME),
        [PHASE_EV_EMPTY]       = STEP(DONE, EXIT, CODE_SAME),
    },
    [PHASE_STOPPING] = {
        [PHASE_EV_BROKEN]      = STEP(DONE, EXIT, EX_TEMPFAIL),
        [PHASE_EV_DRAIN]       = STEP(STOPPING, NOTHING, CODE_SAME),
        [PHASE_EV_TERM]        = STEP(STOPPING, KILL_TASKS, CODE_SAME),
        [PHASE_EV_QUIT]        = STEP(STOPPING, KILL_TASKS, CODE_SAME),
        [PHASE_EV_EMPTY]       = STEP(DONE, EXIT, CODE_SAME),
    },
}; /* PHASE_DONE has no row: it is final */
static const char *const state_names[] = {
    [PHASE_SERVING]  = "serving",
    [PHASE_DRAINING] = "draining",
    [PHASE_KEYLESS]  = "key refused",
    [PHASE_STOPPING] = "stopping",
    [PHASE_DONE]     = "done",
};
/* clang-format on */
static_assert(ARRAY_SIZE(state_names) == PHASE_STATE_COUNT, "every state has a name");

int phase_step(struct phase *p, enum phase_event ev, enum phase_action *ret_action)
{
    const struct step *s = &steps[p->state][ev];

    if (!s->legal)
        return -EPROTO;
    p->state = s->next; /* the only assignment to .state in the program */
    if (s->code != CODE_SAME)
        p->exit_code = s->code;
    *ret_action = s->action;
    return 0;
}

const char *phase_state_name(enum phase_state state)
{
    return state_names[state];
}
