#include "sim/network.h"

#include <stdlib.h>
#include <string.h>

#include "sim/calls.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum {
    TIMEOUT_MS = 60 * 1000, /* of a request, besides its wait: upstream.h */
    WAIT_MAX_MS = 120 * 1000,
    OVER_MS = 10 * 60 * 1000 /* by then a request has come to its end */
};

static bool is_cut(const struct sim *sim, uint32_t side)
{
    return sim->network.cut_until_ms[side] > sim->now_ms;
}

static uint32_t latency_ms(struct sim *sim)
{
    if (sim_mishap(sim, sim->schedule.slow))
        return draw_between(&sim->draw, 1000, 90 * 1000);
    return draw_between(&sim->draw, 1, 150);
}

static void plan(struct sim *sim, enum agenda_what what, uint32_t index, uint64_t in_ms)
{
    const struct request *r = sim->network.requests[index];

    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = sim->now_ms + in_ms,
                                                   .what = what,
                                                   .side = r->side,
                                                   .life = r->life,
                                                   .index = index });
}

/* The daemon learns that nothing came of it, soon or when its patience ends. */
static void fail(struct sim *sim, uint32_t index)
{
    struct request *r = sim->network.requests[index];

    r->answer = (struct answer){ .what = CORE_ANSWER_DOWN };
    r->answered = true;
    if (draw_below(&sim->draw, 3) > 0)
        plan(sim, AGENDA_ANSWER, index, draw_between(&sim->draw, 1, 2000));
}

uint32_t network_send(struct sim *sim, const struct request *r)
{
    struct network *n = &sim->network;
    uint32_t index = (uint32_t)n->len;

    if (n->len == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 64;
        n->requests = mem_realloc(n->requests, n->cap * sizeof n->requests[0]);
    }
    n->requests[n->len] = mem_alloc(sizeof *r);
    *n->requests[n->len++] = *r;
    n->requests[index]->awaited = !r->stray;
    n->requests[index]->sent_ms = sim->now_ms;
    while (n->requests[n->oldest]->sent_ms + OVER_MS < sim->now_ms)
        n->oldest++;
    sim->tally.requests++;
    plan(sim, AGENDA_TIMEOUT, index, TIMEOUT_MS + r->wait_ms);
    if (is_cut(sim, r->side) || sim_mishap(sim, sim->schedule.lost)) {
        sim->tally.requests_lost++;
        trace(sim, NULL, "network", "request %u is lost", index);
        fail(sim, index);
        return index;
    }
    plan(sim, AGENDA_ARRIVE, index, latency_ms(sim));
    if (sim_mishap(sim, sim->schedule.repeated)) { /* a proxy, or the HTTP library itself */
        n->requests[index]->repeated = true;
        n->requests[index]->second_counts = draw_below(&sim->draw, 2);
        sim->tally.requests_repeated++;
        plan(sim, AGENDA_ARRIVE, index, latency_ms(sim));
    }
    return index;
}

/* ---- at the server ---- */

static void respond(struct sim *sim, uint32_t index, const struct answer *a)
{
    struct request *r = sim->network.requests[index];
    bool counts = !r->repeated || r->second_counts == (r->arrivals == 2);

    if (r->answered || !counts) {
        trace(sim, NULL, "network", "one of two answers to request %u is lost", index);
        return;
    }
    r->answer = *a;
    r->answered = true;
    if (!r->awaited || is_cut(sim, r->side) || sim_mishap(sim, sim->schedule.answer_lost)) {
        bool noticed = draw_below(&sim->draw, 2) > 0;

        sim->tally.answers_lost++;
        trace(sim, NULL, "network", "the answer to request %u is lost%s", index,
              noticed ? ", and the server sees it" : "");
        if (noticed)
            server_take_back(sim, r);
        fail(sim, index);
        return;
    }
    plan(sim, AGENDA_ANSWER, index, latency_ms(sim));
}

/* Somebody else's answer, or the server's at a bad time: nothing was done. */
static bool is_turned_away(struct sim *sim, const struct request *r, struct answer *ret_answer)
{
    static const uint32_t pauses_ms[] = { 0, 0, 1000, 30 * 1000, 10 * 60 * 1000 };
    const struct schedule *s = &sim->schedule;
    bool poll = r->post == CORE_POST_NONE;

    *ret_answer = (struct answer){ .what = CORE_ANSWER_DOWN };
    if (sim->server.down_until_ms > sim->now_ms)
        return true;
    if (sim_mishap(sim, s->busy)) {
        ret_answer->what = CORE_ANSWER_BUSY;
        ret_answer->retry_after_ms = pauses_ms[draw_below(&sim->draw, ARRAY_SIZE(pauses_ms))];
        return true;
    }
    if ((!poll && sim->server.failing_until_ms > sim->now_ms) || sim_mishap(sim, s->failed)) {
        ret_answer->what = poll ? CORE_ANSWER_DOWN : CORE_ANSWER_FAILED;
        return true;
    }
    if (sim_mishap(sim, s->refused_key)) {
        ret_answer->what = CORE_ANSWER_KEY_REFUSED;
        return true;
    }
    return sim_mishap(sim, s->paged);
}

