/* rung.h - what walls this machine can give, each found by trying it: how high on the ladder a
 * sandbox stands here. A wall that is missing stops the daemon's start by its name, unless there is
 * a way to do without it and the operator has accepted that by name; one that is only weaker is
 * reported. */
#pragma once
#include "sandbox/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct strv;

enum rung_wall {
    RUNG_USER_NAMESPACE,
    RUNG_MOUNT_NAMESPACE,
    RUNG_PID_NAMESPACE,
    RUNG_IPC_NAMESPACE,
    RUNG_UTS_NAMESPACE,
    RUNG_CGROUP_NAMESPACE,
    RUNG_NETWORK_NAMESPACE,
    RUNG_IDS,  /* a user of the task's own (as root), one mapped id */
    RUNG_ROOT, /* a file system of its own */
    RUNG_PROC, /* a /proc of its own */
    RUNG_CAPABILITIES,
    RUNG_LANDLOCK,
    RUNG_SCOPES, /* Landlock on signals and abstract sockets */
    RUNG_FILTER, /* system calls */
    RUNG_CGROUP, /* limits for the task as a whole */
    RUNG_GROUPS, /* none of the daemon's further groups */
    RUNG_WALL_COUNT
};

enum rung_state {
    RUNG_UNKNOWN, /* not tried, because one before it is missing */
    RUNG_HOLDS,
    RUNG_WEAKER,  /* text says what is not as it could be */
    RUNG_MISSING, /* text says why, and what to do */
};

struct rung {
    int shortage; /* negative errno, where a trial failed of one, a disk's fault or too little time:
                   * what is missing may be there */
    struct plan_ground ground; /* the highest on which a task was seen to start */
    bool stands;               /* one was */
    struct {
        enum rung_state state;
        char text[512]; /* "" where it holds */
    } walls[RUNG_WALL_COUNT];
};

/* Tries all of it, with processes that end at once: call before any thread. uid, task_uid: as in
 * struct plan_policy. Takes a few milliseconds, some seconds at worst. */
void rung_probe(uid_t uid, uid_t task_uid, struct rung *ret_rung);
/* "user-namespace": as in sandbox.accept and in messages. */
const char *rung_wall_name(enum rung_wall wall);
/* What a task could reach without it, or what stands in for it; NULL: it can't be done without. */
const char *rung_loss(enum rung_wall wall);
/* Whether tasks can run: 0, or -EOPNOTSUPP with a sentence that begins with the missing wall's
 * name, or the errno of what kept the walls from being tried: rung->shortage.
 * accept: names of walls that the operator does without; -EINVAL for a name that there isn't. May
 * be NULL. *ret_ground: what plans are to be made for. */
int rung_check(const struct rung *rung, const struct strv *accept, struct plan_ground *ret_ground,
               struct err *err);
