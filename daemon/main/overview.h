/* overview.h - the daemon's status answer as text for a person. Pure.
 * The words in it come from tasks and servers: nothing of them reaches the terminal but one line of
 * plain characters each. What is missing in the answer is left out. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buf;
struct json;

/* One line for each thing that is otherwise than it was: a job's state and what it does, the
 * connection. before NULL: all that there is. Without times, which always change. */
void overview_changes(struct buf *b, const struct json *before, const struct json *status);
/* now_mono_ms: on the daemon's own machine. Lines of jobs are cut to so many columns. */
void overview_print(struct buf *b, const struct json *status, uint64_t now_mono_ms, size_t columns);
