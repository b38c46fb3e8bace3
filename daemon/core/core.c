#include "core/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "queue/queue.h"
#include "util/log.h"
#include "util/mem.h"

struct core *core_new(const struct core_options *options, uint64_t last_seq)
{
    struct core *core = mem_new(struct core);

    core->options = *options;
    core->last_seq = last_seq;
    core->queue = queue_new(options->max_concurrency);
    TAILQ_INIT(&core->outgoing);
    TAILQ_INIT(&core->running);
    TAILQ_INIT(&core->graveyard);
    SLIST_INIT(&core->dead_sessions);
    idle_init(core);
    link_init(core);
    return core;
}

static void entry_free(struct entry *e)
{
    task_free(e->task);
    free(e->progress.latest);
    free(e);
}

static void empty_graveyard(struct core *core)
{
    struct entry *e;

    while ((e = TAILQ_FIRST(&core->graveyard)) != NULL) {
        TAILQ_REMOVE(&core->graveyard, e, in_job);
        entry_free(e);
    }
    session_empty_graveyard(core);
    idle_empty_graveyard(core);
}

void core_free(struct core *core)
{
    struct entry *e, *next_entry;
    struct job *job, *next_job;
    struct tombstone *stone, *next_stone;

    if (!core)
        return;
    empty_graveyard(core);
    HASH_CLEAR(by_id, core->by_id);
    HASH_ITER (by_seq, core->by_seq, e, next_entry) {
        HASH_DELETE(by_seq, core->by_seq, e);
        entry_free(e);
    }
    HASH_ITER (hh, core->jobs, job, next_job) {
        HASH_DEL(core->jobs, job);
        free(job->id);
        free(job);
    }
    HASH_ITER (hh, core->tombstones, stone, next_stone) {
        HASH_DEL(core->tombstones, stone);
        free(stone);
    }
    session_done(core);
    idle_done(core);
    queue_free(core->queue);
    free(core);
}

void core_set_options(struct core *core, const struct core_options *options)
{
    core->options = *options;
    core->link.parked_until_ms = 0; /* there may be a new key, too */
    core->link.key_refusals = 0;
    core->link.key_doubted = false;
    queue_set_slots(core->queue, options->max_concurrency);
}

void core_restore(struct core *core, struct task *task)
{
    struct entry *e;

    if (task->seq > core->last_seq)
        core->last_seq = task->seq;
    e = intake_add(core, task);
    if (task->fence > e->job->fence)
        e->job->fence = task->fence;
}

void core_restore_tombstone(struct core *core, const char *task_id, int64_t wall_ms)
{
    intake_bury(core, task_id, wall_ms);
}

void core_restore_session(struct core *core, const char *job_id, const char *runner,
                          const char *session, int64_t wall_ms)
{
    session_restore(core, job_id, runner, session, wall_ms);
}

void core_restore_job(struct core *core, const char *job_id, uint64_t fence, int64_t used_ms,
                      bool leaving)
{
    idle_restore(core, job_id, fence, used_ms, leaving);
}

bool core_command_is_storing(enum core_command_type type)
{
    return type == CORE_CMD_INSERT || type == CORE_CMD_UPDATE || type == CORE_CMD_DELETE ||
           type == CORE_CMD_PURGE || type == CORE_CMD_SESSION || type == CORE_CMD_JOB ||
           type == CORE_CMD_FORGET_JOB;
}

void core_commands_done(struct core_commands *c)
{
    free(c->items);
    *c = (struct core_commands){ 0 };
}

struct core_command *core_emit(struct core *core, enum core_command_type type)
{
    struct core_commands *out = core->out;

    if (out->len == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 16;
        out->items = mem_realloc(out->items, out->cap * sizeof out->items[0]);
    }
    out->items[out->len] = (struct core_command){ .type = type };
    return &out->items[out->len++];
}

void core_note(struct core *core, int level, const char *name, uint64_t seq, const char *fmt, ...)
{
    struct core_command *note = core_emit(core, CORE_CMD_NOTE);
    va_list ap;

    note->level = level;
    note->name = name;
    note->seq = seq;
    va_start(ap, fmt);
    (void)vsnprintf(note->text, sizeof note->text, fmt, ap);
    va_end(ap);
}

