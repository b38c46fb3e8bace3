#include "workspace/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"
#include "workspace/beneath.h"
#include "workspace/tenants.h"
#include "workspace/treewipe.h"
#include "workspace/trim.h"

/* No job's name begins with a dot, so neither can be one. */
#define STAMP_NAME  ".used"
#define KNOWN_NAME  ".known"
#define FRESH_NAME  ".known.new"
#define GONE_PREFIX ".gone."

enum { JOB_ID_MAX = 64, GONE_MAX = 40, DISCARD_ENTRIES = 300 };

static bool is_job_id(const char *s)
{
    size_t len = strlen(s);

    return len >= 1 && len <= JOB_ID_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* ---- the root ---- */

/* As root the directories above a job's are crossed by other users: the job's tasks. */
static mode_t passage_mode(void)
{
    return geteuid() == 0 ? 0711 : 0700;
}

static int open_root(const char *root, struct err *err)
{
    AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_set(err, -errno, "open the directory of workspaces '%s': %s", root,
                       strerror(errno));
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", root, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, -EPERM,
                       "the directory of workspaces '%s' must belong to user %u, and nobody else "
                       "may write to it (it belongs to user %u, mode %04o): chown and chmod it, or "
                       "set workspace.root to another",
                       root, (unsigned)geteuid(), (unsigned)st.st_uid,
                       (unsigned)(st.st_mode & 07777));
    return TAKE_FD(fd);
}

int workspace_prepare(const char *root, struct err *err)
{
    if (mkdir(root, passage_mode()) < 0 && errno != EEXIST)
        return err_set(err, -errno,
                       "make the directory of workspaces '%s': %s; make it yourself, or set "
                       "workspace.root to another",
                       root, strerror(errno));
    return 0;
}

/* ---- one job ---- */

/* The directory that the job's two lie in: ours, so that a task can't exchange them. */
static int open_job(int root_fd, const char *root, const char *job_id, struct err *err)
{
    AUTO_CLOSE int fd = -1;
    struct stat st;

    if (mkdirat(root_fd, job_id, passage_mode()) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make '%s/%s': %s", root, job_id, strerror(errno));
    fd = beneath_open(root_fd, job_id, O_RDONLY);
    if (fd < 0)
        return err_set(err, fd, "open '%s/%s': %s", root, job_id, strerror(-fd));
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s/%s': %s", root, job_id, strerror(errno));
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM, "'%s/%s' belongs to user %u and not to us: move it away", root,
                       job_id, (unsigned)st.st_uid);
    if ((st.st_mode & 07777) != passage_mode() && fchmod(fd, passage_mode()) < 0)
        return err_set(err, -errno, "chmod '%s/%s': %s", root, job_id, strerror(errno));
    return TAKE_FD(fd);
}

/* When the job was used last is the time of a file that its tasks can't reach. */
static int stamp_job(int job_fd, const char *root, const char *job_id, struct err *err)
{
    AUTO_CLOSE int fd =
        openat(job_fd, STAMP_NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || futimens(fd, NULL) < 0)
        return err_set(err, -errno, "write '%s/%s/" STAMP_NAME "': %s", root, job_id,
                       strerror(errno));
    return 0;
}

