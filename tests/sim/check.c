#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"
#include "sim/trace.h"
#include "util/mem.h"
#include "util/str.h"

void check_fail(struct sim *sim, const struct side *side, const char *fmt, ...)
{
    struct finding *f = &sim->finding;
    int n = 0;
    va_list ap;

    if (f->found)
        return;
    f->found = true;
    f->at_ms = sim->now_ms;
    if (side)
        n = snprintf(f->text, sizeof f->text, "daemon %c, life %u: ", side->name, side->life);
    va_start(ap, fmt);
    (void)vsnprintf(f->text + n, sizeof f->text - (size_t)n, fmt, ap);
    va_end(ap);
    trace(sim, side, "BROKEN", "%s", f->text);
}

void check_options(struct side *side)
{
    const struct core_options *o = &side->options;

    if (o->max_attempts > side->attempts_most)
        side->attempts_most = o->max_attempts;
    if (o->max_attempts < side->attempts_least)
        side->attempts_least = o->max_attempts;
    if (o->max_queued > side->queued_most)
        side->queued_most = o->max_queued;
}

/* ---- what is started ---- */

static bool is_busy(const struct side *side, uint32_t job, const struct sim *sim)
{
    for (size_t i = 0; i < side->children.len; i++) {
        const struct child *c = side->children.items[i];

        if ((!c->over || c->stuck || c->surveyed) && sim->server.messages[c->message].job == job)
            return true;
    }
    return false;
}

struct look {
    struct sim *sim;
    const struct side *side;
    const struct task *wanted;
};

/* 3: oldest first. A waiting message of another job that came earlier was passed over, if nothing
 * of its job is in the way. */
static void look_for_older(const struct task *t, uint64_t started_ms, bool stopping,
                           bool quarantined, const struct progress *progress, void *ctx)
{
    const struct look *look = ctx;
    uint32_t job = server_job_of(t->job_id);

    (void)started_ms;
    (void)stopping;
    (void)progress;
    if (t->state != TASK_RECEIVED || t->seq >= look->wanted->seq || quarantined ||
        is_busy(look->side, job, look->sim))
        return;
    if (str_eq(t->job_id, look->wanted->job_id))
        check_fail(look->sim, look->side, "3: %s is to run before %s of the same job",
                   look->wanted->id, t->id);
    for (uint32_t i = 0; i < MESSAGES; i++) /* ordered earlier, not carried out yet */
        if (look->side->ordered & 1U << i && look->sim->server.messages[i].job == job)
            return;
    check_fail(look->sim, look->side, "3: %s is to run before %s, which waits longer",
               look->wanted->id, t->id);
}

void check_ordered(struct sim *sim, struct side *side, uint64_t seq)
{
    const struct task *t = core_task(side->core, seq);
    struct look look = { .sim = sim, .side = side, .wanted = t };

    if (!t) {
        check_fail(sim, side, "a spawn of what isn't there");
        return;
    }
    side->fence_then[server_message_of(t->id)] = core_fence(side->core, seq);
    if (sim->blind)
        return;
    core_visit(side->core, look_for_older, &look);
    side->ordered |= 1U << server_message_of(t->id);
    side->slots_then[server_message_of(t->id)] = side->options.max_concurrency;
}

/* What the journal must say by now. */
static void check_row(struct sim *sim, struct side *side, const struct task *t)
{
    uint32_t message = server_message_of(t->id);
    const struct task *row = side->disk.rows[message];
    bool counts = sim->sabotage != SABOTAGE_FORGET_ATTEMPT; /* else another check finds it */

    side->ordered &= ~(1U << message);
    if (!row || row->state != TASK_RUNNING || row->seq != t->seq ||
        (row->attempt != t->attempt && counts))
        check_fail(sim, side, "%s runs, and the journal doesn't say so", t->id);
    if (side->disk.history[message].answered)
        check_fail(sim, side, "2: %s runs again, and its reply was on the disk", t->id);
    if (sim->schedule.leases && side->may_be_held && !side->was_listed)
        check_fail(sim, side, "2: %s runs before the server said that it is still ours", t->id);
}

