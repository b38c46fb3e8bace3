/* pushes.h - the realtime channel as the core's ear: what it brings becomes events. Only
 * translates. */
#pragma once
#include <stdbool.h>

struct daemon;
struct err;
struct pushes;

/* d, with its loop, http and key, outlives it. -EINVAL with a sentence: see channel_new(). */
int pushes_new(struct daemon *d, struct pushes **ret_pushes, struct err *err);
void pushes_want(struct pushes *p, bool open); /* CORE_CMD_CHANNEL */
/* Sends an envelope by the channel, if it is up; else false. What becomes of it nobody tells. */
bool pushes_say(struct pushes *p, const char *envelope);
/* Ends the loop, but for a short while not before the server was told that we leave. */
void pushes_stop_loop(struct pushes *p);
void pushes_key_changed(struct pushes *p); /* the daemon has another key */
void pushes_free(struct pushes *p);