/* A job that has no files yet is known to have none. */
static int begin_known(int job_fd, const char *root, const char *job_id, struct err *err)
{
    AUTO_CLOSE int fd = -1;

    if (faccessat(job_fd, "workspace", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    fd = openat(job_fd, KNOWN_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, -errno, "make '%s/%s/" KNOWN_NAME "': %s", root, job_id,
                       strerror(errno));
    return 0;
}

/* The task may have taken every right off its own directory; the next attempt gets them back. */
int workspace_give(int fd, uid_t uid, const char *path, struct err *err)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if (st.st_uid != uid && st.st_uid != geteuid())
        return err_set(err, -EPERM, "'%s' belongs to user %u, and the job's tasks run as user %u",
                       path, (unsigned)st.st_uid, (unsigned)uid);
    if (st.st_uid != uid && fchownat(fd, "", uid, (gid_t)uid, AT_EMPTY_PATH) < 0)
        return err_set(err, -errno, "give '%s' to user %u: %s", path, (unsigned)uid,
                       strerror(errno));
    if ((st.st_mode & 07777) == 0700)
        return 0;
    r = beneath_chmod(fd, 0700);
    return r < 0 ? err_set(err, r, "chmod 0700 '%s': %s", path, strerror(-r)) : 0;
}

static int make_part(int job_fd, const char *name, uid_t uid, const char *path, struct err *err)
{
    AUTO_CLOSE int fd = -1;

    if (mkdirat(job_fd, name, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make '%s': %s", path, strerror(errno));
    fd = beneath_open(job_fd, name, O_PATH);
    if (fd < 0)
        return err_set(err, fd, "open '%s': %s", path, strerror(-fd));
    return workspace_give(fd, uid, path, err);
}

/* Whose the job's workspace is already, or is going to be. */
static int find_owner(int root_fd, const char *root, int job_fd, const char *job_id,
                      struct tenants *tenants, uid_t *uid, struct err *err)
{
    AUTO_CLOSE int fd = geteuid() == 0 ? beneath_open(job_fd, "workspace", O_PATH) : -1;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid >= PLAN_OWN_UID_MIN &&
        st.st_uid <= PLAN_OWN_UID_MAX) {
        *uid = st.st_uid;
        return tenants ? tenants_claim(tenants, st.st_uid, err) : 0;
    }
    return geteuid() == 0 && tenants ? tenants_pick(tenants, root_fd, root, job_id, uid, err) : 0;
}

int workspace_open(const char *root, const char *job_id, struct tenants *tenants, uid_t *uid,
                   char **ret_workspace, char **ret_home, struct err *err)
{
    AUTO_FREE char *workspace = NULL;
    AUTO_FREE char *home = NULL;
    AUTO_CLOSE int root_fd = -1;
    AUTO_CLOSE int job_fd = -1;
    uid_t owner = *uid;
    int r;

    if (!is_job_id(job_id))
        return err_set(err, -EINVAL,
                       "the job's id can't name a directory: want 1 to %d letters, digits, '_' or "
                       "'-'",
                       JOB_ID_MAX);
    r = workspace_prepare(root, err);
    if (r < 0)
        return r;
    root_fd = open_root(root, err);
    if (root_fd < 0)
        return root_fd;
    job_fd = open_job(root_fd, root, job_id, err);
    if (job_fd < 0)
        return job_fd;
    workspace = mem_printf("%s/%s/workspace", root, job_id);
    home = mem_printf("%s/%s/home", root, job_id);
    r = find_owner(root_fd, root, job_fd, job_id, tenants, &owner, err);
    if (r == 0)
        r = stamp_job(job_fd, root, job_id, err);
    if (r == 0)
        r = begin_known(job_fd, root, job_id, err);
    if (r == 0)
        r = make_part(job_fd, "workspace", owner, workspace, err);
    if (r == 0)
        r = make_part(job_fd, "home", owner, home, err);
    if (r < 0)
        return r;
    *uid = owner;
    *ret_workspace = TAKE_PTR(workspace);
    *ret_home = TAKE_PTR(home);
    return 0;
}

/* ---- whose a directory is ---- */

bool workspace_is_jobs(const char *path)
{
    for (size_t len = strlen(path); len > 0; len--) {
        AUTO_FREE char *stamp = mem_printf("%.*s/" STAMP_NAME, (int)len, path);

        if ((path[len] == '/' || path[len] == '\0') && access(stamp, F_OK) == 0)
            return true;
    }
    return false;
}

int workspace_has_uid(const char *root, uid_t uid, struct err *err)
{
    CLEANUP_PTR(tenants_free) struct tenants *tenants = NULL;
    AUTO_CLOSE int root_fd = -1;

    if (access(root, F_OK) < 0 && errno == ENOENT)
        return 0; /* no job has run yet */
    root_fd = open_root(root, err);
    if (root_fd < 0)
        return root_fd;
    tenants = tenants_new();
    return tenants_have(tenants, root_fd, root, uid, err);
}

/* ---- what is known of its files ---- */

int workspace_job(const char *root, const char *job_id, struct err *err)
{
    AUTO_CLOSE int root_fd = -1;
    int fd;

    if (!is_job_id(job_id))
        return err_set(err, -EINVAL, "the job's id can't name a directory");
    root_fd = open_root(root, err);
    if (root_fd < 0)
        return root_fd;
    fd = beneath_open(root_fd, job_id, O_RDONLY);
    return fd < 0 ? err_set(err, fd, "open '%s/%s': %s", root, job_id, strerror(-fd)) : fd;
}

int workspace_read_known(const char *root, const char *job_id, size_t max, struct buf *b,
                         struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err), fd = -1;
    struct stat st;
    ssize_t n;

    if (job_fd < 0)
        return job_fd;
    fd = openat(job_fd, KNOWN_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "open '%s/%s/" KNOWN_NAME "': %s", root, job_id,
                       strerror(errno));
    if (st.st_size < 0 || (size_t)st.st_size > max)
        return err_set(err, -EMSGSIZE, "'%s/%s/" KNOWN_NAME "' is larger than it can be", root,
                       job_id);
    n = fd_read_all(fd, buf_reserve(b, (size_t)st.st_size + 1), (size_t)st.st_size);
    if (n < 0)
        return err_set(err, (int)n, "read '%s/%s/" KNOWN_NAME "': %s", root, job_id,
                       strerror((int)-n));
    b->len += (size_t)n;
    return 0;
}

int workspace_write_known(const char *root, const char *job_id, const void *bytes, size_t len,
                          struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err), fd = -1;
    int r;

    if (job_fd < 0)
        return job_fd;
    fd = openat(job_fd, FRESH_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : fd_write_all(fd, bytes, len);
    if (r == 0 && renameat(job_fd, FRESH_NAME, job_fd, KNOWN_NAME) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(job_fd, FRESH_NAME, 0); /* half of it only takes room */
    return r < 0 ? err_set(err, r, "write '%s/%s/" KNOWN_NAME "': %s", root, job_id, strerror(-r))
                 : 0;
}

int workspace_trim(const char *root, const char *job_id, size_t max_entries, uint64_t *ret_bytes,
                   struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err);
    struct stat st;

    if (job_fd < 0)
        return job_fd;
    if (fstatat(job_fd, STAMP_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, -errno, "stat '%s/%s/" STAMP_NAME "': %s", root, job_id,
                       strerror(errno));
    *ret_bytes = trim(job_fd, "home", &st.st_mtim, &max_entries);
    *ret_bytes += trim(job_fd, "workspace", &st.st_mtim, &max_entries);
    return 0;
}

/* ---- the sweep ---- */

struct sweep {
    int root_fd;
    const char *root;
    int64_t older_than_ms;
    int (*keep)(const char *job_id, void *ctx);
    void *ctx;
    size_t budget;
    struct err *err;
    int fault; /* the first one: another job's must not keep the rest from going */
};

/* Returns 1 if the budget is out. */
static int remove_gone(struct sweep *s, const char *name)
{
    struct err err = { 0 };
    int r = treewipe(s->root_fd, name, &s->budget, &err);

    if (r < 0 && s->fault == 0)
        s->fault = err_set(s->err, r, "remove '%s/%s': %s", s->root, name, err.text);
    return r > 0;
}

/* Whether the job's directory is there and was used last before the limit. */
static bool is_stale(const struct sweep *s, const char *job_id)
{
    AUTO_CLOSE int fd = beneath_open(s->root_fd, job_id, O_RDONLY);
    struct stat st;
    int64_t used_ms;

    if (fd < 0)
        return false;
    /* without a stamp it died while being made: its own time will do */
    if (fstatat(fd, STAMP_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 && fstat(fd, &st) < 0)
        return false;
    used_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return used_ms < s->older_than_ms;
}

/* From then on the job has no workspace, and never half of one. */
static int set_aside(int dir_fd, const char *name, int root_fd, char gone[GONE_MAX])
{
    (void)snprintf(gone, GONE_MAX, GONE_PREFIX "%016" PRIx64, random_u64());
    return renameat2(dir_fd, name, root_fd, gone, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int workspace_discard(const char *root, int dir_fd, const char *name)
{
    AUTO_CLOSE int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    size_t budget = DISCARD_ENTRIES;
    char gone[GONE_MAX];
    int r = root_fd < 0 ? -errno : set_aside(dir_fd, name, root_fd, gone);

    if (r < 0)
        return r;
    return treewipe(root_fd, gone, &budget, NULL) == 0 ? 0 : 1; /* the sweep says what is wrong */
}

static int remove_job(struct sweep *s, const char *job_id)
{
    char gone[GONE_MAX];
    int r = set_aside(s->root_fd, job_id, s->root_fd, gone);

    if (r == 0)
        return remove_gone(s, gone);
    if (s->fault == 0)
        s->fault = err_set(s->err, r, "rename '%s/%s': %s", s->root, job_id, strerror(-r));
    return 0;
}

static int sweep_entry(struct sweep *s, const char *name)
{
    if (str_starts_with(name, GONE_PREFIX))
        return remove_gone(s, name);
    if (!is_job_id(name) || !is_stale(s, name) || s->keep(name, s->ctx))
        return 0;
    return s->budget == 0 ? 1 : remove_job(s, name);
}

static int sweep_root(struct sweep *s)
{
    int fd = openat(s->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        int code = -errno;

        if (fd >= 0)
            (void)close(fd); /* the first failure is the one to report */
        return err_set(s->err, code, "read '%s': %s", s->root, strerror(-code));
    }
    while ((errno = 0, entry = readdir(dir)) != NULL)
        if (sweep_entry(s, entry->d_name) > 0)
            return 1;
    if (errno != 0)
        return err_set(s->err, -errno, "read '%s': %s", s->root, strerror(errno));
    return s->fault;
}

int workspace_sweep(const char *root, uint32_t retention_s, int64_t now_ms,
                    int (*keep)(const char *job_id, void *ctx), void *ctx, size_t max_entries,
                    struct err *err)
{
    struct sweep s = { .root = root,
                       .older_than_ms = now_ms - (int64_t)retention_s * 1000,
                       .keep = keep,
                       .ctx = ctx,
                       .budget = max_entries,
                       .err = err };
    AUTO_CLOSE int root_fd = -1;

    if (access(root, F_OK) < 0 && errno == ENOENT)
        return 0; /* no job has run yet */
    root_fd = open_root(root, err);
    if (root_fd < 0)
        return root_fd;
    s.root_fd = root_fd;
    return sweep_root(&s);
}
