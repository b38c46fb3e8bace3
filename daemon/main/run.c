/* nairid run: puts the daemon together, runs it, takes it apart. */
#include "main/daemon.h"
#include "main/downloads.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"
#include "core/core.h"
#include "core/turn.h"
#include "egress/egress.h"
#include "loop/loop.h"
#include "main/admin.h"
#include "main/attempts.h"
#include "main/census.h"
#include "main/cmd.h"
#include "main/envwatch.h"
#include "main/exitcode.h"
#include "main/joblog.h"
#include "main/machine.h"
#include "main/policy.h"
#include "main/posts.h"
#include "main/provisions.h"
#include "main/pushes.h"
#include "main/reload.h"
#include "main/surveys.h"
#include "main/takeover.h"
#include "main/trial.h"
#include "main/uploads.h"
#include "main/wire.h"
#include "net/http.h"
#include "runner/runner.h"
#include "sandbox/confine.h"
#include "sandbox/rung.h"
#include "settings/envfile.h"
#include "spawner/spawner.h"
#include "store/store.h"
#include "upstream/upstream.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/log.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/strv.h"
#include "workspace/tenants.h"
#include "workspace/workspace.h"

enum {
    SPAWNER_WAIT_MS = 5000,
    CONNECT_MS = 10 * 1000, /* for a connection to stand, at most */
};

static const struct options_spec spec = {
    .verb = "run",
    .usage = "[-c FILE] [--state DIR] [--set KEY=VALUE]",
    .summary = "Runs the daemon in the foreground; logs to standard error.\n"
               "TERM or INT drains, a second one stops at once, HUP reads the settings anew.",
    .base = &args_spec,
};

static void restore_row(struct task *t, void *ctx)
{
    struct daemon *d = ctx;

    core_restore(d->core, t);
}

static void restore_tombstone(const char *id, int64_t acked_ms, void *ctx)
{
    struct daemon *d = ctx;

    core_restore_tombstone(d->core, id, acked_ms);
}

static void restore_session(const char *job_id, const char *runner, const char *session,
                            int64_t updated_ms, void *ctx)
{
    struct daemon *d = ctx;

    core_restore_session(d->core, job_id, runner, session, updated_ms);
}

static void restore_job(const char *job_id, uint64_t fence, int64_t used_ms, bool leaving,
                        void *ctx)
{
    struct daemon *d = ctx;

    core_restore_job(d->core, job_id, fence, used_ms, leaving);
}

/* Fail closed: a wall that the machine can't give stops the start by its name. */
static int check_walls(struct daemon *d, const struct settings *s, struct err *err)
{
    uid_t uid = geteuid();
    struct rung rung;
    int r = uid == 0 ? census_check("/etc", err) : 0;

    if (r < 0)
        return exitcode_from_setting(r);
    rung_probe(uid, uid == 0 ? plan_lone_uid(getpid()) : uid, &rung);
    r = rung_check(&rung, &s->sandbox_accept, &d->ground, err);
    if (r < 0)
        return exitcode_from_start(r);
    for (enum rung_wall wall = 0; wall < RUNG_WALL_COUNT; wall++)
        if (rung.walls[wall].state == RUNG_WEAKER || rung.walls[wall].state == RUNG_MISSING)
            log_warning("weak_wall", "wall", rung_wall_name(wall), "text",
                        rung.walls[wall].state == RUNG_WEAKER ? rung.walls[wall].text
                                                              : rung_loss(wall));
    return EX_OK;
}

/* A copied state directory, or a cloned machine: two daemons with one id would take each other's
 * jobs. */
static int bind_state(struct daemon *d, struct err *err)
{
    char machine[MACHINE_ID_MAX];
    bool moved = false;
    int r = machine_id(NULL, machine) ? store_bind(d->store, machine, &moved, err) : 0;

    if (moved)
        log_warning("state_moved", "instance", store_instance_id(d->store), "text",
                    "the state directory was another machine's, where its copy may be in use: this "
                    "daemon is a new one to the server, which gives it the old one's jobs once "
                    "that has been silent for two minutes");
    return r < 0 ? exitcode_from_errno(r) : EX_OK;
}

