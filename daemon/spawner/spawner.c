#include "spawner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/plan.h"
#include "spawner/ipc.h"
#include "spawner/outlet.h"
#include "spawner/process.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/secret.h"

enum {
    READY_MS = 10 * 1000, /* for the spawner's first word */
    SILENCE_MS = 200,     /* a process that dies closes its socket before it can be reaped */
    NEWS_A_TURN = 32,
};

/* An order that the socket didn't take yet. */
struct waiting {
    struct waiting *next;
    struct ipc_order order;
    int fds[IPC_FDS];
    size_t fd_count;
};

struct spawner {
    pid_t pid; /* 0: reaped */
    int pidfd;
    int sock;       /* -1: the spawner is gone */
    uid_t expected; /* as last told */
    char unlimited[ERR_TEXT_MAX];
    struct loop_fd *watcher;
    struct loop_fd *death;      /* pidfd */
    struct loop_timer *silence; /* runs from the socket's end to gone() */
    struct waiting *queue;
    struct outlets outlets;
    char piece[OUTLET_PIECE_BYTES];
};

/* ---- making it ---- */

static int await_ready(struct spawner *s, struct err *err)
{
    struct pollfd fd = { .fd = s->sock, .events = POLLIN };
    char bytes[sizeof(struct ipc_news)];
    struct ipc_news news;
    ssize_t n;
    int r;

    do
        r = poll(&fd, 1, READY_MS);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_set(err, -errno, "wait for the spawner process: %s", strerror(errno));
    if (r == 0)
        return err_set(err, -ETIMEDOUT, "the spawner process doesn't get ready");
    n = fd_recv(s->sock, bytes, sizeof bytes, NULL, 0);
    if (n < 0 && n != -ECONNRESET)
        return err_set(err, (int)n, "hear from the spawner process: %s", strerror((int)-n));
    if (n <= 0 || ipc_read_news(bytes, (size_t)n, &news) < 0 || news.type != IPC_READY)
        return err_set(err, -EIO, "the spawner process ended before it was ready");
    if (news.exit.failure < 0)
        return err_set(err, news.exit.failure, "the spawner can't be confined: %s",
                       news.exit.error);
    if (news.exit.error[0])
        (void)snprintf(s->unlimited, sizeof s->unlimited, "%s", news.exit.error);
    return fd_set_nonblock(s->sock);
}

static int fork_it(const struct process_means *means, int kept_fd, struct spawner *s,
                   struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "make a socket to the spawner: %s", strerror(errno));
    s->sock = pair[0];
    s->pid = fork();
    if (s->pid < 0) {
        s->pid = 0;
        (void)close(pair[1]); /* nobody got it */
        return err_set(err, -errno, "fork the spawner: %s", strerror(errno));
    }
    if (s->pid == 0)
        process_run(means, pair[1], kept_fd);
    (void)close(pair[1]); /* the spawner's; ours would hide its end */
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (s->pidfd < 0)
        return err_set(err, -errno, "watch the spawner: %s", strerror(errno));
    return 0;
}

/* NULL: there is none for us, or it can't be used after all. */
static struct cgroup *find_cgroup(struct spawner *s)
{
    struct cgroup *cgroup = NULL;
    struct err err = { 0 };

    if (cgroup_find(NULL, NULL, &cgroup, NULL) < 0 || cgroup_settle(cgroup, &err) == 0)
        return cgroup;
    cgroup_leave(cgroup);
    cgroup_free(cgroup);
    (void)snprintf(s->unlimited, sizeof s->unlimited, "%s", err.text);
    return NULL;
}

static int make(const struct plan_ground *ground, int kept_fd, bool is_watching, gateway_fn egress,
                struct spawner **ret_spawner, struct err *err)
{
    CLEANUP_PTR(apply_free) struct apply *apply = NULL;
    CLEANUP_PTR(cgroup_free) struct cgroup *cgroup = NULL;
    struct spawner *s;
    int r = apply_new(ground, &apply, err);

    if (r < 0)
        return r;
    s = mem_new(struct spawner);
    s->sock = s->pidfd = -1;
    cgroup = find_cgroup(s);
    if (is_watching)
        apply_watch(apply, PROCESS_KEPT);
    r = fork_it(
        &(struct process_means){
            .apply = apply, .cgroup = cgroup, .is_watching = is_watching, .egress = egress },
        kept_fd, s, err);
    if (r == 0)
        r = await_ready(s, err);
    if (r < 0) {
        spawner_free(s, 0);
        return r;
    }
    *ret_spawner = s;
    return 0;
}

int spawner_fork(const struct plan_ground *ground, int lock_fd, gateway_fn egress,
                 struct spawner **ret_spawner, struct err *err)
{
    return make(ground, lock_fd, false, egress, ret_spawner, err);
}

int spawner_fork_watching(const struct plan_ground *ground, int watch, gateway_fn egress,
                          struct spawner **ret_spawner, struct err *err)
{
    return make(ground, watch, true, egress, ret_spawner, err);
}

