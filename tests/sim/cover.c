#include "sim/cover.h"

#include <assert.h>
#include <string.h>

#include "core/attempt.h"
#include "sim/trace.h"
#include "task/task.h"
#include "util/cleanup.h"

/* Counts of one cell. */
struct cell {
    uint64_t moved, refused;
};

/* What the wrapped functions count into, as they have no other way to it: the only thing in the
 * simulator that isn't part of one schedule. Nothing reads it but the report. */
static struct {
    struct cell task[TASK_STATE_COUNT][TASK_EVENT_COUNT];
    struct cell attempt[ATTEMPT_STATE_COUNT][ATTEMPT_EVENT_COUNT];
    struct cell phase[PHASE_STATE_COUNT][PHASE_EVENT_COUNT];
    uint64_t event[CORE_EVENT_COUNT][PHASE_STATE_COUNT];
    enum phase_state *current;
} seen;

static const char *const attempt_events[] = {
    [ATTEMPT_EV_SPAWN] = "spawn",     [ATTEMPT_EV_STARTED] = "started",
    [ATTEMPT_EV_FINAL] = "final",     [ATTEMPT_EV_STOP] = "stop",
    [ATTEMPT_EV_ENDED] = "ended",     [ATTEMPT_EV_SURVEY] = "survey",
    [ATTEMPT_EV_ABANDON] = "abandon", [ATTEMPT_EV_SURVEYED] = "surveyed",
};
static_assert(ARRAY_SIZE(attempt_events) == ATTEMPT_EVENT_COUNT, "every event has a name");

static const char *const phase_events[] = {
    [PHASE_EV_DRAIN] = "drain",
    [PHASE_EV_TERM] = "term",
    [PHASE_EV_QUIT] = "quit",
    [PHASE_EV_KEY_REFUSED] = "key refused",
    [PHASE_EV_UNREACHABLE] = "unreachable",
    [PHASE_EV_DEADLINE] = "deadline",
    [PHASE_EV_BROKEN] = "broken",
    [PHASE_EV_EMPTY] = "empty",
};
static_assert(ARRAY_SIZE(phase_events) == PHASE_EVENT_COUNT, "every event has a name");

/* ---- between the core and its tables ---- */

int __real_task_step(struct task *t, enum task_event ev);
int __wrap_task_step(struct task *t, enum task_event ev);
int __real_attempt_step(struct attempt *a, enum attempt_event ev, enum attempt_action *ret_action);
int __wrap_attempt_step(struct attempt *a, enum attempt_event ev, enum attempt_action *ret_action);
int __real_phase_step(struct phase *p, enum phase_event ev, enum phase_action *ret_action);
int __wrap_phase_step(struct phase *p, enum phase_event ev, enum phase_action *ret_action);

static int count(struct cell *c, int r)
{
    c->moved += r == 0;
    c->refused += r != 0;
    return r;
}

int __wrap_task_step(struct task *t, enum task_event ev)
{
    struct cell *c = &seen.task[t->state][ev];

    return count(c, __real_task_step(t, ev));
}

int __wrap_attempt_step(struct attempt *a, enum attempt_event ev, enum attempt_action *ret_action)
{
    struct cell *c = &seen.attempt[a->state][ev];

    return count(c, __real_attempt_step(a, ev, ret_action));
}

int __wrap_phase_step(struct phase *p, enum phase_event ev, enum phase_action *ret_action)
{
    struct cell *c = &seen.phase[p->state][ev];
    int r = count(c, __real_phase_step(p, ev, ret_action));

    *seen.current = p->state;
    return r;
}

void cover_enter(enum phase_state *phase)
{
    seen.current = phase;
}

void cover_event(enum core_event_type type, enum phase_state phase)
{
    seen.event[type][phase]++;
}

/* ---- the report ---- */

/* A table as the report walks over it. */
struct table {
    const char *name;
    int states, events;
    const char *(*state_name)(int state);
    const char *(*event_name)(int event);
    const struct cell *(*cell)(int state, int event);
    bool (*is_legal)(int state, int event); /* asks the real table */
};

static const char *task_state(int s)
{
    return task_state_name((enum task_state)s);
}

static const char *task_event(int e)
{
    return task_event_name((enum task_event)e);
}

static const struct cell *task_cell(int s, int e)
{
    return &seen.task[s][e];
}

static bool task_legal(int s, int e)
{
    struct task t = { .state = (enum task_state)s };

    return __real_task_step(&t, (enum task_event)e) == 0;
}

static const char *attempt_state(int s)
{
    return attempt_state_name((enum attempt_state)s);
}