void core_store(struct core *core, struct entry *e)
{
    e->task->updated_ms = core->now.wall_ms;
    core_emit(core, CORE_CMD_UPDATE)->task = e->task;
}

static struct entry *entry_by_seq(const struct core *core, uint64_t seq)
{
    struct entry *e = NULL;

    HASH_FIND(by_seq, core->by_seq, &seq, sizeof seq, e);
    return e;
}

static void step_phase(struct core *core, enum phase_event ev)
{
    enum phase_action action;

    if (phase_step(&core->phase, ev, &action) != 0)
        return;
    switch (action) {
    case PHASE_HALT:
        link_cancel(core);
        core->phase_deadline_ms = core->now.mono_ms + core->options.drain_timeout_ms;
        core->heartbeat_ms = core->now.mono_ms + HEARTBEAT_MS;
        break;
    case PHASE_STOP_TASKS:
    case PHASE_KILL_TASKS:
        link_cancel(core);
        running_stop_all(core, action == PHASE_KILL_TASKS ? 0 : STOP_GRACE_MS);
        break;
    case PHASE_EXIT:
        core_emit(core, CORE_CMD_EXIT)->code = core->phase.exit_code;
        break;
    case PHASE_NOTHING:
        break;
    }
}

/* Whether nothing is left that the phase waits for. */
static bool phase_is_over(struct core *core)
{
    if (!TAILQ_EMPTY(&core->running))
        return false;
    switch (core->phase.state) {
    case PHASE_DRAINING:
        if (outbox_size(core) == 0)
            return true;
        if (core->flush_deadline_ms == 0)
            core->flush_deadline_ms = core->now.mono_ms + FLUSH_MS;
        if (core->now.mono_ms < core->flush_deadline_ms)
            return false;
        core_note(core, LOG_WARNING, "outbox_kept", 0,
                  "%zu replies could not be delivered; they are sent at the next start",
                  outbox_size(core));
        return true;
    case PHASE_KEYLESS:
    case PHASE_STOPPING:
        return true;
    case PHASE_SERVING:
    case PHASE_DONE:
    case PHASE_STATE_COUNT:
        break;
    }
    return false;
}

static bool is_unreachable(const struct core *core)
{
    return core->phase.state == PHASE_SERVING && !core->link.ever_connected &&
           core->options.start_limit_ms > 0 && TAILQ_EMPTY(&core->running) &&
           core->now.mono_ms >= core->started_ms + core->options.start_limit_ms;
}

static bool is_halting(const struct core *core)
{
    return core->phase.state == PHASE_DRAINING || core->phase.state == PHASE_KEYLESS;
}

static void check_timers(struct core *core)
{
    uint64_t now = core->now.mono_ms;

    if (!running_check_limits(core)) {
        core_note(core, LOG_ERROR, "spawner_silent", 0,
                  "the spawner did not report the end of a task that it was told to end");
        step_phase(core, PHASE_EV_BROKEN);
        return;
    }
    if (now >= core->next_purge_ms) {
        core->next_purge_ms = now + PURGE_MS;
        intake_purge(core);
        session_purge(core);
        idle_purge(core);
    }
    if (is_halting(core) && now >= core->heartbeat_ms) {
        core->heartbeat_ms = now + HEARTBEAT_MS;
        running_heartbeat(core);
    }
    if (is_halting(core) && !TAILQ_EMPTY(&core->running) && now >= core->phase_deadline_ms) {
        core_note(core, LOG_WARNING, "drain_cut", 0,
                  "%zu tasks still run after drain_timeout; they are ended and run again at the "
                  "next start",
                  running_count(core));
        step_phase(core, PHASE_EV_DEADLINE);
    }
    if (core->link.key_refusals >= 2)
        step_phase(core, PHASE_EV_KEY_REFUSED);
    if (is_unreachable(core)) {
        core_note(core, LOG_ERROR, "server_unreachable", 0,
                  "no good answer from the server since the start; check server.url, the network "
                  "and the log above");
        step_phase(core, PHASE_EV_UNREACHABLE);
    }
}

