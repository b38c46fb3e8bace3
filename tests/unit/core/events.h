/* events.h - a core, its clock, and what it ordered last, for tests that tell it events one by one.
 * Only for tests/unit/core/, after cmocka's header. */
#pragma once
#include <stdlib.h>

#include "core/core.h"
#include "util/mem.h"

struct world {
    struct core *core;
    struct core_now now;
    struct core_commands commands; /* of the last event */
    uint64_t poll;                 /* the number of the last poll ordered */
};

static inline void tell(struct world *w, const struct core_event *ev)
{
    w->commands.len = 0;
    w->now.entropy = w->now.entropy * 1664525 + 1013904223;
    core_handle(w->core, ev, &w->now, &w->commands);
    for (size_t i = 0; i < w->commands.len; i++)
        if (w->commands.items[i].type == CORE_CMD_POLL)
            w->poll = w->commands.items[i].seq;
}

static inline void simple(struct world *w, enum core_event_type type)
{
    const struct core_event ev = { .type = type };

    tell(w, &ev);
}

/* seq: of the message, 0: any. NULL: there is no such order. */
static inline const struct core_command *find_of(const struct world *w, enum core_command_type type,
                                                 uint64_t seq)
{
    for (size_t i = 0; i < w->commands.len; i++) {
        const struct core_command *c = &w->commands.items[i];
        uint64_t is = core_command_is_storing(type) && c->task ? c->task->seq : c->seq;

        if (c->type == type && (seq == 0 || is == seq))
            return c;
    }
    return NULL;
}

static inline const struct core_command *find(const struct world *w, enum core_command_type type)
{
    return find_of(w, type, 0);
}

static inline size_t count(const struct world *w, enum core_command_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < w->commands.len; i++)
        n += w->commands.items[i].type == type;
    return n;
}

/* A message that is yet to be told of. */
static inline struct task *make(const char *job, const char *id)
{
    struct task *t = task_new();

    t->job_id = mem_strdup(job);
    t->id = mem_strdup(id);
    t->ack_id = mem_strdup(id);
    t->prompt = mem_strdup("do it");
    return t;
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    core_free(w->core);
    core_commands_done(&w->commands);
    free(w);
    return 0;
}
