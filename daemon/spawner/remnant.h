/* remnant.h - what is still held of tasks that have ended (struct apply_task), until the spawner
 * has nothing better to do: to close one of these takes the kernel a grace period of RCU, in which
 * the spawner hears nobody. */
#pragma once
#include "sandbox/apply.h"
#include <stdbool.h>
#include <stddef.h>

enum { REMNANT_MAX = 64 };

struct remnant {
    int fds[REMNANT_MAX];
    size_t count;
};

/* Takes over what the task holds. Where there is no room, it is closed at once. */
void remnant_add(struct remnant *r, struct apply_task *task);
bool remnant_is_empty(const struct remnant *r);
/* Closes one. */
void remnant_lessen(struct remnant *r);
