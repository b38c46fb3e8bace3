/* plan_shared.h - what a plan has in common with those of other jobs: what of its sandbox can be
 * made before the job is known. Core: pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct plan;
struct plan_rule;

/* A plan of that and nothing else: no program, secret, host or directory of a job. As root it is of
 * p's user, who is the owner of all that is made. NULL: its kind of sandbox is never made before.
 */
struct plan *plan_shared_of(const struct plan *p);
/* The same without any step, as root of no user: what fits most of all plans and saves less. */
struct plan *plan_shared_least(const struct plan *p);
/* Whether a sandbox that was begun with shared can become p's; uids aside where both are root's. */
bool plan_shared_fits(const struct plan *shared, const struct plan *p);
/* Goes through the rules of a plan that fits: whether the next one is the next of shared's, too.
 * *at: 0 at first. */
bool plan_shared_has_rule(const struct plan *shared, const struct plan_rule *rule, size_t *at);
