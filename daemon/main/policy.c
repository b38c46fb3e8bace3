#include "main/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "egress/uplink.h"
#include "main/package.h"
#include "runner/runner.h"
#include "settings/allow.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

static enum plan_network network_of(const struct settings *s)
{
    if (str_eq(s->sandbox_network_mode, "host"))
        return PLAN_NETWORK_HOST;
    return str_eq(s->sandbox_network_mode, "allowlist") ? PLAN_NETWORK_ALLOWLIST
                                                        : PLAN_NETWORK_NONE;
}

/* Where the settings that a plan is made from were written. */
static void add_origins(const struct settings *s, struct plan_policy *policy)
{
    size_t gateway = 0;

    (void)table_find("runner.mcp_gateway", &gateway); /* a row of ours: always there */
    policy->gateway_origin = s->origin ? s->origin[gateway] : NULL;
    for (enum plan_word i = 0; s->origin && i < PLAN_WORD_COUNT; i++) {
        size_t index = 0;

        (void)table_find(plan_word_key(i), &index); /* a row of ours: always there */
        policy->origins[i] = s->origin[index];
    }
    if (s->origin && s->sandbox_network_proxy) {
        size_t index = 0;

        (void)table_find("sandbox.network.proxy", &index); /* as above */
        policy->origins[PLAN_WORD_PROXY] = s->origin[index];
    }
}

const char *policy_gateway(const struct settings *s)
{
    const struct runner *runner = runner_find(s->runner_name);

    return runner && runner->mcp != RUNNER_MCP_NONE ? s->runner_mcp_gateway : NULL;
}

struct plan_policy policy_of(const struct settings *s, const struct plan_ground *ground,
                             struct strv *needs)
{
    struct plan_policy policy = {
        .profile = s->profile,
        .ground = ground ? *ground : (struct plan_ground){ 0 },
        .network = network_of(s),
        .allow = &s->sandbox_network_allow,
        .needs = needs,
        .runner = s->runner_name,
        .proxy = s->sandbox_network_proxy ? s->sandbox_network_proxy : s->server_proxy,
        .ca_file = s->server_ca_file,
        .egress_uid = PLAN_EGRESS_UID,
        .read = &s->sandbox_read,
        .write = &s->sandbox_write,
        .memory_bytes = s->sandbox_limits_memory_bytes,
        .disk_bytes = s->sandbox_limits_disk_bytes,
        .pids = s->sandbox_limits_pids,
        .files = s->sandbox_limits_files,
        .cpu_percent = s->sandbox_limits_cpu_percent,
        .cpu_time_ms = s->sandbox_limits_cpu_time_ms,
        .uid = geteuid(),
    };

    policy.gateway = policy_gateway(s);
    runner_hosts(s, needs);
    add_origins(s, &policy);
    return policy;
}

/* Where path leads; what isn't there yet leads where its nearest directory does. */
static char *resolve(const char *path)
{
    char *real = realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *parent = NULL, *real_parent = NULL;

    if (real)
        return real;
    if (!slash || slash == path)
        return mem_strdup(path);
    parent = mem_printf("%.*s", (int)(slash - path), path);
    real_parent = resolve(parent);
    return mem_printf("%s%s", str_eq(real_parent, "/") ? "" : real_parent, slash);
}

static bool is_within(const char *path, const char *directory)
{
    size_t len = strlen(directory);

    return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Neither may hold the other: a task would see the journal, the admin socket, other jobs. */
static int check_apart(const char *setting, const char *shown, const char *what,
                       const char *private_path, struct err *err)
{
    AUTO_FREE char *real_shown = NULL, *real_private = NULL;

    if (str_is_empty(private_path))
        return 0;
    real_shown = resolve(shown);
    real_private = resolve(private_path);
    if (!is_within(real_private, real_shown) && !is_within(real_shown, real_private))
        return 0;
    return err_set(err, -EINVAL,
                   "%s: '%s' would show every task %s, '%s': name narrower paths, or move that one",
                   setting, shown, what, private_path);
}

static int check_shown(const struct settings *s, const char *setting, const struct strv *shown,
                       bool writable, struct err *err)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    int r = 0;

    runner_brokers(s, &brokers);

    for (size_t i = 0; i < shown->len && r == 0; i++) {
        const char *path = shown->items[i];

        r = check_apart(setting, path, "the daemon's state", s->state_dir, err);
        if (r == 0)
            r = check_apart(setting, path, "the files of all jobs", s->workspace_root, err);
        if (r == 0)
            r = check_apart(setting, path, "the agent key", s->api_key_file, err);
        if (r == 0)
            r = check_apart(setting, path, "the daemon's credentials", credentials, err);
        for (size_t k = 0; r == 0 && k < brokers.len; k++)
            r = check_apart(setting, path, "a broker's key", brokers.items[k].key_file, err);
        if (r == 0 && writable)
            r = check_apart(setting, path, "the settings, to change them,", s->file, err);
    }
    return r;
}