/* 3: one at a time in a job, and no more at once than there are slots. */
static void check_parallel(struct sim *sim, struct side *side, uint32_t message)
{
    uint32_t taken = 0;

    for (size_t i = 0; i < side->children.len; i++) {
        const struct child *c = side->children.items[i];

        if (c->over && !c->stuck && !c->surveyed)
            continue;
        taken++;
        if (sim->server.messages[c->message].job == sim->server.messages[message].job)
            check_fail(sim, side, "3: m%02u runs in a job in which m%02u still does", message,
                       c->message);
    }
    if (!sim->blind && taken >= side->slots_then[message])
        check_fail(sim, side, "3: %u tasks at once, and %u slots", taken + 1,
                   side->slots_then[message]);
}

/* 2 and 3, as the server sees it, and by the lease under which it was ordered: what is ours by its
 * own word is unanswered, and all that came before it is answered (there, or on our disk). */
static void check_turn(struct sim *sim, struct side *side, uint32_t message, uint64_t fence)
{
    const struct server *s = &sim->server;
    const struct server_message *m = &s->messages[message];
    const struct server_job *job = &s->jobs[m->job];

    if (sim->schedule.leases && (job->holder != side->number || job->fence != fence))
        return; /* it has lost the job, and doesn't know yet */
    if (m->replies > 0)
        check_fail(sim, side, "2: %s runs again, and the server has its reply", m->id);
    for (uint32_t i = 0; i < message && !sim->blind; i++) {
        const struct task *row = side->disk.rows[i];

        if (s->messages[i].job != m->job || server_is_settled(&s->messages[i]))
            continue;
        if (!row || row->state < TASK_FINISHED)
            check_fail(sim, side, "3: %s runs, and %s before it isn't answered", m->id,
                       s->messages[i].id);
    }
}

void check_spawn(struct sim *sim, struct side *side, uint64_t seq)
{
    const struct task *t = core_task(side->core, seq);
    uint32_t message = server_message_of(t->id);
    const struct history *h = &side->disk.history[message];

    if (!sim->blind)
        check_row(sim, side, t);
    if (h->stopped)
        check_fail(sim, side, "1: %s runs again, and was stopped at somebody's word", t->id);
    if (h->real_cuts >= side->attempts_most)
        check_fail(sim, side, "9: %s runs for the %u. time, and task.max_attempts is at most %u",
                   t->id, h->real_cuts + 1, side->attempts_most);
    check_parallel(sim, side, message);
    check_turn(sim, side, message, side->fence_then[message]);
    side->progress_ms[message] = 0; /* each attempt has its own pace */
}

/* A crash from now on costs no more than another look. */
void check_survey(struct sim *sim, struct side *side, uint32_t message)
{
    const struct task *row = side->disk.rows[message];
    bool counts = sim->sabotage != SABOTAGE_FORGET_SURVEY; /* else another check finds it */

    if (!sim->blind && (!row || row->state != TASK_FINISHED || (row->unsurveyed == 0 && counts)))
        check_fail(sim, side, "what m%02u left is looked at, and its reply isn't on the disk",
                   message);
}

/* ---- what is promised ---- */

struct promise {
    struct side *side;
    const char *job_id; /* of what is to be stopped, or NULL */
};

static void note_pledge(const struct task *t, uint64_t started_ms, bool stopping, bool quarantined,
                        const struct progress *progress, void *ctx)
{
    const struct promise *p = ctx;

    (void)started_ms;
    (void)stopping;
    (void)quarantined;
    (void)progress;
    if (t->state < TASK_FINISHED && str_eq(t->job_id, p->job_id))
        p->side->pledges[server_message_of(t->id)] =
            (struct pledge){ .word = p->side->words, .seq = t->seq };
}

uint64_t check_word(struct side *side, const char *job_id)
{
    struct promise p = { .side = side, .job_id = job_id };

    side->words++;
    if (job_id)
        core_visit(side->core, note_pledge, &p);
    return side->words;
}

