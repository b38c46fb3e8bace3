#include "main/wire.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/control.h"
#include "core/turn.h"
#include "loop/loop.h"
#include "main/attempts.h"
#include "main/daemon.h"
#include "main/exitcode.h"
#include "main/notify.h"
#include "main/posts.h"
#include "main/provisions.h"
#include "main/pushes.h"
#include "main/reload.h"
#include "main/surveys.h"
#include "main/uploads.h"
#include "spawner/spawner.h"
#include "store/store.h"
#include "upstream/upstream.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/log.h"
#include "util/random.h"
#include "util/str.h"
#include "workspace/tenants.h"
#include "workspace/workspace.h"

enum {
    START_LIMIT_MS = 60 * 1000, /* without a good answer from the server: exit 69 */
    SWEEP_MS = 60 * 60 * 1000,
    SWEEP_AGAIN_MS = 1000,
    SWEEP_ENTRIES = 500 /* removed in one go, so that the loop goes on: some 40 ms of it, and 3 ms
                         * for each 1000 jobs that are looked at */
};

static enum core_realtime realtime_of(const char *word)
{
    return str_eq(word, "on")    ? CORE_REALTIME_ON
           : str_eq(word, "off") ? CORE_REALTIME_OFF
                                 : CORE_REALTIME_AUTO;
}

struct core_options wire_options(const struct daemon *d)
{
    const struct settings *s = &d->settings;

    return (struct core_options){
        .max_concurrency = s->max_concurrency,
        .max_queued = s->max_queued,
        .max_attempts = s->task_max_attempts,
        .poll_ms = s->server_poll_ms,
        .poll_interval_ms = s->server_poll_interval_ms,
        .realtime = realtime_of(s->server_realtime),
        .start_limit_ms = START_LIMIT_MS,
        .drain_timeout_ms = s->drain_timeout_ms,
        .task_timeout_ms = s->task_timeout_ms,
        .task_idle_timeout_ms = s->task_idle_timeout_ms,
        .output_limit_bytes = s->task_output_limit_bytes,
        .reply_limit_bytes = s->task_reply_limit_bytes,
        .memory_bytes = s->sandbox_limits_memory_bytes,
        .disk_bytes = s->sandbox_limits_disk_bytes,
        .cpu_time_ms = s->sandbox_limits_cpu_time_ms,
        .pids = s->sandbox_limits_pids,
        .files = s->sandbox_limits_files,
        .survey = true,
        .job_idle_ms = s->job_idle_ms,
        .journal_retention_s = s->journal_retention_s,
        .workspace_retention_s = s->workspace_retention_s,
        .runner = s->runner_name,
        .program = d->program,
    };
}

static void store_session(struct daemon *d, const struct core_command *command)
{
    if (command->session)
        store_batch_session(d->batch, command->job_id, command->runner, command->session,
                            command->wall_ms);
    else
        store_batch_forget_session(d->batch, command->job_id);
}

/* Into the batch at once: the task is only valid until the next event. */
static void store_command(struct daemon *d, const struct core_command *command)
{
    switch (command->type) {
    case CORE_CMD_INSERT:
        store_batch_insert(d->batch, command->task);
        break;
    case CORE_CMD_UPDATE:
        store_batch_update(d->batch, command->task);
        break;
    case CORE_CMD_DELETE:
        store_batch_delete(d->batch, command->task->id);
        break;
    case CORE_CMD_PURGE:
        store_batch_purge(d->batch, command->wall_ms);
        break;
    case CORE_CMD_SESSION:
        store_session(d, command);
        break;
    case CORE_CMD_JOB:
        store_batch_job(d->batch, command->job_id, command->fence, command->wall_ms,
                        command->leaving);
        break;
    case CORE_CMD_FORGET_JOB:
        store_batch_forget_job(d->batch, command->job_id);
        break;
    case CORE_CMD_COMPLETE:
    case CORE_CMD_SPAWN:
    case CORE_CMD_KILL:
    case CORE_CMD_SURVEY:
    case CORE_CMD_SETTLE:
    case CORE_CMD_GATHER:
    case CORE_CMD_DISCARD:
    case CORE_CMD_POLL:
    case CORE_CMD_POLL_CANCEL:
    case CORE_CMD_CHANNEL:
    case CORE_CMD_SEND:
    case CORE_CMD_SEND_CANCEL:
    case CORE_CMD_ANSWER:
    case CORE_CMD_READY:
    case CORE_CMD_NOTE:
    case CORE_CMD_EXIT:
        break;
    }
}

