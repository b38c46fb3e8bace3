#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "main/child.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/options.h"
#include "main/programs.h"
#include "main/readiness.h"
#include "main/upstate.h"
#include "runner/runner.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

#define LISTEN_DEFAULT "127.0.0.1:8420"
#define AGENT_DEFAULT  "local"

enum {
    HUB_READY_MS = 20 * 1000,   /* from its start to its first line */
    HUB_KILL_MS = 10 * 1000,    /* after TERM */
    DRAIN_EXTRA_MS = 15 * 1000, /* besides drain_timeout, before the daemon is killed */
    AT_ONCE_KILL_MS = 5 * 1000,
};

struct up_args {
    const char *file, *listen, *state;
};

/* clang-format off */
static const struct options_row rows[] = {
    { .name = "config", .letter = 'c', .type = OPTIONS_TEXT, .argument = "FILE",
      .offset = offsetof(struct up_args, file),
      .help = "settings of the daemon, except server and key" },
    { .name = "listen", .type = OPTIONS_TEXT, .argument = "ADDR",
      .offset = offsetof(struct up_args, listen),
      .help = "where the hub listens (default " LISTEN_DEFAULT "; port 0: any free one)" },
    { .name = "state", .type = OPTIONS_TEXT, .argument = "DIR",
      .offset = offsetof(struct up_args, state),
      .help = "state directory (default $XDG_STATE_HOME/nairid-up)" },
};
/* clang-format on */

static const struct options_spec spec = {
    .verb = "up",
    .usage = "[-c FILE] [--listen ADDR] [--state DIR]",
    .summary = "Runs a control plane and a daemon together, for one person on one machine. Makes\n"
               "the keys on the first start and starts again whichever of the two dies.",
    .notes = "The first line on standard output is 'ready http://HOST:PORT' once both can serve.\n"
             "Ctrl-C (or TERM, HUP) ends both after the running tasks; again, or QUIT: at once.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
};

struct up {
    const struct up_args *args;
    struct upstate state;
    struct programs programs;
    struct strv env; /* of the hub; the base of the daemon's */
    char *agent_id;
    char *listen; /* with a known port once the hub has said it */
    uint32_t drain_ms;
    struct loop *loop;
    struct child *hub, *daemon;
    struct readiness *readiness;
    struct loop_signal *signals[4];
    struct loop_timer *hub_late;
    bool hub_serves, daemon_serves, announced;
    unsigned stops; /* how often it was asked to stop */
    int code;       /* exit code once both are gone */
};

/* ---- environments ---- */

/* What the children must not inherit: other people's servers and keys, and our own manager's
 * sockets. Names ending in _ stand for all that begin so. */
static const char *const not_inherited[] = {
    "NAIRI_",        "EKSEC_",    "NAIRID_SERVER_URL", "NAIRID_API_KEY_FILE",   "STATE_DIRECTORY",
    "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_",           "CREDENTIALS_DIRECTORY",
};

static bool is_inherited(const char *variable)
{
    size_t len = strcspn(variable, "=");

    for (size_t i = 0; i < ARRAY_SIZE(not_inherited); i++) {
        const char *name = not_inherited[i];
        size_t n = strlen(name);

        if (name[n - 1] == '_' ? strncmp(variable, name, n) == 0
                               : n == len && strncmp(variable, name, n) == 0)
            return false;
    }
    return true;
}

static void env_add(struct strv *env, const char *name, const char *value)
{
    AUTO_FREE char *variable = mem_printf("%s=%s", name, value);

    strv_add(env, variable);
}

/* The host of url joins those that no proxy is asked for: the hub is on this machine. */
static void env_add_no_proxy(struct strv *env, const char *url)
{
    const char *old = getenv("no_proxy");
    const char *host = strstr(url, "://") + 3;
    AUTO_FREE char *value = NULL;

    if (str_is_empty(old))
        old = getenv("NO_PROXY");
    host += *host == '['; /* curl wants the bare address */
    value = mem_printf("%.*s%s%s", (int)strcspn(host, host[-1] == '[' ? "]" : ":/"), host,
                       str_is_empty(old) ? "" : ",", str_is_empty(old) ? "" : old);
    env_add(env, "no_proxy", value);
}

