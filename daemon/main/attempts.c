#include "main/attempts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "loop/loop.h"
#include "main/aftermath.h"
#include "main/daemon.h"
#include "main/downloads.h"
#include "main/exhibit.h"
#include "main/keyring.h"
#include "main/policy.h"
#include "main/provisions.h"
#include "main/reload.h"
#include "main/surveys.h"
#include "main/wire.h"
#include "runner/capture.h"
#include "sandbox/plan.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/strv.h"
#include "workspace/enclosed.h"
#include "workspace/outgoing.h"
#include "workspace/tenants.h"
#include "workspace/workspace.h"

enum {
    REFUSALS_TOLD = 5, /* in one reply */
    SWEEP_SOON_MS = 1000,
};

struct attempt_io {
    uint64_t seq;
    struct attempts *owner;
    const struct runner *runner; /* static */
    struct capture *capture;
    struct shelf_set *artifacts; /* held for it; NULL: none */
    struct buf refused;          /* sentences, a line each */
    size_t refusals;
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
    provisions_release(a->daemon->provisions, io->artifacts);
    buf_done(&io->refused);
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

/* What the message needs isn't to be had; why is a sentence for who sent it. */
static void fail_message(struct daemon *d, uint64_t seq, const char *why)
{
    const struct task *t = core_task(d->core, seq);
    AUTO_FREE char *text = mask_text(d->mask, mem_strdup(why));
    const struct ending ending = { .failed_to_start = true, .unfit = true, .start_error = text };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    log_warning("message_unfit", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "error",
                text);
    wire_run(d, &ev);
}

static void fail_start(struct daemon *d, uint64_t seq, const char *why)
{
    const struct ending ending = { .failed_to_start = true, .start_error = why };
    const struct core_event ev = { .type = CORE_EV_ENDED, .seq = seq, .ending = &ending };

    log_error("task_start_failed", "error", why);
    wire_run(d, &ev);
}

/* What was stopped while its order waited for the disk, or its files came. note: NULL for none. */
static void end_unstarted(struct daemon *d, uint64_t seq, const char *note)
{
    const struct ending ending = { .failed_to_start = true, .stderr_tail = "", .refused = note };
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
        if (runner_keeps(s, pair->name)) /* a broker has it */
            continue;
        assignment = mem_printf("%s=%s", pair->name, secret_text(secret));
        strv_add(env, assignment);
        secret_wipe(assignment, strlen(assignment));
    }
    return 0;
}

/* A bundle that is still to be sent. */
static bool is_unsent(uint64_t seq, void *ctx)
{
    const struct daemon *d = ctx;
    const struct task *t = core_task(d->core, seq);

    return t && t->unsent > 0;
}

static int empty_outbox(struct daemon *d, const struct task *t, uid_t uid, struct err *err)
{
    int r = outgoing_begin(d->settings.workspace_root, t->job_id, uid, is_unsent, d, err);

    if (r > 0)
        loop_timer_arm(d->sweep, SWEEP_SOON_MS);
    return r;
}

/* As the program sees it. */
static char *place_of_outbox(const struct daemon *d, const struct task *t)
{
    return d->ground.rung == PLAN_RUNG_BARE
               ? mem_printf("%s/%s/home/" OUTGOING_PLACE, d->settings.workspace_root, t->job_id)
               : mem_strdup(PLAN_HOME "/" OUTGOING_PLACE);
}

static int make_plan(struct daemon *d, const struct task *t, struct runner_start *start,
                     const struct exhibit *view, struct broker_list *brokers,
                     struct plan **ret_plan, struct err *err)
{
    const struct settings *s = &d->settings;
    AUTO_FREE char *workspace = NULL, *home = NULL, *attachments = NULL;
    CLEANUP(strv_done) struct strv read = { 0 };
    CLEANUP(strv_done) struct strv needs = { 0 };
    struct plan_policy policy = policy_of(s, &d->ground, &needs);
    int r;

    runner_brokers(s, brokers);
    policy.brokers = brokers;
    r = policy_read(s, &start->argv.items[0], &start->read, &read, err);
    if (r < 0)
        return r;
    policy.runner_read = &read;
    policy.task_uid = policy.uid;
    r = workspace_open(s->workspace_root, t->job_id, d->tenants, &policy.task_uid, &workspace,
                       &home, err);
    if (r == 0)
        r = empty_outbox(d, t, policy.task_uid, err);
    if (r < 0)
        return r;
    policy.tree_bytes = policy.disk_bytes; /* a job's directories are its own, and kept */
    policy.workspace = workspace;
    policy.workspace_read_only = start->workspace_read_only;
    policy.home = home;
    policy.attachments = attachments = enclosed_path(s->workspace_root, t->job_id);
    policy.brief = start->brief;
    policy.shown = view->shown;
    policy.shown_count = view->count;
    policy.stdout_file = start->stdout_file;
    policy.argv = &start->argv;
    policy.env = &start->env;
    return plan_make(&policy, ret_plan, err);
}