static const char *attempt_event(int e)
{
    return attempt_events[e];
}

static const struct cell *attempt_cell(int s, int e)
{
    return &seen.attempt[s][e];
}

static bool attempt_legal(int s, int e)
{
    struct attempt a = { .state = (enum attempt_state)s };
    enum attempt_action action;

    return __real_attempt_step(&a, (enum attempt_event)e, &action) == 0;
}

static const char *phase_state(int s)
{
    return phase_state_name((enum phase_state)s);
}

static const char *phase_event(int e)
{
    return phase_events[e];
}

static const struct cell *phase_cell(int s, int e)
{
    return &seen.phase[s][e];
}

static bool phase_legal(int s, int e)
{
    struct phase p = { .state = (enum phase_state)s };
    enum phase_action action;

    return __real_phase_step(&p, (enum phase_event)e, &action) == 0;
}

static const struct table tables[] = {
    { "task", TASK_STATE_COUNT, TASK_EVENT_COUNT, task_state, task_event, task_cell, task_legal },
    { "attempt", ATTEMPT_STATE_COUNT, ATTEMPT_EVENT_COUNT, attempt_state, attempt_event,
      attempt_cell, attempt_legal },
    { "phase", PHASE_STATE_COUNT, PHASE_EVENT_COUNT, phase_state, phase_event, phase_cell,
      phase_legal },
};

/* Legal cells: how often they moved. Illegal ones: "-", or in brackets how often the core asked
 * and was refused. */
static void print_row(FILE *to, const struct table *t, int s)
{
    fprintf(to, "%-12s", t->state_name(s));
    for (int e = 0; e < t->events; e++) {
        const struct cell *c = t->cell(s, e);
        char text[24] = "-";

        if (t->is_legal(s, e))
            (void)snprintf(text, sizeof text, "%llu", (unsigned long long)c->moved);
        else if (c->refused > 0)
            (void)snprintf(text, sizeof text, "(%llu)", (unsigned long long)c->refused);
        fprintf(to, " %12s", text);
    }
    fputc('\n', to);
}

static bool report_table(FILE *to, const struct table *t)
{
    int legal = 0, reached = 0, illegal = 0, refused = 0, wrong = 0;

    fprintf(to, "\n%-12s", t->name);
    for (int e = 0; e < t->events; e++)
        fprintf(to, " %12s", t->event_name(e));
    fputc('\n', to);
    for (int s = 0; s < t->states; s++) {
        print_row(to, t, s);
        for (int e = 0; e < t->events; e++) {
            const struct cell *c = t->cell(s, e);

            if (t->is_legal(s, e)) {
                legal++;
                reached += c->moved > 0;
                wrong += c->refused > 0;
            } else {
                illegal++;
                refused += c->refused > 0;
                wrong += c->moved > 0;
            }
        }
    }
    fprintf(to,
            "report: %s table: %d of %d legal cells reached, %d of %d illegal ones asked and "
            "refused, the others never asked\n",
            t->name, reached, legal, refused, illegal);
    return reached == legal && wrong == 0;
}

/* The first event comes to a core that serves; a poll finds out that the key is refused, so there
 * is none after that; all others may come in any phase, in the last one because the order to exit
 * waits for the disk. */
static bool is_possible(int event, int phase)
{
    if (event == CORE_EV_START)
        return phase == PHASE_SERVING;
    return phase != PHASE_KEYLESS ||
           (event != CORE_EV_MESSAGE && event != CORE_EV_JOB && event != CORE_EV_POLLED);
}

static bool report_events(FILE *to)
{
    int possible = 0, reached = 0;

    fprintf(to, "\n%-12s", "event");
    for (int p = 0; p < PHASE_STATE_COUNT; p++)
        fprintf(to, " %12s", phase_state_name((enum phase_state)p));
    fputc('\n', to);
    for (int e = 0; e < CORE_EVENT_COUNT; e++) {
        fprintf(to, "%-12s", trace_event_name((enum core_event_type)e));
        for (int p = 0; p < PHASE_STATE_COUNT; p++) {
            if (!is_possible(e, p)) {
                fprintf(to, " %12s", "-");
                continue;
            }
            possible++;
            reached += seen.event[e][p] > 0;
            fprintf(to, " %12llu", (unsigned long long)seen.event[e][p]);
        }
        fputc('\n', to);
    }
    fprintf(to, "report: core event x phase: %d of %d possible pairs reached\n", reached, possible);
    return reached == possible;
}

bool cover_report(FILE *to)
{
    bool all = true;

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        all = report_table(to, &tables[i]) && all;
    return report_events(to) && all;
}