void wire_run(struct daemon *d, const struct core_event *ev)
{
    struct core_commands commands = { 0 };
    const struct core_now now = { .mono_ms = loop_now_ms(d->loop),
                                  .wall_ms = clock_wall_ms(),
                                  .entropy = random_u32() };

    core_handle(d->core, ev, &now, &commands);
    for (size_t i = 0; i < commands.len; i++) {
        store_command(d, &commands.items[i]);
        turn_add(d->turn, &commands.items[i]);
    }
    core_commands_done(&commands);
}

static void log_note(const struct daemon *d, const struct core_command *command)
{
    const struct task *t = core_task(d->core, command->seq);

    log_event((enum log_level)command->level, command->name, "job", t ? t->job_id : NULL, "message",
              t ? t->id : NULL, "text", command->text, (char *)NULL);
}

static void act(struct daemon *d, const struct core_command *command)
{
    switch (command->type) {
    case CORE_CMD_SPAWN:
        attempts_spawn(d->attempts, command->seq);
        break;
    case CORE_CMD_KILL:
        attempts_kill(d->attempts, command->seq, command->grace_ms);
        surveys_kill(d->surveys, command->seq);
        break;
    case CORE_CMD_SURVEY:
        surveys_start(d->surveys, command->seq);
        break;
    case CORE_CMD_SETTLE:
        surveys_settle(d->surveys, command->seq, command->keep);
        break;
    case CORE_CMD_GATHER:
        uploads_gather(d->uploads, command->seq);
        break;
    case CORE_CMD_DISCARD:
        uploads_discard(d->uploads, command->seq);
        break;
    case CORE_CMD_POLL:
        posts_poll(d->posts, command->seq, command->wait_ms);
        break;
    case CORE_CMD_POLL_CANCEL:
        upstream_poll_cancel(d->upstream);
        break;
    case CORE_CMD_CHANNEL:
        pushes_want(d->pushes, command->open);
        break;
    case CORE_CMD_SEND:
        posts_send(d->posts, command->seq, command->post);
        break;
    case CORE_CMD_SEND_CANCEL:
        posts_send_cancel(d->posts, command->seq);
        break;
    case CORE_CMD_ANSWER:
        control_answer(d->control, command->asker);
        break;
    case CORE_CMD_COMPLETE:
        posts_complete(d->posts, command->seq);
        break;
    case CORE_CMD_READY:
        log_notice("ready", "url", d->settings.server_url, "agent", d->settings.agent_id);
        notify_ready(d->settings.server_url);
        provisions_ask(d->provisions);
        break;
    case CORE_CMD_NOTE:
        log_note(d, command);
        break;
    case CORE_CMD_EXIT:
        d->exit_code = command->code;
        pushes_stop_loop(d->pushes);
        break;
    case CORE_CMD_INSERT:
    case CORE_CMD_UPDATE:
    case CORE_CMD_DELETE:
    case CORE_CMD_PURGE:
    case CORE_CMD_SESSION:
    case CORE_CMD_JOB:
    case CORE_CMD_FORGET_JOB:
        break;
    }
}

/* Store, then act: what a command's carrying out tells the core becomes part of this same turn. */
void wire_flush(struct daemon *d)
{
    struct core_command command;
    uint64_t now, deadline;
    bool acted;

    do {
        acted = false;
        if (turn_end(d->turn)) {
            store_submit(d->store, d->batch, ++d->batch_id);
            d->batch = store_batch_new();
        }
        while (turn_take(d->turn, &command)) {
            act(d, &command);
            acted = true;
        }
    } while (acted);
    now = loop_now_ms(d->loop);
    deadline = core_deadline(d->core);
    if (deadline == UINT64_MAX)
        loop_timer_stop(d->tick);
    else
        loop_timer_arm(d->tick, deadline > now ? deadline - now : 0);
}

void wire_stop(struct daemon *d, int exit_code)
{
    d->exit_code = exit_code;
    loop_stop(d->loop);
}

