#include "sim/disk.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/core.h"
#include "sim/check.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "store/batch.h"
#include "store/store.h"
#include "util/mem.h"
#include "util/str.h"

void disk_gather(struct side *side, const struct core_command *c)
{
    switch (c->type) {
    case CORE_CMD_INSERT:
        store_batch_insert(side->batch, c->task);
        break;
    case CORE_CMD_UPDATE:
        store_batch_update(side->batch, c->task);
        break;
    case CORE_CMD_DELETE:
        store_batch_delete(side->batch, c->task->id);
        break;
    case CORE_CMD_PURGE:
        store_batch_purge(side->batch, c->wall_ms);
        break;
    case CORE_CMD_SESSION:
        if (c->session)
            store_batch_session(side->batch, c->job_id, c->runner, c->session, c->wall_ms);
        else
            store_batch_forget_session(side->batch, c->job_id);
        break;
    case CORE_CMD_JOB:
        store_batch_job(side->batch, c->job_id, c->fence, c->wall_ms, c->leaving);
        break;
    case CORE_CMD_FORGET_JOB:
        store_batch_forget_job(side->batch, c->job_id);
        break;
    case CORE_CMD_COMPLETE:
    case CORE_CMD_SPAWN:
    case CORE_CMD_KILL:
    case CORE_CMD_SURVEY:
    case CORE_CMD_SETTLE:
    case CORE_CMD_GATHER:
    case CORE_CMD_DISCARD:
    case CORE_CMD_POLL:
    case CORE_CMD_POLL_CANCEL:
    case CORE_CMD_CHANNEL:
    case CORE_CMD_SEND:
    case CORE_CMD_SEND_CANCEL:
    case CORE_CMD_ANSWER:
    case CORE_CMD_READY:
    case CORE_CMD_NOTE:
    case CORE_CMD_EXIT:
        break;
    }
}

static struct task *copy_of(const struct task *t)
{
    struct task *copy = task_new();

    *copy = *t;
    copy->id = mem_strdup(t->id);
    copy->ack_id = mem_strdup(t->ack_id);
    copy->job_id = mem_strdup(t->job_id);
    copy->prompt = mem_strdup(t->prompt);
    copy->system_prompt = mem_strdup(t->system_prompt);
    copy->payload = mem_strdup(t->payload);
    copy->reply = mem_strdup(t->reply);
    copy->attachment_ids = mem_strdup(t->attachment_ids);
    copy->unsent_note = mem_strdup(t->unsent_note);
    return copy;
}

static void sabotage_row(const struct sim *sim, struct task *row)
{
    if (sim->sabotage == SABOTAGE_LOSE_FENCE)
        row->fence = 0;
    if (sim->sabotage == SABOTAGE_FORGET_ATTEMPT)
        row->attempt = 0;
    if (sim->sabotage == SABOTAGE_FORGET_SURVEY)
        row->unsurveyed = 0;
    if (sim->sabotage == SABOTAGE_FORGET_UNSENT)
        row->unsent = 0;
    if (sim->sabotage == SABOTAGE_FORGET_IDS) {
        free(row->attachment_ids);
        row->attachment_ids = NULL;
    }
}

static void insert(struct sim *sim, struct side *side, struct batch_op *op)
{
    uint32_t i = server_message_of(op->task->id);
    struct disk *d = &side->disk;
    struct task *before = d->rows[i];

    if (before && before->state != TASK_ACKED && sim->sabotage != SABOTAGE_NO_DEDUP)
        check_fail(sim, side, "the journal has %s already, and refuses the batch", op->task->id);
    if (op->task->seq > d->max_seq)
        d->max_seq = op->task->seq;
    d->rows[i] = TAKE_PTR(op->task);
    sabotage_row(sim, d->rows[i]);
    check_stored(sim, side, before, d->rows[i]);
    task_free(before);
}

/* What STATEMENT_UPDATE and STATEMENT_ACK of store/journal.c set. */
static void update(struct sim *sim, struct side *side, struct batch_op *op)
{
    struct task *row = side->disk.rows[server_message_of(op->task->id)], *t = op->task;
    struct task before;

    if (!row || (!str_eq(row->id, t->id) && sim->sabotage != SABOTAGE_NO_DEDUP)) {
        check_fail(sim, side, "the journal has no %s to update", t->id);
        return;
    }
    before = *row;
    row->state = t->state;
    row->fence = t->fence;
    row->attempt = t->attempt;
    row->updated_ms = t->updated_ms;
    row->reply_kind = t->reply_kind;
    row->shortened = t->shortened;
    row->cancelled = t->cancelled;
    row->anew = t->anew;
    row->unsurveyed = t->unsurveyed;
    row->unsent = t->unsent;
    free(row->attachment_ids);
    row->attachment_ids = TAKE_PTR(t->attachment_ids);
    free(row->unsent_note);
    row->unsent_note = TAKE_PTR(t->unsent_note);
    if (t->state != TASK_ACKED || before.state != TASK_REFUSED)
        row->reply = TAKE_PTR(t->reply); /* none where it is acknowledged */
    sabotage_row(sim, row);
    check_stored(sim, side, &before, row);
    if (row->reply != before.reply)
        free(before.reply);
}

