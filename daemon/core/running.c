/* Attempts: when one starts, what limits it, and what follows from its end. */
#include "core/state.h"

#include <stdlib.h>

#include "queue/queue.h"
#include "util/log.h"
#include "util/mem.h"

static struct entry *entry_of(const struct core *core, const struct task *t)
{
    struct entry *e = NULL;

    HASH_FIND(by_seq, core->by_seq, &t->seq, sizeof t->seq, e);
    return e;
}

/* Whether the attempt that begins goes on with a session. */
static void resume(struct core *core, struct entry *e)
{
    e->retaken = false;
    e->sessions_named = 0;
    e->session_refused = false;
    e->resumed = session_of(core, e->task->job_id) != NULL;
    if (e->resumed)
        session_touch(core, e->task->job_id);
}

void running_start(struct core *core)
{
    struct task *t;

    if (core->phase.state != PHASE_SERVING || core->link.unsure)
        return;
    while ((t = queue_next(core->queue)) != NULL) {
        struct entry *e = entry_of(core, t);
        enum attempt_action action;

        (void)task_step(t, TASK_EV_START); /* only RECEIVED ones are in the queue */
        t->attempt++;
        core_store(core, e);
        e->attempt =
            (struct attempt){ .state = ATTEMPT_NONE, .patience_ms = core->now.mono_ms + START_MS };
        (void)attempt_step(&e->attempt, ATTEMPT_EV_SPAWN, &action);
        e->processing_due = true;
        resume(core, e);
        TAILQ_INSERT_TAIL(&core->running, e, in_running);
        core_emit(core, CORE_CMD_SPAWN)->seq = t->seq;
        outbox_touch(core, e->job);
    }
}

void running_started(struct core *core, struct entry *e)
{
    enum attempt_action action;

    if (attempt_step(&e->attempt, ATTEMPT_EV_STARTED, &action) != 0 || action != ATTEMPT_WATCH)
        return;
    e->attempt.started_ms = core->now.mono_ms;
    e->attempt.output_ms = core->now.mono_ms;
}

void running_progress(struct core *core, struct entry *e, const struct progress *progress)
{
    if (e->task->state != TASK_RUNNING || core->phase.state == PHASE_STOPPING)
        return;
    free(e->progress.latest);
    e->progress.latest = progress_copy(progress);
    e->progress.due = true;
    outbox_touch(core, e->job);
}

/* From here on the result is the answer, however the program ends. */
void running_final(struct core *core, struct entry *e)
{
    enum attempt_action action;

    if (attempt_step(&e->attempt, ATTEMPT_EV_FINAL, &action) != 0 || action != ATTEMPT_GRACE)
        return;
    attempt_note_stop(&e->attempt, ENDING_STOP_FINAL);
    e->attempt.patience_ms = core->now.mono_ms + FINAL_MS;
}

void running_stop(struct core *core, struct entry *e, enum ending_stop stop, uint32_t grace_ms)
{
    enum attempt_action action;
    struct core_command *kill_command;

    if (attempt_step(&e->attempt, ATTEMPT_EV_STOP, &action) != 0)
        return;
    attempt_note_stop(&e->attempt, stop);
    if (action != ATTEMPT_KILL)
        return;
    if (e->attempt.state != ATTEMPT_SURVEYED)
        e->attempt.patience_ms = core->now.mono_ms + grace_ms + SILENCE_MS;
    else if (!e->survey_cut) /* however often it is to end, the reply waits no longer */
        e->attempt.patience_ms = core->now.mono_ms + SURVEY_STOP_MS;
    e->survey_cut = e->attempt.state == ATTEMPT_SURVEYED;
    kill_command = core_emit(core, CORE_CMD_KILL);
    kill_command->seq = e->task->seq;
    kill_command->grace_ms = grace_ms;
}

void running_stop_all(struct core *core, uint32_t grace_ms)
{
    struct entry *e;

    TAILQ_FOREACH (e, &core->running, in_running)
        running_stop(core, e, ENDING_STOP_SHUTDOWN, grace_ms);
}

static uint64_t entry_deadline(const struct core *core, const struct entry *e,
                               enum ending_stop *ret_stop)
{
    return attempt_deadline(&e->attempt, core->options.task_timeout_ms,
                            core->options.task_idle_timeout_ms, ret_stop);
}

/* Killed before it is given up: as a rule it ends then, and says so. After that the reply waits no
 * longer; but as long as it lives it is in the way of the job's next attempt. */
