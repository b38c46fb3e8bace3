/* trace.h - one line for each thing that happens, in columns: time, whose, kind, what. */
#pragma once
#include "core/core.h"

struct side;
struct sim;

/* side: NULL for what no daemon does. Costs nothing where no trace is wanted. */
void trace_line(const struct sim *sim, const struct side *side, const char *kind, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));
#define trace(sim, side, kind, ...)                                                                \
    do {                                                                                           \
        if ((sim)->trace)                                                                          \
            trace_line(sim, side, kind, __VA_ARGS__);                                              \
    } while (0)

void trace_event(const struct sim *sim, const struct side *side, const struct core_event *ev);
void trace_command(const struct sim *sim, const struct side *side, const char *kind,
                   const struct core_command *c);
const char *trace_event_name(enum core_event_type type);
const char *trace_answer_name(enum core_answer answer);
const char *trace_post_name(enum core_post post);
/* "m03" of a message's number there; "?" if it is gone. */
const char *trace_message(const struct side *side, uint64_t seq);