/* What may follow from any event: start, send, poll, leave. */
static void pump(struct core *core)
{
    check_timers(core);
    if (core->phase.state == PHASE_DONE)
        return;
    running_start(core);
    outbox_pump(core);
    idle_pump(core);
    link_pump(core);
    if (phase_is_over(core))
        step_phase(core, PHASE_EV_EMPTY);
}

static void handle_task_event(struct core *core, const struct core_event *ev)
{
    struct entry *e = entry_by_seq(core, ev->seq);

    if (!e)
        return; /* it was dropped meanwhile */
    e->attempt.output_ms = ev->type == CORE_EV_OUTPUT ? core->now.mono_ms : e->attempt.output_ms;
    if (ev->type == CORE_EV_SENT)
        outbox_sent(core, e, ev);
    else if (ev->type == CORE_EV_STARTED)
        running_started(core, e);
    else if (ev->type == CORE_EV_PROGRESS)
        running_progress(core, e, ev->progress);
    else if (ev->type == CORE_EV_SESSION)
        session_named(core, e, ev->runner, ev->session);
    else if (ev->type == CORE_EV_FINAL)
        running_final(core, e);
    else if (ev->type == CORE_EV_OVERFLOW)
        running_stop(core, e, ENDING_STOP_OUTPUT, GRACE_MS);
    else if (ev->type == CORE_EV_ENDED)
        running_ended(core, e, ev->ending);
    else if (ev->type == CORE_EV_SURVEYED)
        running_surveyed(core, e, ev);
}

static void handle_poll_event(struct core *core, const struct core_event *ev)
{
    bool current = core->link.poll == ev->seq;

    if (ev->type == CORE_EV_MESSAGE && current)
        intake_message(core, ev->task, ev->cancel_requested);
    else if (ev->type == CORE_EV_MESSAGE)
        task_free(ev->task);
    else if (ev->type == CORE_EV_JOB && current)
        intake_job(core, ev->job_id, ev->fence, ev->cancel_requested);
    else if (ev->type == CORE_EV_POLLED && current)
        link_polled(core, ev);
}

/* Somebody's word, who is told once it is on the disk. */
static void heed(struct core *core, const struct core_event *ev)
{
    if (ev->type == CORE_EV_CANCEL)
        (void)intake_cancel(core, ev->job_id);
    else
        step_phase(core, PHASE_EV_DRAIN);
    if (ev->asker > 0)
        core_emit(core, CORE_CMD_ANSWER)->asker = ev->asker;
}

static void dispatch(struct core *core, const struct core_event *ev)
{
    switch (ev->type) {
    case CORE_EV_START:
        core->started_ms = core->now.mono_ms;
        core->next_purge_ms = core->now.mono_ms + PURGE_MS;
        intake_recover(core);
        idle_recover(core);
        break;
    case CORE_EV_MESSAGE:
    case CORE_EV_JOB:
    case CORE_EV_POLLED:
        handle_poll_event(core, ev);
        break;
    case CORE_EV_CANCEL:
    case CORE_EV_DRAIN:
        heed(core, ev);
        break;
    case CORE_EV_TERM:
        step_phase(core, PHASE_EV_TERM);
        break;
    case CORE_EV_QUIT:
        step_phase(core, PHASE_EV_QUIT);
        break;
    case CORE_EV_SENT:
    case CORE_EV_STARTED:
    case CORE_EV_OUTPUT:
    case CORE_EV_PROGRESS:
    case CORE_EV_SESSION:
    case CORE_EV_FINAL:
    case CORE_EV_OVERFLOW:
    case CORE_EV_ENDED:
    case CORE_EV_SURVEYED:
        handle_task_event(core, ev);
        break;
    case CORE_EV_CHANNEL:
        link_channel(core, ev->up);
        break;
    case CORE_EV_PUSHED:
        intake_push(core, ev->task, ev->whole);
        break;
    case CORE_EV_IDLE:
        idle_check(core);
        break;
    case CORE_EV_COMPLETED:
        idle_completed(core, ev);
        break;
    case CORE_EV_ROOM:
        intake_set_tight(core, ev->tight);
        break;
    case CORE_EV_TICK: /* what is due is looked at after every event */
    case CORE_EVENT_COUNT:
        break;
    }
}