/* Without mounts a task's user walks the machine's own paths to its job. */
static int let_pass(const struct settings *s, const char *path, struct err *err)
{
    for (size_t len = 1; len <= strlen(path); len++) {
        AUTO_FREE char *part = mem_strndup(path, len);
        struct stat st;

        if ((path[len] != '/' && path[len] != '\0') || stat(part, &st) < 0 || st.st_mode & S_IXOTH)
            continue;
        if (strcmp(part, s->state_dir) == 0 && chmod(part, (st.st_mode & 07777) | S_IXOTH) == 0)
            continue; /* ours; nothing in it can be listed, nor is open to others */
        return err_set(err, -EACCES,
                       "without namespaces a task needs a way to its files, and '%s' lets nobody "
                       "pass: chmod o+x it, or set workspace.root to another directory",
                       part);
    }
    return 0;
}

static int open_ways(const struct daemon *d, const struct settings *s, struct err *err)
{
    int r = 0;

    if (d->ground.rung == PLAN_RUNG_BARE && geteuid() == 0) {
        r = let_pass(s, s->state_dir, err);
        if (r == 0)
            r = let_pass(s, s->workspace_root, err);
    }
    return r < 0 ? EX_CONFIG : EX_OK;
}

/* And so does a runner's program that isn't there: one task tries. */
static int try_task(const struct daemon *d, const struct settings *s, struct err *err)
{
    struct trial trial;

    trial_tidy(s->state_dir); /* the journal's lock is ours, so are they */
    trial_run(s, &d->ground, s->state_dir, NULL, &trial);
    return trial_verdict(s, &trial, err) == 0 ? EX_OK : trial_exitcode(&trial);
}

/* Before any thread, secret or network: the journal with its lock, the walls, and the spawner. */
static int open_state(struct daemon *d, const struct settings *s, struct err *err)
{
    int r = store_open(s->state_dir, &d->store, err), code;

    if (r < 0)
        return r == -EWOULDBLOCK ? EX_TEMPFAIL : exitcode_from_errno(r);
    code = bind_state(d, err);
    if (code == EX_OK)
        code = check_walls(d, s, err);
    if (code == EX_OK)
        code = open_ways(d, s, err);
    if (code == EX_OK)
        code = try_task(d, s, err);
    if (code != EX_OK)
        return code;
    r = spawner_fork(&d->ground, store_lock_fd(d->store), egress_run, &d->spawner, err);
    if (r < 0)
        return EX_TEMPFAIL;
    if (spawner_unlimited(d->spawner))
        log_warning("weak_wall", "wall", rung_wall_name(RUNG_CGROUP), "text",
                    spawner_unlimited(d->spawner));
    return EX_OK;
}

static int open_core(struct daemon *d, struct err *err)
{
    struct core_options options = wire_options(d);
    int r = takeover_run(d->store, &d->settings, err);

    if (r < 0)
        return exitcode_from_errno(r);
    d->core = core_new(&options, store_max_seq(d->store));
    d->turn = turn_new();
    r = store_load(d->store, restore_row, restore_tombstone, d, err);
    if (r == 0)
        r = store_load_sessions(d->store, restore_session, d, err);
    if (r == 0)
        r = store_load_jobs(d->store, restore_job, d, err);
    return r < 0 ? exitcode_from_errno(r) : EX_OK;
}

static void on_env_file(void *ctx)
{
    log_notice("env_file_changed");
    reload(ctx);
}

