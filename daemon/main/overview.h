/* overview.h - the daemon's status answer as text for a person. Pure.
 * The words in it come from tasks and servers: nothing of them reaches the terminal but one line of
 * plain characters each. What is missing in the answer is left out. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buf;
struct json;

/* now_mono_ms: on the daemon's own machine. Lines of jobs are cut to so many columns. */
void overview_print(struct buf *b, const struct json *status, uint64_t now_mono_ms, size_t columns);
