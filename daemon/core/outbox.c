/* Posts: one in flight per job, a few over all jobs; replies, what goes with them and acks until
 * the server has them. */
#include "core/state.h"

#include <stdlib.h>

#include "util/log.h"
#include "util/mem.h"

static bool wants_reply_or_ack(const struct entry *e)
{
    return e->task->state == TASK_FINISHED || e->task->state == TASK_DELIVERED ||
           e->task->state == TASK_REFUSED;
}

static bool is_working(const struct entry *e)
{
    return e->task->state == TASK_RUNNING && e->attempt.state != ATTEMPT_NONE;
}

static bool is_aside(enum core_post what)
{
    return what == CORE_POST_PROCESSING || what == CORE_POST_PROGRESS;
}

/* The post that the job wants next, and from when on; NONE if it wants nothing. */
static enum core_post next_post(const struct job *job, struct entry **ret_entry, uint64_t *ret_ms)
{
    struct entry *e;

    *ret_ms = 0;
    TAILQ_FOREACH (e, &job->entries, in_job) {
        *ret_entry = e;
        if (!task_is_open(e->task))
            continue;
        if (e->task->unsurveyed > 0)
            return CORE_POST_NONE; /* its reply isn't whole yet */
        if (e->task->state == TASK_FINISHED && e->task->unsent > 0) {
            *ret_ms = job->retry_ms;
            return CORE_POST_UPLOAD;
        }
        if (wants_reply_or_ack(e)) {
            *ret_ms = job->retry_ms;
            return e->task->state == TASK_FINISHED ? CORE_POST_REPLY : CORE_POST_ACK;
        }
        if (is_working(e) && e->processing_due)
            return CORE_POST_PROCESSING;
        if (is_working(e) && e->progress.due) {
            *ret_ms = e->progress.next_ms;
            return CORE_POST_PROGRESS;
        }
        return CORE_POST_NONE; /* the first open message alone may speak */
    }
    return CORE_POST_NONE;
}

void outbox_touch(struct core *core, struct job *job)
{
    if (job->outgoing)
        return;
    job->outgoing = true;
    TAILQ_INSERT_TAIL(&core->outgoing, job, in_outgoing);
}

static void post(struct core *core, struct job *job, struct entry *e, enum core_post what)
{
    struct core_command *command = core_emit(core, CORE_CMD_SEND);

    command->seq = e->task->seq;
    command->post = what;
    job->posting = what;
    job->posting_entry = e;
    job->posting_fence = job->fence;
    job->posting_ms = core->now.mono_ms;
    core->posts++;
    core->uploads += what == CORE_POST_UPLOAD;
    core->aside.in_flight += is_aside(what);
    /* behind the others, so that each gets its turn however much the tasks have to say */
    TAILQ_REMOVE(&core->outgoing, job, in_outgoing);
    TAILQ_INSERT_TAIL(&core->outgoing, job, in_outgoing);
    if (what == CORE_POST_PROCESSING)
        e->processing_due = false;
    if (what == CORE_POST_PROGRESS) {
        e->progress.due = false;
        e->progress.number++;
        e->progress.next_ms = core->now.mono_ms + PROGRESS_MS;
    }
}

uint64_t outbox_held_until(const struct core *core)
{
    const struct link *l = &core->link;

    return l->hold_until_ms > l->parked_until_ms ? l->hold_until_ms : l->parked_until_ms;
}

uint64_t outbox_aside_from(const struct core *core)
{
    return core->aside.in_flight < ASIDES_MAX ? core->aside.hold_until_ms : UINT64_MAX;
}

/* When a post may go that its job wants from then on; UINT64_MAX: not before another one is over.
 * Uploads may take long, and for asides nobody waits: neither keeps others' replies from going. */
static uint64_t post_from(const struct core *core, enum core_post what, uint64_t wanted_ms)
{
    uint64_t from;

    if (what == CORE_POST_NONE || (what == CORE_POST_UPLOAD && core->uploads >= UPLOADS_MAX))
        return UINT64_MAX;
    from = is_aside(what) ? outbox_aside_from(core) : 0;
    return from > wanted_ms ? from : wanted_ms;
}

