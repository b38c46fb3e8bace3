#include "sim/side.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "sim/calls.h"
#include "sim/check.h"
#include "sim/cover.h"
#include "sim/operator.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "store/store.h"

enum {
    COMMIT_SLOW_MS = 20 * 1000,
    COMMIT_LATE_MS = 8 * 1000,
    TURN_LONG_MS = 20,
    TICKS_IDLE_MAX = 50,
    IDLE_LEAST_MS = 10 * 1000, /* between the server's questions */
    IDLE_MOST_MS = 4 * 60 * 1000
};
static const int64_t wall_epoch_ms = 1780000000000;

void side_init(struct sim *sim, uint32_t number)
{
    struct side *side = &sim->sides[number];

    *side = (struct side){ .number = number,
                           .name = (char)('A' + number),
                           .attempts_least = UINT32_MAX,
                           .tick_ms = UINT64_MAX };
    schedule_draw_options(&sim->draw, &side->options);
}

void side_done(struct side *side)
{
    core_free(side->core);
    turn_free(side->turn);
    store_batch_free(side->batch);
    disk_done(&side->disk);
    children_done(&side->children);
}

bool side_is_up(const struct side *side)
{
    return side->core && side->end == SIDE_END_NONE;
}

uint64_t side_mono_ms(const struct sim *sim, const struct side *side)
{
    return sim->now_ms - side->slept_ms + 1000;
}

static void plan(struct sim *sim, const struct side *side, enum agenda_what what, uint64_t in_ms)
{
    agenda_add(&sim->agenda, (struct agenda_item){ .at_ms = sim->now_ms + in_ms,
                                                   .what = what,
                                                   .side = side->number,
                                                   .life = side->life });
}

/* Between any two steps, so also between any two commands, it may be killed. */
static void step(struct sim *sim, struct side *side)
{
    if (side->steps_to_crash == 0 || sim->healed || --side->steps_to_crash > 0)
        return;
    side->end = SIDE_END_CRASH;
}

/* ---- events ---- */

static void act(struct sim *sim, struct side *side, const struct core_command *c);

static void take_command(struct sim *sim, struct side *side, const struct core_command *c)
{
    bool storing = core_command_is_storing(c->type);

    sim->tally.commands++;
    if (c->type == CORE_CMD_SPAWN)
        check_ordered(sim, side, c->seq);
    trace_command(sim, side, storing ? "store" : "decide", c);
    if (c->type == CORE_CMD_SURVEY || c->type == CORE_CMD_SETTLE)
        children_hold(sim, side, c->seq, c->type == CORE_CMD_SURVEY);
    if (c->type == CORE_CMD_SEND)
        check_pace(sim, side, c);
    if (c->type == CORE_CMD_EXIT)
        check_exit(sim, side, c->code);
    if (storing)
        disk_gather(side, c);
    if (!storing && sim->sabotage == SABOTAGE_ACT_FIRST)
        act(sim, side, c);
    else
        turn_add(side->turn, c);
}

void side_give(struct sim *sim, struct side *side, const struct core_event *ev)
{
    struct core_commands commands = { 0 };
    const struct core_now now = { .mono_ms = side_mono_ms(sim, side),
                                  .wall_ms =
                                      wall_epoch_ms + (int64_t)sim->now_ms + side->wall_offset_ms,
                                  .entropy = draw_bits(&sim->draw) };

    if (!side_is_up(side)) {
        if (ev->type == CORE_EV_MESSAGE || ev->type == CORE_EV_PUSHED)
            task_free(ev->task);
        return;
    }
    sim->tally.events++;
    if (sim->trace)
        trace_event(sim, side, ev);
    cover_enter(&side->phase);
    cover_event(ev->type, side->phase);
    core_handle(side->core, ev, &now, &commands);
    for (size_t i = 0; i < commands.len; i++)
        take_command(sim, side, &commands.items[i]);
    core_commands_done(&commands);
    step(sim, side);
}

/* ---- commands ---- */

static void poll_server(struct sim *sim, struct side *side, const struct core_command *c)
{
    uint64_t minute = side_mono_ms(sim, side) / 60000;

    if (side->poll != 0)
        check_fail(sim, side, "a second poll while one is under way");
    side->polls_in_minute = minute == side->minute ? side->polls_in_minute + 1 : 1;
    side->minute = minute;
    calls_poll(sim, side, c->seq, c->wait_ms);
}

