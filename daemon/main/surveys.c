#include "main/surveys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "main/daemon.h"
#include "main/knowledge.h"
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
    struct buf known; /* what is known once its words are told; empty: they aren't found yet */
    bool runs;        /* the spawner has not told of its end */
    bool weighed;     /* what was known before is being read */
    bool settled;     /* nobody waits for it any more */
    uint64_t wall_ms; /* that it took */
    UT_hash_handle hh;
};

struct surveys {
    struct daemon *daemon;
    struct knowledge *knowledge; /* NULL until surveys_open() */
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
    buf_done(&io->known);
    free(io);
}

void surveys_free(struct surveys *s)
{
    struct survey_io *io, *next;

    if (!s)
        return;
    s->daemon = NULL; /* it ends: what is read now is for nobody */
    knowledge_free(s->knowledge);
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
static bool parse_known(const char *job_id, int result, const struct buf *known,
                        const struct err *err, struct leftovers *ret)
{
    const char *why = err->text;

    if (result == -ENOENT)
        return false; /* the job is older than we are */
    if (result == 0 && known->len == 0)
        return true; /* it began empty */
    if (result == 0) {
        result = leftover_read(known->data, known->len, ret);
        why = "what was known is damaged";
    }
    if (result < 0)
        log_warning("survey_known_lost", "job", job_id, "error", why);
    return result == 0;
}

/* A knowledge_fn; ctx: struct surveys. */
static void on_known(uint64_t seq, int result, struct buf *known, const struct err *err, void *ctx)
{
    struct surveys *s = ctx;
    struct survey_io *io = io_find(s, seq);
    struct leftovers before = { 0 }, now = { 0 };
    CLEANUP(buf_done) struct buf words = { 0 };
    AUTO_FREE char *text = NULL;
    bool is_known;

    if (!s->daemon || !io || !io->weighed)
        return; /* it was given up meanwhile */
    io->weighed = false;
    is_known = parse_known(io->job_id, result, known, err, &before);
    (void)leftover_read(io->found.data, io->found.len, &now); /* as it was read before */
    leftover_describe(&now, is_known ? &before : NULL, s->daemon->mask, &words, &io->known);
    buf_done(&io->found);
    if (words.len > 0)
        text = mask_text(s->daemon->mask, buf_steal(&words));
    log_info("surveyed", "job", io->job_id, "entries", LOG_N(now.entries), "found", LOG_N(now.len),
             "wall_ms", LOG_N(io->wall_ms), "text", text);
    leftover_done(&before);
    leftover_done(&now);
    tell(s->daemon, seq, text);
}

int surveys_open(struct surveys *s, struct err *err)
{
    return knowledge_new(s->daemon->loop, on_known, s, &s->knowledge, err);
}

static const char *failure_of(const struct survey_io *io, const struct spawner_exit *e)
{
    struct leftovers now = { 0 };
    int r;

    if (e->failed_to_start)
        return e->error;
    if (e->stuck)
        return "it can't be ended";
    if (!WIFEXITED(e->status) || WEXITSTATUS(e->status) != 0)
        return e->oom ? "it needed more memory than it may use" : "it was ended, or ended badly";
    r = leftover_read(io->found.data, io->found.len, &now);
    leftover_done(&now);
    return r < 0 ? "what it wrote is damaged" : NULL;
}

void surveys_exited(struct surveys *s, uint64_t task, const struct spawner_exit *e)
{
    struct daemon *d = s->daemon;
    struct survey_io *io = io_find(s, task & ~survey_bit);
    const char *failure;

    if (!io)
        return;
    io->runs = false;
    io->wall_ms = e->wall_ms;
    if (io->settled) {
        io_free(s, io);
        return;
    }
    failure = failure_of(io, e);
    if (!failure && !knowledge_read(s->knowledge, d->settings.workspace_root, io->job_id, io->seq))
        failure = "the disk of the jobs' directories doesn't keep up";
    if (failure)
        tell_failure(d, io->seq, io->job_id, failure, e->stuck);
    else
        io->weighed = true;
}

void surveys_kill(struct surveys *s, uint64_t seq)
{
    struct survey_io *io = io_find(s, seq);

    if (io && io->runs) {
        spawner_kill(s->daemon->spawner, seq | survey_bit, 0);
    } else if (io && io->weighed) { /* a disk that hangs has all the time there is */
        io->weighed = false;
        tell_failure(s->daemon, seq, io->job_id,
                     "what was known of the job could not be read in time", false);
    }
}

void surveys_settle(struct surveys *s, uint64_t seq, bool keep)
{
    struct daemon *d = s->daemon;
    struct survey_io *io = io_find(s, seq);
    const struct task *t = core_task(d->core, seq);

    if (!io)
        return;
    if (!t || t->state == TASK_GONE) /* its lease was lost meanwhile: nobody has read the reply */
        keep = false;
    if (keep && io->known.len > 0 &&
        !knowledge_write(s->knowledge, d->settings.workspace_root, io->job_id, &io->known))
        log_warning("survey_known_lost", "job", io->job_id, "error",
                    "the disk of the jobs' directories doesn't keep up");
    io->weighed = false;
    surveys_kill(s, seq);
    io->settled = true;
    if (!io->runs)
        io_free(s, io);
}

bool surveys_concern(const struct surveys *s, const char *job_id)
{
    return knowledge_concerns(s->knowledge, job_id);
}
