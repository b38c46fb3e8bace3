#include "sandbox/plan_survey.h"

#include <errno.h>

#include "sandbox/plan.h"
#include "sandbox/plan_ours.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

/* Of what the survey's own bounds come to. */
enum { MEMORY_BYTES = 128 << 20, FILES = 32 };

static void add_step(struct plan *p, enum plan_step_type type, const char *target, const char *text)
{
    p->steps[p->step_count++] = (struct plan_step){
        .type = type,
        .flags = type == PLAN_STEP_BIND ? PLAN_NOEXEC : 0,
        .mode = type == PLAN_STEP_DIR ? 0755 : 0,
        .target = mem_strdup(target),
        .text = mem_strdup(text),
    };
}

static void add_rule(struct plan *p, const char *path, uint32_t rights)
{
    p->rules[p->rule_count++] = (struct plan_rule){ .rights = rights, .path = mem_strdup(path) };
}

/* Where they are seen: argv names them, as a program's would. */
static void add_places(struct plan *p, const char *workspace, const char *home)
{
    bool bare = p->ground.rung == PLAN_RUNG_BARE;
    const char *const seen[] = { bare ? workspace : PLAN_WORKSPACE, bare ? home : PLAN_HOME };

    p->steps = mem_calloc(3, sizeof p->steps[0]);
    p->rules = mem_calloc(3, sizeof p->rules[0]);
    if (!bare) {
        add_step(p, PLAN_STEP_DIR, "/home", "");
        add_step(p, PLAN_STEP_BIND, PLAN_HOME, home);
        add_step(p, PLAN_STEP_BIND, PLAN_WORKSPACE, workspace);
        add_rule(p, "/", PLAN_MAY_LIST);
    }
    for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
        add_rule(p, seen[i], PLAN_MAY_LIST | PLAN_MAY_READ);
        strv_add(&p->argv, seen[i]);
    }
    p->directory = mem_strdup(seen[0]);
}

int plan_survey_make(const struct plan_ground *ground, const char *workspace, const char *home,
                     uid_t uid, uid_t task_uid, struct plan **ret_plan, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    if (!plan_path_is_plain(workspace) || !plan_path_is_plain(home))
        return err_set(err, -EINVAL, "'%s' and '%s' can't be looked through: want absolute paths",
                       workspace, home);
    if (task_uid == 0 || task_uid == (uid_t)-1)
        return err_set(err, -EINVAL, "the job's directories must belong to a user of its own");
    p = plan_ours_new(ground, "survey", uid, task_uid, MEMORY_BYTES, FILES);
    p->survey = true;
    add_places(p, workspace, home);
    *ret_plan = TAKE_PTR(p);
    return 0;
}
