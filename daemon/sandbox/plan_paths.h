/* plan_paths.h - inner: what a plan shows, and what Landlock lets be done there. */
#pragma once
#include "sandbox/plan.h"

/* Fills steps and rules; network and limits must be there. -EINVAL, -E2BIG with a sentence. */
int plan_paths_add(struct plan *p, const struct plan_policy *policy, struct err *err);
/* Adds a rule, unless those above path allow as much. */
void plan_paths_allow(struct plan *p, const char *path, uint32_t rights, uint32_t origin);
/* Whether path is beneath dir, or is it. */
bool plan_paths_is_within(const char *path, const char *dir);
/* What Landlock lets be done at a path: the rights of all rules on the way to it. */
uint32_t plan_paths_rights(const struct plan *p, const char *path);