static void cut_survey(struct core *core, struct entry *e)
{
    enum attempt_action action;

    if (!e->survey_cut) {
        running_stop(core, e, ENDING_STOP_NONE, 0);
        return;
    }
    if (attempt_step(&e->attempt, ATTEMPT_EV_ABANDON, &action) != 0)
        return;
    e->attempt.patience_ms = core->now.mono_ms + SILENCE_MS;
    if (core->phase.state != PHASE_STOPPING)
        intake_tell(core, e, ENDING_TEXT_UNSURVEYED);
}

bool running_check_limits(struct core *core)
{
    struct entry *e, *next;
    enum ending_stop stop;

    for (e = TAILQ_FIRST(&core->running); e; e = next) {
        next = TAILQ_NEXT(e, in_running);
        if (core->now.mono_ms < entry_deadline(core, e, &stop))
            continue;
        if (e->attempt.state == ATTEMPT_SURVEYED)
            cut_survey(core, e);
        else if (stop == ENDING_STOP_NONE)
            return false;
        else
            running_stop(core, e, stop, GRACE_MS);
    }
    return true;
}

uint64_t running_deadline(const struct core *core)
{
    const struct entry *e;
    uint64_t best = UINT64_MAX;
    enum ending_stop stop;

    TAILQ_FOREACH (e, &core->running, in_running) {
        uint64_t at = entry_deadline(core, e, &stop);

        if (at < best)
            best = at;
    }
    return best;
}

size_t running_count(const struct core *core)
{
    const struct entry *e;
    size_t n = 0;

    TAILQ_FOREACH (e, &core->running, in_running)
        n++;
    return n;
}

void running_heartbeat(struct core *core)
{
    struct entry *e;

    TAILQ_FOREACH (e, &core->running, in_running) {
        e->processing_due = e->task->state == TASK_RUNNING;
        outbox_touch(core, e->job);
    }
}

/* Processes of the job survive: nothing of it runs here again, but everything is answered. */
static void quarantine(struct core *core, struct job *job)
{
    struct task *t;

    core_note(core, LOG_ERROR, "task_stuck", 0,
              "a process of job %.64s can't be killed; its slot stays taken until the machine is "
              "restarted",
              job->id);
    queue_quarantine(core->queue, job->id);
    while ((t = queue_pop_quarantined(core->queue, job->id)) != NULL)
        intake_finish(core, entry_of(core, t), TASK_REPLY_ERROR,
                      mem_strdup(ENDING_TEXT_QUARANTINED));
}

/* Our own orderly stop costs no attempt. */
static void release(struct core *core, struct entry *e)
{
    if (task_step(e->task, TASK_EV_RELEASE) != 0)
        return;
    e->task->attempt--;
    core_store(core, e);
    queue_add(core->queue, e->task);
}

/* Whether the attempt failed only because the session that it was to go on with is not there. Once
 * for a message, whatever it says then. */
static bool is_to_begin_anew(const struct entry *e, const struct ending *ending)
{
    return ending->session_gone && !ending->ok && e->resumed && !e->task->anew &&
           (e->attempt.stop == ENDING_STOP_NONE || e->attempt.stop == ENDING_STOP_FINAL);
}

static void begin_anew(struct core *core, struct entry *e)
{
    core_note(core, LOG_WARNING, "session_gone", e->task->seq,
              "the program doesn't find the job's session any more; the message is run again "
              "without it");
    session_forget(core, e->job->id);
    core->link.unsure = core->link.unsure || e->retaken; /* it may be answered by now */
    e->task->anew = true;
    release(core, e);
}

/* Whether the task may have left something, and its reply is to say so. */
static bool may_have_left_something(const struct core *core, const struct entry *e,
                                    const struct ending *ending)
{
    enum ending_stop stop = e->attempt.stop;

    if (!core->options.survey || e->attempt.state == ATTEMPT_STARTING ||
        e->task->state != TASK_RUNNING || e->task->mode != TASK_MODE_EXECUTE)
        return false;
    /* what can't be killed goes on changing them; one that starts over is looked at in the end */
    if (ending->failed_to_start || ending->stuck || is_to_begin_anew(e, ending))
        return false;
    return stop != ENDING_STOP_CANCEL && stop != ENDING_STOP_SHUTDOWN &&
           stop != ENDING_STOP_LEASE && stop != ENDING_STOP_START;
}

/* The reply that the ending comes to; its text is the caller's. */
static enum task_reply_kind reply_of(const struct core *core, struct entry *e,
                                     const struct ending *ending, char **ret_text)
{
    const struct ending_limits limits = {
        .program = core->options.program,
        .timeout_ms = core->options.task_timeout_ms,
        .idle_timeout_ms = core->options.task_idle_timeout_ms,
        .output_limit_bytes = core->options.output_limit_bytes,
        .reply_limit_bytes = core->options.reply_limit_bytes,
        .memory_bytes = core->options.memory_bytes,
        .disk_bytes = core->options.disk_bytes,
        .cpu_time_ms = core->options.cpu_time_ms,
        .pids = core->options.pids,
        .files = core->options.files,
    };

    e->task->has_usage = ending->has_usage;
    e->task->usage = ending->usage;
    return ending_reply(ending, e->attempt.stop, e->task->anew, &limits, ret_text);
}

