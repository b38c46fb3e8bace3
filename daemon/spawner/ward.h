/* ward.h - one task in the spawner's care: its process 1, what that reports, the kill ladder, its
 * reaping. It never waits; the spawner's loop calls when a descriptor or a deadline is due. */
#pragma once
#include "sandbox/apply.h"
#include "sandbox/gateway.h"
#include "spawner/spawner.h"
#include "spawner/sweep.h"
#include <stdbool.h>
#include <stdint.h>

struct cgroup;
struct err;
struct escort;
struct plan;
struct pool;

/* What tasks are made with. */
struct ward_means {
    const struct apply *apply;
    const struct cgroup *cgroup; /* in which each has one of its own; NULL: none */
    uint64_t *group_count;       /* of those: a number is used once, as a task may be started again
                                  * while its first cgroup is still there */
    gateway_fn egress;           /* NULL: none */
    struct pool *pool;           /* of those made before; NULL: none */
    void (*forget)(void *ctx);   /* in a new egress process: frees what belongs to any task */
    sweep_fn is_meant;
    void *ctx;
};

enum { WARD_NEVER = 0 };

/* It lives until it is reaped and its last news is sent. */
struct ward {
    struct ward *next;
    uint64_t task;
    struct plan *plan; /* owned; NULL before there is one, and once it runs */
    const struct ward_means *means;
    const struct cgroup *cgroup;   /* in which it has one of its own; NULL: none */
    uint64_t group;                /* that one's number */
    int keys;                      /* of its brokers, for the escort; -1: none, or given away */
    struct escort *escort;         /* NULL: none, or not yet */
    struct gateway_word *refusals; /* GATEWAY_REFUSALS_MAX, where there are any */
    size_t refusal_count, refusals_told;
    int again[4];         /* for another start, where it could be lost without having begun */
    struct apply_task at; /* pid 0: there is no process (any more) */
    bool bare;            /* its process 1 takes nobody with it */
    uid_t own_uid;        /* bare, as root: nobody else's; else 0 */
    char *directory;      /* whose file system it may fill; NULL: none that is looked after */
    uint64_t grown_bytes; /* of its job's files, as far as is known */
    uint64_t grown_files;
    bool hides;           /* there may be more of them */
    uint64_t room_bytes;  /* that there were on that file system when it began, */
    uint64_t room_files;  /* and how many files could be made */
    uint64_t cpu_time_ms; /* which it may use up in all; 0: no limit */
    uint64_t started_ms;
    uint64_t kill_at_ms; /* the end of the grace, or WARD_NEVER */
    uint64_t
        hard_at_ms; /* bare: when its process 1 has had time enough to end all, or WARD_NEVER */
    uint64_t stuck_at_ms; /* when waiting for the reaping has been enough, or WARD_NEVER */
    bool asked;           /* to end, with a grace or without */
    bool killed;          /* SIGKILL was sent by us */
    bool ended;           /* the program's wait status is in exit */
    bool started_due, exited_due, exited_sent; /* news */
    pid_t started_pid;                         /* its process 1, which may be reaped by then */
    struct spawner_exit exit;
};

struct ward *ward_new(uint64_t task);
void ward_free(struct ward *w); /* there is no process any more */
/* Neither the task nor its egress process. */
bool ward_is_reaped(const struct ward *w);
/* Starts its plan. fds: the encoded plan and the program's 0 to 2; those that it takes over are -1
 * then. On failure there is no process, and err says why. */
int ward_place(struct ward *w, const struct ward_means *means, int fds[4], struct err *err);
/* Sets its exit to failed_to_start, for that reason. */
void ward_fail(struct ward *w, const struct err *err);
/* SIGKILL for all of it. */
void ward_kill(struct ward *w);
/* It went past that limit: SIGKILL for all of it, and its exit names the limit. */
void ward_punish(struct ward *w, enum limit limit);
/* Whether it runs and nothing has been done to end it. */
bool ward_is_free(const struct ward *w);
/* TERM for the program's group, after grace_ms SIGKILL for all; the earliest end asked for holds.
 */
void ward_end(struct ward *w, uint32_t grace_ms);
/* The control socket is readable. */
void ward_read(struct ward *w);
/* The pidfd is readable. */
void ward_reap(struct ward *w);
/* A deadline may have passed. */
void ward_check(struct ward *w, uint64_t now_ms);
