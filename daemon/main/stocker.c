#include "main/stocker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/worker.h"
#include "task/crate.h"
#include "util/buf.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"
#include "workspace/staging.h"

enum {
    SET_BYTES_MAX = 256 << 20, /* of all artifacts together, as they lie on the disk */
    SET_FILES_MAX = 5000,
    SWEEP_ENTRIES = 5000,
    /* of one crate: a record has a piece of 4 KiB at least, or is a file's */
    FEED_MAX = CRATE_BYTES_MAX + CRATE_BYTES_MAX / 64 + CRATE_FILES_MAX * 2 * CRATE_PATH_MAX,
};

enum order_kind { BEGIN, ADD, BEGIN_SKILL, FEED, END_SKILL, FINISH, SWEEP };

struct order {
    enum order_kind kind;
    enum shelf_part part;
    char *name;
    const char *extension;
    struct buf bytes; /* also the manifest */
    struct strv used;
    struct err err; /* the answer */
};

struct stocker {
    const struct stocker_ops *ops; /* NULL: nobody is to be told */
    void *ctx;
    struct worker *worker;
    size_t fed; /* of this crate */
    bool spoiled;
    /* the thread's, while it has an order */
    struct staging *staging;
    uint64_t bytes;
    size_t files;
    char *skill;
    struct crate crate;
    struct err failure; /* the skill's */
    int fd;             /* of its file */
    char name[SHELF_NAME_BYTES];
    bool has[SHELF_PART_COUNT];
};

/* ---- the thread ---- */

static void close_file(struct stocker *s)
{
    if (s->fd >= 0)
        (void)close(s->fd); /* what it lacks, the crate says */
    s->fd = -1;
}

static void begin(struct stocker *s, struct order *o)
{
    s->bytes = 0;
    s->files = 0;
    (void)staging_begin(s->staging, &o->err); /* its code is there, too, here and below */
}

static void add(struct stocker *s, struct order *o)
{
    s->bytes += o->bytes.len;
    (void)staging_add(s->staging, o->part, o->name, o->extension, buf_str(&o->bytes), o->bytes.len,
                      &o->err);
}

static void begin_skill(struct stocker *s, struct order *o)
{
    s->failure = (struct err){ 0 };
    (void)staging_add_skill(s->staging, o->name, &s->skill, &o->err);
}

static int on_file(const char *path, bool is_program, void *ctx, struct err *err)
{
    struct stocker *s = ctx;

    close_file(s);
    if (++s->files > SET_FILES_MAX)
        return err_set(err, -EMSGSIZE, "all artifacts have more than %d files", SET_FILES_MAX);
    s->fd = staging_open_file(s->staging, s->skill, path, is_program, err);
    return s->fd < 0 ? s->fd : 0;
}

static int on_piece(const void *bytes, size_t len, void *ctx, struct err *err)
{
    struct stocker *s = ctx;
    int r;

    s->bytes += len;
    if (s->bytes > SET_BYTES_MAX)
        return err_set(err, -EMSGSIZE, "all artifacts are larger than %d MiB together",
                       SET_BYTES_MAX >> 20);
    r = fd_write_all(s->fd, bytes, len);
    return r < 0 ? err_set(err, r, "write a file of it: %s", strerror(-r)) : 0;
}

static void feed(struct stocker *s, struct order *o)
{
    static const struct crate_ops ops = { .file = on_file, .piece = on_piece };

    if (s->skill && s->failure.code == 0 &&
        crate_feed(&s->crate, buf_str(&o->bytes), o->bytes.len, &ops, s, &s->failure) < 0)
        o->err = s->failure;
}

static void end_skill(struct stocker *s, struct order *o)
{
    close_file(s);
    o->err = s->failure;
    if (s->failure.code == 0 && !crate_is_whole(&s->crate))
        (void)err_set(&o->err, -ENODATA, "it could not be unpacked");
    if (o->err.code < 0 && s->skill)
        staging_drop_skill(s->staging, s->skill);
    crate_done(&s->crate);
    s->crate = (struct crate){ 0 };
    free(s->skill);
    s->skill = NULL;
}

