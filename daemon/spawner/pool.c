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

/* Of their cgroups; the other numbers are tasks'. */
static const uint64_t group_bit = UINT64_C(1) << 62;

void pool_init(struct pool *p, const struct apply *apply, const struct cgroup *cgroup)
{
    *p = (struct pool){ .apply = apply, .cgroup = cgroup, .mounts = -1 };
    for (size_t i = 0; i < POOL_MAX; i++)
        p->items[i].at = (struct apply_task){ .pid = 0, .pidfd = -1, .control = -1 };
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
    if (!item->killed)
        pause_making(p);
    if (p->cgroup)
        (void)cgroup_remove(p->cgroup, item->group); /* the next start removes what stays */
    *item = (struct pool_item){ .at = { .pid = 0, .pidfd = -1, .control = -1 } };
}

/* ---- what they are made of ---- */

static void forget(struct pool *p)
{
    pool_drop(p);
    plan_free(p->shared);
    p->shared = NULL;
    free(p->marks);
    p->marks = NULL;
    if (p->mounts >= 0)
        (void)close(p->mounts); /* only watched */
    p->mounts = -1;
}

void pool_learn(struct pool *p, const struct plan *plan)
{
    struct plan *shared;

    if (p->wanted == 0 || (p->shared && plan_shared_fits(p->shared, plan)))
        return;
    shared = plan_shared_of(plan);
    if (!shared)
        return;
    forget(p);
    p->shared = shared;
}

void pool_want(struct pool *p, uint32_t count)
{
    forget(p); /* the next plan may be another's */
    p->wanted = count < POOL_MAX ? count : POOL_MAX;
}

const struct plan *pool_shared(const struct pool *p)
{
    return p->shared;
}

/* The host's files as they are from now on. */
static void look_at_host(struct pool *p)
{
    if (!p->marks)
        p->marks = mem_calloc(p->shared->step_count + 1, sizeof p->marks[0]);
    tree_mark(p->shared, p->marks);
    if (p->mounts < 0)
        p->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

/* Each look at the descriptor asks what has changed since the one before. */
static bool host_has_changed(struct pool *p)
{
    struct pollfd fd = { .fd = p->mounts, .events = POLLPRI };

    return p->mounts < 0 || poll(&fd, 1, 0) != 0 || !tree_is_as_marked(p->shared, p->marks);
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

static int make(struct pool *p, struct pool_item *item)
{
    CLEANUP(cgroup_doors_done) struct cgroup_doors doors = CGROUP_NO_DOORS;
    uint64_t group = group_bit | ++p->group_count;
    int r = p->cgroup ? cgroup_make(p->cgroup, group, &doors, NULL) : 0;

    if (r < 0)
        return r;
    r = apply_prepare(p->apply, p->shared, &doors, &item->at);
    if (r < 0 && p->cgroup)
        (void)cgroup_remove(p->cgroup, group); /* the first failure is the one to report */
    if (r < 0)
        item->at = (struct apply_task){ .pid = 0, .pidfd = -1, .control = -1 };
    item->group = group;
    return r;
}

void pool_walk(struct pool *p, uint64_t now_ms)
{
    struct pool_item *item;

    if (p->due_ms == POOL_NEVER || now_ms < p->due_ms)
        return;
    p->due_ms = POOL_NEVER;
    item = p->shared ? free_item(p) : NULL;
    if (!item)
        return;
    if (!p->marks)
        look_at_host(p);
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

    if (apply_map_ids(p->shared, item->at.pid, &err) == 0 &&
        send(item->at.control, &word, 1, MSG_NOSIGNAL) == 1)
        return;
    end(item);
    pause_making(p);
}

void pool_read(struct pool *p, struct pool_item *item)
{
    while (item->at.control >= 0) {
        struct apply_report report;
        ssize_t n = fd_recv(item->at.control, &report, sizeof report, NULL, 0);

        if (err_is_shortage((int)n))
            return; /* there is none, or it waits for us */
        if (n == sizeof report && report.kind == APPLY_READY) {
            go_on(p, item);
        } else if (n == sizeof report && report.kind == APPLY_WAITING) {
            item->waits = true;
        } else { /* it failed, or is at its end */
            end(item);
            pause_making(p);
        }
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

bool pool_take(struct pool *p, const struct plan *plan, struct apply_task *ret_task,
               uint64_t *ret_group)
{
    if (!p->marks || !plan_shared_fits(p->shared, plan))
        return false;
    if (host_has_changed(p)) {
        pool_renew(p);
        return false;
    }
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct pool_item *item = &p->items[i];

        if (!item->waits)
            continue;
        *ret_task = item->at;
        *ret_group = item->group;
        *item = (struct pool_item){ .at = { .pid = 0, .pidfd = -1, .control = -1 } };
        return true;
    }
    return false;
}

void pool_give_up(struct pool *p, struct apply_task *task, uint64_t group)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct pool_item *item = &p->items[i];

        if (item->at.pid != 0)
            continue;
        item->at = *task; /* its place is free since it was taken */
        item->group = group;
        end(item);
        pause_making(p);
        return;
    }
}
