/* pool.h - sandboxes that are made before their tasks, in the spawner's idle moments: each a
 * process 1 in namespaces of its own, which waits for one task's plan and ends with that task. None
 * of them knows anything of a task, as they are made of what all plans share
 * (sandbox/plan_shared.h), and while no plan is in the spawner's memory. What doesn't fit, or no
 * longer would, is thrown away; the task then gets a new one. As root what is made belongs to a
 * user, and each job has its own: one of them is for the user who is expected, others are for those
 * whose tasks came last, and one is anybody's and has less done, but not where there would be none
 * for a task that came last besides. It never waits. */
#pragma once
#include "sandbox/apply.h"
#include <stdbool.h>
#include <stdint.h>

struct cgroup;
struct plan;
struct tree_mark;

enum { POOL_MAX = 64, POOL_NEVER = 0 };

struct pool_item {
    struct apply_task at; /* pid 0: none */
    bool is_least;        /* made of the least that plans share */
    uid_t user;           /* as root and not least: who alone can have it */
    uint64_t group;       /* the number of its cgroup, where there are any */
    bool waits;           /* ready for a task */
    bool killed;
};

struct pool {
    const struct apply *apply;
    const struct cgroup *cgroup; /* in which each has one of its own; NULL: none */
    uint64_t group_count;        /* made so far */
    struct plan *shared;         /* what they are made of; NULL: no such task's plan was seen yet */
    struct plan *least;          /* as root, instead of that or beside it */
    const struct plan *taken;    /* the one of these that the last one was */
    struct tree_mark *marks;     /* of the host's paths in shared; NULL: not looked at */
    uid_t users[POOL_MAX];       /* as root: whose tasks came last, the latest first */
    int mounts;     /* tells of changed mounts, proc_pid_mountinfo(5); -1: nothing does */
    uid_t expected; /* as root: whose task is the first of a new job; 0: not known */
    uint32_t wanted;
    struct pool_item items[POOL_MAX];
    uint64_t due_ms; /* when to make the next one, or POOL_NEVER */
};

void pool_init(struct pool *p, const struct apply *apply, const struct cgroup *cgroup);
/* How many to keep ready. Those that there are end, whatever the number is. */
void pool_want(struct pool *p, uint32_t count);
/* As root: as whom the first task of the next new job comes; 0: that isn't known. */
void pool_expect(struct pool *p, uid_t user);
/* A task of that plan begins or has begun: the next ones are to be like it, unless it is one of our
 * own (plan_is_ours()). */
void pool_learn(struct pool *p, const struct plan *plan);
/* Something has begun or ended, so this is no idle moment. */
void pool_rest(struct pool *p);
/* Makes one, if it is time. */
void pool_walk(struct pool *p, uint64_t now_ms);
/* One for that plan, which is the caller's from now on, with its cgroup; false: there is none. Its
 * task is not to begin before pool_is_current() was asked. */
bool pool_take(struct pool *p, const struct plan *plan, struct apply_task *ret_task,
               uint64_t *ret_group);
/* What the last one taken was made of; borrowed until the next pool_learn(). */
const struct plan *pool_shared(const struct pool *p);
/* Whether the host is still as it was when those that are there were made: each path of it that
 * they show, and what is mounted. Where it isn't, they end, and new ones are made. So no task gets
 * to see what was exchanged before it began, however long its sandbox had waited. To be asked when
 * the sandbox has got its task, which it makes ready meanwhile: it takes about as long. */
bool pool_is_current(struct pool *p);
/* Gives back one that was taken and is of no use; it is ended. broken: by itself, so that it may be
 * better to wait before the next one is made. */
void pool_give_up(struct pool *p, struct apply_task *task, uint64_t group, bool broken);
/* SIGKILL for all that wait. */
void pool_drop(struct pool *p);
/* The host's mounts have changed: new ones are made, which see that. */
void pool_renew(struct pool *p);
/* Whether a process of it isn't reaped yet. */
bool pool_is_empty(const struct pool *p);
/* Its descriptors are readable. */
void pool_read(struct pool *p, struct pool_item *item);
void pool_reap(struct pool *p, struct pool_item *item);
