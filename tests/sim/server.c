#include "sim/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "hub/lease.h"
#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/mem.h"

enum { SWEEP_LATE_MS = 2000 }; /* behind other work of the storage */

uint32_t server_message_of(const char *id)
{
    return (uint32_t)strtoul(id + 1, NULL, 10);
}

uint32_t server_job_of(const char *id)
{
    return (uint32_t)strtoul(id + 1, NULL, 10);
}

bool server_is_settled(const struct server_message *m)
{
    return m->replies > 0 || m->given_up || m->refused;
}

void server_init(struct sim *sim)
{
    static const enum taste tastes[] = { TASTE_TOO_LARGE, TASTE_HUGE, TASTE_UNWANTED };
    struct server *s = &sim->server;

    for (uint32_t j = 0; j < JOBS; j++) {
        s->jobs[j] = (struct server_job){ .holder = NOBODY };
        (void)snprintf(s->jobs[j].id, sizeof s->jobs[j].id, "j%u", j % 10);
    }
    for (uint32_t i = 0; i < sim->schedule.messages; i++) {
        struct server_message *m = &s->messages[i];

        *m = (struct server_message){ .job = draw_below(&sim->draw, sim->schedule.jobs),
                                      .given = NOBODY };
        if (draw_below(&sim->draw, 8) == 0)
            m->taste = tastes[draw_below(&sim->draw, 3)];
        (void)snprintf(m->id, sizeof m->id, "m%02u", i % 100);
        (void)snprintf(m->ack_id, sizeof m->ack_id, "a%02u", i % 100);
    }
}

void server_done(struct server *s)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        free(s->messages[i].reply);
}

/* ---- leases ---- */

static bool is_live(const struct sim *sim, uint32_t side)
{
    const struct server *s = &sim->server;

    if (side == NOBODY)
        return false;
    return s->lease_known[side] ? s->lease_end_ms[side] > sim->now_ms
                                : s->grace_end_ms > sim->now_ms;
}

static void plan_sweep(struct sim *sim)
{
    struct server *s = &sim->server;
    uint64_t at = s->grace_end_ms ? s->grace_end_ms : UINT64_MAX;

    for (uint32_t i = 0; i < SIDES; i++)
        if (s->lease_known[i] && s->lease_end_ms[i] < at)
            at = s->lease_end_ms[i];
    if (at == UINT64_MAX || (s->sweep_ms > sim->now_ms && s->sweep_ms <= at))
        return;
    s->sweep_ms = at;
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = (at > sim->now_ms ? at : sim->now_ms) +
                                                            draw_below(&sim->draw, SWEEP_LATE_MS),
                                                   .what = AGENDA_SWEEP });
}

static void renew(struct sim *sim, const struct request *r)
{
    struct server *s = &sim->server;
    uint64_t end_ms = sim->now_ms + LEASE_MS;

    if (!sim->schedule.leases)
        return;
    if (r->wait_ms + LEASE_WAIT_MARGIN_MS > LEASE_MS)
        end_ms = sim->now_ms + r->wait_ms + LEASE_WAIT_MARGIN_MS;
    if (!s->lease_known[r->side] || end_ms > s->lease_end_ms[r->side])
        s->lease_end_ms[r->side] = end_ms;
    s->lease_known[r->side] = true;
    plan_sweep(sim);
}

/* ---- users ---- */

static void wake_all(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->schedule.sides; i++)
        network_wake(sim, i);
    feed_tell(sim, MESSAGES);
}

void server_prompt(struct sim *sim, uint32_t message)
{
    struct server_message *m = &sim->server.messages[message];

    m->exists = true;
    trace(sim, NULL, "user", "writes %s in %s", m->id, sim->server.jobs[m->job].id);
    feed_tell(sim, message);
    wake_all(sim);
}

static void give_up(struct sim *sim, struct server_message *m)
{
    m->final = m->given_up = m->acked = true;
    m->acked_ms = sim->now_ms;
    m->given = NOBODY;
    trace(sim, NULL, "server", "answers %s itself: it is stopped", m->id);
}

/* Answers the open messages below end that no living daemon has; returns the end of those that one
 * has, 0 if there are none. */
static uint32_t give_up_unheld(struct sim *sim, uint32_t job, uint32_t end)
{
    struct server *s = &sim->server;
    bool held = is_live(sim, s->jobs[job].holder);
    uint32_t last = 0;

    for (uint32_t i = 0; i < end; i++) {
        struct server_message *m = &s->messages[i];

        if (m->job != job || !m->exists || m->final)
            continue;
        if (held && m->pending)
            last = i + 1;
        else
            give_up(sim, m);
    }
    return last;
}