int policy_read(const struct settings *s, char **word, const struct strv *needs,
                struct strv *ret_read, struct err *err)
{
    CLEANUP(strv_done) struct strv own = { 0 };
    int r;

    if (needs)
        strv_copy(&own, needs);
    if (s->runner_program)
        package_show(word, &own);
    r = check_shown(s, "runner.program", &own, false, err);
    if (r < 0)
        return r;
    strv_copy(ret_read, &own);
    return 0;
}

/* A plan as for any task, to be looked at only: program NULL stands for any. */
static int make_plan(const struct settings *s, const char *program, struct plan **ret_plan,
                     struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 }, read = { 0 };
    CLEANUP(strv_done) struct strv needs = { 0 };
    struct plan_policy policy = policy_of(s, NULL, &needs);
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    int r;

    runner_brokers(s, &brokers);
    policy.brokers = &brokers;
    strv_add(&argv, program ? program : "sh");
    r = policy_read(s, &argv.items[0], NULL, &read, err);
    if (r < 0)
        return r;
    policy.runner_read = &read;
    policy.workspace = s->workspace_root; /* any directory: nothing is done */
    policy.argv = &argv;
    policy.env = &env;
    policy.task_uid = policy.uid == 0 ? plan_lone_uid(getpid()) : policy.uid;
    return plan_make(&policy, ret_plan, err);
}

/* A task of an ordinary user's daemon is that user; a root's tasks are others. */
static bool is_readable_to_tasks(const char *path)
{
    struct stat st;

    return geteuid() != 0 || (stat(path, &st) == 0 && (st.st_mode & S_IROTH));
}

static int check_unseen(const struct plan *plan, const char *what, const char *path,
                        struct err *err)
{
    AUTO_FREE char *real = NULL;

    if (str_is_empty(path) || !is_readable_to_tasks(path))
        return 0;
    real = resolve(path);
    if (plan_place_of(plan, real) != PLAN_PLACE_HOST)
        return 0;
    return err_set(err, -EINVAL,
                   "%s, '%s', lies where every task can read it (see nairid sandbox --explain): "
                   "move it",
                   what, path);
}

/* Profiles show places, too. Files of keys are of mode 0600, the settings need not be. */
static int check_keys_unseen(const struct settings *s, const struct plan *plan, struct err *err)
{
    CLEANUP(broker_done_all) struct broker_list brokers = { 0 };
    int r = check_unseen(plan, "the agent key", s->api_key_file, err);

    runner_brokers(s, &brokers);
    for (size_t i = 0; r == 0 && i < brokers.len; i++)
        r = brokers.items[i].key_file
                ? check_unseen(plan, "a broker's key", brokers.items[i].key_file, err)
                : check_unseen(plan, "the settings' file, with a broker's key in it", s->file, err);
    return r;
}

static int check_proxy(const char *proxy, struct err *err)
{
    CLEANUP(uplink_done) struct uplink uplink = { 0 };

    return uplink_parse(proxy, &uplink, err);
}

int policy_check(const struct settings *s, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    int r = make_plan(s, s->runner_program, &plan, err);

    if (r == 0 && *plan->proxy)
        r = check_proxy(plan->proxy, err);
    if (r == 0)
        r = check_shown(s, "sandbox.read", &s->sandbox_read, false, err);
    if (r == 0)
        r = check_shown(s, "sandbox.write", &s->sandbox_write, true, err);
    return r == 0 ? check_keys_unseen(s, plan, err) : r;
}

/* ---- whether it is there ---- */

static int find_shown(const char *setting, const struct strv *shown, struct err *err)
{
    for (size_t i = 0; i < shown->len; i++) {
        const char *path = shown->items[i];
        int r = access(path, F_OK) < 0 ? -errno : 0;

        if (r < 0 && err_set_machine(err, r, setting, path) < 0)
            return r;
        if (r < 0)
            return err_set(err, -ENOENT, "%s: '%s': %s: make it, or take it out of the settings",
                           setting, path, strerror(-r));
    }
    return 0;
}

static int find_ca_files(const struct settings *s, struct err *err)
{
    for (size_t i = 0; i < s->broker.len; i++) {
        const char *file = s->broker.items[i].ca_file;

        if (file && access(file, R_OK) < 0)
            return err_set(err, -ENOENT, "broker %s: ca_file '%s': %s", s->broker.items[i].name,
                           file, strerror(errno));
    }
    return 0;
}

int policy_find_paths(const struct settings *s, struct err *err)
{
    int r = find_shown("sandbox.read", &s->sandbox_read, err);

    if (r == 0)
        r = find_shown("sandbox.write", &s->sandbox_write, err);
    return r < 0 ? r : find_ca_files(s, err);
}

/* ---- logins that are shown ---- */

static const char *const logins[] = {
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".local/share/opencode/auth.json",
    ".gemini/oauth_creds.json",
    ".config/gh/hosts.yml",
    ".config/gcloud/application_default_credentials.json",
    ".aws/credentials",
    ".docker/config.json",
    ".git-credentials",
    ".netrc",
};

