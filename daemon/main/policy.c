#include "main/policy.h"

#include <unistd.h>

#include "settings/settings.h"
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

int policy_check(const struct settings *s, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 };
    struct plan_policy policy = policy_of(s);

    strv_add(&argv, "sh");
    policy.workspace = s->workspace_root; /* any directory: nothing is done */
    policy.argv = &argv;
    policy.env = &env;
    policy.task_uid = policy.uid == 0 ? WORKSPACE_UID_BASE : policy.uid;
    return plan_make(&policy, &plan, err);
}
