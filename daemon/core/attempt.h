/* attempt.h - one run of a message's program, from the order to start it to its end. Pure, a value.
 * The only writer of attempt->state is attempt_step(). */
#pragma once
#include "core/ending.h"
#include <stdbool.h>
#include <stdint.h>

enum attempt_state {
    ATTEMPT_NONE,      /* nothing runs */
    ATTEMPT_STARTING,  /* the spawner was told */
    ATTEMPT_ALIVE,     /* the program runs */
    ATTEMPT_ANSWERED,  /* it runs, but its result is there: it has some seconds to end by itself */
    ATTEMPT_STOPPING,  /* asked to end; over when the spawner has reaped everything */
    ATTEMPT_SURVEYED,  /* it has ended; what it left is being looked at */
    ATTEMPT_ABANDONED, /* nobody waits for that any more, but it hasn't ended */
    ATTEMPT_STATE_COUNT
};

enum attempt_event {
    ATTEMPT_EV_SPAWN,
    ATTEMPT_EV_STARTED,
    ATTEMPT_EV_FINAL,
    ATTEMPT_EV_STOP,
    ATTEMPT_EV_ENDED,
    ATTEMPT_EV_SURVEY,  /* it ended, now or before a restart, and may have left something */
    ATTEMPT_EV_ABANDON, /* the survey takes too long, though it was told to end */
    ATTEMPT_EV_SURVEYED,
    ATTEMPT_EVENT_COUNT
};

enum attempt_action {
    ATTEMPT_NOTHING,
    ATTEMPT_SPAWN,
    ATTEMPT_WATCH, /* arm the time limits */
    ATTEMPT_GRACE, /* the result stands from now on */
    ATTEMPT_KILL,
    ATTEMPT_CLOSE, /* there is an ending to act upon */
    ATTEMPT_SURVEY /* so there is, but it isn't sent yet */
};

struct attempt {
    enum attempt_state state;
    enum ending_stop stop; /* why it is being ended */
    uint64_t started_ms;
    uint64_t output_ms;   /* when it last printed something */
    uint64_t patience_ms; /* STARTING, STOPPING, ABANDONED: by when the spawner must have answered;
                           * ANSWERED: by when the program must have ended; SURVEYED: by when the
                           * survey must have */
};

/* 0, or -EPROTO if the table has no such move; *a and *ret_action are then untouched. */
int attempt_step(struct attempt *a, enum attempt_event ev, enum attempt_action *ret_action);
const char *attempt_state_name(enum attempt_state state);
/* Notes why an attempt is to end, or that its result was seen. The first reason stays, but for what
 * weighs more: least an orderly shutdown, then limits and the result (the one that came first is
 * the answer), then the user's stop, and most a lost lease, as then nothing may be answered. */
void attempt_note_stop(struct attempt *a, enum ending_stop stop);
/* The moment at which a limit strikes, UINT64_MAX for NONE; *ret_stop says which. NONE as the stop
 * means that the spawner, which ends whatever it is told to end, is silent. */
uint64_t attempt_deadline(const struct attempt *a, uint32_t timeout_ms, uint32_t idle_timeout_ms,
                          enum ending_stop *ret_stop);
