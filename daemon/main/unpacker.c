#include "main/unpacker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "main/daemon.h"
#include "sandbox/plan_unpack.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { UNPACK_MS = 60 * 1000 };

/* The one task number of an archive's; a survey's have the bit above. */
static const uint64_t unpack_bit = UINT64_C(1) << 62;

struct unpacker {
    struct daemon *daemon;
    const struct unpacker_ops *ops;
    void *ctx;
    struct loop_timer *patience;
    bool running, too_long;
};

static void on_patience(struct loop_timer *timer, void *ctx)
{
    struct unpacker *u = ctx;

    (void)timer; /* one-shot */
    u->too_long = true;
    unpacker_stop(u);
}

struct unpacker *unpacker_new(struct daemon *d, const struct unpacker_ops *ops, void *ctx)
{
    struct unpacker *u = mem_new(struct unpacker);

    u->daemon = d;
    u->ops = ops;
    u->ctx = ctx;
    u->patience = loop_timer_new(d->loop, on_patience, u);
    return u;
}

void unpacker_free(struct unpacker *u)
{
    if (!u)
        return;
    loop_timer_free(u->patience);
    free(u);
}

void unpacker_start(struct unpacker *u, const char *bytes, size_t len)
{
    struct daemon *d = u->daemon;
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    uid_t uid = geteuid();
    struct err err = { 0 };

    u->too_long = false;
    if (plan_unpack_make(&d->ground, uid, uid == 0 ? plan_lone_uid(getpid()) : uid, &plan, &err) <
        0) {
        err.code = -ENOEXEC;
        u->ops->ended(&err, u->ctx);
        return;
    }
    u->running = true;
    loop_timer_arm(u->patience, UNPACK_MS);
    spawner_start(d->spawner, unpack_bit, plan, -1, bytes, len);
}

void unpacker_stop(struct unpacker *u)
{
    if (u->running)
        spawner_kill(u->daemon->spawner, unpack_bit, 0);
}

bool unpacker_is_one(uint64_t task)
{
    return task == unpack_bit;
}

void unpacker_output(struct unpacker *u, const char *bytes, size_t len)
{
    if (u->running)
        u->ops->output(bytes, len, u->ctx);
}

void unpacker_exited(struct unpacker *u, const struct spawner_exit *e)
{
    struct err why = { 0 };

    if (!u->running)
        return;
    u->running = false;
    loop_timer_stop(u->patience);
    if (e->failed_to_start)
        (void)err_set(&why, -ENOEXEC, "%s", e->error);
    else if (u->too_long)
        (void)err_set(&why, -EBADMSG, "it takes too long to unpack");
    else if (e->oom || e->limit != LIMIT_NONE || WIFSIGNALED(e->status))
        (void)err_set(&why, -EBADMSG, "it takes more than it may to unpack (memory, time)");
    else if (e->status != 0)
        (void)err_set(&why, -EAGAIN, "the process that unpacks it gave up without a word");
    u->ops->ended(&why, u->ctx);
}
