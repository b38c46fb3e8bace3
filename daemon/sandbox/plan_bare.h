/* plan_bare.h - a plan for the rung without namespaces, from one with them: what would have been
 * mounted becomes rules on the host's own paths, and paths in the sandbox become those. For plan.c
 * and plan_bytes.c only. Core: pure. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct err;
struct plan;
struct plan_policy;

/* Beneath the job's home where the policy names no other place. */
#define PLAN_BARE_SCRATCH ".nairid-scratch"

/* p: complete but for its ground. -EINVAL with a sentence for what can't be had on this rung. */
int plan_bare_convert(struct plan *p, const struct plan_policy *policy, struct err *err);
/* Whether nobody but tasks runs as that user. */
bool plan_bare_owns(uid_t uid);
