#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "egress/egress.h"
#include "loop/loop.h"
#include "main/args.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/explain.h"
#include "main/keyring.h"
#include "main/onlooker.h"
#include "main/policy.h"
#include "runner/runner.h"
#include "sandbox/plan.h"
#include "sandbox/rung.h"
#include "spawner/spawner.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"
#include "workspace/treewipe.h"
#include "workspace/workspace.h"

enum {
    TASK = 1,        /* there is one only */
    GRACE_MS = 5000, /* between the first signal and SIGKILL */
    END_MS = 3000,   /* for the spawner, once the task is gone */
    SCRATCH_ENTRIES_MAX = 1000000,
    WIPE_TRIES = 20,
    WIPE_MS = 100,        /* between two of them */
    EXIT_NOT_FOUND = 127, /* as a shell has it */
};

struct sandbox_args {
    struct args common; /* first: args_parse() reads it */
    const char *workspace;
    bool explain;
};

/* clang-format off */
static const struct options_row rows[] = {
    { .name = "profile", .type = OPTIONS_SETTING, .argument = "PROFILE", .key = "sandbox.profile",
      .help = "strict, agent or host" },
    { .name = "network", .type = OPTIONS_SETTING, .argument = "MODE",
      .key = "sandbox.network.mode", .help = "none, allowlist or host" },
    { .name = "allow", .type = OPTIONS_LIST, .argument = "HOST:PORT", .key = "sandbox.network.allow",
      .help = "a place to reach with allowlist; may be repeated" },
    { .name = "workspace", .type = OPTIONS_TEXT, .argument = "DIR",
      .offset = offsetof(struct sandbox_args, workspace),
      .help = "shown as " PLAN_WORKSPACE "; the current directory unless named" },
    { .name = "explain", .type = OPTIONS_SWITCH, .offset = offsetof(struct sandbox_args, explain),
      .help = "say what the sandbox is, and name what it refuses the command" },
};
/* clang-format on */

static const struct options_spec spec = {
    .verb = "sandbox",
    .usage = "[--profile PROFILE] [--network MODE] [--allow HOST:PORT]... [--workspace DIR]\n"
             "                      [--explain] [-- COMMAND...]",
    .summary =
        "Runs a command in a sandbox like a task's, with this terminal as its input and\n"
        "output. Only the workspace persists. With --explain, what the sandbox is comes first,\n"
        "and in the end the system calls that were refused; without a command then, what\n"
        "a task of the daemon would be given, and nothing is started.",
    .notes = "Exits with the command's status, 128 and the signal's number if one ended it,\n"
             "127 if it can't be executed, 78 if the sandbox can't be built.\n",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .base = &args_spec,
    .operands_max = SIZE_MAX,
    .stops_at_operand = true,
};

/* What to build on, and what lies beside the workspace. */
struct footing {
    struct plan_ground ground;
    char *scratch; /* made for this command; NULL: not needed */
};

struct session {
    struct loop *loop;
    struct spawner *spawner;
    struct onlooker *onlooker; /* NULL: nobody asked what is refused */
    int keys;                  /* of the plan's brokers, until it is started; -1: none */
    unsigned signals;          /* that came so far */
    int code;
};

/* ---- the plan ---- */

static int refuse_workspace(const char *path, const char *why)
{
    fprintf(stderr, "nairid sandbox: workspace '%s': %s\n", path, why);
    return EX_USAGE;
}

static int lose_workspace(const char *path, int error)
{
    struct err err = { 0 };

    if (err_set_machine(&err, error, "look at the workspace", path) == 0)
        return refuse_workspace(path, strerror(-error));
    fprintf(stderr, "nairid sandbox: %s\n", err.text);
    return exitcode_from_errno(error);
}

/* The current directory is taken unasked, so it had better not be where the keys are. */
static int find_workspace(const char *named, char **ret_path)
{
    AUTO_FREE char *path = realpath(named ? named : ".", NULL);
    int error = path ? 0 : -errno;
    AUTO_FREE char *home = realpath(getenv("HOME") ? getenv("HOME") : "/", NULL);
    struct stat st;

    if (!path)
        return lose_workspace(named ? named : ".", error);
    if (stat(path, &st) < 0)
        return lose_workspace(path, -errno);
    if (!S_ISDIR(st.st_mode))
        return refuse_workspace(path, "it is no directory");
    if (!named && home && strncmp(home, path, strlen(path)) == 0 &&
        (home[strlen(path)] == '/' || home[strlen(path)] == '\0' || strcmp(path, "/") == 0))
        return refuse_workspace(path,
                                "your home directory lies in it, with whatever keys are there: "
                                "go to a directory below, or name one with --workspace");
    *ret_path = TAKE_PTR(path);
    return EX_OK;
}

