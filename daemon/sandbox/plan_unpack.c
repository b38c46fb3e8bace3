#include "sandbox/plan_unpack.h"

#include <errno.h>

#include "sandbox/plan.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum { MEMORY_BYTES = 192 << 20, FILES = 16, PIDS = 4, CPU_PERCENT = 100 };

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
    CLEANUP_PTR(plan_free) struct plan *p = mem_new(struct plan);

    if (task_uid == 0 || task_uid == (uid_t)-1)
        return err_set(err, -EINVAL, "an archive is taken apart by a user of its own");
    p->ground = *ground;
    p->ground.host_proc = ground->rung == PLAN_RUNG_BARE; /* elsewhere it has none at all */
    p->network = PLAN_NETWORK_NONE;
    p->unpack = true;
    p->as_root = uid == 0;
    p->outer_uid = p->as_root ? task_uid : uid;
#ifndef NAIRID_SANITIZED /* a sanitizer's shadow is more than this */
    p->memory_bytes = MEMORY_BYTES;
#endif
    p->disk_bytes = 1; /* it writes to a pipe only */
    p->pids = PIDS;
    p->files = FILES;
    p->cpu_percent = CPU_PERCENT;
    p->proxy = mem_strdup("");
    p->ca_file = mem_strdup("");
    p->scratch = mem_strdup("");
    p->brief = mem_strdup("");
    strv_add(&p->programs, "unpack"); /* for messages: there is none */
    strv_add(&p->argv, "unpack");
    add_place(p);
    *ret_plan = TAKE_PTR(p);
    return 0;
}