static void erase(struct sim *sim, struct side *side, const char *id)
{
    uint32_t i = server_message_of(id);
    struct task *row = side->disk.rows[i];
    struct history *h = &side->disk.history[i];

    side->disk.rows[i] = NULL;
    if (row)
        check_stored(sim, side, row, NULL);
    task_free(row);
    free(h->reply);
    *h = (struct history){ 0 }; /* another daemon has it; if it comes back, it comes anew */
}

static void purge(struct sim *sim, struct side *side, int64_t before_ms)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct task *row = side->disk.rows[i];

        if (!row || row->state != TASK_ACKED || row->updated_ms >= before_ms)
            continue;
        if (task_step(row, TASK_EV_EXPIRE) != 0)
            check_fail(sim, side, "the tombstone of %s can't expire", row->id);
        sim->tally.purged++;
        side->disk.rows[i] = NULL;
        task_free(row);
    }
}

static void set_session(struct disk *d, const struct batch_op *op)
{
    uint32_t job = server_job_of(op->job_id);

    (void)snprintf(d->sessions[job], SESSION_MAX, "%s", op->session ? op->session : "");
    d->session_ms[job] = op->wall_ms;
    d->session_ages[job] = ++d->session_count;
}

static void set_job(struct disk *d, const struct batch_op *op)
{
    d->jobs[server_job_of(op->job_id)] = (struct disk_job){ .known = op->type == BATCH_JOB,
                                                            .leaving = op->leaving,
                                                            .fence = op->fence,
                                                            .used_ms = op->wall_ms };
}

void disk_commit(struct sim *sim, struct side *side)
{
    struct store_batch *b = TAKE_PTR(side->disk.writing);

    for (size_t i = 0; i < b->len; i++) {
        struct batch_op *op = &b->ops[i];

        switch (op->type) {
        case BATCH_INSERT:
            insert(sim, side, op);
            break;
        case BATCH_UPDATE:
            update(sim, side, op);
            break;
        case BATCH_DELETE:
            erase(sim, side, op->task->id);
            break;
        case BATCH_PURGE:
            purge(sim, side, op->wall_ms);
            break;
        case BATCH_SESSION:
        case BATCH_FORGET_SESSION:
            set_session(&side->disk, op);
            break;
        case BATCH_JOB:
        case BATCH_FORGET_JOB:
            set_job(&side->disk, op);
            break;
        case BATCH_META: /* a daemon's start is not simulated so far back */
            break;
        }
    }
    sim->tally.commits++;
    store_batch_free(b);
}

void disk_lose(struct disk *d)
{
    store_batch_free(TAKE_PTR(d->writing));
}

static int by_seq(const void *a, const void *b)
{
    const struct task *const *x = a, *const *y = b;

    return ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

static int by_age(const void *a, const void *b)
{
    const struct task *const *x = a, *const *y = b;

    return ((*x)->updated_ms > (*y)->updated_ms) - ((*x)->updated_ms < (*y)->updated_ms);
}

static void load_sessions(const struct disk *d, struct core *core)
{
    uint32_t last = 0;

    for (uint32_t n = 0; n < JOBS; n++) {
        uint32_t next = JOBS;

        for (uint32_t j = 0; j < JOBS; j++)
            if (d->session_ages[j] > last &&
                (next == JOBS || d->session_ages[j] < d->session_ages[next]))
                next = j;
        if (next == JOBS)
            return;
        last = d->session_ages[next];
        if (d->sessions[next][0])
            core_restore_session(core, (char[]){ 'j', (char)('0' + next), '\0' }, "worker",
                                 d->sessions[next], d->session_ms[next]);
    }
}

void disk_load(const struct disk *d, struct core *core)
{
    const struct task *open[MESSAGES], *tombs[MESSAGES];
    size_t open_count = 0, tomb_count = 0;

    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (d->rows[i] && d->rows[i]->state == TASK_ACKED)
            tombs[tomb_count++] = d->rows[i];
        else if (d->rows[i])
            open[open_count++] = d->rows[i];
    }
    if (open_count > 1)
        qsort(open, open_count, sizeof open[0], by_seq);
    if (tomb_count > 1)
        qsort(tombs, tomb_count, sizeof tombs[0], by_age);
    for (size_t i = 0; i < open_count; i++)
        core_restore(core, copy_of(open[i]));
    for (size_t i = 0; i < tomb_count; i++)
        core_restore_tombstone(core, tombs[i]->id, tombs[i]->updated_ms);
    load_sessions(d, core);
    for (uint32_t j = 0; j < JOBS; j++)
        if (d->jobs[j].known)
            core_restore_job(core, (char[]){ 'j', (char)('0' + j), '\0' }, d->jobs[j].fence,
                             d->jobs[j].used_ms, d->jobs[j].leaving);
}

void disk_done(struct disk *d)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        task_free(d->rows[i]);
        free(d->history[i].reply);
    }
    disk_lose(d);
    *d = (struct disk){ 0 };
}
