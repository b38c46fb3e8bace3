#include "main/surveys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "main/daemon.h"
#include "main/wire.h"
#include "sandbox/plan.h"
#include "sandbox/plan_survey.h"
#include "task/leftover.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "workspace/workspace.h"

/* A survey's number as a task of the spawner's is its message's, with this. */
static const uint64_t survey_bit = UINT64_C(1) << 63;

enum { PIECE_BYTES_MAX = 64 * 1024 }; /* of output() at a time */

struct survey_io {
    uint64_t seq;
    char *job_id;
    struct buf found; /* what it wrote so far */
    bool runs;        /* the spawner has not told of its end */
    bool settled;     /* nobody waits for it any more */
    bool sound;       /* found is whole and has been read */
    UT_hash_handle hh;
};

struct surveys {
    struct daemon *daemon;
    struct survey_io *by_seq;
};

struct surveys *surveys_new(struct daemon *d)
{
    struct surveys *s = mem_new(struct surveys);

    s->daemon = d;
    return s;
}

static void io_free(struct surveys *s, struct survey_io *io)
{
    HASH_DEL(s->by_seq, io);
    free(io->job_id);
    buf_done(&io->found);
    free(io);
}

void surveys_free(struct surveys *s)
{
    struct survey_io *io, *next;

    if (!s)
        return;
    HASH_ITER (hh, s->by_seq, io, next)
        io_free(s, io);
    free(s);
}

static struct survey_io *io_find(struct surveys *s, uint64_t seq)
{
    struct survey_io *io = NULL;

    HASH_FIND(hh, s->by_seq, &seq, sizeof seq, io);
    return io;
}

bool surveys_is_one(uint64_t task)
{
    return task & survey_bit;
}

/* ---- its start ---- */

static int make_plan(const struct daemon *d, const char *job_id, struct plan **ret_plan,
                     struct err *err)
{
    AUTO_FREE char *workspace = NULL, *home = NULL;
    uid_t uid = geteuid(), task_uid = uid;
    int r = workspace_open(d->settings.workspace_root, job_id, d->tenants, &task_uid, &workspace,
                           &home, err);

    if (r < 0)
        return r;
    return plan_survey_make(&d->ground, workspace, home, uid, task_uid, ret_plan, err);
}

static void tell(struct daemon *d, uint64_t seq, const char *note)
{
    const struct core_event ev = { .type = CORE_EV_SURVEYED, .seq = seq, .note = note };

    wire_run(d, &ev);
}

/* The reason is for the log: what the chat's reader can do is look at the files. */
static void tell_failure(struct daemon *d, uint64_t seq, const char *job_id, const char *why,
                         bool stuck)
{
    static const char words[] =
        "nairid could not look for files that programs may run or obey later; look at the "
        "workspace before you use it elsewhere";
    const struct core_event ev = {
        .type = CORE_EV_SURVEYED, .seq = seq, .note = words, .failed = true, .stuck = stuck
    };

    log_warning("survey_failed", "job", job_id, "error", why);
    wire_run(d, &ev);
}

void surveys_start(struct surveys *s, uint64_t seq)
{
    struct daemon *d = s->daemon;
    const struct task *t = core_task(d->core, seq);
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct survey_io *io;
    struct err err = { 0 };

    if (!t)
        return;               /* its lease was lost meanwhile */
    if (t->unsurveyed == 0) { /* it was given up while its order waited for the disk */
        tell_failure(d, seq, t->job_id, "there was no time left for it", false);
        return;
    }
    if (make_plan(d, t->job_id, &plan, &err) < 0) {
        tell_failure(d, seq, t->job_id, err.text, false);
        return;
    }
    io = mem_new(struct survey_io);
    io->seq = seq;
    io->job_id = mem_strdup(t->job_id);
    io->runs = true;
    HASH_ADD(hh, s->by_seq, seq, sizeof io->seq, io);
    spawner_start(d->spawner, seq | survey_bit, plan, -1, "", 0);
}

/* ---- its end ---- */