static void make_daemon_env(const struct up *up, const char *url, struct strv *env)
{
    for (size_t i = 0; i < up->env.len; i++)
        if (!str_starts_with(up->env.items[i], "NAIRID_AGENT_ID=") &&
            !str_starts_with(up->env.items[i], "no_proxy="))
            strv_add(env, up->env.items[i]);
    env_add(env, "NAIRID_SERVER_URL", url);
    env_add(env, "NAIRID_API_KEY_FILE", up->state.agent_key);
    env_add(env, "NAIRID_AGENT_ID", up->agent_id);
    env_add_no_proxy(env, url);
}

/* ---- what a person reads ---- */

/* Once, when both serve. */
static void announce(struct up *up)
{
    bool named = up->args->state != NULL;

    if (up->announced || !up->hub_serves || !up->daemon_serves)
        return;
    up->announced = true;
    printf("ready %s\n\n", up->state.client.url);
    printf("Ask it, in another terminal:\n  %s ask%s%s%s 'PROMPT'\n", programs_name(),
           named ? " --state '" : "", named ? up->state.dir : "", named ? "'" : "");
    printf("or in a browser, at %s/ with the key NAIRI_PUBLIC_API_KEY of\n  '%s/" CLIENTENV_FILE
           "'\n",
           up->state.client.url, up->state.dir);
    printf("or by the API:\n"
           "  . '%s/" CLIENTENV_FILE "'\n"
           "  curl -H \"Authorization: Bearer $NAIRI_PUBLIC_API_KEY\" \\\n"
           "    -H 'Content-Type: application/json' \\\n"
           "    -d '{\"agent_id\":\"%s\",\"prompt\":\"hello\"}' \\\n"
           "    $NAIRI_API_URL/api/public/v1/conversations/start\n",
           up->state.dir, up->state.client.agent_id);
    printf("What it does:\n  %s status --state '%s'\n", programs_name(), up->state.daemon_dir);
    puts("Ctrl-C ends both, after the running tasks; a second one at once.");
    (void)fflush(stdout);
    clearerr(stdout); /* whether anybody read it or not, both serve */
}

/* ---- stopping ---- */

static void stop_hub(struct up *up, uint32_t kill_after_ms)
{
    child_stop(up->hub, SIGTERM, kill_after_ms);
    if (!child_is_alive(up->hub) && !child_is_alive(up->daemon))
        loop_stop(up->loop);
}

/* The daemon first: its last replies need the hub. */
static void stop(struct up *up, int code)
{
    if (up->stops++ == 0)
        up->code = code;
    if (up->stops == 1 && child_is_alive(up->daemon)) {
        child_stop(up->daemon, SIGTERM, up->drain_ms + DRAIN_EXTRA_MS);
    } else {
        child_stop(up->daemon, SIGTERM, AT_ONCE_KILL_MS); /* its second one: at once */
        stop_hub(up, up->stops == 1 ? HUB_KILL_MS : AT_ONCE_KILL_MS);
    }
}

static void on_signal(struct loop_signal *watcher, int signo, void *ctx)
{
    struct up *up = ctx;

    (void)watcher;
    if (signo == SIGQUIT && up->stops == 0)
        stop(up, EX_OK); /* and the second one, below */
    else if (up->stops == 0)
        fputs("nairid up: ending after the running tasks; again to end at once\n", stderr);
    stop(up, EX_OK);
}

/* ---- the children's events ---- */

/* Whether starting c again can't help. The hub's first start is one that a person watches. */
static bool is_final(const struct up *up, const struct child *c, int status)
{
    if (c == up->hub && !up->state.client.url)
        return true;
    return WIFEXITED(status) && !exitcode_is_transient(WEXITSTATUS(status)) &&
           (WEXITSTATUS(status) >= EX__BASE || WEXITSTATUS(status) == EX_OK);
}

/* One of them ended without having been asked. */
static void on_unasked_end(struct up *up, struct child *c, int status)
{
    char text[64], span[32];
    uint32_t pause_ms;
    int code;

    if (is_final(up, c, status)) {
        code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
        fprintf(stderr, "nairid up: %s ended with %s; so does this\n", child_name(c),
                child_status_text(text, status));
        stop(up, code);
        if (c == up->hub)
            stop(up, code); /* nobody takes the replies that a drain waits for */
        return;
    }
    pause_ms = child_start_later(c);
    if (c == up->hub)
        loop_timer_arm(up->hub_late, pause_ms + HUB_READY_MS);
    fprintf(stderr, "nairid up: %s ended with %s; starting it again in %s\n", child_name(c),
            child_status_text(text, status), clock_span(span, pause_ms));
}