static void act(struct sim *sim, struct side *side, const struct core_command *c)
{
    trace_command(sim, side, "act", c);
    switch (c->type) {
    case CORE_CMD_SPAWN:
        children_spawn(sim, side, c->seq);
        break;
    case CORE_CMD_KILL:
        children_kill(sim, side, c->seq, c->grace_ms);
        break;
    case CORE_CMD_SURVEY:
        children_survey(sim, side, c->seq);
        break;
    case CORE_CMD_SETTLE:
        children_settle(sim, side, c->seq, c->keep);
        break;
    case CORE_CMD_GATHER:
        parcels_gather(sim, side, c->seq);
        break;
    case CORE_CMD_DISCARD:
        parcels_discard(sim, side, c->seq);
        break;
    case CORE_CMD_POLL:
        poll_server(sim, side, c);
        break;
    case CORE_CMD_POLL_CANCEL:
        side->poll = 0;
        network_drop_poll(sim, side);
        break;
    case CORE_CMD_CHANNEL:
        feed_want(sim, side, c->open);
        break;
    case CORE_CMD_SEND:
        calls_send(sim, side, c->seq, c->post);
        break;
    case CORE_CMD_SEND_CANCEL:
        calls_send_cancel(sim, side, c->seq);
        break;
    case CORE_CMD_COMPLETE:
        calls_complete(sim, side, c->seq);
        break;
    case CORE_CMD_EXIT:
        side->exit_code = c->code;
        side->end = SIDE_END_EXIT;
        break;
    case CORE_CMD_ANSWER:
        check_heeded(sim, side, c->asker);
        break;
    case CORE_CMD_READY:
    case CORE_CMD_NOTE:
    case CORE_CMD_INSERT:
    case CORE_CMD_UPDATE:
    case CORE_CMD_DELETE:
    case CORE_CMD_PURGE:
    case CORE_CMD_SESSION:
    case CORE_CMD_JOB:
    case CORE_CMD_FORGET_JOB:
        break;
    }
}

void side_ask_idle(struct sim *sim, struct side *side)
{
    const struct core_event ev = { .type = CORE_EV_IDLE };

    plan(sim, side, AGENDA_IDLE, draw_between(&sim->draw, IDLE_LEAST_MS, IDLE_MOST_MS));
    if (!side_is_up(side) || side->asleep_until_ms > sim->now_ms)
        return;
    side_give(sim, side, &ev);
    side_settle(sim, side);
}

static void submit(struct sim *sim, struct side *side)
{
    uint32_t in_ms = draw_between(&sim->draw, 0, 20);

    side->disk.writing = side->batch;
    side->batch = store_batch_new();
    if (sim_mishap(sim, sim->schedule.slow_disk))
        in_ms = draw_between(&sim->draw, 100, COMMIT_SLOW_MS);
    side->slow_commits = side->slow_commits || in_ms > COMMIT_LATE_MS;
    plan(sim, side, AGENDA_COMMIT, in_ms);
}

static void arm(struct sim *sim, struct side *side)
{
    uint64_t deadline = core_deadline(side->core), now = side_mono_ms(sim, side);
    uint64_t in_ms = deadline > now ? deadline - now : 0;

    if (deadline == UINT64_MAX || deadline >= side->tick_ms)
        return; /* the one on the agenda looks after it */
    side->tick_ms = now + in_ms;
    if (sim_mishap(sim, sim->schedule.long_turn))
        in_ms += draw_between(&sim->draw, 0, 2000); /* a busy machine's timers are late */
    plan(sim, side, AGENDA_TICK, in_ms);
}

/* As wire_flush(). */
void side_flush(struct sim *sim, struct side *side)
{
    struct core_command c;
    bool acted;

    side->in_turn = false;
    do {
        acted = false;
        if (turn_end(side->turn))
            submit(sim, side);
        while (side_is_up(side) && turn_take(side->turn, &c)) {
            act(sim, side, &c);
            step(sim, side);
            acted = true;
        }
    } while (acted && side_is_up(side));
    if (side->end != SIDE_END_NONE) {
        side_stop(sim, side, side->end);
        return;
    }
    check_bounds(sim, side);
    check_answered(sim, side);
    arm(sim, side);
}

void side_settle(struct sim *sim, struct side *side)
{
    if (!side->core || side->in_turn)
        return;
    if (side->end == SIDE_END_NONE && sim_mishap(sim, sim->schedule.long_turn)) {
        side->in_turn = true;
        plan(sim, side, AGENDA_FLUSH, draw_below(&sim->draw, TURN_LONG_MS));
        return;
    }
    side_flush(sim, side);
}

void side_tick(struct sim *sim, struct side *side)
{
    const struct core_event ev = { .type = CORE_EV_TICK };
    uint64_t deadline = core_deadline(side->core), now = side_mono_ms(sim, side);

    side->tick_ms = UINT64_MAX;
    if (deadline > now) { /* it was put off meanwhile */
        arm(sim, side);
        return;
    }
    side->idle_ticks = now == side->last_tick_ms ? side->idle_ticks + 1 : 0;
    side->last_tick_ms = now;
    if (side->idle_ticks > TICKS_IDLE_MAX)
        check_fail(sim, side, "9: it spins: %u ticks at the same time", side->idle_ticks);
    side_give(sim, side, &ev);
    side_settle(sim, side);
}

