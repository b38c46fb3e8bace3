#include "task/task.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

struct step {
    bool legal;
    enum task_state next;
};
#define STEP(state)                                                                                \
    {                                                                                              \
        .legal = true, .next = TASK_##state                                                        \
    }

/* What nobody wrote down does not happen. An ACKED message is only ever forgotten by age: by then
 * the server has our answer, whoever holds the job now. */
/* clang-format off */
static const struct step steps[TASK_STATE_COUNT][TASK_EVENT_COUNT] = {
    [TASK_RECEIVED] = {
        [TASK_EV_START]   = STEP(RUNNING),
        [TASK_EV_FINISH]  = STEP(FINISHED), /* cancelled, out of attempts, or not startable */
        [TASK_EV_FORGET]  = STEP(GONE),
    },
    [TASK_RUNNING] = {
        [TASK_EV_RELEASE] = STEP(RECEIVED),
        [TASK_EV_FINISH]  = STEP(FINISHED),
        [TASK_EV_FORGET]  = STEP(GONE),
    },
    [TASK_FINISHED] = {
        [TASK_EV_DELIVER] = STEP(DELIVERED),
        [TASK_EV_REFUSE]  = STEP(REFUSED),
        [TASK_EV_FORGET]  = STEP(GONE),
    },
    [TASK_DELIVERED] = {
        [TASK_EV_ACK]     = STEP(ACKED),
    },
    [TASK_REFUSED] = {
        [TASK_EV_ACK]     = STEP(ACKED),
    },
    [TASK_ACKED] = {
        [TASK_EV_EXPIRE]  = STEP(GONE),
    },
}; /* TASK_GONE has no row: it is final */

static const char *const state_names[] = {
    [TASK_RECEIVED]  = "received",
    [TASK_RUNNING]   = "running",
    [TASK_FINISHED]  = "finished",
    [TASK_DELIVERED] = "delivered",
    [TASK_REFUSED]   = "refused",
    [TASK_ACKED]     = "acked",
    [TASK_GONE]      = "gone",
};
static const char *const event_names[] = {
    [TASK_EV_START]   = "start",
    [TASK_EV_RELEASE] = "release",
    [TASK_EV_FINISH]  = "finish",
    [TASK_EV_DELIVER] = "deliver",
    [TASK_EV_REFUSE]  = "refuse",
    [TASK_EV_ACK]     = "ack",
    [TASK_EV_FORGET]  = "forget",
    [TASK_EV_EXPIRE]  = "expire",
};
/* clang-format on */
static_assert(ARRAY_SIZE(state_names) == TASK_STATE_COUNT, "every state has a name");
static_assert(ARRAY_SIZE(event_names) == TASK_EVENT_COUNT, "every event has a name");

struct task *task_new(void)
{
    return mem_new(struct task);
}

void task_free(struct task *t)
{
    if (!t)
        return;
    free(t->id);
    free(t->ack_id);
    free(t->job_id);
    free(t->prompt);
    free(t->system_prompt);
    free(t->payload);
    free(t->reply);
    free(t->attachment_ids);
    free(t->unsent_note);
    free(t);
}

int task_step(struct task *t, enum task_event ev)
{
    const struct step *s = &steps[t->state][ev];

    if (!s->legal)
        return -EPROTO;
    t->state = s->next; /* the only move; task_restore() below only sets where a record begins */
    return 0;
}

int task_restore(struct task *t, const char *state_name)
{
    for (size_t i = 0; i < TASK_GONE; i++) {
        if (str_eq(state_names[i], state_name)) {
            t->state = (enum task_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool task_may(enum task_state state, enum task_event ev)
{
    return steps[state][ev].legal;
}

const char *task_state_name(enum task_state state)
{
    return state_names[state];
}

const char *task_event_name(enum task_event ev)
{
    return event_names[ev];
}

bool task_is_open(const struct task *t)
{
    return t->state < TASK_ACKED;
}
