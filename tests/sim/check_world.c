/* The invariants as the server and the end of a schedule show them, and the bounds. */
#include "sim/check.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "sim/sim.h"
#include "sim/trace.h"
#include "util/str.h"

enum {
    POLLS_A_MINUTE = 150,
    POSTS_A_MINUTE = 90, /* of one message, where the server is taken to be well each time */
    PROGRESS_LEAST_MS = 1000,
    WAITING_SLACK = CONCURRENCY_MAX /* what was running waits again */
};

/* ---- the server ---- */

void check_accepted(struct sim *sim, const struct request *r, unsigned message)
{
    const struct server *s = &sim->server;
    const struct side *side = &sim->sides[r->side];
    const struct server_message *m = &s->messages[message];
    const struct history *h = &side->disk.history[message];

    if (sim->schedule.leases && s->jobs[m->job].holder != r->side)
        check_fail(sim, side, "2: the reply to %s is taken from who doesn't hold its job", m->id);
    if (h->unlooked[0] && strstr(r->text, h->unlooked) && !strstr(r->text, COULD_NOT_LOOK))
        check_fail(sim, side, "%s is answered, and what its task left was not looked at", m->id);
    if (r->kind == TASK_REPLY_ERROR ? r->ids != NULL
        : h->left_by[0] && strstr(r->text, h->left_by)
            ? !parcels_are_whole(h->left_tag, h->left, r->text, r->ids)
            : r->ids != NULL)
        check_fail(sim, side, "%s is answered, and the files with it (%s) aren't its own", m->id,
                   r->ids ? r->ids : "none");
    for (unsigned i = 0; i < message; i++)
        if (s->messages[i].job == m->job && !server_is_settled(&s->messages[i]))
            check_fail(sim, side, "3: %s is answered before %s", m->id, s->messages[i].id);
}

void check_acked(struct sim *sim, const struct request *r, unsigned message)
{
    const struct server_message *m = &sim->server.messages[message];

    if (!server_is_settled(m))
        check_fail(sim, &sim->sides[r->side], "1: %s is acknowledged, and has no reply", m->id);
}

/* ---- bounds ---- */

/* 9: a post is ordered. Progress is held to a pace, and what failed is not repeated at once. */
void check_pace(struct sim *sim, struct side *side, const struct core_command *c)
{
    const struct task *t = core_task(side->core, c->seq);
    uint32_t i = t ? server_message_of(t->id) : MESSAGES;
    uint64_t now = side_mono_ms(sim, side);

    if (i == MESSAGES || sim->blind)
        return;
    if (c->post == CORE_POST_PROGRESS) {
        if (side->progress_ms[i] > 0 && now - side->progress_ms[i] < PROGRESS_LEAST_MS)
            check_fail(sim, side, "9: progress of %s follows at once", t->id);
        side->progress_ms[i] = now;
    }
    if (now / 60000 != side->minute_of_posts) {
        side->minute_of_posts = now / 60000;
        for (uint32_t m = 0; m < MESSAGES; m++)
            side->posts_in_minute[m] = 0;
    }
    if ((c->post == CORE_POST_REPLY || c->post == CORE_POST_ACK || c->post == CORE_POST_UPLOAD) &&
        ++side->posts_in_minute[i] > POSTS_A_MINUTE)
        check_fail(sim, side, "9: %u posts of %s in a minute", side->posts_in_minute[i], t->id);
}

/* That a job is over is on the disk before it is said, and nothing of the job is here any more. */
void check_complete(struct sim *sim, struct side *side, const struct request *r)
{
    const struct disk_job *job = &side->disk.jobs[r->job];

    if (sim->blind)
        return;
    if (!job->known || !job->leaving || job->used_ms != r->used_ms)
        check_fail(sim, side, "j%u is said to be complete, and the journal doesn't say so", r->job);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        const struct task *row = side->disk.rows[i];

        if (row && row->state != TASK_ACKED && server_job_of(row->job_id) == r->job)
            check_fail(sim, side, "j%u is said to be complete, and %s is %s", r->job, row->id,
                       task_state_name(row->state));
    }
}

