#include "sandbox/plan_ours.h"

#include "sandbox/plan.h"
#include "util/mem.h"
#include "util/strv.h"

enum { PIDS = 4, CPU_PERCENT = 100 };

struct plan *plan_ours_new(const struct plan_ground *ground, const char *name, uid_t uid,
                           uid_t task_uid, uint64_t memory_bytes, uint32_t files)
{
    struct plan *p = mem_new(struct plan);

    p->ground = *ground;
    p->ground.host_proc = ground->rung == PLAN_RUNG_BARE; /* elsewhere it has none at all */
    p->network = PLAN_NETWORK_NONE;
    p->as_root = uid == 0;
    p->outer_uid = p->as_root ? task_uid : uid;
#ifdef NAIRID_SANITIZED /* a sanitizer's shadow is more than this */
    memory_bytes = 0;
#endif
    p->memory_bytes = memory_bytes;
    p->disk_bytes = 1; /* it writes to a pipe only */
    p->pids = PIDS;
    p->files = files;
    p->cpu_percent = CPU_PERCENT;
    p->proxy = mem_strdup("");
    p->ca_file = mem_strdup("");
    p->scratch = mem_strdup("");
    p->brief = mem_strdup("");
    strv_add(&p->programs, name); /* there is none */
    strv_add(&p->argv, name);
    return p;
}