/* view: what it has of the set goes to the attempt's record. */
static int start_attempt(struct attempts *a, const struct task *t, const struct attached *attached,
                         const struct runner *runner, struct exhibit *view, struct err *err)
{
    struct daemon *d = a->daemon;
    CLEANUP(runner_start_done) struct runner_start start = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    AUTO_CLOSE int keys = -1;
    AUTO_FREE char *outbox = place_of_outbox(d, t);
    const struct runner_turn turn = { .task = t,
                                      .attached = attached,
                                      .session = core_session(d->core, t->seq),
                                      .has_mcp = view->has_mcp,
                                      .outbox = outbox };
    struct attempt_io *io;
    int r = runner->prepare(&d->settings, &turn, &start, err);

    if (r < 0)
        return r;
    strv_add(&start.env, "NAIRID_OUTBOX=" PLAN_HOME "/" OUTGOING_PLACE);
    r = add_secrets(d, &start.env, err);
    if (r < 0)
        return r;
    r = make_plan(d, t, &start, view, &brokers, &plan, err);
    if (r == 0)
        r = keyring_pack(&d->settings, &brokers, d->mask, &keys, err);
    if (r < 0)
        return r;
    io = mem_new(struct attempt_io);
    io->seq = t->seq;
    io->owner = a;
    io->runner = runner;
    io->artifacts = TAKE_PTR(view->set);
    io->capture = capture_new(runner, &d->settings, turn.session);
    HASH_ADD(hh, a->by_seq, seq, sizeof io->seq, io);
    spawner_start(d->spawner, t->seq, plan, TAKE_FD(keys), start.input, start.input_len);
    if (d->settings.sandbox_warm > 0)
        spawner_expect(d->spawner, tenants_next(d->tenants));
    return 0;
}

static int start_with_view(struct attempts *a, const struct task *t,
                           const struct attached *attached, struct err *err)
{
    const struct daemon *d = a->daemon;
    const struct runner *runner = runner_find(d->settings.runner_name);
    struct exhibit view;
    int r;

    if (!runner)
        return err_set(err, -EINVAL, "there is no runner '%s'", d->settings.runner_name);
    provisions_view(d->provisions, runner, &view);
    r = start_attempt(a, t, attached, runner, &view, err);
    provisions_release(d->provisions, TAKE_PTR(view.set)); /* where no attempt has it */
    exhibit_done(&view);
    return r;
}

static void start_or_fail(struct attempts *a, const struct task *t, const struct attached *attached)
{
    struct err err = { 0 };

    if (start_with_view(a, t, attached, &err) < 0)
        fail_start(a->daemon, t->seq, err.text);
}

/* The message is still in the core: its attempt has not ended. */
static void on_files(uint64_t seq, const struct attached *attached, const char *error, void *ctx)
{
    struct attempts *a = ctx;

    if (error)
        fail_message(a->daemon, seq, error);
    else
        start_or_fail(a, core_task(a->daemon->core, seq), attached);
}

static void fetch_files(struct attempts *a, const struct task *t, struct attached *attached)
{
    struct daemon *d = a->daemon;
    const struct core_event ev = { .type = CORE_EV_STARTED, .seq = t->seq };
    uint64_t seq = t->seq;
    struct err err = { 0 };

    if (!d->downloads)
        d->downloads = downloads_new(d, on_files, a);
    wire_run(d, &ev); /* from here on its time counts, and it isn't the program that is slow */
    if (downloads_start(d->downloads, core_task(d->core, seq), attached, &err) < 0)
        fail_start(d, seq, err.text);
}

void attempts_spawn(struct attempts *a, uint64_t seq)
{
    struct daemon *d = a->daemon;
    const struct task *t = core_task(d->core, seq);
    const struct runner *runner = runner_find(d->settings.runner_name);
    bool with_earlier = runner && runner->earlier && !core_session(d->core, seq);
    struct attached attached = { 0 };
    struct err err = { 0 };

    /* an attempt's message stays in the core until the attempt has ended */
    if (!core_may_spawn(d->core, seq))
        end_unstarted(d, seq, NULL);
    else if (provisions_hold(d->provisions, seq))
        return; /* until what is provided has come */
    else if (attached_parse(t->payload, with_earlier, &attached, &err) < 0)
        fail_message(d, seq, err.text);
    else if (attached.len > 0)
        fetch_files(a, t, &attached);
    else
        start_or_fail(a, t, NULL);
}

void attempts_kill(struct attempts *a, uint64_t seq, uint32_t grace_ms)
{
    struct daemon *d = a->daemon;

    if (provisions_let_go(d->provisions, seq))
        end_unstarted(d, seq, NULL);
    else if (d->downloads && downloads_cancel(d->downloads, seq))
        end_unstarted(d, seq, "it had not begun: the message's attachments had not all come");
    else
        spawner_kill(d->spawner, seq, grace_ms);
}