/* A machine may have another daemon that runs as root, which chooses from the same uids. */
static int share_uids(struct daemon *d, struct err *err)
{
    const char *root = d->settings.workspace_root;
    int r = geteuid() == 0 ? tenants_share(d->tenants, TENANTS_DIR, root, err) : 0;
    int code = exitcode_from_errno(r);

    if (code == EX_OK || code == EX_IOERR || code == EX_TEMPFAIL)
        return code;
    (void)err_prefix(err, TENANTS_UNSHARED);
    log_warning("weak_wall", "wall", rung_wall_name(RUNG_IDS), "text", err->text);
    return EX_OK;
}

static int open_edge(struct daemon *d, struct err *err)
{
    uint32_t timeout_ms = d->settings.server_request_timeout_ms;
    const struct http_options http = { .user_agent = "nairid/" NAIRID_VERSION,
                                       .ca_file = d->settings.server_ca_file,
                                       .proxy = d->settings.server_proxy,
                                       .connect_timeout_ms =
                                           timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS };
    /* what the repository says is for the realtime channel only, as with the present daemon */
    const struct upstream_options upstream = { .url = d->settings.server_url,
                                               .agent_id = d->settings.agent_from_repo
                                                               ? NULL
                                                               : d->settings.agent_id,
                                               .instance_id = store_instance_id(d->store),
                                               .key = d->key.key,
                                               .timeout_ms = timeout_ms };
    int r = loop_new(&d->loop, err);

    if (r < 0)
        return exitcode_from_errno(r);
    d->attempts = attempts_new(d);
    d->surveys = surveys_new(d);
    d->uploads = uploads_new(d);
    d->tenants = tenants_new();
    d->posts = posts_new(d);
    r = share_uids(d, err);
    if (r != EX_OK)
        return r;
    r = spawner_attach(d->spawner, d->loop, &attempts_ops, d->attempts, err);
    if (r < 0)
        return EX_TEMPFAIL;
    spawner_warm(d->spawner, d->settings.sandbox_warm);
    r = control_new(d->loop, d->settings.state_dir, admin_answer, d, &d->control, err);
    if (r < 0)
        return exitcode_from_errno(r);
    d->envwatch = envwatch_new(d->loop, d->settings.env_file, on_env_file, d);
    r = http_new(d->loop, &http, &d->http, err);
    if (r == 0)
        r = upstream_new(d->http, &upstream, &d->upstream, err);
    if (r == 0)
        d->provisions = provisions_new(d);
    if (r == 0)
        r = pushes_new(d, &d->pushes, err);
    return r < 0 ? exitcode_from_setting(r) : EX_OK;
}

static void add_folder_of(struct strv *folders, const char *file)
{
    AUTO_FREE char *copy = mem_strdup(file);

    if (file)
        strv_add(folders, dirname(copy));
}

/* The last step before threads: from here on a bug in the daemon reaches its state, the workspaces
 * and what it must read again on HUP, and starts no program. */
static int confine(const struct daemon *d, struct err *err)
{
    const struct settings *s = &d->settings;
    const char *const writable[] = { s->state_dir, s->workspace_root, NULL };
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(strv_done) struct strv readable = { 0 };
    struct confine_paths paths = { .writable = writable,
                                   .without_landlock = d->ground.without_landlock };
    int r = workspace_prepare(s->workspace_root, err);

    if (r < 0)
        return exitcode_from_errno(r);
    add_folder_of(&readable, s->file);
    add_folder_of(&readable, s->api_key_file);
    add_folder_of(&readable, s->server_ca_file);
    add_folder_of(&readable, s->env_file);
    for (size_t i = 0; i < s->runner_secrets.len; i++)
        add_folder_of(&readable, s->runner_secrets.items[i].value);
    for (size_t i = 0; i < s->broker.len; i++)
        add_folder_of(&readable, s->broker.items[i].key_file);
    if (credentials)
        strv_add(&readable, credentials);
    paths.readable = (const char *const *)readable.items;
    r = confine_daemon(&paths, err);
    return r < 0 ? exitcode_from_setting(r) : EX_OK;
}

