#include "sim/operator.h"

#include <sysexits.h>

#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "util/cleanup.h"

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * 1000,
    DAY_MS = 24 * 60 * MINUTE_MS,
    CUT_MAX_MS = 6 * MINUTE_MS,
    SLEEP_MAX_MS = 8 * MINUTE_MS
};

static void plan_some(struct sim *sim, uint32_t count, enum agenda_what what, uint32_t below)
{
    for (uint32_t i = 0; i < count; i++)
        agenda_add(&sim->agenda,
                   (struct agenda_item){ .at_ms = draw_below(&sim->draw, sim->schedule.heal_ms),
                                         .what = what,
                                         .side = draw_below(&sim->draw, sim->schedule.sides),
                                         .index = draw_below(&sim->draw, below) });
}

/* Messages are written in their order: what comes first at the server is m00. */
static void plan_prompts(struct sim *sim)
{
    uint64_t at = 0, left = sim->schedule.heal_ms;

    for (uint32_t i = 0; i < sim->schedule.messages; i++) {
        if (draw_below(&sim->draw, 3) > 0) /* else together with the one before */
            at += draw_below(&sim->draw, (uint32_t)(left / 4) + 1);
        left = sim->schedule.heal_ms - at;
        agenda_add(&sim->agenda,
                   (struct agenda_item){ .at_ms = at, .what = AGENDA_PROMPT, .index = i });
    }
}

void operator_plan(struct sim *sim)
{
    plan_prompts(sim);
    plan_some(sim, sim->schedule.stops, AGENDA_STOP, sim->schedule.jobs);
    plan_some(sim, sim->schedule.words, AGENDA_WORD, 1);
    plan_some(sim, sim->schedule.mishaps, AGENDA_MISHAP, 1);
    for (uint32_t i = 0; i < sim->schedule.sides; i++)
        agenda_add(&sim->agenda,
                   (struct agenda_item){ .at_ms = i * draw_below(&sim->draw, MINUTE_MS),
                                         .what = AGENDA_START,
                                         .side = i });
    for (uint32_t i = 0; i < sim->schedule.sides; i++)
        side_ask_idle(sim, &sim->sides[i]);
    agenda_add(&sim->agenda,
               (struct agenda_item){ .at_ms = sim->schedule.heal_ms, .what = AGENDA_HEAL });
}

/* As reload(): new settings, and the core is told that there may be something to do. */
static void reload(struct sim *sim, struct side *side)
{
    const struct core_event ev = { .type = CORE_EV_TICK };

    schedule_draw_options(&sim->draw, &side->options);
    check_options(side);
    trace(sim, side, "operator", "HUP: %u slots, %u queued, %u attempts",
          side->options.max_concurrency, side->options.max_queued, side->options.max_attempts);
    core_set_options(side->core, &side->options);
    side->key_refusals = 0;
    children_notice_stuck(sim, side);
    side_give(sim, side, &ev);
}

void operator_word(struct sim *sim, struct side *side)
{
    static const enum core_event_type words[] = { CORE_EV_CANCEL, CORE_EV_CANCEL, CORE_EV_DRAIN,
                                                  CORE_EV_TERM, CORE_EV_QUIT };
    uint32_t job = draw_below(&sim->draw, sim->schedule.jobs);
    struct core_event ev = { .type = words[draw_below(&sim->draw, ARRAY_SIZE(words))],
                             .job_id = sim->server.jobs[job].id };

    if (!side_is_up(side) || sim->healed || side->asleep_until_ms > sim->now_ms)
        return;
    sim->tally.words++;
    if (draw_below(&sim->draw, 4) == 0) {
        reload(sim, side);
    } else {
        side->told_to_stop = side->told_to_stop || ev.type != CORE_EV_CANCEL;
        trace(sim, side, "operator", "%s", trace_event_name(ev.type));
        if (ev.type == CORE_EV_CANCEL || ev.type == CORE_EV_DRAIN)
            ev.asker = check_word(side, ev.type == CORE_EV_CANCEL ? ev.job_id : NULL);
        side_give(sim, side, &ev);
    }
    if (draw_below(&sim->draw, 2)) /* and is impatient */
        agenda_add(&sim->agenda,
                   (struct agenda_item){ .at_ms = sim->now_ms + draw_below(&sim->draw, MINUTE_MS),
                                         .what = AGENDA_WORD,
                                         .side = side->number });
    side_settle(sim, side);
}

