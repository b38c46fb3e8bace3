#include "hub/deposit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hub/multipart.h"
#include "hub/server.h"
#include "settings/values.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/utf8.h"

struct deposit {
    struct depot_op op; /* must be first; one at a time */
    bool busy;          /* op is given */
    struct depot *depot;
    struct server_request *request;
    struct multipart *form;
    struct deposit_file file;
    uint64_t max;
    bool seen;   /* the part "file" has begun */
    bool inside; /* and what comes is of it */
    struct buf pending;
    /* the answer, where it is no success */
    unsigned status;
    char *why;
    /* its end */
    deposit_end_fn end; /* NULL: the body isn't here yet */
    void *ctx;
    bool sealed; /* the file has its name */
    bool kept;
    bool dropped; /* free it once op is back */
    /* the thread's while op is given */
    struct buf writing;
    int fd;       /* -1: not made yet, or closed */
    bool made;    /* there is a file, of either name */
    bool floored; /* not written, as the disk is to have more room left */
};

static void settle(struct deposit *d);

/* ---- threads of the depot ---- */

static void part_name(const struct deposit *d, char name[ULID_ID_MAX + sizeof DEPOT_PART])
{
    snprintf(name, ULID_ID_MAX + sizeof DEPOT_PART, "%s" DEPOT_PART, d->file.id);
}

static int write_piece(struct deposit *d, int dir)
{
    char name[ULID_ID_MAX + sizeof DEPOT_PART];
    int rc = depot_check_room(d->depot, d->writing.len);

    d->floored = rc == -EDQUOT;
    if (rc < 0)
        return rc;
    part_name(d, name);
    if (d->fd < 0)
        d->fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->fd < 0)
        return -errno;
    d->made = true;
    rc = fd_write_all(d->fd, d->writing.data, d->writing.len);
    buf_clear(&d->writing);
    return rc;
}

static int run_write(struct depot_op *op, int dir)
{
    return write_piece((struct deposit *)op, dir);
}

static int run_seal(struct depot_op *op, int dir)
{
    struct deposit *d = (struct deposit *)op;
    char name[ULID_ID_MAX + sizeof DEPOT_PART];
    int rc = d->writing.len > 0 ? write_piece(d, dir) : 0;

    part_name(d, name);
    if (rc >= 0 && fsync(d->fd) < 0)
        rc = -errno;
    if (d->fd >= 0 && close(d->fd) < 0 && rc >= 0)
        rc = -errno;
    d->fd = -1;
    if (rc >= 0 && renameat(dir, name, dir, d->file.id) < 0)
        rc = -errno;
    if (rc >= 0 && fsync(dir) < 0)
        rc = -errno;
    return rc;
}

