#include "sim/children.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ending.h"
#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    LINES_MAX = 5,
    REBOOT_MS = 5 * 60 * 1000,
    SURVEY_MOST_MS = 6000,      /* it ends itself by then, as a rule */
    SURVEY_KILLED_MS = 4 * 1000 /* to be heard of, once it was to end */
};

static const char *const fate_names[] = {
    [FATE_FINE] = "will answer",
    [FATE_DONE] = "has answered",
    [FATE_STATUS] = "will answer and fail",
    [FATE_SILENT_END] = "will say nothing",
    [FATE_BLANK] = "will answer with blanks",
    [FATE_SIGNAL] = "will die of a signal",
    [FATE_OOM] = "will need too much memory",
    [FATE_PAST] = "will go past a limit",
    [FATE_UNSTARTABLE] = "can't be started",
    [FATE_NOT_FOUND] = "isn't there",
    [FATE_NEVER_STARTS] = "will never start",
    [FATE_HANGS] = "will hang",
    [FATE_BABBLES] = "will never end",
    [FATE_OVERFLOWS] = "will print too much",
    [FATE_DEFIES] = "will defy TERM",
    [FATE_FINISHES] = "will finish at TERM",
    [FATE_LINGERS] = "will answer and stay",
    [FATE_STUCK] = "will be stuck",
    [FATE_UNREPORTED] = "will end unheard",
};
static_assert(ARRAY_SIZE(fate_names) == FATE_COUNT, "every fate has a name");

static void plan(struct sim *sim, const struct side *side, struct child *c, uint64_t in_ms)
{
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = sim->now_ms + in_ms,
                                                   .what = AGENDA_CHILD,
                                                   .side = side->number,
                                                   .life = side->life,
                                                   .index = c->index,
                                                   .tag = ++c->tag });
}

static enum fate draw_fate(struct sim *sim)
{
    static const enum fate deaf[] = { FATE_UNREPORTED, FATE_OVERFLOWS, FATE_UNREPORTED,
                                      FATE_BABBLES, FATE_OVERFLOWS };
    static const enum fate hard[] = { FATE_NEVER_STARTS, FATE_HANGS, FATE_BABBLES,
                                      FATE_DEFIES,       FATE_STUCK, FATE_UNREPORTED,
                                      FATE_UNREPORTED };

    if (!sim_mishap(sim, sim->schedule.bad_child))
        return FATE_FINE;
    if (sim->schedule.deaf_spawner)
        return deaf[draw_below(&sim->draw, ARRAY_SIZE(deaf))];
    if (draw_below(&sim->draw, 6) == 0)
        return hard[draw_below(&sim->draw, ARRAY_SIZE(hard))];
    return (enum fate)(FATE_STATUS + draw_below(&sim->draw, FATE_STUCK - FATE_STATUS));
}

static struct child *add(struct side *side, uint64_t seq)
{
    const struct task *t = core_task(side->core, seq);
    struct children *cs = &side->children;

    if (cs->len == cs->cap) {
        cs->cap = cs->cap ? cs->cap * 2 : 8;
        cs->items = mem_realloc(cs->items, cs->cap * sizeof cs->items[0]);
    }
    cs->items[cs->len] = mem_new(struct child);
    *cs->items[cs->len] = (struct child){ .seq = seq,
                                          .message = server_message_of(t->id),
                                          .attempt = t->attempt,
                                          .index = (uint32_t)cs->len };
    return cs->items[cs->len++];
}

static void refuse(struct sim *sim, struct side *side, uint64_t seq, const char *why)
{
    const struct ending ending = { .failed_to_start = true, .start_error = why };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    side_give(sim, side, &ev);
}

/* The job's files hold its session, until they are lost. */
static void resume(struct sim *sim, struct side *side, struct child *c)
{
    const char *session = core_session(side->core, c->seq);
    char *home = side->homes[sim->server.messages[c->message].job];

    check_session(sim, side, c->message, session);
    if (sim_mishap(sim, sim->schedule.lost_session))
        home[0] = '\0';
    c->gone = session && !str_eq(session, home);
}