static bool has(const struct strv *list, const char *text)
{
    for (size_t i = 0; i < list->len; i++)
        if (str_eq(list->items[i], text))
            return true;
    return false;
}

static void look_in_home(const struct plan *plan, const char *home, struct strv *found)
{
    for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", str_eq(home, "/") ? "" : home, logins[i]);
        AUTO_FREE char *real = access(path, F_OK) < 0 ? NULL : realpath(path, NULL);

        if (real && plan_place_of(plan, real) == PLAN_PLACE_HOST && is_readable_to_tasks(real) &&
            !has(found, real))
            strv_add(found, real);
    }
}

/* The path and all that it lies in may be homes. */
static void look_along(const struct plan *plan, const struct strv *shown, struct strv *found)
{
    for (size_t i = 0; i < shown->len; i++) {
        for (size_t len = strlen(shown->items[i]); len > 0; len--) {
            AUTO_FREE char *home = mem_strndup(shown->items[i], len);
            const char *end = shown->items[i] + len;

            if (*end == '/' || *end == '\0')
                look_in_home(plan, home, found);
        }
    }
}

void policy_find_logins(const struct settings *s, struct strv *found)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    const char *home = getenv("HOME");

    if (make_plan(s, s->runner_program, &plan, NULL) < 0)
        return;
    look_along(plan, &s->sandbox_read, found);
    look_along(plan, &s->sandbox_write, found);
    look_in_home(plan, str_is_empty(home) ? "/root" : home, found);
}

const char *policy_program(const struct settings *s)
{
    const struct runner *runner = runner_find(s->runner_name);

    return runner ? runner->program(s) : NULL;
}

/* Where our own PATH has it; NULL: nowhere. */
static char *look_up(const char *name)
{
    const char *path = getenv("PATH");

    while (path && *path && !strchr(name, '/')) {
        size_t len = strcspn(path, ":");
        AUTO_FREE char *file = mem_printf("%.*s/%s", (int)len, path, name);

        if (path[0] == '/' && access(file, X_OK) == 0)
            return TAKE_PTR(file);
        path += len;
        path += strspn(path, ":");
    }
    return NULL;
}

int policy_program_missing(const struct settings *s, struct err *err)
{
    const struct runner *runner = runner_find(s->runner_name);
    const char *program = policy_program(s), *remedy = runner ? runner->remedy : NULL;
    AUTO_FREE char *ours = look_up(program);

    if (str_eq(s->runner_name, "command"))
        return err_set(err, -ENOENT,
                       "the runner's program '%s' is not there, seen from the sandbox: install it "
                       "below /usr, or name its path in runner.argv and its directory in "
                       "sandbox.read",
                       program);
    return err_set(err, -ENOENT,
                   "the runner's program '%s' is not there, seen from the sandbox: install it "
                   "below /usr%s%s%s, or name its path in runner.program%s%s",
                   program, remedy ? " (" : "", remedy ? remedy : "", remedy ? ")" : "",
                   ours ? ": " : "", ours ? ours : "");
}

/* What lies in a task's own places, or is named by a path that leads there, can't be known yet. */
static bool may_be_there(const struct plan *plan, const char *program)
{
    enum plan_place place;

    if (!plan_path_is_plain(program))
        return true;
    place = plan_place_of(plan, program);
    return place == PLAN_PLACE_OWN || (place == PLAN_PLACE_HOST && access(program, X_OK) == 0);
}

int policy_find_program(const struct settings *s, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    const char *program = policy_program(s);
    int r = program ? make_plan(s, program, &plan, err) : 0;

    if (r < 0 || !program)
        return r;
    for (size_t i = 0; i < plan->programs.len; i++)
        if (may_be_there(plan, plan->programs.items[i]))
            return 0;
    return policy_program_missing(s, err);
}

bool policy_print_hosts(const struct settings *s, struct buf *b)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;

    if (make_plan(s, NULL, &plan, NULL) < 0 || plan->network != PLAN_NETWORK_ALLOWLIST)
        return false;
    for (size_t i = 0; i < plan->host_count; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", plan->hosts[i].text);
    return true;
}

static bool is_allowed(const struct plan *plan, const struct allow *wanted)
{
    struct allow entry;

    for (size_t i = 0; i < plan->host_count; i++)
        if (allow_parse(plan->hosts[i].text, &entry, NULL) == 0 &&
            allow_matches(&entry, &wanted->host, wanted->port))
            return true;
    return plan->network == PLAN_NETWORK_HOST;
}

void policy_find_missing(const struct settings *s, const struct strv *places, struct strv *missing)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct allow wanted;

    if (places->len == 0 || make_plan(s, NULL, &plan, NULL) < 0)
        return;
    for (size_t i = 0; i < places->len; i++)
        if (allow_parse(places->items[i], &wanted, NULL) == 0 && !is_allowed(plan, &wanted))
            strv_add(missing, places->items[i]);
}
