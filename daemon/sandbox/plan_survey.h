/* plan_survey.h - the plan of a survey of a job's directories (sandbox/survey.h): those two at
 * their usual places, read-only, and nothing else at all. Pure. */
#pragma once
#include <sys/types.h>

struct err;
struct plan;
struct plan_ground;

/* ground: as in struct plan_policy; on the bare rung they are read where they lie. workspace and
 * home: host directories. uid: the daemon's own, 0 chooses the root way; task_uid: whose the
 * directories are. -EINVAL with a sentence for what can't be planned. */
int plan_survey_make(const struct plan_ground *ground, const char *workspace, const char *home,
                     uid_t uid, uid_t task_uid, struct plan **ret_plan, struct err *err);