static void run_order(void *job, void *ctx)
{
    struct stocker *s = ctx;
    struct order *o = job;

    switch (o->kind) {
    case BEGIN:
        begin(s, o);
        break;
    case ADD:
        add(s, o);
        break;
    case BEGIN_SKILL:
        begin_skill(s, o);
        break;
    case FEED:
        feed(s, o);
        break;
    case END_SKILL:
        end_skill(s, o);
        break;
    case FINISH:
        (void)staging_finish(s->staging, buf_str(&o->bytes), s->name, s->has, &o->err);
        break;
    case SWEEP:
        staging_give_up(s->staging);
        (void)staging_sweep(s->staging, &o->used, SWEEP_ENTRIES); /* the rest another time */
        break;
    }
}

static int begin_batch(void *ctx)
{
    (void)ctx;
    return 0;
}

static int end_batch(int begin_result, void *ctx)
{
    (void)ctx;
    return begin_result;
}

/* ---- the loop ---- */

static void spoil(struct stocker *s)
{
    if (s->spoiled || !s->ops)
        return;
    s->spoiled = true;
    s->ops->spoiled(s->ctx);
}

static void on_done(void *job, int result, void *ctx)
{
    struct stocker *s = ctx;
    struct order *o = job;
    enum order_kind kind = o->kind;
    struct err err = o->err;

    (void)result; /* of the batch; each has its own */
    free(o->name);
    buf_done(&o->bytes);
    strv_done(&o->used);
    free(o);
    if (kind == FEED && err.code < 0)
        spoil(s);
    else if (kind != FEED && kind != SWEEP && s->ops)
        s->ops->done(&err, s->ctx);
}

static void give(struct stocker *s, const struct order *order)
{
    struct order *o = mem_new(struct order);

    *o = *order;
    worker_give(s->worker, o);
}

static void put_bytes(struct buf *b, const char *bytes, size_t len)
{
    if (len > 0)
        buf_append(b, bytes, len);
}

void stocker_begin(struct stocker *s)
{
    give(s, &(struct order){ .kind = BEGIN });
}

void stocker_add(struct stocker *s, enum shelf_part part, const char *name, const char *extension,
                 const char *bytes, size_t len)
{
    struct order o = {
        .kind = ADD, .part = part, .name = mem_strdup(name), .extension = extension
    };

    put_bytes(&o.bytes, bytes, len);
    give(s, &o);
}

void stocker_begin_skill(struct stocker *s, const char *name)
{
    s->fed = 0;
    s->spoiled = false;
    give(s, &(struct order){ .kind = BEGIN_SKILL, .name = mem_strdup(name) });
}

void stocker_feed(struct stocker *s, const char *bytes, size_t len)
{
    struct order o = { .kind = FEED };

    if (s->spoiled)
        return;
    s->fed += len;
    if (s->fed > FEED_MAX) { /* without its end the crate isn't whole */
        spoil(s);
        return;
    }
    put_bytes(&o.bytes, bytes, len);
    give(s, &o);
}

void stocker_end_skill(struct stocker *s)
{
    give(s, &(struct order){ .kind = END_SKILL });
}

void stocker_finish(struct stocker *s, const char *manifest)
{
    struct order o = { .kind = FINISH };

    put_bytes(&o.bytes, manifest, strlen(manifest));
    give(s, &o);
}

void stocker_switch(const struct stocker *s, struct shelf *shelf)
{
    shelf_switch(shelf, s->name, s->has);
}

void stocker_sweep(struct stocker *s, struct strv *used)
{
    struct order o = { .kind = SWEEP, .used = *used };

    *used = (struct strv){ 0 };
    give(s, &o);
}

int stocker_new(struct loop *loop, const char *state_dir, bool crossed,
                const struct stocker_ops *ops, void *ctx, struct stocker **ret_stocker,
                struct err *err)
{
    static const struct worker_ops worker_ops = {
        .begin = begin_batch, .run = run_order, .end = end_batch, .done = on_done
    };
    struct stocker *s = mem_new(struct stocker);
    int r;

    s->ops = ops;
    s->ctx = ctx;
    s->fd = -1;
    s->staging = staging_new(state_dir, crossed);
    r = worker_new(loop, &worker_ops, s, 1, &s->worker, err);
    if (r < 0) {
        stocker_free(s);
        return r;
    }
    *ret_stocker = s;
    return 0;
}

void stocker_free(struct stocker *s)
{
    if (!s)
        return;
    s->ops = NULL;
    worker_free(s->worker);
    close_file(s);
    crate_done(&s->crate);
    free(s->skill);
    staging_free(s->staging);
    free(s);
}
