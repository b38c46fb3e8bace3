/* world.h - a core that serves, with one slot and a job "j", as the tests of its files see it. Only
 * for tests/unit/core/, after cmocka's header. */
#pragma once
#include "unit/core/events.h"

static const struct core_options defaults = {
    .max_concurrency = 1,
    .max_queued = 4,
    .max_attempts = 3,
    .poll_ms = 50000,
    .poll_interval_ms = 30000,
    .drain_timeout_ms = 300000,
    .task_timeout_ms = 60000,
    .task_idle_timeout_ms = 60000,
    .output_limit_bytes = 1 << 20,
    .reply_limit_bytes = 1 << 18,
    .journal_retention_s = 3600,
    .survey = true,
    .program = "worker",
};

static inline void handle(struct world *w, struct core_event ev)
{
    tell(w, &ev);
}

static inline size_t index_of(const struct world *w, enum core_command_type type)
{
    const struct core_command *c = find(w, type);

    assert_non_null(c);
    return (size_t)(c - w->commands.items);
}

static inline void arrive(struct world *w, const char *id, enum task_mode mode)
{
    struct task *t = make("j", id);

    t->mode = mode;
    handle(w, (struct core_event){ .type = CORE_EV_MESSAGE, .seq = w->poll, .task = t });
}

static inline void begin(struct world *w, enum task_mode mode)
{
    arrive(w, "m1", mode);
    assert_non_null(find(w, CORE_CMD_SPAWN));
    handle(w, (struct core_event){ .type = CORE_EV_SENT, .seq = 1, .answer = CORE_ANSWER_OK });
    handle(w, (struct core_event){ .type = CORE_EV_STARTED, .seq = 1 });
}

static inline void end(struct world *w, struct ending ending)
{
    ending.stderr_tail = "";
    handle(w, (struct core_event){ .type = CORE_EV_ENDED, .seq = 1, .ending = &ending });
}

static inline void end_well(struct world *w)
{
    end(w, (struct ending){ .ok = true, .text = "the answer" });
}

static inline void later(struct world *w, uint64_t ms)
{
    w->now.mono_ms += ms;
    handle(w, (struct core_event){ .type = CORE_EV_TICK });
}

static inline int setup(void **state)
{
    struct world *w = mem_new(struct world);

    w->now = (struct core_now){ .mono_ms = 1000, .wall_ms = 1000000000 };
    w->core = core_new(&defaults, 0);
    handle(w, (struct core_event){ .type = CORE_EV_START });
    handle(w,
           (struct core_event){
               .type = CORE_EV_POLLED, .seq = w->poll, .answer = CORE_ANSWER_OK, .waited = true });
    *state = w;
    return 0;
}
