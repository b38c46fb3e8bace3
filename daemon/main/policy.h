/* policy.h - what the settings say about every task's sandbox, as a policy for sandbox/plan.h. */
#pragma once
#include "sandbox/plan.h"

struct err;
struct settings;

/* All that doesn't depend on the task: its directories, program and user (task_uid) are left. What
 * is in it is borrowed from the settings. */
struct plan_policy policy_of(const struct settings *s);
/* Whether tasks can be planned with these settings, so that a wrong path stops the start and not
 * each task, nor show tasks what is the daemon's own (state, key, settings): -EINVAL with a
 * sentence. */
int policy_check(const struct settings *s, struct err *err);