/* It runs, and says nothing: no person should wait for that. */
static void on_hub_late(struct loop_timer *timer, void *ctx)
{
    struct up *up = ctx;

    (void)timer; /* armed again with the next start */
    if (up->hub_serves || up->stops > 0)
        return;
    fprintf(stderr, "nairid up: the hub isn't ready after %d s; its words, if any, are above\n",
            HUB_READY_MS / 1000);
    if (up->state.client.url) {
        child_stop(up->hub, SIGKILL, 0); /* and it is started again */
        return;
    }
    stop(up, EX_UNAVAILABLE);
    stop(up, EX_UNAVAILABLE); /* nothing runs that is to end first */
}

static void on_hub_ended(struct child *c, int status, void *ctx)
{
    struct up *up = ctx;

    up->hub_serves = false;
    if (up->stops == 0)
        on_unasked_end(up, c, status);
    else if (up->stops == 1 && child_is_alive(up->daemon))
        (void)child_start_later(c); /* the last replies need it */
    else
        stop_hub(up, HUB_KILL_MS);
}

static void on_daemon_ended(struct child *c, int status, void *ctx)
{
    struct up *up = ctx;

    up->daemon_serves = false;
    if (up->stops == 0) {
        on_unasked_end(up, c, status);
        return;
    }
    if (up->code == EX_OK) /* what the drain came to; killed: it was cut */
        up->code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
    stop_hub(up, HUB_KILL_MS);
}

static void on_ready(void *ctx)
{
    struct up *up = ctx;

    up->daemon_serves = true;
    announce(up);
}

/* The URL by which clients on this machine reach a hub that says url: a wildcard is no address. */
static char *client_url(const char *url)
{
    static const char v4[] = "http://0.0.0.0:", v6[] = "http://[::]:";

    if (str_starts_with(url, v4))
        return mem_printf("http://127.0.0.1:%s", url + strlen(v4));
    if (str_starts_with(url, v6))
        return mem_printf("http://[::1]:%s", url + strlen(v6));
    return mem_strdup(url);
}

static int start_daemon(struct up *up, const char *url, struct err *err)
{
    int r;

    free(up->state.client.url);
    up->state.client.url = client_url(url);
    free(up->listen);
    up->listen = mem_strdup(url + strlen("http://")); /* the same port after a restart */
    r = clientenv_save(up->state.dir, &up->state.client, err);
    if (r == 0 && !child_is_alive(up->daemon))
        r = child_start(up->daemon, err);
    return r;
}

static void on_hub_line(const char *line, void *ctx)
{
    struct up *up = ctx;
    struct err err = { 0 };

    if (up->stops > 0 || up->hub_serves || !str_starts_with(line, "ready http://"))
        return;
    up->hub_serves = true;
    if (up->state.client.url) { /* a restart: the daemon finds its way back */
        announce(up);           /* if this was the first start of both that held */
        return;
    }
    if (start_daemon(up, line + strlen("ready "), &err) < 0) {
        fprintf(stderr, "nairid up: %s\n", err.text);
        stop(up, exitcode_from_errno(err.code));
    }
}

static void prepare_hub(struct strv *argv, struct strv *env, void *ctx)
{
    const struct up *up = ctx;
    const char *words[] = { up->programs.hub, "serve", "--listen",
                            up->listen,       "--db",  up->state.database };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        strv_add(argv, words[i]);
    strv_copy(env, &up->env);
}

static void prepare_daemon(struct strv *argv, struct strv *env, void *ctx)
{
    const struct up *up = ctx;
    const char *words[] = { up->programs.daemon, "run", "--state", up->state.daemon_dir };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        strv_add(argv, words[i]);
    if (up->args->file) {
        strv_add(argv, "--config");
        strv_add(argv, up->args->file);
    }
    make_daemon_env(up, up->state.client.url, env);
    env_add(env, "NOTIFY_SOCKET", readiness_path(up->readiness));
}