pid_t spawner_pid(const struct spawner *s)
{
    return s->pid;
}

const char *spawner_unlimited(const struct spawner *s)
{
    return s->unlimited[0] ? s->unlimited : NULL;
}

/* ---- news ---- */

static void drop_waiting(struct spawner *s)
{
    struct waiting *w = s->queue;

    s->queue = w->next;
    for (size_t i = 0; i < w->fd_count; i++)
        if (w->fds[i] >= 0)
            (void)close(w->fds[i]); /* the spawner has its own, or is gone */
    free(w);
}

static void close_sock(struct spawner *s)
{
    if (s->watcher)
        loop_fd_free(s->watcher);
    s->watcher = NULL;
    if (s->sock >= 0)
        (void)close(s->sock); /* the spawner sees its end by that */
    s->sock = -1;
    while (s->queue)
        drop_waiting(s);
}

static void leave_loop(struct spawner *s)
{
    close_sock(s);
    if (s->death)
        loop_fd_free(s->death);
    if (s->silence)
        loop_timer_free(s->silence);
    s->death = NULL;
    s->silence = NULL;
}

static void tell_gone(struct spawner *s)
{
    char why[128] = "the spawner process closed its socket";
    int status;

    leave_loop(s);
    if (s->pid > 0 && waitpid(s->pid, &status, WNOHANG) == s->pid) {
        s->pid = 0;
        if (WIFSIGNALED(status))
            (void)snprintf(why, sizeof why, "the spawner process was killed by SIG%s",
                           sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
        else
            (void)snprintf(why, sizeof why, "the spawner process ended with status %d",
                           WEXITSTATUS(status));
    }
    s->outlets.ops->gone(why, s->outlets.ctx);
}

static void on_death(struct loop_fd *watcher, unsigned events, void *ctx)
{
    (void)watcher;
    (void)events; /* a pidfd becomes readable once, at the end */
    tell_gone(ctx);
}

static void on_silence(struct loop_timer *timer, void *ctx)
{
    (void)timer; /* one-shot */
    tell_gone(ctx);
}

static void on_news(struct spawner *s, const struct ipc_news *news)
{
    struct outlet *o = outlet_find(&s->outlets, news->task);

    if (!o)
        return; /* given up meanwhile */
    if (news->type == IPC_STARTED)
        s->outlets.ops->started(o->task, news->pid, s->outlets.ctx);
    else if (news->type == IPC_REFUSED && s->outlets.ops->refused)
        s->outlets.ops->refused(o->task, &news->refusal, s->outlets.ctx);
    else if (news->type == IPC_EXITED)
        outlet_end(o, &news->exit);
}

static void send_waiting(struct spawner *s)
{
    while (s->queue) {
        int r = fd_send(s->sock, &s->queue->order, sizeof s->queue->order, s->queue->fds,
                        s->queue->fd_count);

        if (err_is_shortage(r) || r == -ETOOMANYREFS)
            break;       /* an order that is lost would be a task that nobody starts, or ends */
        drop_waiting(s); /* sent; or the spawner is gone, which shows as EOF */
    }
    loop_fd_set(s->watcher, s->queue ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_sock(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct spawner *s = ctx;

    (void)watcher; /* there is one only */
    for (int i = 0; (events & LOOP_READ) && i < NEWS_A_TURN; i++) {
        char bytes[sizeof(struct ipc_news)];
        ssize_t n = fd_recv(s->sock, bytes, sizeof bytes, NULL, 0);
        struct ipc_news news;

        if (err_is_shortage((int)n))
            break; /* there is none, or it waits for us */
        /* one that says what no spawner says isn't ours any more */
        if (n <= 0 || ipc_read_news(bytes, (size_t)n, &news) < 0) {
            close_sock(s);
            loop_timer_arm(s->silence, SILENCE_MS);
            return;
        }
        on_news(s, &news);
    }
    if (s->queue)
        send_waiting(s);
}

int spawner_attach(struct spawner *s, struct loop *loop, const struct spawner_ops *ops, void *ctx,
                   struct err *err)
{
    if (s->sock < 0 || s->outlets.loop)
        return err_set(err, -EINVAL, "the spawner is gone, or already joined to a loop");
    s->outlets.loop = loop;
    s->outlets.ops = ops;
    s->outlets.ctx = ctx;
    s->outlets.piece = s->piece;
    s->watcher = loop_fd_new(loop, s->sock, LOOP_READ, on_sock, s);
    s->death = loop_fd_new(loop, s->pidfd, LOOP_READ, on_death, s);
    s->silence = loop_timer_new(loop, on_silence, s);
    return 0;
}

/* ---- orders ---- */

/* Takes ownership of the descriptors. */
static void give_order(struct spawner *s, const struct ipc_order *order, const int *fds,
                       size_t fd_count)
{
    struct waiting *w = mem_new(struct waiting), **at = &s->queue;

    w->order = *order;
    for (size_t i = 0; i < fd_count; i++)
        w->fds[i] = fds[i];
    w->fd_count = fd_count;
    while (*at)
        at = &(*at)->next;
    *at = w;
    if (s->sock < 0)
        drop_waiting(s);
    else if (s->queue == w)
        send_waiting(s);
}

static int make_plan_file(const struct plan *plan)
{
    struct buf b = { 0 };
    int fd;

    plan_encode(plan, &b);
    fd = fd_memfile("plan", b.data, b.len);
    secret_wipe(b.data, b.len); /* the environment is among it */
    buf_done(&b);
    return fd;
}

/* Takes ownership of fds, whose first place is for the plan. */
static void send_start(struct spawner *s, struct outlet *o, const struct plan *plan,
                       int fds[IPC_FDS])
{
    const struct ipc_order order = { .type = IPC_START, .task = o->task };

    /* Where the spawner has died, gone() is on its way, and the task has no ending of its own: one
     * that is reported here would be answered as the task's failure, and never run again. */
    if (s->sock >= 0) {
        fds[0] = make_plan_file(plan);
        if (fds[0] < 0)
            outlet_fail(o, "make a memory file for the plan", fds[0]);
    }
    if (fds[0] >= 0) {
        give_order(s, &order, fds, fds[IPC_KEYS] >= 0 ? IPC_FDS : IPC_KEYS);
        return;
    }
    for (size_t i = 1; i < IPC_FDS; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* not sent */
}

void spawner_start(struct spawner *s, uint64_t task, const struct plan *plan, int keys,
                   const void *input, size_t input_len)
{
    struct outlet *o = outlet_new(&s->outlets, task);
    int fds[IPC_FDS] = { -1, -1, -1, -1, keys };

    fds[1] = fd_memfile("input", input, input_len);
    fds[2] = outlet_open(o, SPAWNER_STDOUT);
    fds[3] = outlet_open(o, SPAWNER_STDERR);
    for (size_t i = 1; i < IPC_KEYS; i++) {
        if (fds[i] >= 0)
            continue;
        outlet_fail(o, "make the pipes of a task", fds[i]);
        for (size_t k = 1; k < IPC_FDS; k++)
            if (fds[k] >= 0)
                (void)close(fds[k]); /* not sent */
        return;
    }
    send_start(s, o, plan, fds);
}

void spawner_start_with(struct spawner *s, uint64_t task, const struct plan *plan, int keys,
                        const int stdio[3])
{
    struct outlet *o = outlet_new(&s->outlets, task);
    int fds[IPC_FDS] = { -1, -1, -1, -1, keys };

    for (size_t i = 0; i < 3; i++) {
        fds[i + 1] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i + 1] < 0) {
            outlet_fail(o, "copy standard input and output", -errno);
            for (size_t k = 1; k < IPC_FDS; k++)
                if (fds[k] >= 0)
                    (void)close(fds[k]); /* not sent */
            return;
        }
    }
    send_start(s, o, plan, fds);
}

void spawner_warm(struct spawner *s, uint32_t count)
{
    const struct ipc_order order = { .type = IPC_WARM, .count = count };

    give_order(s, &order, NULL, 0);
}

void spawner_expect(struct spawner *s, uid_t user)
{
    const struct ipc_order order = { .type = IPC_EXPECT, .user = user };

    if (user != s->expected)
        give_order(s, &order, NULL, 0);
    s->expected = user;
}

void spawner_kill(struct spawner *s, uint64_t task, uint32_t grace_ms)
{
    const struct ipc_order order = { .type = IPC_KILL, .grace_ms = grace_ms, .task = task };

    if (outlet_find(&s->outlets, task))
        give_order(s, &order, NULL, 0);
}

void spawner_pause(struct spawner *s, uint64_t task, bool paused)
{
    struct outlet *o = outlet_find(&s->outlets, task);

    if (o)
        outlet_pause(o, paused);
}

/* ---- the end ---- */

static void await_end(struct spawner *s, uint32_t wait_ms)
{
    struct pollfd fd = { .fd = s->pidfd, .events = POLLIN };
    uint64_t until_ms = clock_mono_ms() + wait_ms, now_ms;

    while (s->pidfd >= 0 && (now_ms = clock_mono_ms()) < until_ms) {
        int r = poll(&fd, 1, (int)(until_ms - now_ms));

        if (r > 0 || (r < 0 && errno != EINTR))
            break;
    }
    if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
        return;
    (void)kill(s->pid, SIGKILL); /* its tasks end with it */
    (void)waitpid(s->pid, NULL, 0);
}

void spawner_free(struct spawner *s, uint32_t wait_ms)
{
    if (!s)
        return;
    leave_loop(s);
    while (s->outlets.first)
        outlet_free(s->outlets.first);
    if (s->pid > 0)
        await_end(s, wait_ms);
    if (s->pidfd >= 0)
        (void)close(s->pidfd); /* it is reaped */
    free(s);
}
