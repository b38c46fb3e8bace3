/* plan_env.h - inner: a plan's program, its arguments and its environment. */
#pragma once
#include "sandbox/plan.h"

/* Fills env, argv and programs; network must be there. -EINVAL with a sentence. */
int plan_env_add(struct plan *p, const struct plan_policy *policy, struct err *err);
