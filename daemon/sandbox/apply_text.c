/* apply_describe() and apply_is_not_found() of apply.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/apply.h"
#include "sandbox/gateway.h"
#include "sandbox/plan.h"

static const char *const stage_texts[] = {
    [APPLY_CLONE] = "make a process in new namespaces",
    [APPLY_CGROUP] = "enter the task's cgroup",
    [APPLY_SOURCES] = "open",
    [APPLY_IDS] = "become the task's user",
    [APPLY_TREE] = "mount",
    [APPLY_LOOPBACK] = "bring up the loopback interface",
    [APPLY_LISTENER] = "listen on " GATEWAY_URL " for the task's connections",
    [APPLY_HOSTNAME] = "set the host name",
    [APPLY_CAPABILITIES] = "drop all capabilities",
    [APPLY_LANDLOCK] = "restrict files with Landlock",
    [APPLY_FILTER] = "load the system call filter",
    [APPLY_INIT] = "start process 1",
    [APPLY_STDIO] = "place standard input and output",
    [APPLY_LIMITS] = "set a resource limit",
    [APPLY_SCRATCH] = "make and empty the task's own directory",
    [APPLY_DIRECTORY] = ("enter " PLAN_WORKSPACE),
    [APPLY_EXEC] = "execute",
};
_Static_assert(ARRAY_SIZE(stage_texts) == APPLY_STAGE_COUNT, "a text for each stage");

/* clang-format off */
static const struct {
    enum apply_stage stage;
    int error;
    const char *text;
} hints[] = {
    { APPLY_CLONE, -EPERM, "the machine refuses user namespaces: inside a chroot there are none; "
                           "in a container allow them; see sysctl kernel.unprivileged_userns_clone "
                           "and kernel.apparmor_restrict_unprivileged_userns" },
    { APPLY_CLONE, -ENOSPC, "too many namespaces: see sysctl user.max_user_namespaces and its "
                            "neighbours" },
    { APPLY_CLONE, -EUSERS, "user namespaces are nested too deep" },
    { APPLY_CLONE, -ENOSYS, "the kernel has no clone3 (Linux 5.19 or later is needed), or a container's filter "
                            "forbids it" },
    { APPLY_CLONE, -EAGAIN, "the machine has no room for another process now" },
    { APPLY_CLONE, -ENOMEM, "the machine is out of memory" },
    { APPLY_CLONE, -EMFILE, "too many open files: raise ulimit -n" },
    { APPLY_SOURCES, -ENOENT, "it isn't there" },
    { APPLY_SOURCES, -EACCES, "the daemon's user has no way to it" },
    { APPLY_SOURCES, -ELOOP, "a link is on the way to it, where tasks may write: such links aren't "
                             "followed; remove the link" },
    { APPLY_LANDLOCK, -ELOOP, "a link is on the way to it, where tasks may write: such links aren't "
                              "followed; remove the link" },
    { APPLY_DIRECTORY, -EACCES, "the task's user may not enter the workspace" },
    { APPLY_SCRATCH, -EACCES, "the task's user has no way to it: each directory above must let "
                              "everybody pass (chmod o+x)" },
    { APPLY_SCRATCH, -ETIMEDOUT, "an earlier task left more there than can be removed in time" },
    { APPLY_LANDLOCK, -EOPNOTSUPP, "the kernel offers no Landlock of the version that is needed" },
    { APPLY_EXEC, -EACCES, "it can't be executed, or lies where the task may not go" },
    { APPLY_EXEC, -ENOEXEC, "it is neither a program of this machine nor a script that begins "
                            "with #!" },
    { APPLY_EXEC, -E2BIG, "arguments and environment are too large" },
};
/* clang-format on */

static const char *hint(const struct plan *plan, const struct apply_report *r)
{
    if (plan && r->stage == APPLY_TREE && r->error == -EPERM && r->index < plan->step_count &&
        plan->steps[r->index].type == PLAN_STEP_PROC)
        return "a container hides parts of /proc and with that forbids a new one: run it with "
               "unmasked paths (systempaths=unconfined, procMount: Unmasked)";
    if (plan && r->stage == APPLY_EXEC && r->error == -ENOENT)
        return plan->programs.len > 1 ? "no such program in the sandbox's PATH"
                                      : "not there in the sandbox, or its interpreter isn't";
    for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
        if (hints[i].stage == r->stage && hints[i].error == r->error)
            return hints[i].text;
    return NULL;
}

static void name_what(const struct plan *plan, const struct apply_report *r, char *text,
                      size_t size)
{
    const char *stage = r->stage < APPLY_STAGE_COUNT ? stage_texts[r->stage] : "something unknown";

    if (plan && r->stage == APPLY_SOURCES && r->index < plan->step_count)
        (void)snprintf(text, size, "%s '%s'", stage, plan->steps[r->index].text);
    else if (plan && r->stage == APPLY_TREE && r->index < plan->step_count)
        plan_step_describe(&plan->steps[r->index], text, size);
    else if (plan && r->stage == APPLY_TREE)
        (void)snprintf(text, size, "%s",
                       r->index == plan->step_count ? "mount a new root" : "enter the new root");
    else if (plan && r->stage == APPLY_LANDLOCK && r->index < plan->rule_count)
        (void)snprintf(text, size, "%s: %s", stage, plan->rules[r->index].path);
    else if (plan && r->stage == APPLY_EXEC)
        (void)snprintf(text, size, "%s '%s'", stage, plan->argv.items[0]);
    else
        (void)snprintf(text, size, "%s", stage);
}

void apply_describe(const struct plan *plan, const struct apply_report *report, char *text,
                    size_t size)
{
    /* the task's process 1 wrote it, and no task is believed: -INT32_MIN is no number */
    int error = report->error < 0 && report->error != INT32_MIN ? -report->error : 0;
    const char *why = hint(plan, report);
    char what[160];

    name_what(plan, report, what, sizeof what);
    (void)snprintf(text, size, "%s: %s%s%s", what, strerror(error), why ? ": " : "",
                   why ? why : "");
}

bool apply_is_not_found(const struct apply_report *report)
{
    switch (report->error) {
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -ENOEXEC:
    case -EISDIR:
    case -ELOOP:
    case -ELIBBAD:
        return report->stage == APPLY_EXEC;
    default:
        return false;
    }
}
