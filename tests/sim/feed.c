#include "sim/feed.h"

#include "sim/calls.h"
#include "sim/sim.h"
#include "sim/trace.h"

enum { UP_MAX_MS = 5 * 60 * 1000, RETRY_MAX_MS = 20 * 1000 };

static void plan(struct sim *sim, const struct side *side, enum agenda_what what, uint32_t index,
                 uint64_t at_ms)
{
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = at_ms,
                                                   .what = what,
                                                   .side = side->number,
                                                   .life = side->life,
                                                   .index = index,
                                                   .tag = side->feed.number });
}

static void plan_turn(struct sim *sim, struct side *side, uint32_t most_ms)
{
    side->feed.number++;
    plan(sim, side, AGENDA_FEED, 0, sim->now_ms + draw_between(&sim->draw, 1, most_ms));
}

static void tell_core(struct sim *sim, struct side *side, bool up)
{
    const struct core_event ev = { .type = CORE_EV_CHANNEL, .up = up };

    side->feed.up = up;
    side->feed.last_ms = sim->now_ms;
    sim->tally.feeds += up;
    side_give(sim, side, &ev);
}

void feed_want(struct sim *sim, struct side *side, bool open)
{
    side->feed.wanted = open;
    side->feed.number++;
    if (open && sim->schedule.channel)
        plan_turn(sim, side, RETRY_MAX_MS);
    else if (side->feed.up)
        tell_core(sim, side, false);
}

void feed_turn(struct sim *sim, struct side *side, uint32_t number)
{
    if (!side->feed.wanted || side->feed.number != number)
        return;
    if (side->feed.up || sim->network.cut_until_ms[side->number] <= sim->now_ms)
        tell_core(sim, side, !side->feed.up);
    plan_turn(sim, side, side->feed.up ? UP_MAX_MS : RETRY_MAX_MS);
    side_settle(sim, side);
}

static void send(struct sim *sim, struct side *side, uint32_t message)
{
    uint64_t at_ms = sim->now_ms + draw_between(&sim->draw, 1, 200);

    if (at_ms < side->feed.last_ms) /* in the order in which it was sent */
        at_ms = side->feed.last_ms;
    side->feed.last_ms = at_ms;
    plan(sim, side, AGENDA_PUSH, message, at_ms);
}

void feed_tell(struct sim *sim, uint32_t message)
{
    for (uint32_t i = 0; i < sim->schedule.sides; i++) {
        struct side *side = &sim->sides[i];

        if (!side->feed.up || sim->schedule.leases == (message < MESSAGES))
            continue;
        if (message < MESSAGES)
            sim->server.messages[message].pending = true;
        send(sim, side, message);
        if (draw_below(&sim->draw, 4) == 0)
            send(sim, side, message);
    }
}

void feed_nudge(struct sim *sim, struct side *side)
{
    if (side->feed.up)
        plan(sim, side, AGENDA_PUSH, MESSAGES, sim->now_ms);
}

void feed_deliver(struct sim *sim, struct side *side, uint32_t message, uint32_t number)
{
    bool whole = draw_below(&sim->draw, 4) > 0;
    struct core_event ev = { .type = CORE_EV_PUSHED, .whole = whole };

    if (!side->feed.up || side->feed.number != number)
        return;
    if (message < MESSAGES)
        ev.task = calls_task(sim, side, message, 0);
    sim->tally.pushes += message < MESSAGES;
    side_give(sim, side, &ev);
    side_settle(sim, side);
}

void feed_end(struct side *side)
{
    side->feed.wanted = side->feed.up = false;
    side->feed.number++;
}