static void park(struct sim *sim, uint32_t index)
{
    struct request *r = sim->network.requests[index];
    uint32_t wait_ms = r->wait_ms < WAIT_MAX_MS ? r->wait_ms : WAIT_MAX_MS;

    r->parked = true;
    r->parked_until_ms = sim->now_ms + wait_ms;
    plan(sim, AGENDA_UNPARK, index, wait_ms);
}

void network_arrive(struct sim *sim, uint32_t index)
{
    struct request *r = sim->network.requests[index];
    struct answer a;

    if (is_cut(sim, r->side)) {
        if (!r->answered)
            fail(sim, index);
        return;
    }
    r->arrivals++;
    r->parked = false; /* the newest of two is woken first, and takes it all */
    if (is_turned_away(sim, r, &a)) {
        respond(sim, index, &a);
    } else if (r->post != CORE_POST_NONE) {
        server_post(sim, r, &a);
        respond(sim, index, &a);
    } else if (!r->awaited && draw_below(&sim->draw, 2)) {
        trace(sim, NULL, "network", "request %u finds its connection closed", index);
    } else if (server_poll(sim, r, &a)) {
        respond(sim, index, &a);
    } else {
        park(sim, index);
    }
}

void network_wake(struct sim *sim, uint32_t side)
{
    struct network *n = &sim->network;
    struct answer a;

    for (size_t i = n->len; i-- > n->oldest;) { /* the newest first: waiter.h */
        struct request *r = n->requests[i];

        if (!r->parked || r->side != side || !server_poll(sim, r, &a))
            continue;
        r->parked = false;
        respond(sim, (uint32_t)i, &a);
    }
}

void network_unpark(struct sim *sim, uint32_t index)
{
    const struct answer nothing = { .what = CORE_ANSWER_OK, .waited = true };

    struct request *r = sim->network.requests[index];

    if (!r->parked || r->parked_until_ms > sim->now_ms)
        return;
    r->parked = false;
    respond(sim, index, &nothing);
}

void network_reset(struct sim *sim)
{
    struct network *n = &sim->network;

    for (size_t i = n->oldest; i < n->len; i++) {
        if (!n->requests[i]->parked)
            continue;
        n->requests[i]->parked = false;
        if (!n->requests[i]->answered)
            fail(sim, (uint32_t)i);
    }
}

/* ---- at the daemon ---- */

void network_answer(struct sim *sim, uint32_t index)
{
    struct request *r = sim->network.requests[index];

    if (!r->awaited)
        return;
    if (is_cut(sim, r->side) && r->answer.what != CORE_ANSWER_DOWN) {
        sim->tally.answers_lost++;
        fail(sim, index);
        return;
    }
    r->awaited = false;
    calls_answered(sim, &sim->sides[r->side], r);
}

void network_timeout(struct sim *sim, uint32_t index)
{
    struct request *r = sim->network.requests[index];

    if (!r->awaited)
        return;
    r->awaited = false;
    r->answer = (struct answer){ .what = CORE_ANSWER_DOWN };
    calls_answered(sim, &sim->sides[r->side], r);
}

/* The connection closes; whether the server sees that at once is left to chance. */
static void drop(struct sim *sim, struct request *r)
{
    r->awaited = false;
    if (r->parked && draw_below(&sim->draw, 2))
        r->parked = false;
}

void network_drop_poll(struct sim *sim, const struct side *side)
{
    struct network *n = &sim->network;

    for (size_t i = n->oldest; i < n->len; i++)
        if (n->requests[i]->awaited && n->requests[i]->side == side->number &&
            n->requests[i]->post == CORE_POST_NONE)
            drop(sim, n->requests[i]);
}

bool network_drop_remark(struct sim *sim, const struct side *side, uint64_t seq)
{
    struct network *n = &sim->network;

    for (size_t i = n->oldest; i < n->len; i++) {
        struct request *r = n->requests[i];

        if (!r->awaited || r->side != side->number || r->seq != seq ||
            (r->post != CORE_POST_PROCESSING && r->post != CORE_POST_PROGRESS))
            continue;
        drop(sim, r);
        return true;
    }
    return false;
}

void network_drop_all(struct sim *sim, const struct side *side)
{
    struct network *n = &sim->network;

    for (size_t i = n->oldest; i < n->len; i++)
        if (n->requests[i]->awaited && n->requests[i]->side == side->number)
            drop(sim, n->requests[i]);
}

void network_done(struct network *n)
{
    for (size_t i = 0; i < n->len; i++) {
        free(n->requests[i]->text);
        free(n->requests[i]->ids);
        free(n->requests[i]);
    }
    free(n->requests);
    *n = (struct network){ 0 };
}
