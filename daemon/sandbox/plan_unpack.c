#include "sandbox/plan_unpack.h"

#include <errno.h>

#include "sandbox/plan.h"
#include "sandbox/plan_ours.h"
#include "util/err.h"
#include "util/mem.h"

enum { MEMORY_BYTES = 192 << 20, FILES = 16 };

/* A place to begin in, which it can neither list nor change. */
static void add_place(struct plan *p)
{
    if (p->ground.rung == PLAN_RUNG_BARE) {
        p->directory = mem_strdup("/usr");
        return;
    }
    p->directory = mem_strdup("/nairid");
    p->steps = mem_calloc(1, sizeof p->steps[0]);
    p->steps[p->step_count++] = (struct plan_step){
        .type = PLAN_STEP_DIR,
        .mode = 0755,
        .target = mem_strdup(p->directory),
        .text = mem_strdup(""),
    };
}

int plan_unpack_make(const struct plan_ground *ground, uid_t uid, uid_t task_uid,
                     struct plan **ret_plan, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *p = NULL;

    if (task_uid == 0 || task_uid == (uid_t)-1)
        return err_set(err, -EINVAL, "an archive is taken apart by a user of its own");
    p = plan_ours_new(ground, "unpack", uid, task_uid, MEMORY_BYTES, FILES);
    p->unpack = true;
    add_place(p);
    *ret_plan = TAKE_PTR(p);
    return 0;
}
