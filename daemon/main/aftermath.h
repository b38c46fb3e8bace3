/* aftermath.h - the end of an attempt: what the spawner and the program's output say of it, logged,
 * masked, and told to the core as one event; and room on a disk that the attempt had filled. */
#pragma once
#include <stdint.h>

struct capture;
struct daemon;
struct spawner_exit;

/* capture: all that the attempt printed; finished here, and still the caller's. refused: sentences
 * about hosts that it was refused, masked; NULL: none. The event may start the next attempt, so
 * nothing of this one may be in the caller's tables any more. */
void aftermath_tell(struct daemon *d, uint64_t seq, const struct spawner_exit *e,
                    struct capture *capture, const char *refused);
