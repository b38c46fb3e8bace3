/* The shell side of running tasks: from a message to a plan and a child, from its output and end to
 * events. What a task prints passes the mask here, before anyone stores or sends it. */
#include "main/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <uthash.h>

#include "main/policy.h"
#include "runner/capture.h"
#include "sandbox/plan.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "workspace/workspace.h"

struct attempt_io {
    uint64_t seq;
    struct attempts *owner;
    struct capture *capture;
    UT_hash_handle hh;
};

struct attempts {
    struct daemon *daemon;
    struct attempt_io *by_seq;
};

struct attempts *attempts_new(struct daemon *d)
{
    struct attempts *a = mem_new(struct attempts);

    a->daemon = d;
    return a;
}

static void io_free(struct attempts *a, struct attempt_io *io)
{
    HASH_DEL(a->by_seq, io);
    capture_free(io->capture);
    free(io);
}

void attempts_free(struct attempts *a)
{
    struct attempt_io *io, *next;

    if (!a)
        return;
    HASH_ITER (hh, a->by_seq, io, next)
        io_free(a, io);
    free(a);
}

static struct attempt_io *io_find(struct attempts *a, uint64_t seq)
{
    struct attempt_io *io = NULL;

    HASH_FIND(hh, a->by_seq, &seq, sizeof seq, io);
    return io;
}

static void fail_start(struct daemon *d, uint64_t seq, const char *why)
{
    const struct ending ending = { .failed_to_start = true, .start_error = why };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    log_error("task_start_failed", "error", why);
    wire_run(d, &ev);
}

/* What was stopped while its order waited for the disk. */
static void end_unstarted(struct daemon *d, uint64_t seq)
{
    const struct ending ending = { .failed_to_start = true, .stderr_tail = "" };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    wire_run(d, &ev);
}

/* The secrets of the runner, read anew for each attempt so that a rotated one counts. */
static int add_secrets(const struct daemon *d, struct strv *env, struct err *err)
{
    const struct settings *s = &d->settings;

    for (size_t i = 0; i < s->runner_secrets.len; i++) {
        const struct settings_pair *pair = &s->runner_secrets.items[i];
        CLEANUP_PTR(secret_free) struct secret *secret = NULL;
        AUTO_FREE char *assignment = NULL;
        int r = reload_secret(d, pair, &secret, err);

        if (r < 0)
            return r;
        assignment = mem_printf("%s=%s", pair->name, secret_text(secret));
        strv_add(env, assignment);
        secret_wipe(assignment, strlen(assignment));
    }
    return 0;
}

static int make_plan(const struct settings *s, const struct task *t,
                     const struct runner_start *start, struct plan **ret_plan, struct err *err)
{
    AUTO_FREE char *workspace = NULL, *home = NULL;
    struct plan_policy policy = policy_of(s);
    int r;

    policy.task_uid = policy.uid == 0 ? workspace_uid(t->job_id) : policy.uid;
    r = workspace_open(s->workspace_root, t->job_id, policy.task_uid, &workspace, &home, err);
    if (r < 0)
        return r;
    policy.workspace = workspace;
    policy.workspace_read_only = start->workspace_read_only;
    policy.home = home;
    policy.brief = start->brief;
    policy.argv = &start->argv;
    policy.env = &start->env;
    return plan_make(&policy, ret_plan, err);
}

static int start_attempt(struct attempts *a, const struct task *t, struct err *err)
{
    struct daemon *d = a->daemon;
    const struct runner *runner = runner_find(d->settings.runner_name);
    CLEANUP(runner_start_done) struct runner_start start = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    const struct runner_turn turn = { .task = t };
    struct attempt_io *io;
    int r;

    if (!runner)
        return err_set(err, -EINVAL, "there is no runner '%s'", d->settings.runner_name);
    r = runner->prepare(&d->settings, &turn, &start, err);
    if (r < 0)
        return r;
    r = add_secrets(d, &start.env, err);
    if (r < 0)
        return r;
    r = make_plan(&d->settings, t, &start, &plan, err);
    if (r < 0)
        return r;
    io = mem_new(struct attempt_io);
    io->seq = t->seq;
    io->owner = a;
    io->capture = capture_new(runner, &d->settings);
    HASH_ADD(hh, a->by_seq, seq, sizeof io->seq, io);
    spawner_start(d->spawner, t->seq, plan, start.input, start.input_len);
    return 0;
}

void attempts_spawn(struct attempts *a, uint64_t seq)
{
    const struct task *t = core_task(a->daemon->core, seq);
    struct err err = { 0 };

    /* an attempt's message stays in the core until the attempt has ended */
    if (!core_may_spawn(a->daemon->core, seq))
        end_unstarted(a->daemon, seq);
    else if (start_attempt(a, t, &err) < 0)
        fail_start(a->daemon, seq, err.text);
}