static void give_room(struct sim *sim, struct side *side, bool tight)
{
    const struct core_event ev = { .type = CORE_EV_ROOM, .tight = tight };

    side->disk.tight = tight;
    side_give(sim, side, &ev);
    if (tight)
        plan(sim, side, AGENDA_ROOM, STORE_ROOM_MS);
}

void side_look_for_room(struct sim *sim, struct side *side)
{
    if (side->disk.full_until_ms > sim->now_ms) {
        plan(sim, side, AGENDA_ROOM, STORE_ROOM_MS);
        return;
    }
    give_room(sim, side, false);
    side_settle(sim, side);
}

/* As the store has it: a full disk first costs the reserve, and then, some time, a commit. */
static bool commit_fails(struct sim *sim, const struct side *side)
{
    if (side->disk.full_until_ms > sim->now_ms && side->disk.tight)
        return draw_below(&sim->draw, 8) == 0;
    return sim_mishap(sim, sim->schedule.full_disk);
}

void side_commit(struct sim *sim, struct side *side)
{
    if (!commit_fails(sim, side)) {
        disk_commit(sim, side);
        turn_committed(side->turn);
        if (side->disk.full_until_ms > sim->now_ms && !side->disk.tight)
            give_room(sim, side, true);
        step(sim, side);
        side_settle(sim, side);
        return;
    }
    /* of a batch that failed all may be there after all, or nothing */
    if (sim_mishap(sim, sim->schedule.half_synced))
        disk_commit(sim, side);
    else
        disk_lose(&side->disk);
    side->exit_code = EX_TEMPFAIL;
    sim->tally.full_disks++;
    side_stop(sim, side, SIDE_END_DISK);
}

/* ---- starts and ends ---- */

static void note_held(struct side *side)
{
    side->may_be_held = false;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        const struct task *row = side->disk.rows[i];

        side->may_be_held =
            side->may_be_held || (row && row->state <= TASK_RUNNING && row->state != TASK_FINISHED);
    }
}

void side_start(struct sim *sim, struct side *side)
{
    const struct core_event ev = { .type = CORE_EV_START };
    uint32_t crash = sim->schedule.crash_steps;

    if (side->core || side->dead)
        return;
    if (draw_below(&sim->draw, 4) == 0) /* somebody has changed its settings */
        schedule_draw_options(&sim->draw, &side->options);
    side->life++;
    side->end = SIDE_END_NONE;
    side->phase = PHASE_SERVING;
    side->in_turn = side->was_listed = side->was_connected = side->told_to_stop = false;
    side->silent_child = side->slow_commits = side->keyless = false;
    side->ordered = 0;
    side->words = side->words_answered = 0;
    memset(side->pledges, 0, sizeof side->pledges);
    memset(side->progress_ms, 0, sizeof side->progress_ms);
    side->key_refusals = side->idle_ticks = side->polls_in_minute = 0;
    side->poll = 0;
    side->tick_ms = UINT64_MAX;
    side->started_ms = side_mono_ms(sim, side);
    side->steps_to_crash = crash ? 1 + draw_below(&sim->draw, 2 * crash) : 0;
    note_held(side);
    check_options(side);
    sim->tally.starts++;
    trace(sim, side, "start", "life %u, %u slots, %u queued, %u attempts", side->life,
          side->options.max_concurrency, side->options.max_queued, side->options.max_attempts);
    side->core = core_new(&side->options, side->disk.max_seq);
    side->turn = turn_new();
    side->batch = store_batch_new();
    disk_load(&side->disk, side->core);
    side_give(sim, side, &ev);
    if (side->disk.tight)
        give_room(sim, side, side->disk.full_until_ms > sim->now_ms);
    side_settle(sim, side);
}

/* Attempts that are cut short are those whose row says so. */
static void count_cuts(struct side *side)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct history *h = &side->disk.history[i];

        if (!side->disk.rows[i] || side->disk.rows[i]->state != TASK_RUNNING)
            continue;
        h->cuts++;
        h->real_cuts += h->spawned;
        h->spawned = false;
    }
}

void side_stop(struct sim *sim, struct side *side, enum side_end end)
{
    if (side->disk.writing && (end == SIDE_END_EXIT || draw_below(&sim->draw, 2)))
        disk_commit(sim, side); /* the writing thread came to its end, or nearly */
    else
        disk_lose(&side->disk);
    sim->tally.crashes += end == SIDE_END_CRASH;
    sim->tally.exits += end == SIDE_END_EXIT;
    trace(sim, side, "end", "%s",
          end == SIDE_END_EXIT ? "exits" : (end == SIDE_END_DISK ? "exits: no room" : "is killed"));
    count_cuts(side);
    children_end_all(&side->children);
    network_drop_all(sim, side);
    feed_end(side);
    core_free(TAKE_PTR(side->core));
    turn_free(TAKE_PTR(side->turn));
    store_batch_free(TAKE_PTR(side->batch));
    side->end = end;
    plan(sim, side, AGENDA_START, operator_restart_ms(sim, side));
}
