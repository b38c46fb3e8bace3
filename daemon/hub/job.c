#include "hub/job.h"

#include <errno.h>
#include <stdio.h>

#include "hub/call.h"
#include "hub/db.h"
#include "hub/lease.h"
#include "hub/storage.h"
#include "util/mem.h"
#include "util/str.h"

#define COLUMNS "SELECT seq, agent, id, status, holder, fence, cancel_seq FROM jobs "

bool job_id_is_valid(const char *id)
{
    return ulid_has_prefix(id, "job") || ulid_has_prefix(id, "j");
}

static int read_one(struct query *q, struct job *ret_job)
{
    int rc = query_next(q);
    struct job j = { 0 };

    if (rc > 0 && standing_parse(query_text(q, 3), &j.standing) < 0)
        rc = -EBADMSG;
    if (rc > 0) {
        j.seq = query_i64(q, 0);
        j.agent = query_i64(q, 1);
        snprintf(j.id, sizeof j.id, "%s", query_text(q, 2));
        j.holder = mem_strdup(query_text(q, 4));
        j.fence = query_i64(q, 5);
        j.cancel_seq = query_i64(q, 6);
        *ret_job = j;
    }
    query_end(q);
    return rc;
}

int job_find(struct db *db, const char *id, struct job *ret_job)
{
    return read_one(db_query(db, COLUMNS "WHERE id = ?1", "t", id), ret_job);
}

int job_load(struct db *db, int64_t seq, struct job *ret_job)
{
    return read_one(db_query(db, COLUMNS "WHERE seq = ?1", "i", seq), ret_job);
}

void job_done(struct job *j)
{
    free(j->holder);
    j->holder = NULL;
}

int job_move(struct model *m, struct job *j, enum standing_event event)
{
    enum standing before = j->standing;
    int64_t rc = standing_step(&j->standing, event);

    if (rc == 0 && j->standing != before)
        rc = db_run(m->db, "UPDATE jobs SET status = ?2, updated_ms = ?3 WHERE seq = ?1", "iti",
                    j->seq, standing_name(j->standing), m->wall_ms);
    return rc < 0 ? (int)rc : 0;
}

bool job_is_held(const struct model *m, const struct job *j)
{
    return j->holder && lease_is_live(m->leases, j->agent, j->holder, m->now_ms);
}

int job_check_fence(struct call *c, const struct model *m, const struct job *j)
{
    if (c->fence != 0 ? c->fence == (uint64_t)j->fence
                      : str_eq(j->holder, c->instance) || !job_is_held(m, j))
        return 1;
    return call_refuse(
        c, 409, "the lease on %s was lost: another instance of the agent has taken it over", j->id);
}

int job_take(struct model *m, int64_t seq, const char *instance)
{
    int64_t rc = db_run(m->db,
                        "UPDATE jobs SET holder = ?2, fence = fence + 1"
                        " WHERE seq = ?1 AND holder IS NOT ?2",
                        "it", seq, instance);

    if (rc <= 0) /* it holds it already, or it failed */
        return (int)rc;
    /* what is answered needs nobody any more; what else the one before had is anybody's again */
    rc = db_run(m->db,
                "UPDATE messages SET acked = 1, given_to = NULL"
                " WHERE job = ?1 AND acked = 0 AND status IN ('completed', 'failed')",
                "i", seq);
    if (rc >= 0)
        rc = db_run(m->db,
                    "UPDATE messages SET given_to = NULL"
                    " WHERE job = ?1 AND acked = 0 AND given_to IS NOT NULL",
                    "i", seq);
    return rc < 0 ? (int)rc : 0;
}

int job_settle_cancel(struct model *m, struct job *j)
{
    int64_t rc, n;

    if (j->cancel_seq == 0)
        return 0;
    rc = db_get(m->db, &n,
                "SELECT seq FROM messages WHERE job = ?1 AND status IN ('queued', 'pending')"
                " AND seq <= ?2 LIMIT 1",
                "ii", j->seq, j->cancel_seq);
    if (rc != 0)
        return rc < 0 ? (int)rc : 0;
    rc = db_run(m->db, "UPDATE jobs SET cancel_seq = 0, cancel_told = 0 WHERE seq = ?1", "i",
                j->seq);
    if (rc < 0)
        return (int)rc;
    j->cancel_seq = 0;
    return 1;
}