void surveys_output(struct surveys *s, uint64_t task, const char *bytes, size_t len)
{
    struct survey_io *io = io_find(s, task & ~survey_bit);

    /* one byte more than it may be is enough to tell that it is too long */
    if (io && io->found.len + len <= LEFTOVERS_BYTES_MAX + (size_t)PIECE_BYTES_MAX)
        buf_append(&io->found, bytes, len);
}

/* What was known of the job before; false where that can't be told. */
static bool read_known(const struct daemon *d, const char *job_id, struct leftovers *ret)
{
    CLEANUP(buf_done) struct buf known = { 0 };
    struct err err = { 0 };
    int r =
        workspace_read_known(d->settings.workspace_root, job_id, LEFTOVERS_BYTES_MAX, &known, &err);

    if (r == -ENOENT)
        return false; /* the job is older than we are */
    if (r == 0 && known.len == 0)
        return true; /* it began empty */
    if (r == 0)
        r = leftover_read(known.data, known.len, ret);
    if (r < 0)
        log_warning("survey_known_lost", "job", job_id, "error",
                    err.text[0] ? err.text : "what was known is damaged");
    return r == 0;
}

/* The words; NULL where there is nothing to say. */
static char *describe(const struct daemon *d, const char *job_id, const struct leftovers *now)
{
    struct leftovers before = { 0 };
    bool known = read_known(d, job_id, &before);
    CLEANUP(buf_done) struct buf words = { 0 };

    leftover_describe(now, known ? &before : NULL, d->mask, &words);
    leftover_done(&before);
    return words.len > 0 ? mask_text(d->mask, buf_steal(&words)) : NULL;
}

static const char *failure_of(const struct survey_io *io, const struct spawner_exit *e,
                              struct leftovers *ret)
{
    if (e->failed_to_start)
        return e->error;
    if (e->stuck)
        return "it can't be ended";
    if (!WIFEXITED(e->status) || WEXITSTATUS(e->status) != 0)
        return e->oom ? "it needed more memory than it may use" : "it was ended, or ended badly";
    return leftover_read(io->found.data, io->found.len, ret) < 0 ? "what it wrote is damaged"
                                                                 : NULL;
}

void surveys_exited(struct surveys *s, uint64_t task, const struct spawner_exit *e)
{
    struct daemon *d = s->daemon;
    struct survey_io *io = io_find(s, task & ~survey_bit);
    struct leftovers now = { 0 };
    const char *failure;
    AUTO_FREE char *words = NULL;

    if (!io)
        return;
    io->runs = false;
    failure = failure_of(io, e, &now);
    if (io->settled) {
        leftover_done(&now);
        io_free(s, io);
        return;
    }
    if (failure) {
        tell_failure(d, io->seq, io->job_id, failure, e->stuck);
        return;
    }
    io->sound = true;
    words = describe(d, io->job_id, &now);
    log_info("surveyed", "job", io->job_id, "entries", LOG_N(now.entries), "found", LOG_N(now.len),
             "wall_ms", LOG_N(e->wall_ms), "text", words);
    leftover_done(&now);
    tell(d, io->seq, words);
}

void surveys_kill(struct surveys *s, uint64_t seq)
{
    const struct survey_io *io = io_find(s, seq);

    if (io && io->runs)
        spawner_kill(s->daemon->spawner, seq | survey_bit, 0);
}

void surveys_settle(struct surveys *s, uint64_t seq, bool keep)
{
    struct survey_io *io = io_find(s, seq);
    const struct task *t = core_task(s->daemon->core, seq);
    struct err err = { 0 };

    if (!io)
        return;
    if (!t || t->state == TASK_GONE) /* its lease was lost meanwhile: nobody has read the reply */
        keep = false;
    if (keep && io->sound &&
        workspace_write_known(s->daemon->settings.workspace_root, io->job_id, io->found.data,
                              io->found.len, &err) < 0)
        log_warning("survey_known_lost", "job", io->job_id, "error", err.text);
    surveys_kill(s, seq);
    io->settled = true;
    if (!io->runs)
        io_free(s, io);
}
