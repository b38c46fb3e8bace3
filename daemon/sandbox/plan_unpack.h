/* plan_unpack.h - the plan of a process that takes an archive apart (sandbox/unpack.h): no file, no
 * network, nothing but its standard input and output. Pure. */
#pragma once
#include <sys/types.h>

struct err;
struct plan;
struct plan_ground;

/* ground: as in struct plan_policy. uid: the daemon's own, 0 chooses the root way; task_uid: who it
 * is to be then. -EINVAL with a sentence for what can't be planned. */
int plan_unpack_make(const struct plan_ground *ground, uid_t uid, uid_t task_uid,
                     struct plan **ret_plan, struct err *err);
