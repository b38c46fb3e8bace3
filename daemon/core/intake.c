/* Messages into the tables and out of them. */
#include "core/state.h"

#include <stdlib.h>
#include <string.h>

#include "queue/queue.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

static struct job *job_get(struct core *core, const char *id)
{
    struct job *job = NULL;

    HASH_FIND_STR(core->jobs, id, job);
    if (job)
        return job;
    job = mem_new(struct job);
    job->id = mem_strdup(id);
    TAILQ_INIT(&job->entries);
    (void)backoff_init(&job->backoff, JOB_BASE_MS, JOB_CAP_MS); /* the bounds are constants */
    HASH_ADD_KEYPTR(hh, core->jobs, job->id, strlen(job->id), job);
    return job;
}

static size_t text_bytes(const struct task *t)
{
    return (t->prompt ? strlen(t->prompt) : 0) + (t->payload ? strlen(t->payload) : 0) +
           (t->system_prompt ? strlen(t->system_prompt) : 0);
}

/* Takes ownership of task, whose seq is set. Entries of a job stay sorted by it. */
struct entry *intake_add(struct core *core, struct task *task)
{
    struct entry *e = mem_new(struct entry);
    struct job *job = job_get(core, task->job_id);

    e->task = task;
    e->job = job;
    core->text_bytes += text_bytes(task);
    TAILQ_INSERT_TAIL(&job->entries, e, in_job);
    HASH_ADD_KEYPTR(by_id, core->by_id, task->id, strlen(task->id), e);
    HASH_ADD(by_seq, core->by_seq, task->seq, sizeof task->seq, e);
    return e;
}

void intake_sweep(struct core *core, struct job *job)
{
    struct entry *e, *next;
    bool lost = false;

    for (e = TAILQ_FIRST(&job->entries); e; e = next) {
        next = TAILQ_NEXT(e, in_job);
        if (task_is_open(e->task) || e->attempt.state != ATTEMPT_NONE || job->posting_entry == e) {
            lost = lost || e->task->state == TASK_GONE;
            continue;
        }
        core->text_bytes -= text_bytes(e->task);
        TAILQ_REMOVE(&job->entries, e, in_job);
        HASH_DELETE(by_id, core->by_id, e);
        HASH_DELETE(by_seq, core->by_seq, e);
        TAILQ_INSERT_TAIL(&core->graveyard, e, in_job);
    }
    core->lost_count -= job->lost && !lost;
    job->lost = job->lost && lost;
    if (!TAILQ_EMPTY(&job->entries))
        return;
    if (job->outgoing)
        TAILQ_REMOVE(&core->outgoing, job, in_outgoing);
    HASH_DEL(core->jobs, job);
    free(job->id);
    free(job);
}

/* The terminal reply of a message, whatever it says. Takes ownership of text. */
void intake_finish(struct core *core, struct entry *e, enum task_reply_kind kind, char *text)
{
    if (task_step(e->task, TASK_EV_FINISH) != 0) {
        free(text);
        return;
    }
    free(e->task->reply);
    e->task->reply = text;
    e->task->reply_kind = kind;
    e->progress.due = false;
    e->processing_due = false;
    core_store(core, e);
    outbox_touch(core, e->job);
}

void intake_finish_unsurveyed(struct core *core, struct entry *e, enum task_reply_kind kind,
                              char *text)
{
    e->task->unsurveyed = task_may(e->task->state, TASK_EV_FINISH);
    intake_finish(core, e, kind, text);
}

void intake_tell(struct core *core, struct entry *e, const char *note)
{
    if (e->task->state != TASK_FINISHED)
        return; /* another daemon answers */
    e->task->reply = ending_add_note(e->task->reply, note, core->options.reply_limit_bytes);
    e->task->unsurveyed = 0;
    core_store(core, e);
    outbox_touch(core, e->job);
}

void intake_forget(struct core *core, struct entry *e)
{
    enum task_state before = e->task->state;

    if (task_step(e->task, TASK_EV_FORGET) != 0)
        return;
    core_emit(core, CORE_CMD_DELETE)->task = e->task;
    if (e->task->unsent > 0)
        core_emit(core, CORE_CMD_DISCARD)->seq = e->task->seq;
    if (before == TASK_RECEIVED)
        (void)queue_remove(core->queue, e->task); /* absent while it is being recovered */
    outbox_touch(core, e->job);                   /* what stands behind it may speak now */
    if (e->attempt.state != ATTEMPT_NONE)
        running_stop(core, e, ENDING_STOP_LEASE, STOP_GRACE_MS);
}

static bool is_tombstone(const struct core *core, const char *task_id)
{
    struct tombstone *found = NULL;

    HASH_FIND_STR(core->tombstones, task_id, found);
    return found != NULL;
}

