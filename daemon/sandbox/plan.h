/* plan.h - from policy to a list of steps: everything that is needed to build one sandbox, decided
 * before anything is done. Core: pure, no I/O. sandbox/apply.h carries it out.
 * A policy is what the operator's settings and the runner ask for; a plan is what will be done. */
#pragma once
#include "util/cleanup.h"
#include "util/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;
struct plan;

enum plan_network { PLAN_NETWORK_NONE, PLAN_NETWORK_HOST };

struct plan_policy {
    const char *profile; /* "strict", "agent", "host" */
    enum plan_network network;
    const struct strv *read, *write; /* extra host paths, besides the profile's; NULL for none */
    const char
        *workspace; /* host directory shown at /workspace, writable unless workspace_read_only */
    bool workspace_read_only;
    const char *home;        /* host directory shown at /home/agent; NULL: a private empty one */
    const struct strv *argv; /* the program (a path, or a name looked up in the sandbox's PATH) and
                                its arguments */
    const struct strv
        *env; /* NAME=value, beside the made-from-nothing base (PATH HOME USER LANG TMPDIR TERM) */
    uint64_t memory_bytes, disk_bytes;
    uint32_t pids, files, cpu_percent;
    uid_t uid;      /* daemon's own uid; 0 chooses the root way */
    uid_t task_uid; /* as root: the host uid that the task runs as; never 0 */
};

/* -EINVAL with a sentence for what can't be planned. */
int plan_make(const struct plan_policy *policy, struct plan **ret_plan, struct err *err);
void plan_free(struct plan *p);
DEFINE_CLEANUP(struct plan *, plan_free);
/* Flat bytes for the socketpair to the spawner, and back; both ends are one binary. */
void plan_encode(const struct plan *p, struct buf *b);
int plan_decode(const void *bytes, size_t len, struct plan **ret_plan, struct err *err);
/* The plan in plain words, a line a step. */
void plan_explain(const struct plan *p, struct buf *b);
