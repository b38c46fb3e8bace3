#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "main/args.h"
#include "main/census.h"
#include "main/cmd.h"
#include "main/exitcode.h"
#include "main/keyring.h"
#include "main/manifest.h"
#include "main/policy.h"
#include "main/reach.h"
#include "main/takeover.h"
#include "main/trial.h"
#include "runner/runner.h"
#include "sandbox/rung.h"
#include "settings/agentkey.h"
#include "store/statedir.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mask.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"
#include "util/strv.h"
#include "workspace/tenants.h"

enum { SKEW_TOLERATED_MS = 30 * 1000 };

struct check_args {
    struct args common; /* first: args_parse() reads it */
};

static const struct options_spec spec = {
    .verb = "check",
    .usage = "[-c FILE] [--state DIR]",
    .summary = "Looks whether 'nairid run' would work here: settings, state directory, sandbox,\n"
               "runner's program, key, server and clock. Asks the server for nothing that changes\n"
               "anything. Exits with 0 only if run would work, else with the code that run would\n"
               "give: 69 server, 73, 74 or 75 state directory, 77 key refused, 78 the rest.",
    .base = &args_spec,
};

enum grade { GRADE_OK, GRADE_WARN, GRADE_FAIL, GRADE_COUNT };

/* One line on standard output. */
__attribute__((format(printf, 3, 4))) static void tell(enum grade grade, const char *what,
                                                       const char *fmt, ...)
{
    static const char *const names[] = {
        [GRADE_OK] = "OK", [GRADE_WARN] = "WARN", [GRADE_FAIL] = "FAIL"
    };
    va_list ap;

    static_assert(ARRAY_SIZE(names) == GRADE_COUNT, "every grade has a name");
    printf("%-4s  %-8s  ", names[grade], what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* The first failure is the one that run would end with. */
static void keep(int *code, int found)
{
    if (*code == EX_OK)
        *code = found;
}

/* What was left by the daemon that this one replaces. */
static void tell_heritage(const struct settings *s)
{
    AUTO_FREE char *state = takeover_find(s);
    AUTO_FREE char *mark = state ? takeover_mark(state) : NULL;

    for (size_t i = 0; i < s->heritage.meant.len; i++)
        tell(GRADE_OK, "before", "%s", s->heritage.meant.items[i]);
    for (size_t i = 0; i < s->heritage.idle.len; i++)
        tell(GRADE_WARN, "before", "%s", s->heritage.idle.items[i]);
    if (mark && access(mark, F_OK) == 0)
        tell(GRADE_OK, "before", "'%s' has been taken over, as '%s' says", state, mark);
    else if (state)
        tell(GRADE_OK, "before",
             "'%s' is taken over by the first start with a new state directory: stop the other "
             "daemon before that",
             state);
}

static int check_settings(const struct check_args *args, const struct options *o,
                          struct settings *s)
{
    struct err err = { 0 };

    if (args_settings(&args->common, o, s, &err) < 0) {
        tell(GRADE_FAIL, "settings", "%s", err.text);
        return exitcode_from_setting(err.code);
    }
    for (size_t i = 0; i < s->warnings.len; i++)
        tell(GRADE_WARN, "settings", "%s", s->warnings.items[i]);
    if (settings_check(s, &err) < 0 || runner_check(s, &err) < 0 || policy_check(s, &err) < 0 ||
        policy_find_paths(s, &err) < 0) {
        tell(GRADE_FAIL, "settings", "%s", err.text);
        settings_done(s);
        return exitcode_from_setting(err.code);
    }
    tell(GRADE_OK, "settings", "%s", s->file ? s->file : "no file; environment and defaults");
    tell_heritage(s);
    return EX_OK;
}

/* The nearest directory above path that is there. */
static char *find_parent(const char *path)
{
    char *parent = mem_strdup(path);

    while (access(parent, F_OK) < 0 && strlen(parent) > 1) {
        char *slash = strrchr(parent, '/');

        if (!slash)
            break;
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return parent;
}

/* A state directory that is yet to be made in parent. */
static int check_parent(const char *state_dir, const char *parent)
{
    struct statvfs fs;

    if (access(parent, W_OK | X_OK) < 0) {
        tell(GRADE_FAIL, "state",
             "'%s' isn't there and can't be made in '%s': %s; make it yourself (mode 0700), or "
             "name another one with --state",
             state_dir, parent, strerror(errno));
        return EX_CANTCREAT;
    }
    if (statvfs(parent, &fs) == 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize < 2 * (uint64_t)STATEDIR_RESERVE_BYTES) {
        tell(GRADE_FAIL, "state",
             "'%s' isn't there yet, and the file system of '%s' is full: make room, 2 MiB at least",
             state_dir, parent);
        return EX_IOERR;
    }
    tell(GRADE_OK, "state", "'%s' will be made", state_dir);
    return EX_OK;
}

/* Opens the journal as run would, which takes the lock, and lets go of it again. A directory that
 * isn't there yet isn't made: whoever checks may not be who runs. */
static int check_state(const struct settings *s)
{
    struct store *store = NULL;
    struct err err = { 0 };
    int r;

    if (access(s->state_dir, F_OK) < 0) {
        AUTO_FREE char *parent = find_parent(s->state_dir);

        return check_parent(s->state_dir, parent);
    }
    r = store_open(s->state_dir, &store, &err);
    if (r < 0) {
        tell(GRADE_FAIL, "state", "%s", err.text);
        return exitcode_from_errno(r);
    }
    tell(GRADE_OK, "state", "'%s' is writable and free", s->state_dir);
    store_free(store);
    return EX_OK;
}

static int check_program(const struct settings *s, const struct trial *t)
{
    struct err err = { 0 };

    if (trial_verdict(s, t, &err) < 0) {
        tell(GRADE_FAIL, "runner", "%s", err.text);
        return EX_CONFIG;
    }
    if (t->program && t->program_found && !t->program_works) {
        tell(GRADE_FAIL, "runner", "'%s' is there, but in the sandbox it doesn't run: %s",
             t->program, t->said[0] ? t->said : "it says nothing");
        return EX_CONFIG;
    }
    if (t->program && t->program_found)
        tell(GRADE_OK, "runner", "'%s' is there, seen from the sandbox%s%s", t->program,
             t->said[0] ? ": " : "", t->said);
    else if (t->program)
        tell(GRADE_WARN, "runner", "'%s' is looked for in each job's workspace; not checked",
             t->program);
    if (runner_advice(s))
        tell(GRADE_WARN, "runner", "%s", runner_advice(s));
    return EX_OK;
}

/* What it is that is missing, and what a task could then still reach. */
static void tell_wall(const struct rung *rung, enum rung_wall wall)
{
    const char *name = rung_wall_name(wall), *text = rung->walls[wall].text;

    if (rung->walls[wall].state == RUNG_WEAKER)
        tell(GRADE_WARN, "walls", "%s is weaker: %s", name, text);
    else if (rung->walls[wall].state == RUNG_MISSING && rung_loss(wall))
        tell(GRADE_WARN, "walls", "%s is missing (%s): %s", name, text, rung_loss(wall));
}

static const char *const standing[] = {
    [PLAN_RUNG_TOP] = "what a sandbox needs stands",
    [PLAN_RUNG_ROOT] = "all namespaces but that of users: each task has a user of its own",
    [PLAN_RUNG_BARE] = "no namespaces: Landlock, the filter of system calls and limits hold tasks",
};
static_assert(ARRAY_SIZE(standing) == PLAN_RUNG_COUNT, "a sentence for each rung");

/* Outside, the one id that a task's namespace maps is the daemon's own. newuidmap(1) maps others,
 * but it takes a program that may gain rights, which the spawner can't start. */
static void tell_own_uid(uid_t uid)
{
    uint64_t spare = census_spare("/etc", uid);
    AUTO_FREE char *unused =
        spare == 0 ? mem_strdup("")
                   : mem_printf(". The %llu that /etc/subuid gives to the daemon's aren't used: "
                                "newuidmap(1) maps them only for a program that may gain rights, "
                                "which nothing that starts tasks may",
                                (unsigned long long)spare);

    tell(GRADE_OK, "uids",
         "on this machine tasks are user %u, as the daemon is: to one that got past all walls the "
         "files of that user and of other jobs would be open. A daemon that runs as root gives "
         "each job a user id of its own%s",
         (unsigned)uid, unused);
}

/* What kind of users tasks are on this machine, and who else may be one. */
static void tell_uids(const struct settings *s)
{
    uid_t uid = geteuid();
    AUTO_FREE char *overlap = uid == 0 ? census_overlap("/etc") : NULL;
    CLEANUP_PTR(tenants_free) struct tenants *tenants = tenants_new();
    struct err err = { 0 };

    if (uid != 0)
        tell_own_uid(uid);
    if (overlap)
        tell(GRADE_WARN, "uids", "%s", overlap);
    if (uid == 0 && tenants_share(tenants, TENANTS_DIR, s->workspace_root, &err) < 0) {
        (void)err_prefix(&err, TENANTS_UNSHARED);
        tell(GRADE_WARN, "uids", "%s", err.text);
    }
}

/* Each wall of the sandbox, tried by itself, so that what is missing has a name. */
static int check_walls(const struct settings *s, struct plan_ground *ret_ground)
{
    uid_t uid = geteuid();
    struct rung rung;
    struct err err = { 0 };
    int r = uid == 0 ? census_check("/etc", &err) : 0;

    if (r < 0) {
        tell(GRADE_FAIL, "uids", "%s", err.text);
        return exitcode_from_setting(r);
    }
    tell_uids(s);
    rung_probe(uid, uid == 0 ? plan_lone_uid(getpid()) : uid, &rung);
    r = rung_check(&rung, &s->sandbox_accept, ret_ground, &err);
    for (enum rung_wall wall = 0; wall < RUNG_WALL_COUNT; wall++)
        tell_wall(&rung, wall);
    if (r < 0) {
        tell(GRADE_FAIL, "walls", "%s", err.text);
        return exitcode_from_start(r);
    }
    tell(GRADE_OK, "walls", "%s", standing[ret_ground->rung]);
    return EX_OK;
}

static void tell_network(const struct settings *s)
{
    CLEANUP(buf_done) struct buf hosts = { 0 };
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };

    runner_brokers(s, &brokers);
    if (!policy_print_hosts(s, &hosts))
        return;
    if (hosts.len > 0)
        tell(GRADE_OK, "network", "tasks reach %s; nothing else", buf_str(&hosts));
    else if (brokers.len > 0)
        tell(GRADE_OK, "network", "tasks reach their brokers; nothing else");
    else
        tell(GRADE_WARN, "network",
             "tasks reach nothing: name what they may in sandbox.network.allow, or set "
             "sandbox.network.mode to none, which says so");
    if (s->sandbox_network_proxy || s->server_proxy)
        tell(GRADE_WARN, "network",
             "%s resolves the names that tasks ask for: where they lead can't be checked",
             s->sandbox_network_proxy ? "sandbox.network.proxy" : "server.proxy");
}

/* A login that is refreshed can't be brokered, and what a task prints of it isn't known to us. */
static void tell_logins(const struct settings *s)
{
    CLEANUP(strv_done) struct strv found = { 0 };

    policy_find_logins(s, &found);
    for (size_t i = 0; i < found.len; i++)
        tell(GRADE_WARN, "login",
             "every task can read '%s', and what it sends on of that isn't masked: show narrower "
             "paths, and give tasks an API key, which a broker keeps from them, or a token by "
             "runner.secrets",
             found.items[i]);
}

/* A login that there is for the program itself, where nothing else is given to tasks. */
static void tell_unused_login(const struct settings *s)
{
    const struct runner *runner = runner_find(s->runner_name);
    const char *home = getenv("HOME");
    AUTO_FREE char *path = NULL;

    if (!runner->login || !runner_advice(s))
        return;
    path = mem_printf("%s/%s", str_is_empty(home) ? "/root" : home, runner->login);
    if (access(path, F_OK) == 0)
        tell(GRADE_WARN, "login",
             "the login in '%s' is refreshed by the program itself, so it can't be brokered, and "
             "tasks don't get it: use an API key (runner.secrets)",
             path);
}

/* Which keys stay out of tasks, and which don't. */
static int check_brokers(const struct settings *s)
{
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    CLEANUP_PTR(mask_free) struct mask *mask = mask_new();
    int code = EX_OK;

    runner_brokers(s, &brokers);
    for (size_t i = 0; i < brokers.len; i++) {
        const struct broker *b = &brokers.items[i];
        CLEANUP_PTR(secret_free) struct secret *key = NULL;
        struct err err = { 0 };

        if (keyring_load(s, b, mask, &key, &err) < 0) {
            tell(GRADE_FAIL, "broker", "%s", err.text);
            code = exitcode_from_setting(err.code);
            continue;
        }
        tell(GRADE_OK, "broker", "%s: tasks ask " BROKER_URL "/%s, and %s gets the key from %s%s",
             b->name, b->name, b->upstream, b->key_file ? "" : "runner.env.",
             b->key_file ? b->key_file : b->key_variable);
    }
    tell_logins(s);
    tell_unused_login(s);
    if (runner_exposed(s))
        tell(GRADE_WARN, "broker", "%s", runner_exposed(s));
    return code;
}

static int check_sandbox(const struct settings *s)
{
    const char *tmp = getenv("TMPDIR");
    struct trial t;
    struct plan_ground ground;
    struct err err = { 0 };
    int code = check_walls(s, &ground);

    if (code != EX_OK) /* so will be every task */
        return code;
    trial_run(s, &ground, str_is_empty(tmp) ? "/tmp" : tmp,
              runner_find(s->runner_name)->version_option, &t);
    if (!t.sandbox_works) {
        (void)trial_verdict(s, &t, &err); /* only its words */
        tell(GRADE_FAIL, "sandbox", "%s", err.text);
        return trial_exitcode(&t);
    }
    tell(GRADE_OK, "sandbox", "profile %s, network %s; a command ran in it in %llu ms",
         s->sandbox_profile, s->sandbox_network_mode, (unsigned long long)t.wall_ms);
    if (t.unlimited[0])
        tell(GRADE_WARN, "walls",
             "%s is weaker: limits are measured and not held by the kernel: %s",
             rung_wall_name(RUNG_CGROUP), t.unlimited);
    tell_network(s);
    return check_program(s, &t);
}

static void check_clock(int64_t skew_ms)
{
    uint64_t off_ms = (uint64_t)(skew_ms < 0 ? -skew_ms : skew_ms);
    char span[32];

    if (off_ms <= SKEW_TOLERATED_MS)
        tell(GRADE_OK, "clock", "agrees with the server's");
    else
        tell(GRADE_WARN, "clock",
             "is %s %s the server's: set it (timedatectl set-ntp true), or times will mislead",
             clock_span(span, off_ms), skew_ms > 0 ? "behind" : "ahead of");
}

static int check_server(const struct settings *s, const struct secret *key)
{
    static const struct {
        enum grade grade;
        int code;
        const char *remedy;
    } verdicts[] = {
        [REACH_OK] = { GRADE_OK, EX_OK, "" },
        [REACH_UNVERIFIED] = { GRADE_WARN, EX_OK, "; so the key could not be tried" },
        [REACH_BUSY] = { GRADE_WARN, EX_OK, "; try again later, the key could not be tried" },
        [REACH_KEY_REFUSED] = { GRADE_FAIL, EX_NOPERM,
                                "; it refuses the key: check agent.id, or make a new key for this "
                                "agent ('nairi-hub key create --agent SLUG')" },
        [REACH_DOWN] = { GRADE_FAIL, EX_UNAVAILABLE, "" },
    };
    static_assert(ARRAY_SIZE(verdicts) == REACH_VERDICT_COUNT, "what each verdict means");
    struct reach reach;

    reach_ask(s, key, &reach);
    tell(verdicts[reach.verdict].grade, "server", "%s%s", reach.text,
         verdicts[reach.verdict].remedy);
    if (reach.verdict != REACH_DOWN)
        check_clock(reach.skew_ms);
    return verdicts[reach.verdict].code;
}

/* Tasks do without it where it doesn't answer. */
static void check_gateway(const struct settings *s)
{
    CLEANUP(strv_done) struct strv problems = { 0 };
    const char *url = policy_gateway(s);
    struct err err = { 0 };
    int n = url ? reach_gateway(s, url, &problems, &err) : 0;

    if (n < 0)
        tell(GRADE_WARN, "gateway", "%s", err.text);
    else if (url)
        tell(GRADE_OK, "gateway", "%s has %d MCP server%s", url, n, n == 1 ? "" : "s");
    for (size_t i = 0; i < problems.len; i++)
        tell(GRADE_WARN, "gateway", "%s", problems.items[i]);
}

/* As the daemon had them last; what it gets besides, nairid status says. */
static void tell_artifacts(const struct settings *s)
{
    CLEANUP(manifest_done) struct manifest manifest = { 0 };
    CLEANUP(strv_done) struct strv missing = { 0 };
    CLEANUP(buf_done) struct buf b = { 0 };

    if (manifest_read(s, &manifest) < 0)
        return;
    manifest_describe(&manifest, &b);
    tell(GRADE_OK, "provided", "by the server, when the daemon asked last: %s", buf_str(&b));
    for (size_t i = 0; i < manifest.problems.len; i++)
        tell(GRADE_WARN, "provided", "%s", manifest.problems.items[i]);
    policy_find_missing(s, &manifest.mcp_places, &missing);
    for (size_t i = 0; i < missing.len; i++)
        tell(GRADE_WARN, "provided",
             "tasks can't reach %s, where an MCP server is: name it in sandbox.network.allow, or "
             "leave it so",
             missing.items[i]);
}

static int check_all(const struct settings *s)
{
    struct agentkey from_env = { 0 }, key = { 0 };
    struct err err = { 0 };
    int code = check_state(s), r;

    keep(&code, check_sandbox(s)); /* forks: before the key is read, and before any thread */
    keep(&code, check_brokers(s));
    r = agentkey_take_env(&from_env, &err);
    if (r == 0)
        r = agentkey_load(s, &from_env, &key, &err);
    if (r < 0) {
        tell(GRADE_FAIL, "key", "%s", err.text);
        keep(&code, exitcode_from_setting(r));
        return code;
    }
    tell(GRADE_OK, "key", "from %s", key.source);
    keep(&code, check_server(s, key.key));
    check_gateway(s);
    tell_artifacts(s);
    agentkey_done(&key);
    return code;
}

int cmd_check(int argc, char **argv)
{
    struct check_args args = { .common.as_before = true };
    struct options options;
    struct settings settings;
    int code;

    if (!args_parse(&spec, argc, argv, &args.common, &options, &code))
        return code;
    code = check_settings(&args, &options, &settings);
    if (code == EX_OK) {
        code = check_all(&settings);
        settings_done(&settings);
    }
    options_done(&options);
    return code;
}