static bool settle_cancel(struct sim *sim, uint32_t job)
{
    struct server *s = &sim->server;
    struct server_job *j = &s->jobs[job];

    for (uint32_t i = 0; i < j->cancel_end; i++)
        if (s->messages[i].job == job && s->messages[i].exists && !s->messages[i].final)
            return false;
    if (j->cancel_end == 0)
        return false;
    j->cancel_end = 0;
    j->cancel_told = false;
    return true;
}

void server_stop_job(struct sim *sim, uint32_t job)
{
    struct server_job *j = &sim->server.jobs[job];
    uint32_t end;

    if (!sim->schedule.leases) /* the hosted service knows no such request */
        return;
    trace(sim, NULL, "user", "stops %s", j->id);
    sim->tally.stops++;
    end = give_up_unheld(sim, job, sim->schedule.messages);
    if (end == 0)
        (void)settle_cancel(sim, job); /* all are answered: nothing waits for it */
    if (end <= j->cancel_end)
        return;
    j->cancel_end = end;
    j->cancel_told = false;
    network_wake(sim, j->holder);
    feed_tell(sim, MESSAGES);
}

/* ---- what becomes of leases ---- */

void server_sweep(struct sim *sim)
{
    struct server *s = &sim->server;

    for (uint32_t i = 0; i < SIDES; i++) {
        if (!s->lease_known[i] || s->lease_end_ms[i] > sim->now_ms)
            continue;
        s->lease_known[i] = false;
        trace(sim, NULL, "server", "the lease of %c ends", 'A' + (char)i);
        for (uint32_t m = 0; m < MESSAGES; m++) {
            if (s->messages[m].given != i || s->messages[m].acked)
                continue;
            s->messages[m].given = NOBODY;
            s->messages[m].acked = s->messages[m].final;
        }
    }
    for (uint32_t m = 0; m < MESSAGES; m++)
        if (s->messages[m].given == NOBODY && !s->messages[m].acked && !s->messages[m].final)
            s->messages[m].pending = false; /* it waits again */
    if (s->grace_end_ms && s->grace_end_ms <= sim->now_ms)
        s->grace_end_ms = 0;
    for (uint32_t j = 0; j < JOBS; j++) {
        if (s->jobs[j].cancel_end == 0 || is_live(sim, s->jobs[j].holder))
            continue;
        (void)give_up_unheld(sim, j, s->jobs[j].cancel_end); /* nobody alive holds it: none stays */
        (void)settle_cancel(sim, j);                         /* the wake follows in any case */
    }
    wake_all(sim);
    plan_sweep(sim);
}

/* It knows what it has stored, and not who is alive. */
void server_restart(struct sim *sim)
{
    struct server *s = &sim->server;

    network_reset(sim);
    if (!sim->schedule.leases)
        return;
    s->lease_known[0] = s->lease_known[1] = false;
    s->grace_end_ms = s->down_until_ms + LEASE_MS;
    for (uint32_t m = 0; m < MESSAGES; m++)
        if (!s->messages[m].acked)
            s->messages[m].given = NOBODY;
    for (uint32_t j = 0; j < JOBS; j++)
        s->jobs[j].cancel_told = false;
    plan_sweep(sim);
}

/* ---- polls ---- */

static void show(const struct sim *sim, struct listing *l, uint32_t side, uint32_t job)
{
    const struct server_job *j = &sim->server.jobs[job];

    l->jobs |= 1U << job;
    l->job[job].fence = j->fence + (sim->schedule.leases && j->holder != side);
    l->job[job].cancel_requested = j->cancel_end > 0;
}

/* The hosted service: all that isn't acknowledged, as far as the machine that answers knows. */
static void list_everything(struct sim *sim, struct listing *l)
{
    for (uint32_t i = 0; i < sim->schedule.messages; i++) {
        struct server_message *m = &sim->server.messages[i];
        bool acked = m->acked && m->acked_ms + sim->schedule.stale_ms <= sim->now_ms;

        if (!m->exists || acked)
            continue;
        m->pending = true;
        l->messages |= 1U << i;
        show(sim, l, 0, m->job);
    }
}

static bool may_have(const struct sim *sim, uint32_t side, uint32_t message)
{
    const struct server_job *j = &sim->server.jobs[sim->server.messages[message].job];
    bool mine = j->holder == side;

    if (j->cancel_end > 0)
        return mine && message < j->cancel_end;
    return mine || !is_live(sim, j->holder);
}