static int run_drop(struct depot_op *op, int dir)
{
    struct deposit *d = (struct deposit *)op;
    char name[ULID_ID_MAX + sizeof DEPOT_PART];

    part_name(d, name);
    if (d->fd >= 0)
        (void)close(d->fd); /* what was written is not wanted */
    d->fd = -1;
    d->made = false;
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return -errno;
    return unlinkat(dir, d->file.id, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* ---- the loop ---- */

static void give(struct deposit *d, int (*run)(struct depot_op *op, int dir),
                 void (*done)(struct depot_op *op, int result))
{
    assert(!d->busy);
    d->busy = true;
    d->op = (struct depot_op){ .run = run, .done = done };
    if (run == run_seal)
        depot_give_slow(d->depot, &d->op);
    else
        depot_give(d->depot, &d->op);
}

__attribute__((format(printf, 3, 4))) static void refuse(struct deposit *d, unsigned status,
                                                         const char *fmt, ...)
{
    struct err err = { 0 }; /* for its bounded text */
    va_list ap;

    if (d->status != 0)
        return;
    va_start(ap, fmt);
    (void)err_setv(&err, 0, fmt, ap);
    va_end(ap);
    d->status = status;
    d->why = mem_strdup(err.text);
    buf_done(&d->pending);
}

static void refuse_disk(struct deposit *d, int rc)
{
    char floor[VALUES_TEXT_MAX];

    log_error("attachment_failed", "dir", depot_dir(d->depot), "error",
              d->floored ? "little room is left on the disk" : strerror(-rc));
    if (d->floored)
        refuse(d, 507,
               "the hub keeps %s of its disk free, and nothing of the file was kept: make room "
               "where its attachments lie, and send it again",
               values_size_text(floor, depot_keep_free(d->depot)));
    else if (rc == -ENOSPC || rc == -EDQUOT)
        refuse(d, 507,
               "the disk of the hub is full, and nothing of the file was kept: make room "
               "where its attachments lie, and send it again");
    else
        refuse(d, 500, "the hub can't write the attachment: %s", strerror(-rc));
}

static void free_now(struct deposit *d)
{
    multipart_free(d->form);
    buf_done(&d->pending);
    buf_done(&d->writing);
    free(d->file.name);
    free(d->why);
    free(d);
}

static void warn_left(const struct deposit *d, int result)
{
    if (result < 0) /* the next start tries again */
        log_warning("attachment_left", "id", d->file.id, "error", strerror(-result));
}

static void on_dropped(struct depot_op *op, int result)
{
    struct deposit *d = (struct deposit *)op;

    warn_left(d, result);
    d->busy = false;
    free_now(d);
}

/* It is free to be dropped, if that is what is wanted. */
static bool came_back(struct deposit *d)
{
    d->busy = false;
    if (!d->dropped)
        return true;
    give(d, run_drop, on_dropped);
    return false;
}

static void go_on(struct deposit *d)
{
    if (d->end)
        settle(d);
    else
        server_request_go(d->request);
}

static void on_cleared(struct depot_op *op, int result)
{
    struct deposit *d = (struct deposit *)op;

    warn_left(d, result);
    if (came_back(d))
        go_on(d);
}

/* The room it took is given back at once: others need it. */
static void fail(struct deposit *d, int rc)
{
    refuse_disk(d, rc);
    give(d, run_drop, on_cleared);
}

static void on_sealed(struct depot_op *op, int result)
{
    struct deposit *d = (struct deposit *)op;

    if (!came_back(d))
        return;
    d->sealed = result >= 0;
    if (result < 0)
        fail(d, result);
    else
        go_on(d);
}

static void on_written(struct depot_op *op, int result)
{
    struct deposit *d = (struct deposit *)op;

    if (!came_back(d))
        return;
    if (result < 0)
        fail(d, result);
    else
        go_on(d);
}

static void flush(struct deposit *d, int (*run)(struct depot_op *op, int dir),
                  void (*done)(struct depot_op *op, int result))
{
    struct buf empty = d->writing;

    d->writing = d->pending;
    d->pending = empty;
    give(d, run, done);
}

/* What remains to be done once the body is here. */
static void settle(struct deposit *d)
{
    const char *why = NULL;

    if (d->busy)
        return;
    if (d->status == 0 && !d->sealed && multipart_finish(d->form, &why) < 0)
        refuse(d, 400, "%s", why);
    if (d->status == 0 && !d->seen)
        refuse(d, 400, "the form has no part of the name 'file'");
    if (d->status == 0 && d->file.size == 0)
        refuse(d, 400, "the file is empty, and an empty one can't be attached");
    if (d->status == 0 && !d->sealed)
        flush(d, run_seal, on_sealed);
    else
        d->end(d->status, d->why, d->ctx);
}

/* ---- the form ---- */

static int begin_part(const char *name, const char *filename, void *ctx)
{
    struct deposit *d = ctx;

    d->inside = str_eq(name, "file");
    if (!d->inside)
        return 0;
    if (d->seen) {
        refuse(d, 400, "the form has two parts of the name 'file': one attachment goes at a time");
        return -EBADMSG;
    }
    d->seen = true;
    d->file.name = deposit_clean_name(filename ? filename : "");
    return 0;
}

static int take_data(const char *bytes, size_t len, void *ctx)
{
    struct deposit *d = ctx;

    if (!d->inside)
        return 0;
    if ((uint64_t)d->file.size + len > d->max) {
        refuse(d, 413, "the file is longer than %" PRIu64 " bytes, which is what this hub takes",
               d->max);
        return -EMSGSIZE;
    }
    d->file.size += (int64_t)len;
    buf_append(&d->pending, bytes, len);
    return 0;
}

struct deposit *deposit_new(struct depot *depot, struct server_request *r, const char *content_type,
                            const char *id, uint64_t max)
{
    static const struct multipart_ops ops = { .begin = begin_part, .data = take_data };
    struct deposit *d = mem_new(struct deposit);

    d->depot = depot;
    d->request = r;
    d->max = max;
    d->fd = -1;
    snprintf(d->file.id, sizeof d->file.id, "%s", id);
    d->form = multipart_new(content_type, &ops, d);
    if (!d->form)
        refuse(d, 400,
               "an attachment is sent as multipart/form-data, in a part of the name 'file'");
    return d;
}

void deposit_take(struct deposit *d, const char *bytes, size_t len)
{
    const char *why = "the form can't be read";

    if (d->status == 0 && multipart_feed(d->form, bytes, len, &why) < 0)
        refuse(d, 400, "%s", why); /* unless it was told already */
    if (d->status != 0 || d->pending.len < DEPOSIT_PIECE)
        return;
    server_request_hold(d->request);
    flush(d, run_write, on_written);
}

void deposit_finish(struct deposit *d, deposit_end_fn end, void *ctx)
{
    d->end = end;
    d->ctx = ctx;
    settle(d);
}

const struct deposit_file *deposit_look(const struct deposit *d)
{
    return &d->file;
}

void deposit_keep(struct deposit *d)
{
    d->kept = true;
}

void deposit_free(struct deposit *d)
{
    if (!d)
        return;
    d->dropped = true;
    if (d->busy)
        return;
    if (d->kept || !d->made)
        free_now(d);
    else
        give(d, run_drop, on_dropped);
}

char *deposit_clean_name(const char *name)
{
    char line[DEPOSIT_NAME_MAX + 1];
    const char *s = name;

    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == '\\')
            s = c + 1;
    utf8_line(line, sizeof line, s);
    s = line + strspn(line, " ");
    if (str_is_empty(s) || str_eq(s, ".") || str_eq(s, ".."))
        s = "file";
    return mem_strdup(s);
}
