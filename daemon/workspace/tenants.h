/* tenants.h - as root: which uids the jobs beneath a directory of workspaces have. The directories'
 * owners are what is true; this is what was read of them, and added to since. So two jobs that
 * exist never share a uid, unless an earlier version gave it to both.
 * The range is one that nobody else hands out, see plan.h. Daemons of one machine keep out of each
 * other's way by locks on the bytes of a file, one a uid (fcntl(2), F_OFD_SETLK): each holds a
 * block of the range, out of which new jobs get theirs, and besides it the uids that its jobs have
 * already. Not seen: the jobs of a daemon that doesn't run; those whose uid another one has taken
 * meanwhile must wait for that one's end. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where daemons of one machine meet. */
#define TENANTS_DIR "/run/nairid"
/* What it means where they can't, before the cause. */
#define TENANTS_UNSHARED                                                                           \
    "another nairid that runs as root on this machine may give its jobs the same user ids"

struct err;
struct tenants;

/* Reads nothing yet. */
struct tenants *tenants_new(void);
void tenants_free(struct tenants *t);
DEFINE_CLEANUP(struct tenants *, tenants_free);
/* Takes a block for the jobs beneath root, and what they have, against all others who share dir,
 * which is made. root need not be there yet. Before anything is picked, and before
 * there is a loop to hold up. Where it fails everything is as without it: -EPERM where dir isn't
 * root's own. */
int tenants_share(struct tenants *t, const char *dir, const char *root, struct err *err);
/* Takes the uid that a job has already. -EBUSY where a job of another daemon has it just now. */
int tenants_claim(struct tenants *t, uid_t uid, struct err *err);
/* A uid for a new job: that of tenants_next() where that was asked for since the last pick, else
 * the one that its id leads to, or the next one that is free. Where nothing is known reads the
 * directory first, a call per job. root: its name, for messages. Nobody else's pick gets the same
 * one. A negative errno where the directory can't be read. */
int tenants_pick(struct tenants *t, int root_fd, const char *root, const char *job_id,
                 uid_t *ret_uid, struct err *err);
/* The uid that the next pick gives unless it finds that somebody has it, told before, so that
 * something can be made for it. 0 where that can't be told: nothing is shared. */
uid_t tenants_next(struct tenants *t);
/* Whether a job has that uid. A negative errno as above. */
int tenants_have(struct tenants *t, int root_fd, const char *root, uid_t uid, struct err *err);
/* Jobs are gone: the next pick reads the directory again. */
void tenants_forget(struct tenants *t);
/* Where the search for a free one begins that is shared with nobody: a hash of the id, brought into
 * the range. */
uid_t tenants_first_choice(const char *job_id);
