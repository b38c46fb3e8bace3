/* lookout.h - who is about to come for an answer. Pure.
 * Clients ask for a message again and again until it is answered. Whoever has seen one open, not
 * long ago, will ask once more, so that a hub that is to stop can wait for him: else he would never
 * know what his message came to; and who learns from the message that it is answered asks for the
 * answer next. Of so many messages as LOOKOUT_MAX; times are CLOCK_MONOTONIC ms. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    LOOKOUT_MS = 5000, /* from one question to the next at most: `nairid ask` waits up to 2 s */
    LOOKOUT_REPLY_MS = 2000, /* and from there to the answer */
    LOOKOUT_MAX = 256,
};

struct lookout;

struct lookout *lookout_new(void);
void lookout_free(struct lookout *l);
DEFINE_CLEANUP(struct lookout *, lookout_free);

/* Somebody is shown this message, which is open or not. */
void lookout_saw(struct lookout *l, int64_t message, bool open, uint64_t now_ms);
/* It has been answered. */
void lookout_ended(struct lookout *l, int64_t message);
/* Until when somebody may come for an answer; 0: nobody will. */
uint64_t lookout_until(const struct lookout *l, uint64_t now_ms);