static void on_started(uint64_t seq, pid_t pid, void *ctx)
{
    struct attempts *a = ctx;
    const struct task *t = core_task(a->daemon->core, seq);
    const struct core_event ev = { .type = CORE_EV_STARTED, .seq = seq };
    const struct core_event life = { .type = CORE_EV_OUTPUT, .seq = seq };

    if (surveys_is_one(seq) || provisions_is_one(seq))
        return; /* its end says enough */
    log_info("task_started", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "attempt",
             LOG_N(t ? t->attempt : 0), "pid", LOG_N(pid));
    wire_run(a->daemon, &ev);
    wire_run(a->daemon, &life); /* if it had files to wait for, its silence begins here */
}

static void on_progress(const struct attempt_io *io, const struct runner_event *said)
{
    const struct mask *mask = io->owner->daemon->mask;
    struct progress progress = *said->progress;
    const char **const members[] = {
        &progress.text,   &progress.tool,    &progress.input,       &progress.status,
        &progress.output, &progress.summary, &progress.tool_use_id, &progress.parent_tool_use_id,
    };
    char *masked[ARRAY_SIZE(members)] = { NULL };
    const struct core_event ev = { .type = CORE_EV_PROGRESS,
                                   .seq = io->seq,
                                   .progress = &progress };

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (!*members[i])
            continue;
        masked[i] = said->cut ? mask_text_cut(mask, mem_strdup(*members[i]))
                              : mask_text(mask, mem_strdup(*members[i]));
        *members[i] = masked[i];
    }
    wire_run(io->owner->daemon, &ev);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        free(masked[i]);
}

static void on_session(const struct attempt_io *io, const char *session)
{
    /* a secret in its place would go to the journal: masked it is no session any more */
    AUTO_FREE char *masked = mask_text(io->owner->daemon->mask, mem_strdup(session));
    const struct core_event ev = {
        .type = CORE_EV_SESSION, .seq = io->seq, .session = masked, .runner = io->runner->name
    };

    wire_run(io->owner->daemon, &ev);
}

static void on_runner_event(const struct runner_event *said, void *ctx)
{
    const struct attempt_io *io = ctx;
    const struct core_event final = { .type = CORE_EV_FINAL, .seq = io->seq };

    switch (said->type) {
    case RUNNER_PROGRESS:
        on_progress(io, said);
        break;
    case RUNNER_SESSION:
        on_session(io, said->session);
        break;
    case RUNNER_FINAL:
        wire_run(io->owner->daemon, &final);
        break;
    }
}

static void on_output(uint64_t seq, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct attempts *a = ctx;
    struct attempt_io *io = io_find(a, seq);
    struct core_event ev = { .type = CORE_EV_OUTPUT, .seq = seq };
    bool overflow;

    if (surveys_is_one(seq)) {
        surveys_output(a->daemon->surveys, seq, bytes, len);
        return;
    }
    if (provisions_is_one(seq)) {
        if (stream == SPAWNER_STDOUT)
            provisions_output(a->daemon->provisions, bytes, len);
        return;
    }
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

/* Once a place and reason. A task that tries many gets the first few named in its reply. */
static void on_refused(uint64_t seq, const struct gateway_word *refusal, void *ctx)
{
    struct attempts *a = ctx;
    struct attempt_io *io = io_find(a, seq);
    const struct task *t = core_task(a->daemon->core, seq);
    char text[ERR_TEXT_MAX];

    if (!io)
        return;
    gateway_describe(refusal, text, sizeof text);
    log_warning("host_refused", "job", t ? t->job_id : NULL, "message", t ? t->id : NULL, "host",
                refusal->place, "text", text);
    if (io->refusals++ < REFUSALS_TOLD)
        buf_printf(&io->refused, "%s%s", io->refused.len > 0 ? "\n" : "", text);
    else if (io->refusals == REFUSALS_TOLD + 1)
        buf_append_str(&io->refused, "\nand more, which the daemon's log names");
}

static void on_exited(uint64_t seq, const struct spawner_exit *e, void *ctx)
{
    struct attempts *a = ctx;
    struct attempt_io *io = io_find(a, seq);
    CLEANUP_PTR(capture_free) struct capture *capture = NULL;
    AUTO_FREE char *refused = NULL;

    if (surveys_is_one(seq)) {
        surveys_exited(a->daemon->surveys, seq, e);
        return;
    }
    if (provisions_is_one(seq)) {
        provisions_exited(a->daemon->provisions, e);
        return;
    }
    if (!io)
        return;
    capture = TAKE_PTR(io->capture);
    refused = mask_text(a->daemon->mask, buf_steal(&io->refused));
    io_free(a, io); /* the end may start the message's next attempt */
    aftermath_tell(a->daemon, seq, e, capture, refused);
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
    .refused = on_refused,
    .exited = on_exited,
    .gone = on_gone,
};