void children_spawn(struct sim *sim, struct side *side, uint64_t seq)
{
    struct child *c;

    if (!core_may_spawn(side->core, seq)) {
        refuse(sim, side, seq, NULL);
        return;
    }
    check_spawn(sim, side, seq);
    sim->tally.children++;
    if (sim_mishap(sim, sim->schedule.bad_child / 20)) { /* no workspace, no plan */
        refuse(sim, side, seq, "no room for a workspace");
        return;
    }
    c = add(side, seq);
    c->fate = draw_fate(sim);
    c->lines = draw_below(&sim->draw, LINES_MAX);
    c->files = draw_below(&sim->draw, 3) == 0 ? draw_between(&sim->draw, 1, FILES_MAX) : 0;
    parcels_empty(side, sim->server.messages[c->message].job);
    resume(sim, side, c);
    sim->tally.bad_children += c->fate != FATE_FINE;
    side->disk.history[c->message].spawned = true;
    side->disk.history[c->message].unlooked[0] = '\0';
    side->disk.history[c->message].left_by[0] = '\0';
    trace(sim, side, "child", "%s, attempt %u: %s%s", trace_message(side, seq), c->attempt,
          fate_names[c->fate], c->gone ? ", its session is gone" : "");
    if (c->fate != FATE_NEVER_STARTS)
        plan(sim, side, c, draw_between(&sim->draw, 5, 3000));
}

/* The one of that message's attempts that isn't over, or is looked at. */
static struct child *find_live(struct side *side, uint64_t seq)
{
    struct children *cs = &side->children;

    for (size_t i = cs->len; i-- > 0;)
        if (cs->items[i]->seq == seq && (!cs->items[i]->over || cs->items[i]->survey_due))
            return cs->items[i];
    return NULL;
}

void children_kill(struct sim *sim, struct side *side, uint64_t seq, uint32_t grace_ms)
{
    const struct task *t = core_task(side->core, seq);
    struct child *c = find_live(side, seq);
    uint32_t message = t ? server_message_of(t->id) : 0;
    const struct task *row = t ? side->disk.rows[message] : NULL;
    uint64_t end_ms;

    /* By the row: this order may be an older one, while somebody's word waits for the disk still.
     * What is forgotten is so as disk.h has it. */
    if (row && row->cancelled && t->state != TASK_GONE)
        side->disk.history[message].stopped = true;

    if (!c) /* it ended, or never began, and the core will hear of it */
        return;
    sim->tally.kills++;
    if (c->over && sim->schedule.deaf_spawner && draw_below(&sim->draw, 2)) {
        side->silent_child = true;
        c->tag++;
        return;
    }
    if (c->over) {
        if (sim_mishap(sim, sim->schedule.bad_child / 4)) {
            c->stuck = c->failed = true;
            c->note = COULD_NOT_LOOK;
        }
        plan(sim, side, c, draw_below(&sim->draw, SURVEY_KILLED_MS));
        return;
    }
    if (c->fate == FATE_UNREPORTED) {
        side->silent_child = true;
        c->tag++;
        return;
    }
    end_ms = sim->now_ms + draw_between(&sim->draw, 1, 200);
    if (c->fate == FATE_DEFIES || c->fate == FATE_STUCK)
        end_ms += grace_ms;
    if (!c->killed || end_ms < c->end_ms)
        c->end_ms = end_ms;
    c->killed = true;
    plan(sim, side, c, c->end_ms > sim->now_ms ? c->end_ms - sim->now_ms : 0);
}

/* ---- what it says and how it ends ---- */

static void give(struct sim *sim, struct side *side, const struct child *c,
                 enum core_event_type type)
{
    const struct core_event ev = { .type = type, .seq = c->seq };

    side_give(sim, side, &ev);
}