/* Returns the jobs of which something is granted. */
static uint32_t grant_waiting(const struct sim *sim, struct listing *l, uint32_t side)
{
    bool refused[JOBS] = { false };
    uint32_t jobs = 0;

    for (uint32_t i = 0; i < sim->schedule.messages; i++) {
        const struct server_message *m = &sim->server.messages[i];

        if (!m->exists || m->acked || m->given == side)
            continue;
        refused[m->job] = refused[m->job] || !may_have(sim, side, i);
        if (refused[m->job] || (m->final && sim->server.jobs[m->job].holder != side))
            continue;
        l->granted |= 1U << i;
        jobs |= 1U << m->job;
    }
    return jobs;
}

static void list_messages(const struct sim *sim, struct listing *l, uint32_t side, bool plain)
{
    uint32_t jobs = grant_waiting(sim, l, side);

    for (uint32_t i = 0; i < sim->schedule.messages; i++) {
        const struct server_message *m = &sim->server.messages[i];
        bool held = m->exists && !m->acked && m->given == side;

        if (!(l->granted & 1U << i) && !(held && (plain || (jobs & 1U << m->job))))
            continue;
        l->messages |= 1U << i;
        show(sim, l, side, m->job);
    }
}

static void take_job(struct sim *sim, uint32_t job, uint32_t side)
{
    struct server *s = &sim->server;

    if (s->jobs[job].holder == side)
        return;
    sim->tally.takeovers += s->jobs[job].holder != NOBODY;
    s->jobs[job].holder = side;
    s->jobs[job].fence++;
    trace(sim, NULL, "server", "%c takes %s, fence %u", 'A' + (char)side, s->jobs[job].id,
          (unsigned)s->jobs[job].fence);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (s->messages[i].job != job || s->messages[i].acked)
            continue;
        s->messages[i].given = NOBODY;
        s->messages[i].acked = s->messages[i].final; /* it needs nobody any more */
    }
}

static void take_granted(struct sim *sim, const struct listing *l, uint32_t side)
{
    for (uint32_t j = 0; j < JOBS; j++)
        if (l->jobs & 1U << j)
            take_job(sim, j, side);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (!(l->granted & 1U << i))
            continue;
        sim->server.messages[i].given = side;
        sim->server.messages[i].pending = true;
    }
}

static void list_cancels(struct sim *sim, struct listing *l, uint32_t side, bool plain)
{
    for (uint32_t j = 0; j < JOBS; j++) {
        struct server_job *job = &sim->server.jobs[j];

        if (job->cancel_end == 0 || job->holder != side || (job->cancel_told && !plain))
            continue;
        show(sim, l, side, j);
        l->cancels = job->cancel_told = true;
    }
}

bool server_poll(struct sim *sim, const struct request *r, struct answer *ret_answer)
{
    struct answer a = { .what = CORE_ANSWER_OK };
    bool plain = r->wait_ms == 0;

    a.waited = !plain && sim->schedule.long_polls;
    if (!r->parked)
        renew(sim, r);
    if (sim->schedule.leases) {
        list_messages(sim, &a.listing, r->side, plain);
        take_granted(sim, &a.listing, r->side);
        list_cancels(sim, &a.listing, r->side, plain);
    } else {
        list_everything(sim, &a.listing);
    }
    if (a.waited && a.listing.jobs == 0)
        return false;
    *ret_answer = a;
    return true;
}

void server_take_back(struct sim *sim, const struct request *r)
{
    const struct listing *l = &r->answer.listing;
    struct server *s = &sim->server;

    for (uint32_t i = 0; i < MESSAGES; i++)
        if ((l->granted & 1U << i) && s->messages[i].given == r->side && !s->messages[i].acked)
            s->messages[i].given = NOBODY;
    for (uint32_t j = 0; j < JOBS && l->cancels; j++)
        if (s->jobs[j].cancel_end > 0 && s->jobs[j].holder == r->side)
            s->jobs[j].cancel_told = false;
}

/* ---- posts ---- */

static bool may_write(const struct sim *sim, const struct request *r, const struct server_job *j)
{
    if (!sim->schedule.leases)
        return true;
    return r->fence != 0 ? r->fence == j->fence : j->holder == r->side || !is_live(sim, j->holder);
}