/* When the post in flight has kept what is durable waiting for long enough; never, if there is
 * nothing, or the post is itself of that kind. */
static uint64_t cut_deadline(const struct job *job)
{
    struct entry *e = NULL;
    uint64_t from;
    enum core_post what;

    if (job->cut || !is_aside(job->posting))
        return UINT64_MAX;
    what = next_post(job, &e, &from);
    return what == CORE_POST_UPLOAD || what == CORE_POST_REPLY || what == CORE_POST_ACK
               ? job->posting_ms + REMARK_MS
               : UINT64_MAX;
}

/* It may reach the server all the same, even after the reply: that is heeded there. */
static void cut_remarks(struct core *core)
{
    struct job *job;

    TAILQ_FOREACH (job, &core->outgoing, in_outgoing) {
        if (core->now.mono_ms < cut_deadline(job))
            continue;
        job->cut = true;
        core_emit(core, CORE_CMD_SEND_CANCEL)->seq = job->posting_entry->task->seq;
    }
}

void outbox_pump(struct core *core)
{
    struct job *job, *next;
    uint64_t now = core->now.mono_ms, from;

    if (core->posts > 0)
        cut_remarks(core);
    if (now < outbox_held_until(core))
        return;
    for (job = TAILQ_FIRST(&core->outgoing); job && core->posts < POSTS_MAX; job = next) {
        struct entry *e = NULL;
        enum core_post what;

        next = TAILQ_NEXT(job, in_outgoing);
        if (job->posting != CORE_POST_NONE)
            continue;
        what = next_post(job, &e, &from);
        if (what == CORE_POST_NONE) {
            job->outgoing = false;
            TAILQ_REMOVE(&core->outgoing, job, in_outgoing);
        } else if (now >= post_from(core, what, from)) {
            post(core, job, e, what);
        }
    }
}

uint64_t outbox_deadline(const struct core *core)
{
    const struct job *job;
    uint64_t held = outbox_held_until(core), best = UINT64_MAX, cut, from;

    TAILQ_FOREACH (job, &core->outgoing, in_outgoing) {
        cut = core->posts > 0 ? cut_deadline(job) : UINT64_MAX;
        best = cut < best ? cut : best;
    }
    if (TAILQ_EMPTY(&core->outgoing) || core->posts >= POSTS_MAX)
        return best;
    if (held > core->now.mono_ms)
        return held < best ? held : best;
    TAILQ_FOREACH (job, &core->outgoing, in_outgoing) {
        struct entry *e = NULL;
        enum core_post what;

        if (job->posting != CORE_POST_NONE)
            continue;
        what = next_post(job, &e, &from);
        from = post_from(core, what, from);
        best = from < best ? from : best;
    }
    return best;
}

size_t outbox_size(const struct core *core)
{
    const struct job *job;
    const struct entry *e;
    size_t n = 0;

    TAILQ_FOREACH (job, &core->outgoing, in_outgoing)
        TAILQ_FOREACH (e, &job->entries, in_job)
            n += wants_reply_or_ack(e);
    return n;
}

/* The lease on the job is lost: whatever of it isn't answered is another daemon's now. */
static void lose_lease(struct core *core, struct job *job)
{
    struct entry *e;

    core->lost_count += !job->lost;
    job->lost = true; /* until intake_sweep() finds nothing of it left */
    core_note(core, LOG_WARNING, "lease_lost", 0,
              "job %.64s belongs to another daemon now; its messages are dropped here", job->id);
    TAILQ_FOREACH (e, &job->entries, in_job)
        intake_forget(core, e);
    idle_forget(core, job->id);
}

static void step_and_store(struct core *core, struct entry *e, enum task_event ev)
{
    if (task_step(e->task, ev) == 0 && !e->ghost)
        core_store(core, e);
}

static void refuse(struct core *core, struct entry *e)
{
    core_note(core, LOG_ERROR, "reply_refused", e->task->seq,
              "the server will not take this reply; it is kept in the journal");
    step_and_store(core, e, TASK_EV_REFUSE);
}