static void print_line(struct sim *sim, struct side *side, const struct child *c)
{
    static const struct progress says[] = {
        { .type = PROGRESS_TEXT, .text = "thinks" },
        { .type = PROGRESS_TOOL_USE, .tool = "shell", .input = "true", .status = "running" },
        { .type = PROGRESS_TOOL_USE, .tool = "shell" },
    };
    const struct core_event ev = { .type = CORE_EV_PROGRESS,
                                   .seq = c->seq,
                                   .progress = &says[draw_below(&sim->draw, ARRAY_SIZE(says))] };

    give(sim, side, c, CORE_EV_OUTPUT);
    if (draw_below(&sim->draw, 3))
        side_give(sim, side, &ev);
}

/* As a rule the one of before, or the first; and now and then a strange one. */
static void name_session(struct sim *sim, struct side *side, const struct child *c)
{
    static const char *const strange[] = { "", "-x", "a b", "../s" };
    char *home = side->homes[sim->server.messages[c->message].job];
    struct core_event ev = {
        .type = CORE_EV_SESSION, .seq = c->seq, .session = home, .runner = "worker"
    };

    if (home[0] == '\0' || draw_below(&sim->draw, 3) == 0)
        (void)snprintf(home, SESSION_MAX, "s-%c-%u", side->name, ++side->sessions_made);
    if (sim_mishap(sim, sim->schedule.bad_child / 8))
        ev.session = strange[draw_below(&sim->draw, ARRAY_SIZE(strange))];
    side_give(sim, side, &ev);
}

static void set_status(const struct child *c, struct ending *e)
{
    bool killed = c->killed && c->fate != FATE_FINISHES;

    switch (c->fate) {
    case FATE_STATUS:
        e->status = 3 << 8;
        break;
    case FATE_SILENT_END:
        e->ok = false;
        e->text = NULL;
        break;
    case FATE_BLANK:
        e->text = " \n";
        break;
    case FATE_SIGNAL:
        e->status = SIGSEGV;
        break;
    case FATE_OOM:
        e->status = SIGKILL;
        e->oom = true;
        break;
    case FATE_PAST:
        e->status = SIGKILL;
        e->limit = (enum limit)(1 + c->seq % (LIMIT_COUNT - 1));
        break;
    case FATE_UNSTARTABLE:
    case FATE_NOT_FOUND:
        *e = (struct ending){ .failed_to_start = true,
                              .not_found = c->fate == FATE_NOT_FOUND,
                              .start_error = "no such thing" };
        break;
    case FATE_STUCK:
        e->stuck = true;
        break;
    case FATE_FINE:
    case FATE_DONE:
    case FATE_NEVER_STARTS:
    case FATE_HANGS:
    case FATE_BABBLES:
    case FATE_OVERFLOWS:
    case FATE_DEFIES:
    case FATE_FINISHES:
    case FATE_LINGERS:
    case FATE_UNREPORTED:
    case FATE_COUNT:
        break;
    }
    e->final = c->final;
    if (killed && !e->failed_to_start) {
        e->status = c->fate == FATE_DEFIES ? SIGKILL : SIGTERM;
        e->ok = c->final;
    }
    if (c->gone && c->started) {
        e->ok = false;
        e->session_gone = true;
        e->error = "no such session";
    }
}

void children_notice_stuck(struct sim *sim, const struct side *side)
{
    uint32_t stuck = 0;

    for (size_t i = 0; i < side->children.len; i++)
        stuck += side->children.items[i]->stuck;
    if (stuck < side->options.max_concurrency)
        return;
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = sim->now_ms + REBOOT_MS,
                                                   .what = AGENDA_REBOOT,
                                                   .side = side->number,
                                                   .life = side->life });
}

/* Some of them may lie there without its having come to its end. */
static void leave_files(struct sim *sim, struct side *side, const struct child *c,
                        const char *answer, struct ending *e)
{
    struct history *h = &side->disk.history[c->message];

    if (c->files == 0 || !c->started)
        return;
    sim->tally.files += c->files;
    h->left_tag = parcels_leave(side, sim->server.messages[c->message].job, c->files);
    h->left = c->files;
    (void)snprintf(h->left_by, sizeof h->left_by, "%s", answer);
    e->files = !e->failed_to_start;
}

