#include "hub/overdue.h"

#include <errno.h>
#include <stdio.h>

#include "hub/db.h"
#include "hub/job.h"
#include "hub/message.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/ulid.h"

struct found {
    char id[ULID_ID_MAX];
    char *slug;
};

/* The one that waits longest among those whose time is over: 1, 0, or a negative errno. */
static int next_overdue(struct model *m, uint64_t timeout_ms, struct found *ret_found)
{
    struct query *q = db_query(m->db,
                               "SELECT m.id, a.slug FROM messages m"
                               " JOIN agents a ON a.seq = m.agent"
                               " WHERE m.status = 'queued' AND m.updated_ms <= ?1"
                               " ORDER BY m.updated_ms LIMIT 1",
                               "i", m->wall_ms - (int64_t)timeout_ms);
    int rc = query_next(q);

    if (rc > 0) {
        snprintf(ret_found->id, sizeof ret_found->id, "%s", query_text(q, 0));
        ret_found->slug = mem_strdup(query_text(q, 1));
    }
    query_end(q);
    return rc;
}

static int fail_one(struct model *m, const struct found *found, uint64_t timeout_ms)
{
    char span[32];
    AUTO_FREE char *text =
        mem_printf("no agent took this message within %s: see to it that a daemon of the agent "
                   "'%s' runs and reaches this hub ('nairid check' says what is wrong), then send "
                   "the message again",
                   clock_span(span, timeout_ms), found->slug);
    CLEANUP(job_done) struct job j = { 0 };
    struct message msg;
    int rc = message_find(m->db, found->id, &msg);

    if (rc > 0)
        rc = job_load(m->db, msg.job, &j);
    if (rc <= 0) /* a queued message is a user's, and has a job */
        return rc < 0 ? rc : -EBADMSG;
    rc = message_give_up(m, &j, &msg, text);
    return rc < 0 ? rc : job_settle_cancel(m, &j);
}

/* What waits since before the clock was set has waited as long as before. */
static int follow_clock(struct model *m, const struct clockstep *clock)
{
    int64_t unset_ms, rc = 0;
    int64_t step_ms = clockstep_find(clock, m->wall_ms, m->now_ms, &unset_ms);

    if (step_ms > 0)
        rc = db_run(m->db,
                    "UPDATE messages SET updated_ms = updated_ms + ?1"
                    " WHERE status = 'queued' AND updated_ms <= ?2",
                    "ii", step_ms, unset_ms);
    else if (step_ms <
             0) /* how long it has waited isn't known: it waits no longer than once more */
        rc = db_run(m->db,
                    "UPDATE messages SET updated_ms = ?1"
                    " WHERE status = 'queued' AND updated_ms > ?1",
                    "i", m->wall_ms);
    return rc < 0 ? (int)rc : 1;
}

static int run_sweep(struct storage_op *op, struct model *m)
{
    struct overdue_sweep *sweep = (struct overdue_sweep *)op;
    int rc = follow_clock(m, sweep->clock);

    for (sweep->count = 0; rc > 0 && sweep->count<OVERDUE_SWEEP_MAX; sweep->count += rc> 0) {
        struct found found = { 0 };

        rc = next_overdue(m, sweep->timeout_ms, &found);
        if (rc > 0)
            rc = fail_one(m, &found, sweep->timeout_ms) < 0 ? -EIO : 1;
        free(found.slug);
    }
    return rc < 0 ? rc : 0;
}

static void sweep_kept(struct storage_op *op, struct model *m)
{
    const struct overdue_sweep *sweep = (struct overdue_sweep *)op;

    clockstep_note(sweep->clock, m->wall_ms, m->now_ms);
}

void overdue_sweep_init(struct overdue_sweep *sweep, uint64_t timeout_ms, struct clockstep *clock)
{
    *sweep =
        (struct overdue_sweep){ .op = { .run = run_sweep, .kept = sweep_kept, .durable = true },
                                .timeout_ms = timeout_ms,
                                .clock = clock };
}

int overdue_requeue(struct model *m)
{
    int64_t rc = db_run(m->db,
                        "UPDATE messages SET status = 'queued', updated_ms = ?1"
                        " WHERE status = 'pending' AND acked = 0 AND given_to IS NULL",
                        "i", m->wall_ms);

    return rc < 0 ? (int)rc : 0;
}