/* Files for people go with an answer only, and not where something may still change them. */
static char *note_files(struct core *core, struct entry *e, const struct ending *ending,
                        enum task_reply_kind kind, char *text)
{
    if (!ending->files || e->attempt.stop == ENDING_STOP_CANCEL)
        return text;
    e->task->unsent = kind == TASK_REPLY_ASSISTANT && !ending->stuck;
    if (e->task->unsent > 0)
        return text;
    return ending_add_note(text, ENDING_TEXT_UNSENT, core->options.reply_limit_bytes);
}

/* unsurveyed: the reply waits for what is to be said of the files. */
static void answer(struct core *core, struct entry *e, const struct ending *ending, bool unsurveyed)
{
    char *text = NULL;
    enum task_reply_kind kind = reply_of(core, e, ending, &text);

    text = note_files(core, e, ending, kind, text);
    if (unsurveyed)
        intake_finish_unsurveyed(core, e, kind, text);
    else
        intake_finish(core, e, kind, text);
    if (e->task->unsent > 0) /* before the job's next attempt: commands keep their order */
        core_emit(core, CORE_CMD_GATHER)->seq = e->task->seq;
}

/* Once what it waits for is stored. */
static void survey(struct core *core, struct entry *e)
{
    e->survey_cut = false;
    e->attempt.patience_ms = core->now.mono_ms + SURVEY_MS;
    core_emit(core, CORE_CMD_SURVEY)->seq = e->task->seq;
}

void running_survey_again(struct core *core, struct entry *e)
{
    struct task *t = e->task;
    enum attempt_action action;

    if (!core->options.survey || t->unsurveyed >= core->options.max_attempts ||
        !queue_occupy(core->queue, e->job->id)) {
        intake_tell(core, e, ENDING_TEXT_SURVEYS_CUT);
        return;
    }
    (void)attempt_step(&e->attempt, ATTEMPT_EV_SURVEY, &action); /* nothing of it runs yet */
    TAILQ_INSERT_TAIL(&core->running, e, in_running);
    t->unsurveyed++;
    core_store(core, e);
    survey(core, e);
}

void running_ended(struct core *core, struct entry *e, const struct ending *ending)
{
    struct job *job = e->job;
    bool unsurveyed = may_have_left_something(core, e, ending);
    enum attempt_action action;

    /* on our way out there is no time for it: the next start has it */
    if (unsurveyed && core->phase.state != PHASE_STOPPING &&
        attempt_step(&e->attempt, ATTEMPT_EV_SURVEY, &action) == 0) {
        answer(core, e, ending, true);
        survey(core, e);
        return;
    }
    if (attempt_step(&e->attempt, ATTEMPT_EV_ENDED, &action) != 0)
        return;
    TAILQ_REMOVE(&core->running, e, in_running);
    if (e->task->state == TASK_RUNNING && e->attempt.stop == ENDING_STOP_SHUTDOWN)
        release(core, e);
    else if (e->task->state == TASK_RUNNING && is_to_begin_anew(e, ending))
        begin_anew(core, e);
    else if (e->task->state == TASK_RUNNING)
        answer(core, e, ending, unsurveyed);
    if (ending->stuck)
        quarantine(core, job);
    else
        queue_release(core->queue, job->id);
    intake_sweep(core, job);
}

/* The reply goes, if it hasn't, with what there is to say. What we have cut short to end ourselves
 * is looked at after the next start. */
void running_surveyed(struct core *core, struct entry *e, const struct core_event *ev)
{
    struct job *job = e->job;
    bool awaited = e->attempt.state == ATTEMPT_SURVEYED && e->task->state == TASK_FINISHED;
    struct core_command *settle;
    enum attempt_action action;

    if (attempt_step(&e->attempt, ATTEMPT_EV_SURVEYED, &action) != 0)
        return;
    TAILQ_REMOVE(&core->running, e, in_running);
    if (awaited && (!ev->failed || core->phase.state != PHASE_STOPPING))
        intake_tell(core, e, ev->note);
    settle = core_emit(core, CORE_CMD_SETTLE);
    settle->seq = e->task->seq;
    settle->keep = awaited && !ev->failed;
    if (ev->stuck)
        quarantine(core, job);
    else
        queue_release(core->queue, job->id);
    intake_sweep(core, job);
}