static void end(struct sim *sim, struct side *side, struct child *c)
{
    char answer[ANSWER_MAX];
    struct ending ending = { .ok = true, .text = answer, .stderr_tail = "last words" };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = c->seq, .ending = &ending };
    const struct task *t;
    bool fails = c->fate == FATE_UNSTARTABLE || c->fate == FATE_NOT_FOUND;

    (void)snprintf(answer, sizeof answer, "answer to m%02u, attempt %u, life %u of %c", c->message,
                   c->attempt, side->life, side->name);
    set_status(c, &ending);
    leave_files(sim, side, c, answer, &ending);
    c->over = true;
    c->stuck = ending.stuck;
    sim->tally.stuck += ending.stuck;
    if (ending.stuck)
        children_notice_stuck(sim, side);
    if (c->killed && c->started &&
        (side->phase == PHASE_DONE || draw_below(&sim->draw, 4) == 0)) /* what it said meanwhile */
        give(sim, side, c, draw_below(&sim->draw, 2) ? CORE_EV_OVERFLOW : CORE_EV_OUTPUT);
    /* the word that it started crosses the kill, or comes with the end */
    if (!c->told && !fails && draw_below(&sim->draw, 2))
        give(sim, side, c, CORE_EV_STARTED);
    side_give(sim, side, &ev);
    if (c->surveyed)
        (void)snprintf(side->disk.history[c->message].unlooked, ANSWER_MAX, "%s", answer);
    t = side->core ? core_task(side->core, c->seq) : NULL;
    if (c->gone && c->started && side->phase == PHASE_SERVING && t && t->state == TASK_RECEIVED &&
        !t->anew)
        check_fail(sim, side, "2: %s is to run again, and nothing says that it began anew", t->id);
}

/* ---- what it left ---- */

static struct child *find_last(struct side *side, uint64_t seq)
{
    struct children *cs = &side->children;

    for (size_t i = cs->len; i-- > 0;)
        if (cs->items[i]->seq == seq)
            return cs->items[i];
    return NULL;
}

static void end_survey(struct sim *sim, struct side *side, struct child *c)
{
    const struct core_event ev = { .type = CORE_EV_SURVEYED,
                                   .seq = c->seq,
                                   .note = c->note,
                                   .failed = c->failed,
                                   .stuck = c->stuck };

    c->survey_due = false;
    sim->tally.stuck += c->stuck;
    if (c->stuck)
        children_notice_stuck(sim, side);
    if (!c->failed)
        side->disk.history[c->message].unlooked[0] = '\0';
    side_give(sim, side, &ev);
}

void children_survey(struct sim *sim, struct side *side, uint64_t seq)
{
    static const char *const notes[] = { NULL, "nairid noticed `.envrc`", COULD_NOT_LOOK };
    struct child *c = find_last(side, seq);

    if (!c || !c->over || c->fate == FATE_STUCK || c->survey_due) {
        check_fail(sim, side, "4: what %s left is to be looked at while it runs",
                   trace_message(side, seq));
        return;
    }
    if (core_task(side->core, seq)->unsurveyed == 0) { /* as in surveys.c: it was given up */
        c->failed = true;
        end_survey(sim, side, c);
        return;
    }
    check_survey(sim, side, c->message);
    sim->tally.surveys++;
    c->note = notes[draw_below(&sim->draw, ARRAY_SIZE(notes))];
    c->failed = str_eq(c->note, COULD_NOT_LOOK);
    c->survey_due = true;
    if (!sim_mishap(sim, sim->schedule.bad_child))
        plan(sim, side, c, draw_between(&sim->draw, 1, 60));
    else if (draw_below(&sim->draw, 2))
        plan(sim, side, c, draw_below(&sim->draw, SURVEY_MOST_MS));
    else /* never */
        c->tag++;
}

