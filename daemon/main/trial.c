#include "main/trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "egress/egress.h"
#include "loop/loop.h"
#include "main/exitcode.h"
#include "main/policy.h"
#include "runner/runner.h"
#include "settings/settings.h"
#include "spawner/spawner.h"
#include "util/buf.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"
#include "util/utf8.h"

enum {
    TASK = 1,
    TIMEOUT_MS = 20 * 1000,
    END_MS = 5000,
    NOT_FOUND = 3, /* how the probe says it */
    NO_VERSION = 4,
};

#define NAME_BEGIN "nairid-trial-"

/* Looks its first argument up as execvp(3) would; asks it for its version if there is a second. */
#define PROBE                                                                                      \
    "command -v -- \"$1\" >/dev/null || exit 3; test -z \"$2\" || \"$1\" \"$2\" 2>&1 || exit 4"

struct session {
    struct trial *trial;
    struct loop *loop;
    struct spawner *spawner;
    struct loop_timer *timeout;
    struct buf said;
};

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    (void)task;
    (void)pid;
    (void)ctx; /* its end says enough */
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct session *session = ctx;
    size_t room = TRIAL_SAID_MAX - session->said.len;

    (void)task;
    if (stream == SPAWNER_STDOUT)
        buf_append(&session->said, bytes, len < room ? len : room);
}

/* The first line of what the program said about itself. */
static void keep_said(struct session *session)
{
    CLEANUP(buf_done) struct buf clean = { 0 };
    size_t len;

    utf8_clean(&clean, buf_str(&session->said), session->said.len);
    len = utf8_cut(buf_str(&clean), strcspn(buf_str(&clean), "\n"), TRIAL_SAID_MAX);
    (void)snprintf(session->trial->said, sizeof session->trial->said, "%.*s", (int)len,
                   buf_str(&clean));
}

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct session *session = ctx;
    struct trial *t = session->trial;
    bool exited = !ended->failed_to_start && WIFEXITED(ended->status);
    int status = exited ? WEXITSTATUS(ended->status) : -1;

    (void)task;
    t->wall_ms = ended->wall_ms;
    t->sandbox_works = status == 0 || status == NOT_FOUND || status == NO_VERSION;
    t->program_found = status == 0 || status == NO_VERSION;
    t->program_works = status == 0;
    keep_said(session);
    if (ended->failed_to_start)
        (void)err_set(&t->err, ended->failure, "%s", ended->error);
    else if (!t->sandbox_works) /* the kernel kills so for want of memory, we if its egress dies */
        (void)err_set(&t->err, ended->status == SIGKILL ? -ECHILD : -EPERM,
                      "a shell in the sandbox ended with wait status 0x%04x",
                      (unsigned)ended->status);
    loop_stop(session->loop);
}

static void on_gone(const char *why, void *ctx)
{
    struct session *session = ctx;

    (void)err_set(&session->trial->err, -EPIPE, "%s", why);
    loop_stop(session->loop);
}

static void on_timeout(struct loop_timer *timer, void *ctx)
{
    struct session *session = ctx;

    (void)timer;
    (void)err_set(&session->trial->err, -ETIMEDOUT, "a shell in the sandbox didn't end in %d s",
                  TIMEOUT_MS / 1000);
    loop_stop(session->loop);
}

static int start(struct session *session, const struct plan_ground *ground, const struct plan *plan,
                 struct err *err)
{
    static const struct spawner_ops ops = {
        .started = on_started, .output = on_output, .exited = on_exited, .gone = on_gone
    };
    int r = spawner_fork(ground, -1, egress_run, &session->spawner, err);

    if (r == 0)
        r = loop_new(&session->loop, err);
    if (r == 0)
        r = spawner_attach(session->spawner, session->loop, &ops, session, err);
    if (r < 0)
        return r;
    if (spawner_unlimited(session->spawner))
        (void)snprintf(session->trial->unlimited, sizeof session->trial->unlimited, "%s",
                       spawner_unlimited(session->spawner));
    session->timeout = loop_timer_new(session->loop, on_timeout, session);
    loop_timer_arm(session->timeout, TIMEOUT_MS);
    spawner_start(session->spawner, TASK, plan, -1, "", 0);
    loop_run(session->loop);
    return 0;
}

static int make_plan(const struct settings *s, const struct plan_ground *ground,
                     const struct trial *t, const char *version_option, const char *workspace,
                     struct plan **ret_plan, struct err *err)
{
    const char *const words[] = { "/bin/sh", "-c", PROBE, "sh" };
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 }, read = { 0 }, program = { 0 };
    CLEANUP(strv_done) struct strv needs = { 0 };
    struct plan_policy policy = policy_of(s, ground, &needs);
    int r;

    strv_add(&program, t->program ? t->program : "sh");
    r = policy_read(s, &program.items[0], NULL, &read, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        strv_add(&argv, words[i]);
    strv_add(&argv, program.items[0]);
    strv_add(&argv, version_option ? version_option : "");
    policy.runner_read = &read;
    policy.workspace = policy.scratch = workspace; /* nothing is left there either way */
    policy.argv = &argv;
    policy.env = &env;
    policy.task_uid = policy.uid == 0 ? plan_lone_uid(getpid()) : policy.uid;
    if (policy.uid == 0 && chown(workspace, policy.task_uid, policy.task_uid) < 0)
        return err_set(err, -errno, "chown '%s': %s", workspace, strerror(errno));
    return plan_make(&policy, ret_plan, err);
}

static bool is_own(const char *program)
{
    return program && program[0] != '/' && strchr(program, '/');
}

void trial_run(const struct settings *s, const struct plan_ground *ground, const char *dir,
               const char *version_option, struct trial *ret_trial)
{
    AUTO_FREE char *workspace = mem_printf("%s/" NAME_BEGIN "XXXXXX", dir);
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct session session = { .trial = ret_trial };

    *ret_trial =
        (struct trial){ .program = policy_program(s), .program_is_own = is_own(policy_program(s)) };
    if (!mkdtemp(workspace)) {
        (void)err_set(&ret_trial->err, -errno, "make '%s': %s", workspace, strerror(errno));
        return;
    }
    if (make_plan(s, ground, ret_trial, version_option, workspace, &plan, &ret_trial->err) == 0)
        (void)start(&session, ground, plan, &ret_trial->err); /* err says it */
    loop_timer_free(session.timeout);
    spawner_free(session.spawner, END_MS);
    loop_free(session.loop);
    buf_done(&session.said);
    (void)rmdir(workspace); /* the probe wrote nothing */
}

void trial_tidy(const char *dir)
{
    DIR *listing = opendir(dir);
    const struct dirent *entry;

    while (listing && (entry = readdir(listing)))
        if (str_starts_with(entry->d_name, NAME_BEGIN))
            (void)unlinkat(dirfd(listing), entry->d_name, AT_REMOVEDIR); /* else the next time */
    if (listing)
        (void)closedir(listing); /* it was only read */
}

int trial_verdict(const struct settings *s, const struct trial *t, struct err *err)
{
    if (!t->sandbox_works)
        return err_set(err, t->err.code, "no task can run: %s", t->err.text);
    if (t->program && !t->program_found && !t->program_is_own)
        return policy_program_missing(s, err);
    return 0;
}

int trial_exitcode(const struct trial *t)
{
    /* where the sandbox works, it is the program that is missing */
    return t->sandbox_works ? EX_CONFIG : exitcode_from_start(t->err.code);
}
