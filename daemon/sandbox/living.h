/* living.h - a process whose main thread has ended while others live on: /proc/PID knows nothing of
 * its memory and its descriptors any more, /proc/PID/task/TID of each that lives does.
 * Async-signal-safe. Source: proc(5), pthread_exit(3). */
#pragma once
#include <stdbool.h>

enum { LIVING_PATH_BYTES = 48 };

/* "PID/task/TID", beneath the directory proc, of a thread other than the main one: those that have
 * ended aren't there any more. False where there is none, or none for us. */
bool living_thread(int proc, const char *pid, char path[LIVING_PATH_BYTES]);
