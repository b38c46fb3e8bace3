#include "spawner/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/cgroup.h"
#include "sandbox/plan.h"
#include "sandbox/plan_shared.h"
#include "sandbox/tree.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    REST_MS = 50,     /* without a beginning or an end of a task */
    PAUSE_MS = 10000, /* when one has died or can't be made */
};

/* Of their cgroups; the other numbers are those of wards. */
static const uint64_t group_bit = UINT64_C(1) << 62;

void pool_init(struct pool *p, const struct apply *apply, const struct cgroup *cgroup)
{
    *p = (struct pool){ .apply = apply, .cgroup = cgroup, .mounts = -1 };
    for (size_t i = 0; i < POOL_MAX; i++)
        p->items[i].at = APPLY_NO_TASK;
}

/* ---- ending ---- */

static void close_control(struct pool_item *item)
{
    if (item->at.control >= 0)
        (void)close(item->at.control); /* nothing more is said */
    item->at.control = -1;
}

static void end(struct pool_item *item)
{
    if (item->at.pid == 0 || item->killed)
        return;
    (void)syscall(SYS_pidfd_send_signal, item->at.pidfd, SIGKILL, NULL, 0); /* ended: fine */
    close_control(item);
    item->killed = true;
    item->waits = false;
}

void pool_drop(struct pool *p)
{
    for (size_t i = 0; i < POOL_MAX; i++)
        end(&p->items[i]);
}

bool pool_is_empty(const struct pool *p)
{
    for (size_t i = 0; i < POOL_MAX; i++)
        if (p->items[i].at.pid != 0)
            return false;
    return true;
}

static void pause_making(struct pool *p)
{
    p->due_ms = clock_mono_ms() + PAUSE_MS;
}

void pool_reap(struct pool *p, struct pool_item *item)
{
    if (waitpid(item->at.pid, NULL, WNOHANG) != item->at.pid)
        return;
    close_control(item);
    (void)close(item->at.pidfd); /* of nobody now */
    apply_let_loose(&item->at);
    if (item->killed)
        pool_rest(p); /* its place is free */
    else
        pause_making(p);
    if (p->cgroup)
        (void)cgroup_remove(p->cgroup, item->group); /* the next start removes what stays */
    *item = (struct pool_item){ .at = APPLY_NO_TASK };
}

/* ---- what they are made of ---- */

static void forget(struct pool *p)
{
    pool_drop(p);
    plan_free(p->shared);
    plan_free(p->least);
    p->shared = p->least = NULL;
    p->taken = NULL;
    free(p->marks);
    p->marks = NULL;
    if (p->mounts >= 0)
        (void)close(p->mounts); /* only watched */
    p->mounts = -1;
}

static bool is_of_users(const struct pool *p)
{
    return p->shared && p->least;
}

static bool keeps_expected(const struct pool *p)
{
    return is_of_users(p) && p->expected != 0 && p->wanted > 1;
}

/* Else there would be none for the task that came last. */
static bool keeps_least(const struct pool *p)
{
    return p->least && !(keeps_expected(p) && p->wanted == 2);
}

/* For how many whose tasks came last there are some at a time. */
static size_t user_count(const struct pool *p)
{
    return is_of_users(p) ? p->wanted - keeps_expected(p) - keeps_least(p) : 0;
}

static bool is_wanted(const struct pool *p, uid_t user)
{
    if (keeps_expected(p) && user == p->expected)
        return true;
    for (size_t i = 0; i < user_count(p); i++)
        if (p->users[i] == user)
            return true;
    return false;
}

/* Puts it in front; the last one makes room. */
static void note_user(struct pool *p, uid_t user)
{
    uid_t before = user;

    for (size_t i = 0; i < user_count(p); i++) {
        uid_t here = p->users[i];

        p->users[i] = before;
        if (here == user)
            return;
        before = here;
    }
}

void pool_learn(struct pool *p, const struct plan *plan)
{
    const struct plan *known = p->shared ? p->shared : p->least;

    if (p->wanted == 0 || plan_is_ours(plan))
        return;
    if (!known || !plan_shared_fits(known, plan)) {
        forget(p);
        p->shared = plan_shared_of(plan);
        p->least = plan_shared_least(plan);
    }
    note_user(p, plan->outer_uid);
}

void pool_want(struct pool *p, uint32_t count)
{
    forget(p); /* the next plan may be another's */
    p->wanted = count < POOL_MAX ? count : POOL_MAX;
}

void pool_expect(struct pool *p, uid_t user)
{
    p->expected = user;
}

const struct plan *pool_shared(const struct pool *p)
{
    return p->taken;
}

/* The host's files as they are from now on. */
static void look_at_host(struct pool *p)
{
    if (!p->marks)
        p->marks = mem_calloc((p->shared ? p->shared->step_count : 0) + 1, sizeof p->marks[0]);
    if (p->shared)
        tree_mark(p->shared, p->marks);
    if (p->mounts < 0)
        p->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

/* Each look at the descriptor asks what has changed since the one before. */
static bool host_has_changed(struct pool *p)
{
    struct pollfd fd = { .fd = p->mounts, .events = POLLPRI };

    return p->mounts < 0 || poll(&fd, 1, 0) != 0 ||
           (p->shared && !tree_is_as_marked(p->shared, p->marks));
}

/* ---- making ---- */

static struct pool_item *free_item(struct pool *p)
{
    struct pool_item *found = NULL;
    uint32_t count = 0;

    for (size_t i = 0; i < POOL_MAX; i++) {
        if (p->items[i].at.pid == 0)
            found = &p->items[i];
        else
            count++; /* also those that aren't reaped yet */
    }
    return count < p->wanted ? found : NULL;
}

void pool_rest(struct pool *p)
{
    uint64_t at_ms = clock_mono_ms() + REST_MS;

    if (p->wanted > 0 && p->due_ms < at_ms)
        p->due_ms = at_ms;
}

/* As root they are made in the name of whose task may come; else all are our own user's. */
static const struct plan *plan_of(struct pool *p, const struct pool_item *item)
{
    if (item->is_least)
        return p->least;
    if (p->shared->as_root)
        p->shared->outer_uid = item->user;
    return p->shared;
}

static bool has_one(const struct pool *p, bool is_least, uid_t user)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        const struct pool_item *item = &p->items[i];

        if (item->at.pid != 0 && !item->killed && item->is_least == is_least && item->user == user)
            return true;
    }
    return false;
}

