/* schedule.h - what one seed stands for: how many daemons, jobs and messages there are, what kind
 * of server, and how often each kind of thing goes wrong. A value. */
#pragma once
#include "core/core.h"
#include "sim/draw.h"
#include <stdbool.h>
#include <stdint.h>

enum { SIDES = 2, JOBS = 4, MESSAGES = 12, NOBODY = SIDES, CONCURRENCY_MAX = 3, ATTEMPTS_MAX = 4 };

/* What the server makes of a reply. */
enum taste {
    TASTE_FINE,
    TASTE_TOO_LARGE, /* 413, but takes a shorter one */
    TASTE_HUGE,      /* 413, whatever it is */
    TASTE_UNWANTED   /* 404 */
};

struct schedule {
    uint32_t sides, jobs, messages;
    bool leases;           /* our hub: leases, fences, stops; else the hosted service */
    bool long_polls;       /* without leases it may have neither */
    bool channel;          /* it has a realtime channel */
    bool repeats_conflict; /* a reply that it has already is answered with 409 */
    bool first_one_dies;   /* for good, in the end */
    uint32_t heal_ms;
    uint32_t stale_ms; /* how far behind its listings may be */
    /* per mille of the requests */
    uint32_t lost, repeated, slow, busy, failed, refused_key, paged, answer_lost;
    /* per mille of other things */
    uint32_t full_disk, slow_disk, half_synced, bad_child, lost_session, long_turn;
    bool seesaw;                    /* jobs go from one daemon to the other and back */
    bool deaf_spawner;              /* most bad children end unheard */
    uint32_t crash_steps;           /* one crash in so many steps of a daemon; 0: none */
    uint32_t words, mishaps, stops; /* how many */
};

/* Everything else that happens is drawn on the way, by the same d. */
void schedule_draw(struct schedule *s, struct draw *d);
/* The settings that a daemon has, at a start or after HUP. */
void schedule_draw_options(struct draw *d, struct core_options *ret_options);