/* Who has the answer need not ask again: from now on a crash doesn't bring it back. */
void check_heeded(struct sim *sim, struct side *side, uint64_t word)
{
    side->words_answered++;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        const struct task *row = side->disk.rows[i];

        if (side->pledges[i].word != word || !row || row->seq != side->pledges[i].seq)
            continue;
        if (row->state >= TASK_FINISHED)
            continue;
        if (!row->cancelled && !sim->blind)
            check_fail(sim, side, "m%02u is said to be stopped, and the journal doesn't know", i);
        side->disk.history[i].stopped = true;
    }
}

void check_answered(struct sim *sim, const struct side *side)
{
    if (turn_is_durable(side->turn) && side->words_answered != side->words)
        check_fail(sim, side, "9: somebody's word has no answer");
}

/* What an attempt goes on with is on the disk; and none is begun anew twice, nor goes on again. */
void check_session(struct sim *sim, struct side *side, uint32_t message, const char *session)
{
    const char *stored = side->disk.sessions[sim->server.messages[message].job];

    if (!sim->blind && session && !str_eq(session, stored))
        check_fail(sim, side, "m%02u goes on with %s, and the journal has '%s'", message, session,
                   stored);
}

/* ---- what is sent ---- */

static void check_alone(struct sim *sim, struct side *side, const struct request *r)
{
    const struct network *n = &sim->network;
    uint32_t job = sim->server.messages[r->message].job;

    /* that a job is over keeps no new message of it waiting */
    for (size_t i = n->oldest; i < n->len; i++) {
        const struct request *other = n->requests[i];

        if (other->awaited && other->side == r->side && other->post != CORE_POST_NONE &&
            other->post != CORE_POST_COMPLETE && sim->server.messages[other->message].job == job)
            check_fail(sim, side, "a %s of m%02u goes out while a %s of the job is on its way",
                       trace_post_name(r->post), r->message, trace_post_name(other->post));
    }
}

static void check_reply(struct sim *sim, struct side *side, const struct request *r)
{
    const struct task *row = side->disk.rows[r->message];

    if (row->state != TASK_FINISHED || !str_eq(row->reply, r->text) || row->reply_kind != r->kind ||
        row->shortened != r->shortened)
        check_fail(sim, side, "2: the reply to m%02u goes out, and isn't on the disk like that",
                   r->message);
    if (row->unsurveyed > 0)
        check_fail(sim, side, "the reply to m%02u goes out, and what its task left is unknown",
                   r->message);
    if (row->unsent > 0 || !str_eq(row->attachment_ids, r->ids))
        check_fail(sim, side,
                   "the reply to m%02u goes out, and the files with it aren't on the "
                   "disk like that",
                   r->message);
}

/* Commands act only after their commit: whatever leaves is on the disk. */
void check_send(struct sim *sim, struct side *side, const struct request *r)
{
    const struct task *row = side->disk.rows[r->message];

    check_alone(sim, side, r);
    if (sim->blind)
        return;
    if (!row) { /* an acknowledgement is repeated even if its tombstone has expired meanwhile */
        if (r->post != CORE_POST_ACK)
            check_fail(sim, side, "%s of m%02u, and the journal knows nothing of it",
                       trace_post_name(r->post), r->message);
        return;
    }
    if (r->post == CORE_POST_ACK && row->state < TASK_DELIVERED)
        check_fail(sim, side, "1: m%02u is acknowledged, and the journal has it as %s", r->message,
                   task_state_name(row->state));
    if (r->post == CORE_POST_PROCESSING && row->state != TASK_RUNNING)
        check_fail(sim, side, "m%02u is said to run, and the journal has it as %s", r->message,
                   task_state_name(row->state));
    if (r->post == CORE_POST_REPLY)
        check_reply(sim, side, r);
    if (r->post == CORE_POST_UPLOAD && (row->state != TASK_FINISHED || row->unsent != r->file + 1))
        check_fail(sim, side, "file %u of m%02u goes out, and the journal has it otherwise",
                   r->file, r->message);
    if (row->state != TASK_ACKED && row->fence < r->fence)
        check_fail(sim, side, "a lease that the journal doesn't know goes out with m%02u",
                   r->message);
}

/* ---- what is stored ---- */

