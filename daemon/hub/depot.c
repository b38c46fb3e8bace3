#include "hub/depot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "hub/attachment.h"
#include "loop/worker.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/ulid.h"

enum { BATCH_MAX = 1 }; /* an operation's end is told as soon as it is there */

struct depot {
    char *path;
    int dir;
    uint64_t keep_free;
    struct worker *quick, *slow;
};

struct removal {
    struct depot_op op;
    char id[ULID_ID_MAX];
};

char *depot_path(const char *db_path)
{
    return mem_printf("%s-attachments", db_path);
}

/* ---- the directory at start ---- */

static int open_dir(const char *path, int *ret_dir, struct err *err)
{
    AUTO_CLOSE int dir = -1;
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make the directory of attachments '%s': %s", path,
                       strerror(errno));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, -errno, "open the directory of attachments '%s': %s", path,
                       strerror(errno));
    if (fstat(dir, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if ((st.st_mode & 077) != 0 && fchmod(dir, 0700) < 0)
        return err_set(err, -errno, "others may read '%s', and chmod 0700 fails: %s", path,
                       strerror(errno));
    *ret_dir = TAKE_FD(dir);
    return 0;
}

/* Ours by its name, and in no row: 1, 0, or a negative errno. Whatever else lies there isn't
 * touched. */
static int is_orphan(struct db *db, const char *name)
{
    char id[ULID_ID_MAX];
    size_t len = strlen(name);
    bool part = str_ends_with(name, DEPOT_PART);

    if (part)
        len -= strlen(DEPOT_PART);
    if (len >= sizeof id)
        return 0;
    snprintf(id, sizeof id, "%.*s", (int)len, name);
    if (!ulid_has_prefix(id, ATTACHMENT_PREFIX))
        return 0;
    return part ? 1 : attachment_is_orphan(db, id);
}

static int remove_orphans(struct depot *d, struct db *db, struct err *err)
{
    int fd = openat(d->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int rc = 0, failed = 0;

    if (!stream) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd); /* nothing was written */
        return err_set(err, rc, "list '%s': %s", d->path, strerror(-rc));
    }
    while (rc >= 0 && (errno = 0, entry = readdir(stream))) {
        rc = is_orphan(db, entry->d_name);
        if (rc > 0 && unlinkat(d->dir, entry->d_name, 0) < 0)
            failed = errno;
    }
    if (!entry && errno != 0 && rc >= 0)
        rc = -errno;
    (void)closedir(stream); /* nothing was written */
    if (failed != 0)        /* they only take room */
        log_warning("attachments_left", "dir", d->path, "error", strerror(failed));
    return rc < 0 ? err_set(err, rc, "look through '%s': %s", d->path, strerror(-rc)) : 0;
}

/* ---- operations ---- */

static int on_begin(void *ctx)
{
    (void)ctx;
    return 0;
}

static void on_run(void *job, void *ctx)
{
    const struct depot *d = ctx;
    struct depot_op *op = job;

    op->result = op->run(op, d->dir);
}

static int on_end(int begin_result, void *ctx)
{
    (void)ctx;
    return begin_result;
}

static void on_done(void *job, int result, void *ctx)
{
    struct depot_op *op = job;

    (void)result; /* each operation has its own */
    (void)ctx;
    op->done(op, op->result);
}

void depot_give(struct depot *d, struct depot_op *op)
{
    if (d->quick) {
        worker_give(d->quick, op);
        return;
    }
    op->result = op->run(op, d->dir);
    op->done(op, op->result);
}

void depot_give_slow(struct depot *d, struct depot_op *op)
{
    if (d->slow)
        worker_give(d->slow, op);
    else
        depot_give(d, op);
}

static int run_removal(struct depot_op *op, int dir)
{
    const struct removal *removal = (struct removal *)op;

    return unlinkat(dir, removal->id, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static void on_removed(struct depot_op *op, int result)
{
    struct removal *removal = (struct removal *)op;

    if (result < 0) /* the next start tries again */
        log_warning("attachment_left", "id", removal->id, "error", strerror(-result));
    free(removal);
}

void depot_remove(struct depot *d, const char *id)
{
    struct removal *removal = mem_new(struct removal);

    removal->op = (struct depot_op){ .run = run_removal, .done = on_removed };
    snprintf(removal->id, sizeof removal->id, "%s", id);
    depot_give(d, &removal->op);
}

int depot_check_room(const struct depot *d, size_t len)
{
    struct statvfs st;

    if (d->keep_free == 0)
        return 0;
    if (fstatvfs(d->dir, &st) < 0)
        return -errno;
    return (uint64_t)st.f_bavail * st.f_frsize >= d->keep_free + len ? 0 : -EDQUOT;
}

uint64_t depot_keep_free(const struct depot *d)
{
    return d->keep_free;
}

const char *depot_dir(const struct depot *d)
{
    return d->path;
}

/* ---- life ---- */

int depot_new(struct loop *loop, struct db *db, const char *path, uint64_t keep_free,
              struct depot **ret_depot, struct err *err)
{
    static const struct worker_ops ops = {
        .begin = on_begin, .run = on_run, .end = on_end, .done = on_done
    };
    CLEANUP_PTR(depot_free) struct depot *d = mem_new(struct depot);
    int rc;

    d->path = mem_strdup(path);
    d->dir = -1;
    d->keep_free = keep_free;
    rc = open_dir(path, &d->dir, err);
    if (rc >= 0)
        rc = remove_orphans(d, db, err);
    if (rc >= 0)
        rc = worker_new(loop, &ops, d, BATCH_MAX, &d->quick, err);
    if (rc >= 0)
        rc = worker_new(loop, &ops, d, BATCH_MAX, &d->slow, err);
    if (rc < 0)
        return rc;
    *ret_depot = TAKE_PTR(d);
    return 0;
}

void depot_close(struct depot *d)
{
    if (!d)
        return;
    worker_free(TAKE_PTR(d->slow));
    worker_free(TAKE_PTR(d->quick));
}

void depot_free(struct depot *d)
{
    if (!d)
        return;
    depot_close(d);
    if (d->dir >= 0)
        (void)close(d->dir); /* nothing was written to the descriptor */
    free(d->path);
    free(d);
}