/* Where no namespace keeps a command and a job's tasks apart, either would end the other, or keep
 * it from starting, as all processes of a task's user end with it. */
static int check_apart(const struct settings *s, const struct plan_ground *ground,
                       const char *workspace)
{
    struct err err = { 0 };
    struct stat st;
    int r = workspace_is_jobs(workspace);

    if (ground->rung != PLAN_RUNG_BARE)
        return EX_OK;
    if (r == 0 && geteuid() == 0 && stat(workspace, &st) == 0 && st.st_uid != 0)
        r = workspace_has_uid(s->workspace_root, st.st_uid, &err);
    if (r == 0)
        return EX_OK;
    if (r < 0)
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
    return r < 0 ? exitcode_from_setting(r)
                 : refuse_workspace(workspace, "it is a job's, and without namespaces a command in "
                                               "it and the job's tasks would end each other: copy "
                                               "the files to a directory of another user");
}

/* As root the command runs as the directory's owner, or as a user that owns nothing and that no
 * other command has, which without namespaces would end with this one. */
static uid_t find_task_uid(const char *workspace)
{
    struct stat st;

    if (geteuid() != 0)
        return 0;
    if (stat(workspace, &st) == 0 && st.st_uid != 0)
        return st.st_uid; /* where that isn't possible, plan_make() says so */
    fprintf(stderr,
            "nairid sandbox: '%s' belongs to root, so the command can't write it; give the "
            "directory to another user to change that\n",
            workspace);
    return plan_lone_uid(getpid());
}

/* Those whose key we may read: the settings may be another user's. */
static int take_brokers(const struct settings *s, struct broker_list *brokers, int *ret_keys)
{
    CLEANUP(broker_done_all) struct broker_list all = { 0 };
    struct err err = { 0 };

    runner_brokers(s, &all);
    for (size_t i = 0; i < all.len; i++) {
        CLEANUP_PTR(secret_free) struct secret *key = NULL;

        if (keyring_load(s, &all.items[i], NULL, &key, &err) == 0)
            broker_add(brokers, &all.items[i]);
        else
            fprintf(stderr, "nairid sandbox: without the broker %s: %s\n", all.items[i].name,
                    err.text);
    }
    if (keyring_pack(s, brokers, NULL, ret_keys, &err) == 0)
        return EX_OK;
    fprintf(stderr, "nairid sandbox: %s\n", err.text);
    return exitcode_from_setting(err.code);
}

static int make_plan(const struct settings *s, const struct footing *footing, const char *workspace,
                     const struct options *o, struct plan **ret_plan, int *ret_keys)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 }, needs = { 0 };
    const char *term = getenv("TERM");
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    struct plan_policy policy = policy_of(s, &footing->ground, &needs);
    struct err err = { 0 };
    int code = EX_OK;

    if (policy.network != PLAN_NETWORK_HOST)
        code = take_brokers(s, &brokers, ret_keys);
    if (code != EX_OK)
        return code;
    policy.brokers = &brokers;

    policy.workspace = workspace;
    policy.argv = &argv;
    policy.env = &env;
    policy.task_uid = find_task_uid(workspace);
    policy.scratch = footing->scratch;
    if (footing->scratch && geteuid() == 0 &&
        chown(footing->scratch, policy.task_uid, policy.task_uid) < 0) {
        fprintf(stderr, "nairid sandbox: chown '%s': %s\n", footing->scratch, strerror(errno));
        return EX_CANTCREAT;
    }
    for (size_t i = 0; i < o->operand_count; i++)
        strv_add(&argv, o->operands[i]);
    if (term && isatty(STDOUT_FILENO)) {
        AUTO_FREE char *pair = mem_printf("TERM=%s", term);

        strv_add(&env, pair);
    }
    if (plan_make(&policy, ret_plan, &err) == 0)
        return EX_OK;
    fprintf(stderr, "nairid sandbox: %s\n", err.text);
    return exitcode_from_setting(err.code);
}

/* ---- running it ---- */

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    (void)task;
    (void)pid;
    (void)ctx; /* its output says enough */
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    (void)task;
    (void)stream;
    (void)bytes;
    (void)len;
    (void)ctx; /* never called: the task writes to our own descriptors */
}

static void on_refused(uint64_t task, const struct gateway_word *refusal, void *ctx)
{
    char text[ERR_TEXT_MAX];

    (void)task;
    (void)ctx;
    gateway_describe(refusal, text, sizeof text);
    fprintf(stderr, "nairid sandbox: %s\n", text);
}

