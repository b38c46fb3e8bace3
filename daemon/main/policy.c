#include "main/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings/settings.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/workspace.h"

struct plan_policy policy_of(const struct settings *s)
{
    return (struct plan_policy){
        .profile = s->sandbox_profile,
        .network = str_eq(s->sandbox_network_mode, "host") ? PLAN_NETWORK_HOST : PLAN_NETWORK_NONE,
        .read = &s->sandbox_read,
        .write = &s->sandbox_write,
        .memory_bytes = s->sandbox_limits_memory_bytes,
        .disk_bytes = s->sandbox_limits_disk_bytes,
        .pids = s->sandbox_limits_pids,
        .files = s->sandbox_limits_files,
        .cpu_percent = s->sandbox_limits_cpu_percent,
        .uid = geteuid(),
    };
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
    int r = 0;

    for (size_t i = 0; i < shown->len && r == 0; i++) {
        const char *path = shown->items[i];

        r = check_apart(setting, path, "the daemon's state", s->state_dir, err);
        if (r == 0)
            r = check_apart(setting, path, "the files of all jobs", s->workspace_root, err);
        if (r == 0)
            r = check_apart(setting, path, "the agent key", s->api_key_file, err);
        if (r == 0)
            r = check_apart(setting, path, "the daemon's credentials", credentials, err);
        if (r == 0 && writable)
            r = check_apart(setting, path, "the settings, to change them,", s->file, err);
    }
    return r;
}

int policy_check(const struct settings *s, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 };
    struct plan_policy policy = policy_of(s);
    int r;

    strv_add(&argv, "sh");
    policy.workspace = s->workspace_root; /* any directory: nothing is done */
    policy.argv = &argv;
    policy.env = &env;
    policy.task_uid = policy.uid == 0 ? WORKSPACE_UID_BASE : policy.uid;
    r = plan_make(&policy, &plan, err);
    if (r == 0)
        r = check_shown(s, "sandbox.read", &s->sandbox_read, false, err);
    if (r == 0)
        r = check_shown(s, "sandbox.write", &s->sandbox_write, true, err);
    return r;
}