void children_hold(struct sim *sim, struct side *side, uint64_t seq, bool held)
{
    struct child *c = find_last(side, seq);

    if (!c && held) { /* its program was an earlier life's */
        c = add(side, seq);
        c->over = true;
        sim->tally.late_surveys++;
    }
    if (c)
        c->surveyed = held;
}

/* What isn't to be told again has been told: the reply is on disk, and holds it. */
void children_settle(struct sim *sim, struct side *side, uint64_t seq, bool keep)
{
    const struct child *c = find_last(side, seq);
    const struct task *row, *t = core_task(side->core, seq);

    if (!c || !keep || !t || t->state == TASK_GONE) /* as in surveys.c */
        return;
    row = side->disk.rows[c->message];
    if (!row || row->state < TASK_FINISHED)
        check_fail(sim, side, "what %s left counts as told, and its reply is not on disk",
                   trace_message(side, seq));
    else if (c->note && row->reply && !strstr(row->reply, c->note))
        check_fail(sim, side, "what %s left counts as told, and its reply doesn't say it",
                   trace_message(side, seq));
}

static void say_final(struct sim *sim, struct side *side, struct child *c)
{
    c->final = true;
    give(sim, side, c, CORE_EV_FINAL);
    if (draw_below(&sim->draw, 8) == 0)
        give(sim, side, c, CORE_EV_FINAL);
}

static void begin(struct sim *sim, struct side *side, struct child *c)
{
    c->started = true;
    if (draw_below(&sim->draw, 8) == 0) /* the output overtakes the word that it started */
        print_line(sim, side, c);
    if (c->fate == FATE_LINGERS && draw_below(&sim->draw, 4) == 0) /* the result, even */
        say_final(sim, side, c);
    give(sim, side, c, CORE_EV_STARTED);
    c->told = true;
    if (!c->gone && draw_below(&sim->draw, 3) > 0)
        name_session(sim, side, c);
    if (c->gone || (c->fate != FATE_HANGS && c->fate != FATE_DEFIES))
        plan(sim, side, c, draw_between(&sim->draw, 1, 20 * 1000));
}

static void go_on(struct sim *sim, struct side *side, struct child *c)
{
    if (c->gone) {
        if (draw_below(&sim->draw, 2))
            say_final(sim, side, c);
        end(sim, side, c);
    } else if (c->fate == FATE_OVERFLOWS && c->lines == 0) {
        give(sim, side, c, CORE_EV_OUTPUT);
        give(sim, side, c, CORE_EV_OVERFLOW);
        plan(sim, side, c, draw_between(&sim->draw, 1, 9 * 1000));
    } else if (c->lines > 0 || c->fate == FATE_BABBLES) {
        print_line(sim, side, c);
        c->lines -= c->lines > 0;
        plan(sim, side, c, draw_between(&sim->draw, 1, 9 * 1000));
    } else if (c->fate == FATE_LINGERS || (c->fate == FATE_FINE && draw_below(&sim->draw, 2))) {
        say_final(sim, side, c);
        if (c->fate == FATE_FINE)
            plan(sim, side, c, draw_below(&sim->draw, 2) ? 0 : draw_below(&sim->draw, 15 * 1000));
        c->fate = c->fate == FATE_FINE ? FATE_DONE : c->fate;
    } else if (c->fate != FATE_UNREPORTED) {
        end(sim, side, c);
    }
}

void children_step(struct sim *sim, struct side *side, uint32_t index, uint32_t tag)
{
    struct child *c = side->children.items[index];

    if (c->tag != tag || (c->over && !c->survey_due))
        return;
    if (c->over)
        end_survey(sim, side, c);
    else if (c->killed || c->fate == FATE_UNSTARTABLE || c->fate == FATE_NOT_FOUND)
        end(sim, side, c);
    else if (!c->started)
        begin(sim, side, c);
    else
        go_on(sim, side, c);
    side_settle(sim, side);
}

void children_end_all(struct children *c)
{
    while (c->len > 0)
        free(c->items[--c->len]);
}

void children_done(struct children *c)
{
    children_end_all(c);
    free(c->items);
    *c = (struct children){ 0 };
}
