/* apply.h - carries out a plan: one task's namespaces, file system, walls, and its process 1.
 * The caller (the spawner) is single-threaded. Between clone3(2) and the program's execve(2) only
 * async-signal-safe calls are made, from what was prepared before. The new process talks with the
 * caller over a SOCK_SEQPACKET pair, its control socket:
 *   it sends APPLY_READY, then waits: the caller writes its id maps (apply_map_ids()) and says
 *     APPLY_GO. Until then it is dumpable, because a process that isn't can't have maps written.
 *   where plan_has_egress() it sends APPLY_LISTENING with a descriptor, a listener on its own
 *     loopback (sandbox/gateway.h), then waits for another APPLY_GO.
 *   it sends APPLY_STARTED when the program runs, APPLY_FAILED if anything on the way failed,
 *     and APPLY_ENDED when the program ended; then it exits, and the kernel kills all below it.
 *     Where nothing is left of the task but process 1 itself, APPLY_ENDED says so: then nobody has
 *     to wait for the kernel to be done with that one, too.
 *   meanwhile APPLY_USE says what has become of the job's files, and APPLY_PAST that the task has
 *     gone past a limit (sandbox/gauge.h): the caller ends it.
 * One of apply_prepare() says APPLY_WAITING once there is nothing left to do without a task's plan,
 *   with a descriptor where it has one for the caller to hold (APPLY_HOST);
 *   where its ids are known, that comes after APPLY_READY and APPLY_GO. Once it has the plan it
 *   goes on at once, but the program doesn't begin before the caller has said APPLY_SURE: that the
 *   sandbox is still what the task is to have. That word may come before APPLY_GO is due. Then it
 *   moves the offset of the plan's descriptor away from 0: before that it has run nothing.
 * APPLY_TERM asks it to send TERM to the program's process group, or before APPLY_GO to end without
 * a word. EOF ends it. Sources: clone(2), user_namespaces(7), pid_namespaces(7),
 * mount_namespaces(7). */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct apply;
struct cgroup_doors;
struct err;
struct filter;
struct plan;
struct plan_ground;

enum apply_kind {
    APPLY_READY = 1,
    APPLY_LISTENING,
    APPLY_STARTED,
    APPLY_FAILED,
    APPLY_ENDED,
    APPLY_USE,
    APPLY_PAST,
    APPLY_WAITING,
};
enum apply_word { APPLY_GO = 'g', APPLY_TERM = 't', APPLY_SURE = 's' };

enum apply_stage {
    APPLY_CLONE,
    APPLY_CGROUP,  /* index: which of the v1 hierarchies */
    APPLY_SOURCES, /* index: the plan's step */
    APPLY_IDS,
    APPLY_TREE, /* index: the plan's step, or as tree_build() says */
    APPLY_LOOPBACK,
    APPLY_LISTENER,
    APPLY_HOSTNAME,
    APPLY_CAPABILITIES,
    APPLY_LANDLOCK, /* index: the plan's rule */
    APPLY_FILTER,
    APPLY_INIT,
    APPLY_STDIO,
    APPLY_LIMITS, /* index: RLIMIT_ */
    APPLY_SCRATCH,
    APPLY_DIRECTORY,
    APPLY_EXEC,
    APPLY_STAGE_COUNT
};

struct apply_report {
    uint32_t kind;
    uint32_t stage;
    uint32_t index;  /* FAILED: see the stage; PAST: enum limit; ENDED: 1 where nothing is left;
                        USE: 1 where not all of it could be seen */
    int32_t error;   /* FAILED: a negative errno */
    int32_t status;  /* ENDED: the program's wait status; USE: by how many files and directories
                        its job's grew */
    uint64_t bytes;  /* ENDED: memory of its largest process; USE: what its job's files grew by */
    uint64_t cpu_ms; /* ENDED: that it used up, with process 1 */
};

enum apply_held { APPLY_NAMESPACE, APPLY_HOST, APPLY_HELD_COUNT };

struct apply_task {
    pid_t pid; /* its process 1, as seen here; 0: none */
    int pidfd;
    int control;
    /* Its mount namespace, and a copy of the host's mounts that it had while it waited; -1: not
     * held. Whoever gives up the last hold on such a thing waits until no processor can be looking
     * at it any more. That is not to be process 1 while others wait for its end. */
    int held[APPLY_HELD_COUNT];
};
#define APPLY_NO_TASK ((struct apply_task){ 0, -1, -1, { -1, -1 } })
/* Gives up what is held; when the task has ended and that is told. */
void apply_let_loose(struct apply_task *task);

/* What is the same for all tasks: the compiled filters and what the kernel offers. ground: of all
 * their plans; NULL where all walls stand. */
int apply_new(const struct plan_ground *ground, struct apply **ret_apply, struct err *err);
void apply_free(struct apply *a);
/* From now on a task sends the descriptor of filter_load_watched() over this socket before its
 * program begins, and what it is refused is answered by whoever reads there (sandbox/witness.h). */
void apply_watch(struct apply *a, int sock);
DEFINE_CLEANUP(struct apply *, apply_free);

const struct plan_ground *apply_ground(const struct apply *a); /* borrowed */
/* FILTER_EGRESS, for those who serve a listener; borrowed. */
const struct filter *apply_egress_filter(const struct apply *a);

/* What there is of cgroups for a task. */
struct apply_cgroup {
    const struct cgroup_doors *doors; /* to the one in which it begins; NULL: none */
    bool limited;                     /* else its process 1 measures */
};

/* Starts a task with stdio as its descriptors 0 to 2, which stay the caller's. On failure
 * *ret_report says what failed, and there is no process. */
int apply_start(const struct apply *a, const struct plan *plan, const int stdio[3],
                struct apply_cgroup cgroup, struct apply_task *ret_task,
                struct apply_report *ret_report);
/* Makes a process that waits for a task whose plan shared fits (sandbox/plan_shared.h). It knows
 * nothing of any task: the caller must hold no task's plan meanwhile. Not where apply_watch() is.
 * doors: as of struct apply_cgroup. */
int apply_prepare(const struct apply *a, const struct plan *shared,
                  const struct cgroup_doors *doors, struct apply_task *ret_task);
/* Gives one that is waiting its task. plan_fd: the plan's encoded bytes, at offset 0; stdio: as
 * above; limited: as of struct apply_cgroup. It waits for APPLY_SURE still. On failure it is of no
 * use any more, and has run nothing. */
int apply_hand_over(const struct apply_task *task, const struct plan *shared,
                    const struct plan *plan, int plan_fd, const int stdio[3], bool limited);
/* Whether one that has got its task has begun the program, or is about to. */
bool apply_has_begun(int plan_fd);
/* After APPLY_READY: maps its one id where the plan has a user namespace, and makes it the kernel's
 * first choice when memory is short (choom(1)). Holds its mount namespace, where that can be. */
int apply_map_ids(const struct plan *plan, struct apply_task *task, struct err *err);
/* The sentence for a FAILED report, cut at size - 1: what failed, why, what may help. plan: NULL
 * where there is none yet. */
void apply_describe(const struct plan *plan, const struct apply_report *report, char *text,
                    size_t size);
/* Whether it says that the program isn't there or can't be executed. */
bool apply_is_not_found(const struct apply_report *report);