/* NULL: not one of a sandbox whose workspace is nobody's job. */
static const char *const limit_keys[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = "memory",
    [LIMIT_CPU_TIME] = "cpu_time",
    [LIMIT_PIDS] = "pids",
};

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct session *session = ctx;

    (void)task;
    if (ended->failed_to_start) {
        fprintf(stderr, "nairid sandbox: %s\n", ended->error);
        session->code = ended->not_found ? EXIT_NOT_FOUND : exitcode_from_start(ended->failure);
    } else {
        session->code =
            WIFSIGNALED(ended->status) ? 128 + WTERMSIG(ended->status) : WEXITSTATUS(ended->status);
    }
    if (ended->egress_lost)
        fputs("nairid sandbox: it was ended because its proxy had died\n", stderr);
    if (ended->oom)
        fputs(
            "nairid sandbox: the kernel killed it for want of memory: see sandbox.limits.memory\n",
            stderr);
    else if (ended->limit < LIMIT_COUNT && limit_keys[ended->limit])
        fprintf(stderr, "nairid sandbox: it was killed at a limit: see sandbox.limits.%s\n",
                limit_keys[ended->limit]);
    if (ended->stuck)
        fputs("nairid sandbox: some process hangs in the kernel and could not be killed\n", stderr);
    loop_stop(session->loop);
}

static void on_gone(const char *why, void *ctx)
{
    struct session *session = ctx;

    fprintf(stderr, "nairid sandbox: %s\n", why);
    session->code = EX_TEMPFAIL;
    loop_stop(session->loop);
}

static void on_signal(struct loop_signal *watcher, int signo, void *ctx)
{
    struct session *session = ctx;

    (void)watcher; /* any of them */
    session->signals++;
    spawner_kill(session->spawner, TASK, session->signals > 1 || signo == SIGQUIT ? 0 : GRACE_MS);
}

static int run_in(struct session *session, const struct plan *plan)
{
    static const struct spawner_ops ops = {
        .started = on_started,
        .output = on_output,
        .refused = on_refused,
        .exited = on_exited,
        .gone = on_gone,
    };
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    static const int stdio[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
    struct loop_signal *watchers[ARRAY_SIZE(signals)];
    struct err err = { 0 };

    if (session->onlooker)
        onlooker_attach(session->onlooker, session->loop);
    if (spawner_attach(session->spawner, session->loop, &ops, session, &err) < 0) {
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
        return EX_SOFTWARE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        watchers[i] = loop_signal_new(session->loop, signals[i], on_signal, session);
    spawner_start_with(session->spawner, TASK, plan, TAKE_FD(session->keys), stdio);
    loop_run(session->loop);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        loop_signal_free(watchers[i]);
    return session->code;
}

static int fork_spawner(struct session *session, const struct plan_ground *ground,
                        const struct plan *plan, bool explain, struct err *err)
{
    int r;

    if (!explain)
        return spawner_fork(ground, -1, egress_run, &session->spawner, err);
    r = onlooker_new(plan->calls, &session->onlooker, err);
    return r < 0 ? r
                 : spawner_fork_watching(ground, onlooker_sock(session->onlooker), egress_run,
                                         &session->spawner, err);
}

static int run_session(struct session *session, const struct plan_ground *ground,
                       const struct plan *plan, bool explain)
{
    struct err err = { 0 };
    int code;

    if (fork_spawner(session, ground, plan, explain, &err) < 0) {
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
        return exitcode_from_start(err.code);
    }
    if (loop_new(&session->loop, &err) < 0) {
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
        spawner_free(session->spawner, 0);
        return EX_SOFTWARE;
    }
    code = run_in(session, plan);
    spawner_free(session->spawner, END_MS);
    return code;
}

static int run(const struct plan_ground *ground, const struct plan *plan, int keys, bool explain)
{
    struct session session = { .keys = keys };
    struct termios before;
    bool has_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    int code = run_session(&session, ground, plan, explain);

    if (has_terminal)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before); /* whatever the command left */
    if (session.onlooker && session.loop)
        onlooker_tell(session.onlooker);
    onlooker_free(session.onlooker);
    if (session.keys >= 0)
        (void)close(session.keys); /* nothing was started */
    loop_free(session.loop);
    return code;
}

/* What the command writes comes after it. */
static void say_plan(const struct plan *plan)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    plan_explain(plan, &b);
    fputs(buf_str(&b), stdout);
    (void)fflush(stdout); /* where that fails, so will the command */
}