void intake_bury(struct core *core, const char *task_id, int64_t wall_ms)
{
    size_t len = strlen(task_id);
    struct tombstone *stone, *oldest = core->tombstones;

    if (is_tombstone(core, task_id))
        return;
    if (HASH_COUNT(core->tombstones) >= TOMBSTONES_MAX) { /* the table keeps the order of arrival */
        HASH_DEL(core->tombstones, oldest);
        free(oldest);
    }
    stone = mem_alloc(sizeof *stone + len + 1);
    stone->wall_ms = wall_ms;
    stone->known_ms = core->now.mono_ms;
    memcpy(stone->id, task_id, len + 1);
    HASH_ADD_KEYPTR(hh, core->tombstones, stone->id, len, stone);
}

void intake_purge(struct core *core)
{
    int64_t before_ms = core->now.wall_ms - (int64_t)core->options.journal_retention_s * 1000;
    struct tombstone *stone, *next;

    /* a wall clock that jumps makes none old: a listing of a moment ago may be on its way */
    HASH_ITER (hh, core->tombstones, stone, next)
        if (stone->wall_ms < before_ms && core->now.mono_ms - stone->known_ms < PURGE_MS)
            before_ms = stone->wall_ms;
    core_emit(core, CORE_CMD_PURGE)->wall_ms = before_ms;
    HASH_ITER (hh, core->tombstones, stone, next) {
        if (stone->wall_ms >= before_ms)
            continue;
        HASH_DEL(core->tombstones, stone);
        free(stone);
    }
}

/* Answered and acknowledged earlier, but listed again: the server missed the ack. */
static void acknowledge_again(struct core *core, struct task *task)
{
    struct entry *e;

    if (core->ghost_count >= GHOSTS_MAX) {
        task_free(task); /* a later poll lists it again */
        return;
    }
    (void)task_restore(task, "delivered");
    task->seq = ++core->last_seq;
    e = intake_add(core, task);
    e->ghost = true;
    core->ghost_count++;
    outbox_touch(core, e->job);
}

void intake_set_tight(struct core *core, bool tight)
{
    if (core->tight && !tight)
        core_note(core, LOG_NOTICE, "disk_has_room", 0,
                  "new messages are taken again: the state directory's disk has room");
    core->tight = tight;
}

/* Each poll may list what must stay, so not each time. */
static void note_tight(struct core *core)
{
    if (core->now.mono_ms < core->next_tight_note_ms)
        return;
    core->next_tight_note_ms = core->now.mono_ms + TIGHT_NOTE_MS;
    core_note(core, LOG_WARNING, "disk_full", 0,
              "the state directory's disk is full: new messages stay at the server, what is here "
              "is finished; make room");
}

static bool is_full(const struct core *core)
{
    return queue_waiting(core->queue) >= core->options.max_queued ||
           HASH_CNT(by_id, core->by_id) >=
               (size_t)core->options.max_queued * 2 + core->options.max_concurrency ||
           core->text_bytes >= TEXT_BYTES_MAX;
}

bool intake_has_room(const struct core *core)
{
    return !core->tight && core->lost_count == 0 &&
           queue_waiting(core->queue) <= core->options.max_queued / 2 &&
           HASH_CNT(by_id, core->by_id) <=
               (size_t)core->options.max_queued + core->options.max_concurrency &&
           core->text_bytes <= TEXT_BYTES_MAX / 2;
}

/* Whether the message must stay at the server for now. */
static bool is_to_be_left(struct core *core, const struct task *task)
{
    struct link *l = &core->link;
    struct job *job = NULL;

    HASH_FIND_STR(core->jobs, task->job_id, job);
    if (job && job->lost) { /* it may be ours again, but what was begun of it is still ending */
        l->left_some = true;
    } else if (core->tight) {
        note_tight(core);
        l->left_some = true;
    } else if (!l->left_some && is_full(core)) {
        core_note(core, LOG_WARNING, "queue_full", 0,
                  "%zu messages wait here and %zu to be delivered (max_queued is %u); the others "
                  "stay at the server",
                  queue_waiting(core->queue), outbox_size(core), core->options.max_queued);
        l->left_some = true;
    }
    return l->left_some;
}

/* What is to be sent with each post for the job from now on; kept for the posts after a restart. */
static void set_fence(struct core *core, struct job *job, uint64_t fence)
{
    bool retaken = job->fence != 0;
    struct entry *e;

    if (fence == 0 || fence == job->fence)
        return;
    core->link.unsure = core->link.unsure || retaken;
    job->fence = fence;
    TAILQ_FOREACH (e, &job->entries, in_job) {
        e->retaken = e->retaken || retaken;
        if (e->ghost || !task_is_open(e->task) || e->task->fence == fence)
            continue;
        e->task->fence = fence;
        core_emit(core, CORE_CMD_UPDATE)->task = e->task;
    }
}

static void take(struct core *core, struct task *task, bool cancelled)
{
    struct entry *e;

    task->seq = ++core->last_seq;
    task->attempt = 0;
    task->received_ms = task->updated_ms = core->now.wall_ms;
    task->cancelled = cancelled;
    core_emit(core, CORE_CMD_INSERT)->task = task;
    e = intake_add(core, task);
    e->listed = core->link.poll;
    idle_reopen(core, task->job_id);
    set_fence(core, e->job, task->fence);
    if (cancelled)
        intake_finish(core, e, TASK_REPLY_ERROR, mem_strdup(ENDING_TEXT_CANCELLED));
    else if (queue_is_quarantined(core->queue, task->job_id))
        intake_finish(core, e, TASK_REPLY_ERROR, mem_strdup(ENDING_TEXT_QUARANTINED));
    else
        queue_add(core->queue, task);
}

