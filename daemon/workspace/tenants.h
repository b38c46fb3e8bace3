/* tenants.h - as root: which uids the jobs beneath a directory of workspaces have. The directories'
 * owners are what is true; this is what was read of them, and added to since. So two jobs that
 * exist never share a uid, unless an earlier version gave it to both.
 * The range is one that nobody else hands out, see plan.h. Not seen: the jobs of another daemon,
 * with another directory of workspaces; its uids begin at other places of the range. For
 * workspace/. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct tenants;

/* Reads nothing yet. */
struct tenants *tenants_new(void);
void tenants_free(struct tenants *t);
DEFINE_CLEANUP(struct tenants *, tenants_free);
/* A uid for a new job: the one that its id leads to, or the next one that is free. Where nothing is
 * known reads the directory first, a call per job. root: its name, for messages. Nobody else's
 * pick gets the same one. A negative errno where the directory can't be read. */
int tenants_pick(struct tenants *t, int root_fd, const char *root, const char *job_id,
                 uid_t *ret_uid, struct err *err);
/* Whether a job has that uid. A negative errno as above. */
int tenants_have(struct tenants *t, int root_fd, const char *root, uid_t uid, struct err *err);
/* Jobs are gone: the next pick reads the directory again. */
void tenants_forget(struct tenants *t);
/* Where the search for a free one begins: a hash of the id, brought into the range. */
uid_t tenants_first_choice(const char *job_id);
