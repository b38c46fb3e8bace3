/* phase.h - the daemon's own life, from serving to its exit. Pure, a value.
 * The only writer of phase->state is phase_step(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum phase_state {
    PHASE_SERVING,
    PHASE_DRAINING, /* takes nothing new; what runs is finished and delivered */
    PHASE_KEYLESS,  /* the server refuses the key: what runs is finished into the outbox */
    PHASE_STOPPING, /* tasks are being ended; their messages stay for the next start */
    PHASE_DONE,     /* exit was ordered */
    PHASE_STATE_COUNT
};

enum phase_event {
    PHASE_EV_DRAIN,
    PHASE_EV_TERM,
    PHASE_EV_QUIT,
    PHASE_EV_KEY_REFUSED,
    PHASE_EV_UNREACHABLE, /* no answer within the start limit, and nothing runs */
    PHASE_EV_DEADLINE,    /* drain_timeout is over */
    PHASE_EV_BROKEN,      /* the spawner is silent */
    PHASE_EV_EMPTY,       /* nothing is left that the phase waits for */
    PHASE_EVENT_COUNT
};

enum phase_action {
    PHASE_NOTHING,
    PHASE_HALT,       /* stop polling, arm the deadline */
    PHASE_STOP_TASKS, /* TERM, grace, KILL */
    PHASE_KILL_TASKS, /* KILL */
    PHASE_EXIT
};

struct phase {
    enum phase_state state;
    int exit_code; /* sysexits */
};

/* 0, or -EPROTO if the table has no such move. Sets exit_code where the table has one. */
int phase_step(struct phase *p, enum phase_event ev, enum phase_action *ret_action);
const char *phase_state_name(enum phase_state state);
