/* plan_shared.h - what a plan has in common with those of other jobs: what of its sandbox can be
 * made before the job is known. Core: pure. */
#pragma once
#include <stdbool.h>

struct plan;

/* A plan of that and nothing else: no program, secret, host or directory of a job. As root there is
 * no step in it, as each job has a user of its own, who is the owner of all that is made. NULL: its
 * kind of sandbox is never made before. */
struct plan *plan_shared_of(const struct plan *p);
/* Whether a sandbox that was begun with shared can become p's. */
bool plan_shared_fits(const struct plan *shared, const struct plan *p);
