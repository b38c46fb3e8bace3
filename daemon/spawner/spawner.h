/* spawner.h - the daemon's handle on the spawner process.
 * The spawner is forked first, before any thread, loop, secret or network. It gets plans and
 * descriptors over a socketpair, starts sandboxes (sandbox/apply.h), reaps, and reports. If the
 * daemon dies it kills every task and exits; if it dies, ops->gone is called and the daemon
 * exits 75. Time limits are the daemon's decision (it calls spawner_kill()); the kill ladder (TERM,
 * grace, KILL of everything in the task's pid namespace) is the spawner's, so that it also works
 * when the daemon hangs. */
#pragma once
#include "sandbox/gateway.h"
#include "task/limit.h"
#include "util/cleanup.h"
#include "util/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct plan;
struct plan_ground;
struct spawner;

enum spawner_stream { SPAWNER_STDOUT, SPAWNER_STDERR };

/* How an attempt ended. Everything it made is dead, unless stuck. */
struct spawner_exit {
    bool failed_to_start; /* error then names the step and the errno; the rest is unset */
    bool not_found;       /* failed_to_start because the program isn't there or can't be executed */
    char error[ERR_TEXT_MAX];
    bool stuck;       /* some process could not be killed within 2 s (it sits in the kernel) */
    int status;       /* wait status of the runner, as from waitpid(2) */
    bool egress_lost; /* it was killed because its egress process had died */
    bool warm;        /* its sandbox was made before; so also where it failed to start */
    bool oom;         /* the kernel's OOM killer struck inside, where that can be known */
    enum limit limit; /* it was killed because it went past this one */
    uint64_t wall_ms, cpu_ms;
    uint64_t peak_rss_bytes;
    int failure; /* failed_to_start: a negative errno, that of the step */
};

struct spawner_ops {
    /* exec succeeded; pid: of the task's process 1, as seen here. It comes another way than the
     * output, which may overtake it. */
    void (*started)(uint64_t task, pid_t pid, void *ctx);
    /* Bytes as they came, at most 64 KiB a call, a bounded number of calls a turn. */
    void (*output)(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                   void *ctx);
    /* Its egress process refused it something: at most GATEWAY_REFUSALS_MAX times a task, each
     * place with each reason once, and before exited(). May be NULL. */
    void (*refused)(uint64_t task, const struct gateway_word *refusal, void *ctx);
    /* Last word about a task; comes after all of its output, or 2 s after its end at the latest. */
    void (*exited)(uint64_t task, const struct spawner_exit *exit, void *ctx);
    void (*gone)(const char *why, void *ctx); /* the spawner itself died */
};

/* Forks it. lock_fd: the state directory's lock, which the spawner keeps open until its last task
 * is reaped; -1 for none. ground: of all plans that are going to come. egress: what the egress
 * processes of tasks run; NULL: plans with plan_has_egress() are refused. Call before any thread
 * exists. */
int spawner_fork(const struct plan_ground *ground, int lock_fd, gateway_fn egress,
                 struct spawner **ret_spawner, struct err *err);
/* One whose tasks send the descriptor at which their refused system calls are answered over watch,
 * a SOCK_SEQPACKET socket, of which it keeps a copy: for a person who looks (sandbox/witness.h). It
 * has no filter of its own, as that one would answer first. */
int spawner_fork_watching(const struct plan_ground *ground, int watch, gateway_fn egress,
                          struct spawner **ret_spawner, struct err *err);
/* Joins it to the loop. */
int spawner_attach(struct spawner *s, struct loop *loop, const struct spawner_ops *ops, void *ctx,
                   struct err *err);
pid_t spawner_pid(const struct spawner *s);
/* Why its tasks have no cgroups although there seemed to be some for us, so that their limits are
 * setrlimit's and what is measured; NULL: nothing went wrong. */
const char *spawner_unlimited(const struct spawner *s);
/* Starts a task: task is the caller's number for it, never reused while it lives. keys: of the
 * plan's brokers, as gateway_pack_keys() has them, taken over; -1: it has none. input: the bytes
 * for standard input, copied into a sealed memory file. Failure comes by exited(); but
 * where the spawner has died only gone() comes: that the task did not run is not its own ending. */
void spawner_start(struct spawner *s, uint64_t task, const struct plan *plan, int keys,
                   const void *input, size_t input_len);
/* As spawner_start(), with descriptors of the caller's as the task's 0 to 2 (copied; there is then
 * no output()): for a person's own terminal and pipes. */
void spawner_start_with(struct spawner *s, uint64_t task, const struct plan *plan, int keys,
                        const int stdio[3]);
/* How many sandboxes to make before their tasks, in idle moments, and to keep ready; at first 0.
 * Those that there are end, so this is also to be called when what tasks are given has changed. */
void spawner_warm(struct spawner *s, uint32_t count);
/* As root: as which user the first task of the next new job is going to run, so that one of those
 * sandboxes can be made for it; 0: that isn't known. */
void spawner_expect(struct spawner *s, uid_t user);
/* Asks for the end: TERM to the runner, after grace_ms KILL of everything. Idempotent: a shorter
 * grace replaces a longer one. */
void spawner_kill(struct spawner *s, uint64_t task, uint32_t grace_ms);
/* Stop reading a task's output for now / again (flow control); its pipe then fills. */
void spawner_pause(struct spawner *s, uint64_t task, bool paused);
/* Closes the socket: the spawner kills what lives, reaps and exits; waits for that at most wait_ms.
 */
void spawner_free(struct spawner *s, uint32_t wait_ms);