static void shorten(struct core *core, struct entry *e)
{
    char *full = e->task->reply;

    core_note(core, LOG_WARNING, "reply_shortened", e->task->seq,
              "the server refused the reply as it was; a shorter one follows");
    e->task->reply =
        ending_shorten(full ? full : "", REPLY_SHORT_BYTES, "the server refused the whole reply");
    e->task->shortened = true;
    free(full);
    core_store(core, e);
}

static void acknowledged(struct core *core, struct entry *e)
{
    step_and_store(core, e, TASK_EV_ACK);
    if (e->ghost) {
        core->ghost_count--;
        return;
    }
    intake_bury(core, e->task->id, core->now.wall_ms);
    idle_used(core, e->job);
}

/* What is the same for a reply and an ack that didn't pass: if it failed alone, its job waits. */
static void retry_later(struct core *core, struct job *job, enum core_answer answer)
{
    if (answer == CORE_ANSWER_FAILED)
        job->retry_ms = core->now.mono_ms + backoff_next(&job->backoff, core->now.entropy, 0);
}

static void reply_sent(struct core *core, struct entry *e, enum core_answer answer)
{
    if (e->task->state != TASK_FINISHED)
        return;
    switch (answer) {
    case CORE_ANSWER_OK:
        step_and_store(core, e, TASK_EV_DELIVER);
        break;
    case CORE_ANSWER_REFUSED:
        refuse(core, e);
        break;
    case CORE_ANSWER_TOO_LARGE:
        if (e->task->shortened)
            refuse(core, e);
        else
            shorten(core, e);
        break;
    case CORE_ANSWER_CONFLICT:
        lose_lease(core, e->job);
        break;
    case CORE_ANSWER_KEY_REFUSED:
    case CORE_ANSWER_FAILED:
    case CORE_ANSWER_BUSY:
    case CORE_ANSWER_DOWN:
    case CORE_ANSWER_DROPPED:
        retry_later(core, e->job, answer);
        break;
    }
}

/* What becomes of it is known: its id, or why it isn't sent. */
static void file_settled(struct core *core, struct entry *e, const struct core_event *ev)
{
    struct task *t = e->task;
    AUTO_FREE char *ids = t->attachment_ids, *note = t->unsent_note;

    t->attachment_ids = !ev->attachment_id ? mem_strdup(ids)
                        : ids              ? mem_printf("%s %s", ids, ev->attachment_id)
                                           : mem_strdup(ev->attachment_id);
    t->unsent_note = !ev->note || (note && strlen(note) > UNSENT_NOTE_MAX)
                         ? mem_strdup(note)
                         : mem_printf("%s\n%s", note ? note : "", ev->note);
    e->upload_tries = 0;
    t->unsent += ev->passed + 1;
    if (!ev->more) {
        AUTO_FREE char *words =
            t->unsent_note ? mem_printf("nairid could not send:%s", t->unsent_note) : NULL;

        t->reply = ending_add_note(t->reply, words, core->options.reply_limit_bytes);
        t->unsent = 0;
        core_emit(core, CORE_CMD_DISCARD)->seq = t->seq;
    }
    core_store(core, e);
}

static void upload_sent(struct core *core, struct entry *e, const struct core_event *ev,
                        enum core_answer answer)
{
    if (e->task->state != TASK_FINISHED || e->task->unsent == 0)
        return;
    switch (answer) {
    case CORE_ANSWER_OK:
    case CORE_ANSWER_REFUSED:
    case CORE_ANSWER_TOO_LARGE:
        file_settled(core, e, ev);
        break;
    case CORE_ANSWER_CONFLICT:
        lose_lease(core, e->job);
        break;
    case CORE_ANSWER_FAILED:
        if (++e->upload_tries >= UPLOAD_TRIES_MAX)
            file_settled(core, e, ev);
        else
            retry_later(core, e->job, answer);
        break;
    case CORE_ANSWER_KEY_REFUSED:
    case CORE_ANSWER_BUSY:
    case CORE_ANSWER_DOWN:
    case CORE_ANSWER_DROPPED:
        break;
    }
}

/* For an acknowledgement: the server no longer knows the message, or the job has moved on. Either
 * way there is nothing more to tell. */
static void ack_sent(struct core *core, struct entry *e, enum core_answer answer)
{
    if (outbox_is_final(answer))
        acknowledged(core, e);
    else
        retry_later(core, e->job, answer);
}