static void check_text(struct sim *sim, const struct side *side, const struct task *t)
{
    static const char mark[] = "answer to m";
    const char *at = t->reply ? strstr(t->reply, mark) : NULL;

    if (at && strtoul(at + sizeof mark - 1, NULL, 10) != server_message_of(t->id))
        check_fail(sim, side, "1: %s is answered with the answer to another", t->id);
    if (t->reply_kind == TASK_REPLY_NONE || !t->reply)
        check_fail(sim, side, "1: %s is finished without a reply", t->id);
    if (t->reply_kind == TASK_REPLY_ASSISTANT && t->anew && !strstr(t->reply, "began anew"))
        check_fail(sim, side, "%s was begun anew, and its reply doesn't say so", t->id);
    if (t->reply_kind == TASK_REPLY_ASSISTANT && (!at || (at != t->reply && !t->anew)) &&
        !t->shortened)
        check_fail(sim, side, "1: %s is answered with what no program said", t->id);
}

static void check_interrupted(struct sim *sim, const struct side *side, const struct task *t,
                              const struct history *h)
{
    if (t->reply && strstr(t->reply, "was interrupted") && h->cuts < side->attempts_least)
        check_fail(sim, side, "1: %s is given up after %u of %u attempts", t->id, h->cuts,
                   side->attempts_least);
}

/* Only what another daemon has, or the server has closed. */
static void check_deleted(struct sim *sim, const struct side *side, const struct task *row)
{
    const struct server_message *m = &sim->server.messages[server_message_of(row->id)];
    const struct server_job *job = &sim->server.jobs[m->job];

    if (row->state >= TASK_DELIVERED)
        check_fail(sim, side, "1: %s is deleted, and is %s", row->id, task_state_name(row->state));
    if (!m->final && job->holder == side->number && job->fence == row->fence)
        check_fail(sim, side, "1: %s is deleted, and is still ours", row->id);
}

/* The reply only grows, by what is to be said of the files, and of those that stay. */
static void check_reply_change(struct sim *sim, const struct side *side, const struct task *before,
                               const struct task *after, const struct history *h)
{
    bool was_unsurveyed = before && before->state == TASK_FINISHED && before->unsurveyed > 0;
    bool was_unsent = before && before->state == TASK_FINISHED && before->unsent > 0;

    if (after->unsurveyed > 0 && before && before->state == TASK_FINISHED && !was_unsurveyed)
        check_fail(sim, side, "what %s left is to be looked at once more", after->id);
    if (after->unsurveyed > side->attempts_most)
        check_fail(sim, side, "9: what %s left is looked at for the %u. time", after->id,
                   after->unsurveyed);
    if (!h->answered || after->shortened)
        return;
    if ((was_unsurveyed && after->unsurveyed == 0) || (was_unsent && after->unsent == 0)
            ? !str_starts_with(after->reply, h->reply)
            : !str_eq(h->reply, after->reply))
        check_fail(sim, side, "2: the reply to %s has changed", after->id);
}

void check_stored(struct sim *sim, struct side *side, const struct task *before,
                  const struct task *after)
{
    struct history *h;

    if (sim->blind)
        return;
    if (!after) {
        check_deleted(sim, side, before);
        return;
    }
    h = &side->disk.history[server_message_of(after->id)];
    if (after->state != TASK_RUNNING)
        h->spawned = false;
    if (before && before->anew && !after->anew)
        check_fail(sim, side, "the journal forgets that %s was begun anew", after->id);
    if (after->anew && before && !before->anew &&
        side->disk.sessions[server_job_of(after->job_id)][0])
        check_fail(sim, side, "%s is begun anew, and the journal keeps the session", after->id);
    if (after->anew && before && !before->anew && ++h->anew > 1)
        check_fail(sim, side, "2: %s is begun anew for the %u. time", after->id, h->anew);
    if (after->state < TASK_FINISHED) {
        if (h->answered)
            check_fail(sim, side, "2: %s is %s again, and its reply was on the disk", after->id,
                       task_state_name(after->state));
        return;
    }
    if (after->state == TASK_FINISHED) {
        check_text(sim, side, after);
        check_interrupted(sim, side, after, h);
        check_reply_change(sim, side, before, after, h);
        free(h->reply);
        h->reply = mem_strdup(after->reply);
    }
    h->answered = true;
}
