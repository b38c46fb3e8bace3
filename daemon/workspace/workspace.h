/* workspace.h - a job's directories on disk: ROOT/JOB/workspace and ROOT/JOB/home; and, where
 * messages came with files, ROOT/JOB/attachments (workspace/enclosed.h).
 * Made 0700 (as root, owned by the job's own uid), kept until the job completes or the retention
 * passes. ROOT and ROOT/JOB are ours, so no task can exchange a directory of its own or touch
 * ROOT/JOB/.used, whose time is the job's last use, or ROOT/JOB/.known. Never read here except
 * through descriptors opened beneath them without following links (openat2, RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS): what is inside is hostile. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;
struct tenants;

/* Makes root if it isn't there. workspace_open() does so too; this is for before the daemon's own
 * confinement, which lets in only what exists. */
int workspace_prepare(const char *root, struct err *err);

/* Makes the directories if they aren't there; paths are allocated for the caller. job_id is
 * checked: [A-Za-z0-9_-], 1..64 characters, anything else -EINVAL. As root chowns to *uid, which
 * goes out: that which the job's workspace has already, if it is one of ours (plan.h), and else one
 * of tenants that no other job has. tenants NULL: what *uid is. ROOT is made (its parent must be
 * there); one that others may write to, or that isn't ours, is refused with -EPERM. Sets the job's
 * last use to now, and gives both directories mode 0700 again. */
int workspace_open(const char *root, const char *job_id, struct tenants *tenants, uid_t *uid,
                   char **ret_workspace, char **ret_home, struct err *err);
/* The directory ROOT/JOB of a job that is there, opened: a descriptor, or a negative errno. */
int workspace_job(const char *root, const char *job_id, struct err *err);
/* The directory fd, which may have been opened with O_PATH, becomes uid's, with mode 0700. path:
 * its name, for messages. */
int workspace_give(int fd, uid_t uid, const char *path, struct err *err);
/* Removes the directory name of dir_fd with all that is in it. At once nothing is called so any
 * more; 1: there was much in it, and the rest is workspace_sweep()'s. */
int workspace_discard(const char *root, int dir_fd, const char *name);
/* Whether path, which has no links in it, is in a job's directory, of whichever root. */
bool workspace_is_jobs(const char *path);
/* Whether a job beneath root has that uid: 1, 0, or a negative errno where that can't be seen. */
int workspace_has_uid(const char *root, uid_t uid, struct err *err);
/* What is known of the files that the job's tasks left, as bytes of the caller's: empty where the
 * job begins. Reading appends to b; -ENOENT where it isn't known, as for jobs of an earlier
 * version; -EMSGSIZE for more than max bytes. Writing replaces it whole; after a power cut it may
 * be empty or damaged. */
int workspace_read_known(const char *root, const char *job_id, size_t max, struct buf *b,
                         struct err *err);
int workspace_write_known(const char *root, const char *job_id, const void *bytes, size_t len,
                          struct err *err);
/* Removes the files that were made in the job's directories since its last use began, and leaves
 * what was there before, also where it has grown since. Looks at max_entries at most. *ret_bytes:
 * what that freed; 0 where there is nothing, or where the file system doesn't say when files were
 * made. */
int workspace_trim(const char *root, const char *job_id, size_t max_entries, uint64_t *ret_bytes,
                   struct err *err);
/* Removes the directories of jobs whose last use is older than retention_s and that keep() doesn't
 * want. Bounded: stops after max_entries removed entries and returns 1 if there is more to do, 0 if
 * done, negative errno otherwise (what could be removed is gone all the same). Never follows a
 * link, never leaves root. A job's directory is first renamed to ROOT/.gone.*, which later calls
 * finish: a job that comes back meanwhile starts with empty directories and never with half of the
 * old. */
int workspace_sweep(const char *root, uint32_t retention_s, int64_t now_ms,
                    int (*keep)(const char *job_id, void *ctx), void *ctx, size_t max_entries,
                    struct err *err);