bool outbox_is_final(enum core_answer answer)
{
    switch (answer) {
    case CORE_ANSWER_OK:
    case CORE_ANSWER_REFUSED:
    case CORE_ANSWER_TOO_LARGE:
    case CORE_ANSWER_CONFLICT:
        return true;
    case CORE_ANSWER_KEY_REFUSED:
    case CORE_ANSWER_FAILED:
    case CORE_ANSWER_BUSY:
    case CORE_ANSWER_DOWN:
    case CORE_ANSWER_DROPPED:
        break;
    }
    return false;
}

/* Nothing of the server's came back: of such a post that says little, as it may be the only kind
 * that doesn't pass. Those that were under way together fail together. */
static void hold_asides(struct core *core)
{
    if (core->now.mono_ms >= core->aside.hold_until_ms)
        core->aside.hold_until_ms =
            core->now.mono_ms + backoff_next(&core->aside.backoff, core->now.entropy, 0);
}

void outbox_judge(struct core *core, const struct core_event *ev, bool aside)
{
    switch (ev->answer) {
    case CORE_ANSWER_OK:
    case CORE_ANSWER_REFUSED:
    case CORE_ANSWER_TOO_LARGE:
    case CORE_ANSWER_CONFLICT:
        link_ok(core);
        if (aside)
            core->aside.backoff.failures = 0;
        break;
    case CORE_ANSWER_DOWN:
        if (aside && ev->retry_after_ms == 0) {
            hold_asides(core);
            break;
        }
        link_failed(core, ev->retry_after_ms);
        break;
    case CORE_ANSWER_BUSY:
        link_failed(core, ev->retry_after_ms);
        break;
    case CORE_ANSWER_KEY_REFUSED:
        core->link.parked_until_ms = core->now.mono_ms + PARKED_MS;
        core->link.key_doubted = true;
        break;
    case CORE_ANSWER_FAILED:
    case CORE_ANSWER_DROPPED:
        break;
    }
}

/* A conflict is the loss of the lease only where one was named, and it is still the one that we
 * hold: a poll may have brought the next while the post was on its way. */
static enum core_answer meaning_of(const struct job *job, enum core_answer answer)
{
    if (answer != CORE_ANSWER_CONFLICT)
        return answer;
    if (job->posting_fence != job->fence)
        return CORE_ANSWER_DROPPED;
    return job->fence == 0 ? CORE_ANSWER_REFUSED : CORE_ANSWER_CONFLICT;
}

void outbox_sent(struct core *core, struct entry *e, const struct core_event *ev)
{
    struct job *job = e->job;
    enum core_post what = job->posting;
    enum core_answer answer = meaning_of(job, ev->answer);

    if (job->posting_entry != e)
        return;
    job->posting = CORE_POST_NONE;
    job->posting_entry = NULL;
    core->posts--;
    core->uploads -= what == CORE_POST_UPLOAD;
    core->aside.in_flight -= is_aside(what);
    if (job->cut) { /* its place is the reply's */
        TAILQ_REMOVE(&core->outgoing, job, in_outgoing);
        TAILQ_INSERT_HEAD(&core->outgoing, job, in_outgoing);
    }
    job->cut = false;
    outbox_judge(core, ev, is_aside(what));
    if (ev->answer == CORE_ANSWER_OK) {
        job->backoff.failures = 0;
        job->retry_ms = 0;
    }
    switch (what) {
    case CORE_POST_REPLY:
        reply_sent(core, e, answer);
        break;
    case CORE_POST_ACK:
        ack_sent(core, e, answer);
        break;
    case CORE_POST_UPLOAD:
        upload_sent(core, e, ev, answer);
        break;
    case CORE_POST_PROCESSING: /* best effort: what a failure left unsaid stays so */
    case CORE_POST_PROGRESS:
        if (answer == CORE_ANSWER_CONFLICT)
            lose_lease(core, job);
        break;
    case CORE_POST_NONE:
    case CORE_POST_COMPLETE:
    case CORE_POST_COUNT:
        break;
    }
    outbox_touch(core, job);
    intake_sweep(core, job);
}