/* What the next one is to be; false: all are there. */
static bool choose(const struct pool *p, struct pool_item *item)
{
    item->is_least = p->least != NULL;
    item->user = 0;
    if (!p->shared || (keeps_least(p) && !has_one(p, true, 0)))
        return true;
    if (keeps_expected(p) && !has_one(p, false, p->expected)) {
        item->is_least = false;
        item->user = p->expected;
        return true;
    }
    for (size_t i = 0; i < user_count(p); i++) {
        if (p->users[i] == 0 || has_one(p, false, p->users[i]))
            continue;
        item->is_least = false;
        item->user = p->users[i];
        return true;
    }
    return !item->is_least || keeps_least(p);
}

/* Those of users whose tasks came long ago, and what isn't kept any more. */
static void end_old(struct pool *p)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct pool_item *item = &p->items[i];

        if (item->is_least ? !keeps_least(p) : item->user != 0 && !is_wanted(p, item->user))
            end(item);
    }
}

static int make(struct pool *p, struct pool_item *item)
{
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    uint64_t group = group_bit | ++p->group_count;
    int r = p->cgroup ? cgroup_make(p->cgroup, group, &doors, NULL) : 0;

    if (r < 0)
        return r;
    r = apply_prepare(p->apply, plan_of(p, item), &doors, &item->at);
    if (r < 0 && p->cgroup)
        (void)cgroup_remove(p->cgroup, group); /* the first failure is the one to report */
    if (r < 0)
        item->at = APPLY_NO_TASK;
    item->group = group;
    return r;
}

void pool_walk(struct pool *p, uint64_t now_ms)
{
    struct pool_item *item;

    if (p->due_ms == POOL_NEVER || now_ms < p->due_ms)
        return;
    p->due_ms = POOL_NEVER;
    end_old(p);
    item = p->shared || p->least ? free_item(p) : NULL;
    if (!item)
        return;
    if (!p->marks)
        look_at_host(p);
    if (!choose(p, item))
        return;
    if (make(p, item) < 0) {
        pause_making(p);
        return;
    }
    p->due_ms = now_ms + REST_MS; /* for the next one */
}

static void go_on(struct pool *p, struct pool_item *item)
{
    const char word = APPLY_GO;
    struct err err;

    if (apply_map_ids(plan_of(p, item), &item->at, &err) == 0 &&
        send(item->at.control, &word, 1, MSG_NOSIGNAL) == 1)
        return;
    end(item);
    pause_making(p);
}

void pool_read(struct pool *p, struct pool_item *item)
{
    while (item->at.control >= 0) {
        struct apply_report report;
        int fd = -1;
        ssize_t n = fd_recv(item->at.control, &report, sizeof report, &fd, 1);

        if (err_is_shortage((int)n))
            return; /* there is none, or it waits for us */
        if (n == sizeof report && report.kind == APPLY_READY) {
            go_on(p, item);
        } else if (n == sizeof report && report.kind == APPLY_WAITING) {
            item->waits = true;
            item->at.held[APPLY_HOST] = TAKE_FD(fd);
        } else { /* it failed, or is at its end */
            end(item);
            pause_making(p);
        }
        if (fd >= 0)
            (void)close(fd); /* came with something else */
    }
}

/* ---- taking ---- */

void pool_renew(struct pool *p)
{
    pool_drop(p);
    free(p->marks);
    p->marks = NULL; /* looked at anew before the next one is made */
    pool_rest(p);
}

/* NULL: none is ready. */
static struct pool_item *find_item(struct pool *p, bool is_least, uid_t user)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct pool_item *item = &p->items[i];

        if (item->waits && item->is_least == is_least && item->user == user)
            return item;
    }
    return NULL;
}

bool pool_take(struct pool *p, const struct plan *plan, struct apply_task *ret_task,
               uint64_t *ret_group)
{
    struct pool_item *item = NULL;

    if (!p->marks)
        return false;
    if (p->shared && plan_shared_fits(p->shared, plan))
        item = find_item(p, false, plan->as_root ? plan->outer_uid : 0);
    if (!item && p->least && plan_shared_fits(p->least, plan))
        item = find_item(p, true, 0);
    if (!item)
        return false;
    p->taken = item->is_least ? p->least : p->shared;
    *ret_task = item->at;
    *ret_group = item->group;
    *item = (struct pool_item){ .at = APPLY_NO_TASK };
    return true;
}

bool pool_is_current(struct pool *p)
{
    if (p->marks && !host_has_changed(p))
        return true;
    pool_renew(p);
    return false;
}

void pool_give_up(struct pool *p, struct apply_task *task, uint64_t group, bool broken)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct pool_item *item = &p->items[i];

        if (item->at.pid != 0)
            continue;
        item->at = *task; /* its place is free since it was taken */
        item->group = group;
        end(item);
        if (broken)
            pause_making(p);
        return;
    }
}