void core_handle(struct core *core, const struct core_event *ev, const struct core_now *now,
                 struct core_commands *commands)
{
    empty_graveyard(core);
    core->now = *now;
    core->out = commands;
    dispatch(core, ev);
    if (core->phase.state != PHASE_DONE)
        pump(core);
    core->out = NULL;
}

static void earlier(uint64_t *best, uint64_t at)
{
    if (at < *best)
        *best = at;
}

uint64_t core_deadline(const struct core *core)
{
    uint64_t best = core->next_purge_ms;

    if (core->phase.state == PHASE_DONE)
        return UINT64_MAX;
    earlier(&best, running_deadline(core));
    earlier(&best, outbox_deadline(core));
    earlier(&best, idle_deadline(core));
    earlier(&best, link_deadline(core));
    if (is_halting(core) && !TAILQ_EMPTY(&core->running)) {
        earlier(&best, core->heartbeat_ms);
        earlier(&best, core->phase_deadline_ms);
    }
    if (core->phase.state == PHASE_DRAINING && core->flush_deadline_ms > 0)
        earlier(&best, core->flush_deadline_ms);
    if (core->phase.state == PHASE_SERVING && !core->link.ever_connected &&
        core->options.start_limit_ms > 0 && TAILQ_EMPTY(&core->running))
        earlier(&best, core->started_ms + core->options.start_limit_ms);
    return best;
}

const struct task *core_task(const struct core *core, uint64_t seq)
{
    const struct entry *e = entry_by_seq(core, seq);

    return e ? e->task : NULL;
}

static const struct job *find_job(const struct core *core, const char *job_id)
{
    const struct job *job = NULL;

    HASH_FIND_STR(core->jobs, job_id, job);
    return job;
}

bool core_has_job(const struct core *core, const char *job_id)
{
    return find_job(core, job_id) != NULL;
}

bool core_can_cancel(const struct core *core, const char *job_id)
{
    const struct job *job = find_job(core, job_id);
    const struct entry *e;

    if (!job)
        return false;
    TAILQ_FOREACH (e, &job->entries, in_job)
        if (e->task->state == TASK_RECEIVED || e->task->state == TASK_RUNNING)
            return true;
    return false;
}

bool core_may_spawn(const struct core *core, uint64_t seq)
{
    const struct entry *e = entry_by_seq(core, seq);

    return e && e->attempt.state == ATTEMPT_STARTING;
}

const char *core_session(const struct core *core, uint64_t seq)
{
    const struct entry *e = entry_by_seq(core, seq);

    return e && e->resumed ? session_of(core, e->task->job_id) : NULL;
}

uint64_t core_fence(const struct core *core, uint64_t seq)
{
    const struct entry *e = entry_by_seq(core, seq);

    if (!e)
        return 0;
    return e->job->posting_entry == e ? e->job->posting_fence : e->job->fence;
}

const struct progress *core_progress(const struct core *core, uint64_t seq, uint32_t *ret_number)
{
    const struct entry *e = entry_by_seq(core, seq);

    if (!e || e->task->state != TASK_RUNNING)
        return NULL;
    *ret_number = e->progress.number;
    return e->progress.latest;
}

void core_status(const struct core *core, struct core_status *ret_status)
{
    *ret_status = (struct core_status){
        .connected = core->link.connected,
        .ever_connected = core->link.ever_connected,
        .realtime = core->link.channel.up,
        .draining = core->phase.state != PHASE_SERVING,
        .tight = core->tight,
        .last_ok_ms = core->link.last_ok_ms,
        .hold_until_ms = core->link.hold_until_ms,
        .waiting = queue_waiting(core->queue),
        .running = running_count(core),
        .outbox = outbox_size(core),
        .slots = core->options.max_concurrency,
    };
}

void core_visit(const struct core *core, core_visit_fn fn, void *ctx)
{
    const struct entry *e, *next;

    HASH_ITER (by_seq, core->by_seq, e, next) {
        if (!task_is_open(e->task))
            continue;
        fn(e->task, e->attempt.state == ATTEMPT_NONE ? 0 : e->attempt.started_ms,
           e->attempt.state == ATTEMPT_STOPPING, queue_is_quarantined(core->queue, e->task->job_id),
           e->progress.latest, ctx);
    }
}