/* A directory as standard input would be a way out of the sandbox's file system. */
static int check_stdio(void)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat st;

        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
            fprintf(stderr,
                    "nairid sandbox: descriptor %d is a directory, which the command would "
                    "see from inside\n",
                    fd);
            return EX_USAGE;
        }
    }
    return EX_OK;
}

/* Only where the operator does without some wall: else what is missing shows when it is built. */
static int find_ground(const struct settings *s, struct plan_ground *ret_ground)
{
    struct rung rung;
    struct err err = { 0 };

    *ret_ground = (struct plan_ground){ 0 };
    if (s->sandbox_accept.len == 0)
        return EX_OK;
    rung_probe(geteuid(), geteuid() == 0 ? plan_lone_uid(getpid()) : geteuid(), &rung);
    if (rung_check(&rung, &s->sandbox_accept, ret_ground, &err) == 0)
        return EX_OK;
    fprintf(stderr, "nairid sandbox: %s\n", err.text);
    return exitcode_from_start(err.code);
}

static int find_footing(const struct settings *s, struct footing *ret_footing)
{
    const char *tmp = getenv("TMPDIR");
    int code = find_ground(s, &ret_footing->ground);

    ret_footing->scratch = NULL;
    if (code != EX_OK || ret_footing->ground.rung != PLAN_RUNG_BARE)
        return code;
    ret_footing->scratch = mem_printf("%s/nairid-sandbox-XXXXXX", str_is_empty(tmp) ? "/tmp" : tmp);
    if (mkdtemp(ret_footing->scratch))
        return EX_OK;
    fprintf(stderr, "nairid sandbox: make '%s': %s\n", ret_footing->scratch, strerror(errno));
    free(TAKE_PTR(ret_footing->scratch));
    return EX_CANTCREAT;
}

static void footing_done(struct footing *footing)
{
    const char *name = footing->scratch ? strrchr(footing->scratch, '/') + 1 : NULL;
    AUTO_FREE char *parent =
        name ? mem_strndup(footing->scratch, (size_t)(name - footing->scratch)) : NULL;
    AUTO_CLOSE int fd = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    size_t budget = SCRATCH_ENTRIES_MAX;

    /* its process 1 has emptied it, unless it was killed, or does so just now as the spawner was */
    for (int i = 0; fd >= 0 && i < WIPE_TRIES; i++) {
        if (treewipe(fd, name, &budget, NULL) == 0 || access(footing->scratch, F_OK) < 0)
            break;
        (void)poll(NULL, 0, WIPE_MS);
    }
    free(footing->scratch);
}

static int say_task(const struct settings *s)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct plan_ground ground;
    struct err err = { 0 };
    int code = find_ground(s, &ground);

    if (code != EX_OK)
        return code;
    if (explain_task(s, &ground, &b, &err) < 0) {
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
        return exitcode_from_setting(err.code);
    }
    fputs(buf_str(&b), stdout);
    return EX_OK;
}

static int with_settings(const struct sandbox_args *args, const struct options *o,
                         const struct settings *s)
{
    AUTO_FREE char *workspace = NULL;
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    CLEANUP(footing_done) struct footing footing = { 0 };
    AUTO_CLOSE int keys = -1;
    struct err err = { 0 };
    int code;

    if (policy_check(s, &err) < 0) {
        fprintf(stderr, "nairid sandbox: %s\n", err.text);
        return exitcode_from_setting(err.code);
    }
    if (o->operand_count == 0)
        return say_task(s);
    code = check_stdio();
    if (code == EX_OK)
        code = find_workspace(args->workspace, &workspace);
    if (code == EX_OK)
        code = find_footing(s, &footing);
    if (code == EX_OK)
        code = check_apart(s, &footing.ground, workspace);
    if (code == EX_OK)
        code = make_plan(s, &footing, workspace, o, &plan, &keys);
    if (code != EX_OK)
        return code;
    if (args->explain)
        say_plan(plan);
    return run(&footing.ground, plan, TAKE_FD(keys), args->explain);
}

int cmd_sandbox(int argc, char **argv)
{
    struct sandbox_args args = { 0 };
    struct options options;
    struct settings settings;
    int code;

    (void)prctl(PR_SET_DUMPABLE, 0); /* as the daemon: without namespaces the command sees us */
    if (!args_parse(&spec, argc, argv, &args.common, &options, &code))
        return code;
    if (options.operand_count > 0 || args.explain)
        code = args_load(&args.common, &options, &settings);
    else
        code = options_refuse(&spec, "a command is missing");
    if (code == EX_OK) {
        code = with_settings(&args, &options, &settings);
        settings_done(&settings);
    }
    options_done(&options);
    return code;
}