static const struct child_ops hub_ops = {
    .prepare = prepare_hub,
    .line = on_hub_line,
    .ended = on_hub_ended,
};
static const struct child_ops daemon_ops = {
    .prepare = prepare_daemon,
    .ended = on_daemon_ended,
};

/* ---- start ---- */

/* Reads the settings as the daemon will, so that a mistake is told before anything runs. */
static int check_settings(struct up *up, struct err *err)
{
    CLEANUP(strv_done) struct strv env = { 0 };
    struct settings_input input = { .file = up->args->file, .uid = geteuid() };
    struct settings settings;
    int r;

    input.state_dir = up->state.daemon_dir;
    input.environ = (const char *const *)up->env.items;
    r = settings_load(&input, &settings, err);
    if (r < 0)
        return r;
    up->agent_id = mem_strdup(str_is_empty(settings.agent_id) ? AGENT_DEFAULT : settings.agent_id);
    settings_done(&settings);
    make_daemon_env(up, "http://127.0.0.1", &env); /* any: the hub's isn't known yet */
    input.environ = (const char *const *)env.items;
    r = settings_load(&input, &settings, err);
    if (r < 0)
        return r;
    r = settings_check(&settings, err);
    if (r == 0)
        r = runner_check(&settings, err);
    up->drain_ms = settings.drain_timeout_ms;
    settings_done(&settings);
    return r;
}

static int make_loop(struct up *up, struct err *err)
{
    static const int signals[ARRAY_SIZE(up->signals)] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
    int r = loop_new(&up->loop, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        up->signals[i] = loop_signal_new(up->loop, signals[i], on_signal, up);
    r = readiness_new(up->loop, up->state.dir, on_ready, up, &up->readiness, err);
    if (r < 0)
        return r;
    up->hub = child_new(up->loop, "the hub", &hub_ops, up);
    up->daemon = child_new(up->loop, "the daemon", &daemon_ops, up);
    up->hub_late = loop_timer_new(up->loop, on_hub_late, up);
    loop_timer_arm(up->hub_late, HUB_READY_MS);
    return child_start(up->hub, err);
}

static int start(struct up *up, struct err *err)
{
    int r = upstate_open(up->args->state, &up->state, err);

    if (r < 0)
        return r;
    for (char **variable = environ; *variable; variable++)
        if (is_inherited(*variable))
            strv_add(&up->env, *variable);
    /* no path: what another daemon's .env says, and what it left, is its own */
    env_add(&up->env, "NAIRI_CONFIG_DIR", "none");
    r = programs_find(&up->programs, err);
    if (r < 0)
        return r;
    up->listen = mem_strdup(up->args->listen ? up->args->listen : LISTEN_DEFAULT);
    r = check_settings(up, err);
    if (r < 0) {
        if (exitcode_from_setting(r) == EX_CONFIG)
            err->code = -EINVAL; /* a file that isn't there, say */
        return r;
    }
    r = upstate_keys(&up->state, up->agent_id, up->programs.hub, &up->env, err);
    return r < 0 ? r : make_loop(up, err);
}

static void up_done(struct up *up)
{
    child_free(up->daemon);
    child_free(up->hub);
    readiness_free(up->readiness);
    loop_timer_free(up->hub_late);
    for (size_t i = 0; i < ARRAY_SIZE(up->signals); i++)
        if (up->signals[i])
            loop_signal_free(up->signals[i]);
    loop_free(up->loop);
    programs_done(&up->programs);
    strv_done(&up->env);
    free(up->agent_id);
    free(up->listen);
    upstate_done(&up->state);
}

int cmd_up(int argc, char **argv)
{
    struct up_args args = { 0 };
    struct up up = { .args = &args, .state.lock_fd = -1 };
    struct options options;
    struct err err = { 0 };
    int code;

    if (!options_parse(&spec, argc, argv, &args, &options, &code))
        return code;
    options_done(&options);
    (void)umask(077);               /* all that the two make is for nobody else */
    (void)signal(SIGPIPE, SIG_IGN); /* a closed standard output ends nothing */
    if (start(&up, &err) < 0) {
        fprintf(stderr, "nairid up: %s\n", err.text);
        code = exitcode_from_errno(err.code);
    } else {
        loop_run(up.loop);
        code = up.code;
    }
    up_done(&up);
    return code;
}
