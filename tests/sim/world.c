#include "sim/world.h"

#include "sim/check.h"
#include "sim/operator.h"
#include "sim/trace.h"

enum {
    CODA_MS = 3 * 60 * 1000,           /* after the last thing: nothing more may happen to it */
    LONG_CODA_MS = 3 * 60 * 60 * 1000, /* in a few schedules, with a clock that jumps at last */
    PATIENCE_MS = 6 * 60 * 60 * 1000,  /* for everything to be answered, once the world is healed */
    EVENTS_MAX = 400 * 1000
};

bool sim_mishap(struct sim *sim, uint32_t rate)
{
    return !sim->healed && draw_permille(&sim->draw, rate);
}

/* What happens to a daemon is void in another life of it, and waits while its machine sleeps. */
static bool is_for_now(struct sim *sim, const struct agenda_item *item)
{
    struct side *side = &sim->sides[item->side];
    struct agenda_item later = *item;

    if (side->life != item->life || (item->what != AGENDA_START && !side->core))
        return false;
    if (side->asleep_until_ms <= sim->now_ms)
        return true;
    later.at_ms = side->asleep_until_ms;
    agenda_add(&sim->agenda, later);
    return false;
}

static void happen_to_side(struct sim *sim, const struct agenda_item *item)
{
    struct side *side = &sim->sides[item->side];

    if (!is_for_now(sim, item))
        return;
    switch (item->what) {
    case AGENDA_TICK:
        side_tick(sim, side);
        break;
    case AGENDA_FLUSH:
        side_flush(sim, side);
        break;
    case AGENDA_COMMIT:
        side_commit(sim, side);
        break;
    case AGENDA_CHILD:
        children_step(sim, side, item->index, item->tag);
        break;
    case AGENDA_ANSWER:
        network_answer(sim, item->index);
        break;
    case AGENDA_TIMEOUT:
        network_timeout(sim, item->index);
        break;
    case AGENDA_ROOM:
        side_look_for_room(sim, side);
        break;
    case AGENDA_FEED:
        feed_turn(sim, side, item->tag);
        break;
    case AGENDA_PUSH:
        feed_deliver(sim, side, item->index, item->tag);
        break;
    case AGENDA_REBOOT:
        side_stop(sim, side, SIDE_END_CRASH);
        break;
    case AGENDA_START:
        side_start(sim, side);
        break;
    case AGENDA_ARRIVE:
    case AGENDA_UNPARK:
    case AGENDA_PROMPT:
    case AGENDA_STOP:
    case AGENDA_SWEEP:
    case AGENDA_WORD:
    case AGENDA_IDLE:
    case AGENDA_MISHAP:
    case AGENDA_HEAL:
    case AGENDA_END:
        break;
    }
}

static void happen(struct sim *sim, const struct agenda_item *item)
{
    switch (item->what) {
    case AGENDA_TICK:
    case AGENDA_FLUSH:
    case AGENDA_COMMIT:
    case AGENDA_CHILD:
    case AGENDA_ANSWER:
    case AGENDA_TIMEOUT:
    case AGENDA_FEED:
    case AGENDA_PUSH:
    case AGENDA_ROOM:
    case AGENDA_REBOOT:
    case AGENDA_START:
        happen_to_side(sim, item);
        break;
    case AGENDA_ARRIVE:
        network_arrive(sim, item->index);
        break;
    case AGENDA_UNPARK:
        network_unpark(sim, item->index);
        break;
    case AGENDA_PROMPT:
        server_prompt(sim, item->index);
        break;
    case AGENDA_STOP:
        server_stop_job(sim, item->index);
        break;
    case AGENDA_SWEEP:
        server_sweep(sim);
        break;
    case AGENDA_WORD:
        operator_word(sim, &sim->sides[item->side]);
        break;
    case AGENDA_IDLE:
        side_ask_idle(sim, &sim->sides[item->side]);
        break;
    case AGENDA_MISHAP:
        operator_mishap(sim, &sim->sides[item->side]);
        break;
    case AGENDA_HEAL:
        operator_heal(sim);
        break;
    case AGENDA_END:
        sim->ended = true;
        break;
    }
}

/* All is answered. A few schedules go on until the journal's retention is over. */
static void settle(struct sim *sim)
{
    uint32_t ms = CODA_MS;

    if (draw_below(&sim->draw, 100) == 0) {
        ms = LONG_CODA_MS;
        for (uint32_t i = 0; i < SIDES; i++)
            sim->sides[i].wall_offset_ms += (int64_t)30 * 24 * 60 * 60 * 1000;
    }
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = sim->now_ms + ms, .what = AGENDA_END });
}

static void go(struct sim *sim)
{
    struct agenda_item item;
    bool settled = false;

    for (uint32_t n = 0; !sim->ended && !sim->finding.found; n++) {
        if (!agenda_take(&sim->agenda, &item)) {
            check_fail(sim, NULL, "9: nothing happens any more");
            return;
        }
        sim->now_ms = item.at_ms;
        happen(sim, &item);
        if (sim->ended && !check_is_settled(sim)) /* something woke up meanwhile */
            sim->ended = settled = false;
        if (sim->healed && !settled && check_is_settled(sim)) {
            settled = true;
            settle(sim);
        }
        if (!settled && (n > EVENTS_MAX || sim->now_ms > sim->schedule.heal_ms + PATIENCE_MS)) {
            check_end(sim); /* says what is missing, if it is a matter of that */
            check_fail(sim, NULL, "9: it never comes to its end");
        }
    }
}

void world_run(struct sim *sim)
{
    draw_seed(&sim->draw, sim->seed);
    schedule_draw(&sim->schedule, &sim->draw);
    server_init(sim);
    for (uint32_t i = 0; i < SIDES; i++)
        side_init(sim, i);
    operator_plan(sim);
    trace(sim, NULL, "world", "%u daemons, %u messages in %u jobs, %s, until %u s",
          sim->schedule.sides, sim->schedule.messages, sim->schedule.jobs,
          sim->schedule.leases ? "leases" : "no leases", sim->schedule.heal_ms / 1000);
    go(sim);
    if (!sim->finding.found)
        check_end(sim);
    for (uint32_t i = 0; i < SIDES; i++)
        side_done(&sim->sides[i]);
    network_done(&sim->network);
    server_done(&sim->server);
    agenda_done(&sim->agenda);
}