static enum core_answer refuse(struct sim *sim, struct server_message *m, enum core_answer answer)
{
    sim->tally.refusals += !m->refused;
    m->refused = m->final = true; /* it is closed there, or gone */
    if (settle_cancel(sim, m->job))
        wake_all(sim);
    return answer;
}

static void store_reply(struct sim *sim, const struct request *r, struct server_message *m)
{
    check_accepted(sim, r, r->message);
    m->final = true;
    m->replies++;
    m->kind = r->kind;
    free(m->reply);
    m->reply = mem_strdup(r->text);
    m->reply_from = r->side;
    if (settle_cancel(sim, m->job))
        wake_all(sim);
}

static enum core_answer take_reply(struct sim *sim, const struct request *r,
                                   struct server_message *m)
{
    if (m->taste == TASTE_UNWANTED)
        return refuse(sim, m, CORE_ANSWER_REFUSED);
    if (m->replies > 0) /* the same id again */
        return !sim->schedule.leases && sim->schedule.repeats_conflict ? CORE_ANSWER_CONFLICT
                                                                       : CORE_ANSWER_OK;
    if (!may_write(sim, r, &sim->server.jobs[m->job]))
        return CORE_ANSWER_CONFLICT;
    if (m->taste == TASTE_HUGE && r->shortened)
        return refuse(sim, m, CORE_ANSWER_TOO_LARGE);
    if (m->taste == TASTE_HUGE || (m->taste == TASTE_TOO_LARGE && !r->shortened)) {
        m->too_large = true;
        return CORE_ANSWER_TOO_LARGE;
    }
    if (!m->final)
        store_reply(sim, r, m);
    return CORE_ANSWER_OK;
}

/* Files are kept whoever sends them twice; what isn't wanted is said so. */
static enum core_answer take_file(struct sim *sim, const struct request *r,
                                  const struct server_message *m)
{
    if (!may_write(sim, r, &sim->server.jobs[m->job]))
        return CORE_ANSWER_CONFLICT;
    sim->tally.uploads++;
    if (m->taste == TASTE_TOO_LARGE && r->file % 2 == 0)
        return CORE_ANSWER_TOO_LARGE;
    return m->taste == TASTE_UNWANTED ? CORE_ANSWER_REFUSED : CORE_ANSWER_OK;
}

static enum core_answer take_ack(struct sim *sim, const struct request *r, struct server_message *m)
{
    if (m->acked)
        return CORE_ANSWER_OK;
    if (!may_write(sim, r, &sim->server.jobs[m->job]))
        return CORE_ANSWER_CONFLICT;
    check_acked(sim, r, r->message);
    m->acked = true;
    m->acked_ms = sim->now_ms;
    m->given = NOBODY;
    network_wake(sim, r->side);
    return m->taste == TASTE_UNWANTED && r->message % 2 ? CORE_ANSWER_REFUSED : CORE_ANSWER_OK;
}

/* Under one id for each end of the job: told again, it is known. */
static enum core_answer take_complete(struct sim *sim, const struct request *r)
{
    struct server_job *job = &sim->server.jobs[r->job];

    if (!may_write(sim, r, job))
        return CORE_ANSWER_CONFLICT;
    if (job->complete_ms[r->side] == r->used_ms)
        return CORE_ANSWER_OK;
    job->complete_ms[r->side] = r->used_ms;
    sim->tally.completes++;
    return CORE_ANSWER_OK;
}

void server_post(struct sim *sim, const struct request *r, struct answer *ret_answer)
{
    struct server_message *m = &sim->server.messages[r->message];

    *ret_answer = (struct answer){ .what = CORE_ANSWER_OK };
    renew(sim, r);
    if (r->post == CORE_POST_COMPLETE) {
        ret_answer->what = take_complete(sim, r);
    } else if (r->post == CORE_POST_REPLY) {
        ret_answer->what = take_reply(sim, r, m);
    } else if (r->post == CORE_POST_UPLOAD) {
        ret_answer->what = take_file(sim, r, m);
    } else if (r->post == CORE_POST_ACK) {
        ret_answer->what = take_ack(sim, r, m);
    } else {
        if (!may_write(sim, r, &sim->server.jobs[m->job]))
            ret_answer->what = CORE_ANSWER_CONFLICT;
        else if (!m->final)
            m->pending = true;
    }
    trace(sim, NULL, "server", "%s of %s from %c, fence %u: %s", trace_post_name(r->post),
          r->post == CORE_POST_COMPLETE ? sim->server.jobs[r->job].id : m->id, 'A' + (char)r->side,
          (unsigned)r->fence, trace_answer_name(ret_answer->what));
}
