/* job.h - the record of a conversation, and who holds it.
 * The holder is the instance that last took the job; it leases the job as long as it is alive
 * (lease.h). The fence counts the takers: it grows whenever the holder changes, and never shrinks.
 */
#pragma once
#include "hub/standing.h"
#include "util/ulid.h"
#include <stdbool.h>
#include <stdint.h>

struct call;
struct db;
struct model;

struct job {
    int64_t seq;
    int64_t agent;
    char id[ULID_ID_MAX];
    enum standing standing;
    char *holder; /* NULL: nobody ever took it */
    int64_t fence;
    int64_t cancel_seq; /* the holder is to stop the open messages up to this one; 0: none */
};

bool job_id_is_valid(const char *id); /* job_ULID, or j_ULID as older ones have it */
/* 1, 0 if there is none, or a negative errno. */
int job_find(struct db *db, const char *id, struct job *ret_job);
int job_load(struct db *db, int64_t seq, struct job *ret_job);
void job_done(struct job *j);

/* Steps its standing and stores what changed. 0, -EPROTO where standing_step() has no such move, or
 * a negative errno of the database. */
int job_move(struct model *m, struct job *j, enum standing_event event);
/* Whether an instance that is alive holds it. */
bool job_is_held(const struct model *m, const struct job *j);
/* Whether this call may write to the job: the fence it brings is the job's, or, where it brings
 * none, nobody else alive holds the job. 1, or 0 and c is refused with 409. */
int job_check_fence(struct call *c, const struct model *m, const struct job *j);
/* Makes the instance the holder. */
int job_take(struct model *m, int64_t seq, const char *instance);
/* Ends the cancel request if nothing open is left of what it meant. 1 if it ended one. */
int job_settle_cancel(struct model *m, struct job *j);