static void on_started(uint64_t seq, pid_t pid, void *ctx)
{
    struct attempts *a = ctx;
    const struct task *t = core_task(a->daemon->core, seq);
    const struct core_event ev = { .type = CORE_EV_STARTED, .seq = seq };

    log_info("task_started", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "attempt",
             LOG_N(t ? t->attempt : 0), "pid", LOG_N(pid));
    wire_run(a->daemon, &ev);
}

static void on_runner_event(const struct runner_event *runner_event, void *ctx)
{
    const struct attempt_io *io = ctx;
    const struct mask *mask = io->owner->daemon->mask;
    const struct progress *said = runner_event->progress;
    AUTO_FREE char *text = NULL;
    struct core_progress progress = { 0 };
    const struct core_event ev = { .type = CORE_EV_PROGRESS,
                                   .seq = io->seq,
                                   .progress = &progress };

    if (runner_event->type != RUNNER_PROGRESS || !said->text)
        return;
    text = runner_event->cut ? mask_text_cut(mask, mem_strdup(said->text))
                             : mask_text(mask, mem_strdup(said->text));
    progress.text = text;
    wire_run(io->owner->daemon, &ev);
}

static void on_output(uint64_t seq, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct attempts *a = ctx;
    struct attempt_io *io = io_find(a, seq);
    struct core_event ev = { .type = CORE_EV_OUTPUT, .seq = seq };
    bool overflow;

    if (!io)
        return;
    wire_run(a->daemon, &ev);
    overflow = stream == SPAWNER_STDOUT
                   ? capture_stdout(io->capture, bytes, len, on_runner_event, io)
                   : capture_stderr(io->capture, bytes, len);
    ev.type = CORE_EV_OVERFLOW;
    if (overflow)
        wire_run(a->daemon, &ev);
}

static void log_end(const struct daemon *d, uint64_t seq, const struct spawner_exit *e)
{
    const struct task *t = core_task(d->core, seq);
    char name[16];
    const char *job = t ? t->job_id : NULL, *id = t ? t->id : NULL;

    if (e->failed_to_start)
        log_warning("task_not_started", "job", job, "message", id, "error", e->error);
    else if (WIFSIGNALED(e->status))
        log_info("task_ended", "job", job, "message", id, "signal",
                 ending_signal_name(WTERMSIG(e->status), name), "wall_ms", LOG_N(e->wall_ms),
                 "cpu_ms", LOG_N(e->cpu_ms), "peak_rss", LOG_N(e->peak_rss_bytes));
    else
        log_info("task_ended", "job", job, "message", id, "status", LOG_N(WEXITSTATUS(e->status)),
                 "wall_ms", LOG_N(e->wall_ms), "cpu_ms", LOG_N(e->cpu_ms), "peak_rss",
                 LOG_N(e->peak_rss_bytes));
}

static void on_exited(uint64_t seq, const struct spawner_exit *e, void *ctx)
{
    struct attempts *a = ctx;
    struct attempt_io *io = io_find(a, seq);
    struct capture_result result = { 0 };
    struct ending ending = { .failed_to_start = e->failed_to_start,
                             .not_found = e->not_found,
                             .start_error = e->error,
                             .stuck = e->stuck,
                             .oom = e->oom,
                             .status = e->status };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    if (!io)
        return;
    log_end(a->daemon, seq, e);
    capture_finish(io->capture,
                   !e->failed_to_start && WIFEXITED(e->status) && WEXITSTATUS(e->status) == 0,
                   &result);
    io_free(a, io);
    result.result.text = result.result.dropped_bytes > 0
                             ? mask_text_cut(a->daemon->mask, result.result.text)
                             : mask_text(a->daemon->mask, result.result.text);
    result.stderr_tail = mask_text(a->daemon->mask, result.stderr_tail);
    ending.ok = result.result.ok;
    ending.text = result.result.text;
    ending.dropped_bytes = result.result.dropped_bytes;
    ending.stderr_tail = result.stderr_tail;
    wire_run(a->daemon, &ev);
    capture_result_done(&result);
}

static void on_gone(const char *why, void *ctx)
{
    struct attempts *a = ctx;

    log_error("spawner_gone", "error", why, "text",
              "the daemon ends too; what was running is run again at the next start");
    wire_stop(a->daemon, 75);
}

const struct spawner_ops attempts_ops = {
    .started = on_started,
    .output = on_output,
    .exited = on_exited,
    .gone = on_gone,
};