void check_bounds(struct sim *sim, struct side *side)
{
    struct core_status s;

    core_status(side->core, &s);
    if (s.waiting > side->queued_most + WAITING_SLACK)
        check_fail(sim, side, "9: %zu messages wait, and max_queued is %u", s.waiting,
                   side->queued_most);
    if (side->polls_in_minute > POLLS_A_MINUTE)
        check_fail(sim, side, "9: %u polls in a minute", side->polls_in_minute);
}

void check_exit(struct sim *sim, struct side *side, int code)
{
    bool may = false;

    switch (code) {
    case EX_OK:
        may = side->told_to_stop;
        break;
    case EX_TEMPFAIL:
        may = side->told_to_stop || side->silent_child || side->slow_commits;
        break;
    case EX_NOPERM:
        may = side->keyless;
        break;
    case EX_UNAVAILABLE:
        may = !side->was_connected && side->options.start_limit_ms > 0;
        break;
    default:
        break;
    }
    if (!may)
        check_fail(sim, side, "it exits with %d for no reason", code);
}

/* ---- the end ---- */

/* Who answered it may be gone for good, and then nobody acknowledges it. */
static bool is_acked(const struct sim *sim, const struct server_message *m)
{
    uint32_t holder = sim->server.jobs[m->job].holder;

    return m->acked || (m->final && holder != NOBODY && sim->sides[holder].dead);
}

static bool is_idle(const struct side *side)
{
    struct core_status s;

    if (side->dead)
        return true;
    if (!side_is_up(side) || side->in_turn || side->disk.writing)
        return false;
    core_status(side->core, &s);
    return s.waiting + s.running + s.outbox == 0;
}

bool check_is_settled(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->schedule.messages; i++)
        if (!server_is_settled(&sim->server.messages[i]) ||
            !is_acked(sim, &sim->server.messages[i]))
            return false;
    for (uint32_t i = 0; i < sim->schedule.sides; i++)
        if (!is_idle(&sim->sides[i]))
            return false;
    return true;
}

static void check_message(struct sim *sim, const struct server_message *m)
{
    uint32_t answers = m->replies + m->given_up + (m->refused && m->replies == 0);

    if (!server_is_settled(m))
        check_fail(sim, NULL, "1: %s was never answered", m->id);
    if (answers > 1 && m->replies > 1)
        check_fail(sim, NULL, "2: %s has %u replies", m->id, answers);
    if (!is_acked(sim, m))
        check_fail(sim, NULL, "1: %s was never acknowledged", m->id);
}

struct open_search {
    struct sim *sim;
    const struct side *side;
};

static void visit_open(const struct task *t, uint64_t started_ms, bool stopping, bool quarantined,
                       const struct progress *progress, void *ctx)
{
    const struct open_search *search = ctx;

    (void)started_ms;
    (void)stopping;
    (void)quarantined;
    (void)progress;
    check_fail(search->sim, search->side, "1: %s is still %s in the end", t->id,
               task_state_name(t->state));
}

/* The server's view and ours agree. */
static void check_row(struct sim *sim, const struct side *side, uint32_t message)
{
    const struct task *row = side->disk.rows[message];
    const struct server_message *m = &sim->server.messages[message];
    const struct history *h = &side->disk.history[message];

    if (row && row->state != TASK_ACKED)
        check_fail(sim, side, "1: the journal has %s as %s in the end", m->id,
                   task_state_name(row->state));
    if (m->replies == 0 || m->reply_from != side->number)
        return;
    if (row && row->reply_kind != m->kind)
        check_fail(sim, side, "2: journal and server disagree on the kind of the reply to %s",
                   m->id);
    if (h->reply && !str_eq(h->reply, m->reply))
        check_fail(sim, side, "2: journal and server disagree on the reply to %s", m->id);
}

static void check_side(struct sim *sim, const struct side *side)
{
    struct open_search search = { sim, side };

    for (uint32_t i = 0; i < sim->schedule.messages; i++)
        check_row(sim, side, i);
    if (side->core)
        core_visit(side->core, visit_open, &search);
    for (size_t i = 0; i < side->children.len; i++)
        if (!side->children.items[i]->over)
            check_fail(sim, side, "4: a program for m%02u still runs in the end",
                       side->children.items[i]->message);
}

void check_end(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->schedule.messages; i++)
        check_message(sim, &sim->server.messages[i]);
    for (uint32_t i = 0; i < sim->schedule.sides; i++)
        if (!sim->sides[i].dead)
            check_side(sim, &sim->sides[i]);
}
