/* side.h - a daemon: the real core and its turn, joined to the simulated shell as main/wire.c joins
 * them to the real one; its starts and ends. */
#pragma once
#include "core/core.h"
#include "core/phase.h"
#include "core/turn.h"
#include "sim/children.h"
#include "sim/disk.h"
#include "sim/feed.h"
#include "sim/parcels.h"
#include <stdbool.h>
#include <stdint.h>

struct sim;

enum side_end {
    SIDE_END_NONE,
    SIDE_END_EXIT,  /* the core ordered it */
    SIDE_END_CRASH, /* killed, or its machine went out */
    SIDE_END_DISK   /* a commit failed: 75 */
};

/* What somebody's word was about, until it is answered. */
struct pledge {
    uint64_t word; /* its number; 0: none */
    uint64_t seq;
};

struct side {
    uint32_t number;
    char name;         /* 'A', 'B' */
    struct core *core; /* NULL: it doesn't run */
    struct turn *turn;
    struct store_batch *batch; /* gathers */
    struct core_options options;
    struct disk disk;
    struct children children;
    struct feed feed;
    struct parcels parcels;
    enum phase_state phase; /* as the core's own machine has it */
    uint32_t life;          /* counts its starts */
    enum side_end end;      /* it is about to */
    int exit_code;
    char homes[JOBS][SESSION_MAX]; /* the session that a job's files hold; "": none */
    uint32_t sessions_made;
    bool dead;               /* never starts again */
    bool in_turn;            /* its end is on the agenda */
    uint32_t steps_to_crash; /* 0: none is planned */
    uint64_t poll;           /* number of the one under way, 0: none */
    /* its clocks */
    uint64_t slept_ms, asleep_until_ms;
    int64_t wall_offset_ms;
    uint64_t tick_ms; /* when the next one is due */
    uint64_t last_tick_ms;
    uint32_t idle_ticks; /* in a row, with no time passed */
    /* for the checks */
    bool was_listed;  /* a plain poll was answered since the start */
    bool may_be_held; /* it started with messages under a lease */
    bool told_to_stop;
    uint64_t words, words_answered; /* of the operator's that somebody waits for */
    struct pledge pledges[MESSAGES];
    bool was_connected;
    bool silent_child, slow_commits; /* so slow that a kill may come late */
    bool keyless;                    /* its key was refused twice */
    uint32_t key_refusals;
    uint32_t ordered; /* a bit for each message whose spawn waits for the disk */
    uint64_t started_ms;
    uint32_t attempts_most, attempts_least, queued_most; /* of what it was ever set to */
    uint32_t slots_then[MESSAGES];                       /* as each was ordered to run */
    uint64_t fence_then[MESSAGES];
    uint32_t disguises;                 /* for the sabotage */
    uint64_t progress_ms[MESSAGES];     /* when the last of it was ordered */
    uint32_t posts_in_minute[MESSAGES]; /* replies and acknowledgements */
    uint32_t polls_in_minute;
    uint64_t minute, minute_of_posts;
};

void side_init(struct sim *sim, uint32_t number);
void side_done(struct side *side);
void side_start(struct sim *sim, struct side *side);
/* One event to the core, its commands to batch and turn. */
void side_give(struct sim *sim, struct side *side, const struct core_event *ev);
/* After the events of a callback: the turn ends now, or takes up what comes next. */
void side_settle(struct sim *sim, struct side *side);
void side_flush(struct sim *sim, struct side *side);
void side_commit(struct sim *sim, struct side *side);
void side_look_for_room(struct sim *sim, struct side *side);
/* The server asks it for idle jobs; and will again. */
void side_ask_idle(struct sim *sim, struct side *side);
void side_tick(struct sim *sim, struct side *side);
/* It ends here and now, as `end` says. */
void side_stop(struct sim *sim, struct side *side, enum side_end end);
uint64_t side_mono_ms(const struct sim *sim, const struct side *side);
bool side_is_up(const struct side *side);