static void fall_asleep(struct sim *sim, struct side *side)
{
    uint32_t ms = draw_between(&sim->draw, SECOND_MS, SLEEP_MAX_MS);

    if (side->asleep_until_ms > sim->now_ms)
        return;
    trace(sim, side, "machine", "sleeps for %u s", ms / 1000);
    side->asleep_until_ms = sim->now_ms + ms;
    side->slept_ms += ms;
}

static void set_clock(struct sim *sim, struct side *side)
{
    int64_t ms = (int64_t)draw_between(&sim->draw, SECOND_MS, 10U * DAY_MS);

    side->wall_offset_ms += draw_below(&sim->draw, 2) ? ms : -ms;
    trace(sim, side, "machine", "the wall clock is now off by %lld s",
          (long long)side->wall_offset_ms / 1000);
}

void operator_mishap(struct sim *sim, struct side *side)
{
    uint32_t ms = draw_between(&sim->draw, SECOND_MS, CUT_MAX_MS);

    if (sim->healed)
        return;
    sim->tally.mishaps++;
    if (sim->schedule.seesaw) /* long enough for its lease to end */
        ms = draw_between(&sim->draw, 2 * MINUTE_MS, CUT_MAX_MS);
    switch (sim->schedule.seesaw ? 1 + 2 * draw_below(&sim->draw, 2) : draw_below(&sim->draw, 7)) {
    case 0:
        if (side_is_up(side))
            side_stop(sim, side, SIDE_END_CRASH);
        break;
    case 1:
        fall_asleep(sim, side);
        break;
    case 2:
        set_clock(sim, side);
        break;
    case 3:
        trace(sim, side, "network", "is cut for %u s", ms / 1000);
        sim->network.cut_until_ms[side->number] = sim->now_ms + ms;
        break;
    case 4:
        trace(sim, NULL, "server", "fails at each post for %u s", ms / 1000);
        sim->server.failing_until_ms = sim->now_ms + ms;
        break;
    case 5:
        trace(sim, NULL, "server", "is down for %u s", ms / 1000);
        sim->server.down_until_ms = sim->now_ms + ms;
        server_restart(sim);
        break;
    default:
        trace(sim, side, "machine", "its disk is full for %u s", ms / 1000);
        side->disk.full_until_ms = sim->now_ms + ms;
        break;
    }
}

uint32_t operator_restart_ms(struct sim *sim, const struct side *side)
{
    bool person =
        side->end == SIDE_END_EXIT && (side->exit_code == EX_OK || side->exit_code == EX_NOPERM);

    if (person) /* the service manager leaves it alone */
        return draw_between(&sim->draw, SECOND_MS, 2 * MINUTE_MS);
    return draw_between(&sim->draw, 10, 30 * SECOND_MS);
}

void operator_heal(struct sim *sim)
{
    struct side *first = &sim->sides[0];

    trace(sim, NULL, "world", "heals");
    sim->healed = true;
    for (uint32_t i = 0; i < SIDES; i++) {
        sim->network.cut_until_ms[i] = 0;
        sim->sides[i].disk.full_until_ms = 0;
    }
    sim->server.failing_until_ms = 0;
    if (sim->server.down_until_ms > sim->now_ms)
        sim->server.down_until_ms = sim->now_ms;
    if (sim->schedule.sides < 2 || !sim->schedule.first_one_dies)
        return;
    first->dead = true;
    if (side_is_up(first))
        side_stop(sim, first, SIDE_END_CRASH);
}