void intake_message(struct core *core, struct task *task, bool cancelled)
{
    struct entry *known = NULL;

    core->link.listing = true;
    HASH_FIND(by_id, core->by_id, task->id, strlen(task->id), known);
    if (known && known->task->state != TASK_GONE) {
        known->listed = core->link.poll;
        task_free(task);
    } else if (is_tombstone(core, task->id)) {
        acknowledge_again(core, task);
    } else if (is_to_be_left(core, task)) {
        task_free(task);
    } else {
        core->link.fruitful = true;
        take(core, task, cancelled);
    }
}

/* A poll that is in flight doesn't list it: what it says is of the moment of its beginning. */
void intake_push(struct core *core, struct task *task, bool whole)
{
    struct link *l = &core->link;
    bool listing = l->listing;

    if (core->phase.state != PHASE_SERVING || !l->channel.up || !task || !whole ||
        !l->channel.synced || l->left_some || l->unsure) {
        l->look = core->phase.state == PHASE_SERVING && l->channel.up;
        l->channel.synced = false; /* what comes next must not overtake it */
        task_free(task);
        return;
    }
    intake_message(core, task, false);
    l->listing = listing;
}

bool intake_cancel(struct core *core, const char *job_id)
{
    struct job *job = NULL;
    struct entry *e;
    bool any = false;

    HASH_FIND_STR(core->jobs, job_id, job);
    if (!job)
        return false;
    TAILQ_FOREACH (e, &job->entries, in_job) {
        struct task *t = e->task;

        if (t->state == TASK_RECEIVED) {
            (void)queue_remove(core->queue, t);
            t->cancelled = true;
            intake_finish(core, e, TASK_REPLY_ERROR, mem_strdup(ENDING_TEXT_CANCELLED));
            any = true;
        } else if (t->state == TASK_RUNNING && !t->cancelled) {
            t->cancelled = true;
            core_store(core, e); /* so that a crash doesn't bring it back */
            running_stop(core, e, ENDING_STOP_CANCEL, GRACE_MS);
            any = true;
        }
    }
    return any;
}

void intake_job(struct core *core, const char *job_id, uint64_t fence, bool cancel_requested)
{
    struct job *job = NULL;

    core->link.listing = true;
    HASH_FIND_STR(core->jobs, job_id, job);
    if (!job)
        return;
    set_fence(core, job, fence);
    if (cancel_requested && intake_cancel(core, job_id)) {
        core->link.fruitful = true;
        core_note(core, LOG_INFO, "cancel_requested", 0, "job %.64s is stopped at the user's word",
                  job_id);
    }
}

/* Restored messages, at the start: what was interrupted runs again, or is answered. */
void intake_recover(struct core *core)
{
    struct entry *e, *next;

    HASH_ITER (by_seq, core->by_seq, e, next) {
        struct task *t = e->task;

        if (t->state == TASK_RUNNING) {
            core_note(core, LOG_NOTICE, "task_interrupted", t->seq,
                      "attempt %u of %u was cut short by the end of the daemon", t->attempt,
                      core->options.max_attempts);
            (void)task_step(t, TASK_EV_RELEASE);
            core_store(core, e);
        }
        if (t->state == TASK_FINISHED && t->unsent > 0)
            core_emit(core, CORE_CMD_GATHER)->seq = t->seq;
        if (t->state == TASK_RECEIVED && t->cancelled) {
            intake_finish(core, e, TASK_REPLY_ERROR, mem_strdup(ENDING_TEXT_CANCELLED));
        } else if (t->state == TASK_RECEIVED && t->attempt >= core->options.max_attempts) {
            intake_finish(core, e, TASK_REPLY_ERROR,
                          mem_printf("the task was interrupted %u times by the end of the daemon "
                                     "or of its machine while it ran, and is not tried again "
                                     "(task.max_attempts); send the message again to retry",
                                     t->attempt));
        } else if (t->state == TASK_RECEIVED) {
            core->link.unsure = core->link.unsure || t->fence != 0;
            queue_add(core->queue, t);
        } else if (t->state == TASK_FINISHED && t->unsurveyed > 0) {
            running_survey_again(core, e);
        } else {
            outbox_touch(core, e->job);
        }
    }
}

void intake_confirm(struct core *core, uint64_t poll)
{
    struct entry *e, *next_entry;
    struct job *job, *next_job;

    HASH_ITER (by_seq, core->by_seq, e, next_entry) {
        if (e->task->state != TASK_RECEIVED || e->task->fence == 0 || e->listed == poll)
            continue;
        core_note(core, LOG_NOTICE, "message_gone", e->task->seq,
                  "the server no longer lists it for this daemon: it was answered or taken over");
        intake_forget(core, e);
    }
    HASH_ITER (hh, core->jobs, job, next_job)
        intake_sweep(core, job);
    core->link.unsure = false;
}