static int start(struct daemon *d, struct settings *settings, struct err *err)
{
    int code, r;

    if (settings_check(settings, err) < 0 || runner_check(settings, err) < 0 ||
        policy_check(settings, err) < 0 || policy_find_paths(settings, err) < 0)
        return exitcode_from_setting(err->code);
    envfile_hide(settings); /* what is forked now has no business with it */
    code = open_state(d, settings, err);
    if (code != EX_OK)
        return code;
    d->joblog = joblog_new(); /* the spawner, forked by now, has no use for one */
    log_set_tap(joblog_add, d->joblog);
    r = reload_first(d, settings, err);
    if (r < 0)
        return exitcode_from_setting(r);
    code = open_core(d, err);
    if (code == EX_OK)
        code = open_edge(d, err);
    if (code == EX_OK)
        code = confine(d, err);
    if (code == EX_OK && wire_start(d, err) < 0)
        code = EX_IOERR;
    return code;
}

static void stop(struct daemon *d)
{
    control_free(d->control);
    envwatch_free(d->envwatch);
    spawner_free(d->spawner, SPAWNER_WAIT_MS);
    pushes_free(d->pushes);
    downloads_free(d->downloads);
    provisions_stop(d->provisions);
    upstream_free(d->upstream);
    http_free(d->http);
    store_free(d->store); /* last of what reports to the loop: writes what was submitted */
    attempts_free(d->attempts);
    provisions_free(d->provisions);
    surveys_free(d->surveys);
    uploads_free(d->uploads);
    tenants_free(d->tenants);
    posts_free(d->posts);
    wire_done(d);
    turn_free(d->turn);
    core_free(d->core);
    loop_free(d->loop);
    agentkey_done(&d->key);
    agentkey_done(&d->key_from_env);
    settings_done(&d->settings);
    log_set_tap(NULL, NULL);
    joblog_free(d->joblog);
    log_setup(LOG_INFO, LOG_FORMAT_AUTO, NULL);
    mask_free(d->mask);
    free(d->program);
    free(d->args.repo);
}

/* One line for what is set and has no effect. */
static void tell_heritage(const struct settings *s)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < s->heritage.idle.len; i++)
        buf_printf(&b, "%s%s", i > 0 ? "; " : "", s->heritage.idle.items[i]);
    if (b.len > 0)
        log_warning("old_settings", "text", buf_str(&b));
}

static int run(struct daemon *d)
{
    struct settings settings = { 0 };
    struct err err = { 0 };
    int code = args_load(&d->args, &d->options, &settings);

    if (code == EX_OK) {
        d->args.repo = mem_strdup(settings.agent_repo); /* once confined it can't look again */
        code = start(d, &settings, &err);
        if (code == EX_OK) {
            log_notice("started", "version", NAIRID_VERSION, "pid", LOG_N(getpid()), "state",
                       d->settings.state_dir, "key_from", d->key.source);
            tell_heritage(&d->settings);
            loop_run(d->loop);
            code = d->exit_code;
        } else {
            fprintf(stderr, "nairid: %s\n", err.text);
        }
    }
    settings_done(&settings);
    stop(d);
    if (code != EX_OK || d->started_ms > 0)
        log_notice("stopped", "exit", LOG_N(code));
    return code;
}

int cmd_run(int argc, char **argv)
{
    struct daemon d = { 0 };
    struct err err = { 0 };
    int code;

    /* the key leaves the environment before anything else happens */
    if (agentkey_take_env(&d.key_from_env, &err) < 0) {
        fprintf(stderr, "nairid: %s\n", err.text);
        return exitcode_from_setting(err.code);
    }
    if (!args_parse(&spec, argc, argv, &d.args, &d.options, &code)) {
        agentkey_done(&d.key_from_env);
        return code;
    }
    d.args.as_before = strcmp(argv[0], spec.verb) != 0;
    (void)prctl(PR_SET_DUMPABLE, 0); /* it can't fail; no core dump, no ptrace by our own uid */
    code = run(&d);
    options_done(&d.options);
    return code;
}