static void on_committed(uint64_t batch_id, int result, const struct err *err, void *ctx)
{
    struct daemon *d = ctx;

    (void)batch_id; /* batches commit in order, one at a time */
    if (result < 0) {
        log_error("commit_failed", "error", err->text, "text",
                  "nothing of this turn was carried out; the daemon ends and starts over from "
                  "what is on disk");
        wire_stop(d, EX_TEMPFAIL);
        return;
    }
    turn_committed(d->turn);
}

static void on_room(bool tight, void *ctx)
{
    const struct core_event ev = { .type = CORE_EV_ROOM, .tight = tight };

    wire_run(ctx, &ev);
}

static void on_turn_end(struct loop_turn *turn, void *ctx)
{
    (void)turn; /* permanent */
    wire_flush(ctx);
}

static void on_tick(struct loop_timer *timer, void *ctx)
{
    const struct core_event ev = { .type = CORE_EV_TICK };

    (void)timer; /* armed again at the end of the turn */
    wire_run(ctx, &ev);
}

/* As process 1 of a container we inherit orphans; the spawner is not among them. */
static void reap_orphans(const struct daemon *d)
{
    siginfo_t info;

    if (getpid() != 1)
        return;
    for (;;) {
        memset(&info, 0, sizeof info);
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
            info.si_pid == spawner_pid(d->spawner))
            return;
        (void)waitpid(info.si_pid, NULL, WNOHANG); /* its status means nothing to us */
    }
}

static void on_signal(struct loop_signal *watcher, int signo, void *ctx)
{
    struct daemon *d = ctx;
    const struct core_event term = { .type = CORE_EV_TERM }, quit = { .type = CORE_EV_QUIT };

    (void)watcher; /* permanent */
    if (signo == SIGCHLD) {
        reap_orphans(d);
        return;
    }
    log_notice("signal", "name", sigabbrev_np(signo));
    if (signo == SIGHUP) {
        reload(d);
        return;
    }
    notify_stopping();
    spawner_warm(d->spawner, 0);
    wire_run(d, signo == SIGQUIT ? &quit : &term);
}

static int keep_workspace(const char *job_id, void *ctx)
{
    const struct daemon *d = ctx;

    return core_has_job(d->core, job_id) || surveys_concern(d->surveys, job_id);
}

static void on_sweep(struct loop_timer *timer, void *ctx)
{
    struct daemon *d = ctx;
    struct err err = { 0 };
    int r = workspace_sweep(d->settings.workspace_root, d->settings.workspace_retention_s,
                            clock_wall_ms(), keep_workspace, d, SWEEP_ENTRIES, &err);

    tenants_forget(d->tenants); /* whose uids may be others' now */
    if (r < 0)
        log_warning("sweep_failed", "error", err.text);
    loop_timer_arm(timer, r > 0 ? SWEEP_AGAIN_MS : SWEEP_MS);
}

static int start_signals(struct daemon *d)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD };

    static_assert(ARRAY_SIZE(signals) <= ARRAY_SIZE(d->signals), "room for each");
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        d->signals[i] = loop_signal_new(d->loop, signals[i], on_signal, d);
    /* a write past a limit on the size of files then fails with a sentence and doesn't kill us */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return -errno;
    return 0;
}

int wire_start(struct daemon *d, struct err *err)
{
    const struct core_event start = { .type = CORE_EV_START };
    int r = store_start(d->store, d->loop, on_committed, d, err);

    if (r == 0)
        r = surveys_open(d->surveys, err);
    if (r < 0)
        return r;
    r = start_signals(d);
    if (r < 0)
        return err_set(err, r, "ignore SIGPIPE and SIGXFSZ: %s", strerror(-r));
    d->batch = store_batch_new();
    d->tick = loop_timer_new(d->loop, on_tick, d);
    d->sweep = loop_timer_new(d->loop, on_sweep, d);
    loop_timer_arm(d->sweep, SWEEP_AGAIN_MS);
    d->turn_end = loop_turn_new(d->loop, on_turn_end, d);
    d->started_ms = loop_now_ms(d->loop);
    r = provisions_start(d->provisions, err);
    if (r < 0)
        return r;
    wire_run(d, &start);
    store_watch_room(d->store, on_room, d);
    return 0;
}

void wire_done(struct daemon *d)
{
    for (size_t i = 0; i < ARRAY_SIZE(d->signals); i++)
        loop_signal_free(d->signals[i]);
    loop_timer_free(d->tick);
    loop_timer_free(d->sweep);
    loop_turn_free(d->turn_end);
    store_batch_free(d->batch);
}
