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
#include "spawner/message.h"
#include "spawner/process.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    PIECE_BYTES = 64 * 1024,
    LAST_PIECES = 16,     /* of each stream, read when the wait for its end is over */
    DRAIN_MS = 2000,      /* from a task's end to the last word about it */
    READY_MS = 10 * 1000, /* for the spawner's first word */
    SILENCE_MS = 200,     /* a process that dies closes its socket before it can be reaped */
    NEWS_A_TURN = 32,
};

/* One task as the daemon sees it. */
struct task_io {
    struct task_io *next;
    struct spawner *spawner;
    uint64_t task;
    struct loop_fd *watchers[2]; /* by enum spawner_stream; NULL after its end */
    int fds[2];
    struct loop_timer *timer; /* runs once exit is known */
    bool ended;
    struct spawner_exit exit;
};

/* An order that the socket didn't take yet. */
struct waiting {
    struct waiting *next;
    struct message_order order;
    int fds[MESSAGE_FDS];
    size_t fd_count;
};

struct spawner {
    pid_t pid; /* 0: reaped */
    int pidfd;
    int sock; /* -1: the spawner is gone */
    struct loop *loop;
    const struct spawner_ops *ops;
    void *ctx;
    struct loop_fd *watcher;
    struct loop_fd *death;      /* pidfd */
    struct loop_timer *silence; /* runs from the socket's end to gone() */
    struct task_io *tasks;
    struct waiting *queue;
    char piece[PIECE_BYTES];
};

/* ---- making it ---- */

static int await_ready(struct spawner *s, struct err *err)
{
    struct pollfd fd = { .fd = s->sock, .events = POLLIN };
    struct message_news news;
    int r;

    do
        r = poll(&fd, 1, READY_MS);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        return err_set(err, -ETIMEDOUT, "the spawner process doesn't get ready");
    if (fd_recv(s->sock, &news, sizeof news, NULL, 0) != sizeof news || news.type != MESSAGE_READY)
        return err_set(err, -EIO, "the spawner process ended before it was ready");
    news.exit.error[sizeof news.exit.error - 1] = '\0';
    if (news.exit.error[0])
        return err_set(err, -EPERM, "the spawner can't be confined: %s", news.exit.error);
    return fd_set_nonblock(s->sock);
}

static int fork_it(const struct apply *apply, const struct cgroup *cgroup, int lock_fd,
                   struct spawner *s, struct err *err)
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
        process_run(apply, cgroup, pair[1], lock_fd);
    (void)close(pair[1]); /* the spawner's; ours would hide its end */
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (s->pidfd < 0)
        return err_set(err, -errno, "watch the spawner: %s", strerror(errno));
    return 0;
}

int spawner_fork(int lock_fd, struct spawner **ret_spawner, struct err *err)
{
    CLEANUP_PTR(apply_free) struct apply *apply = NULL;
    CLEANUP_PTR(cgroup_free) struct cgroup *cgroup = NULL;
    struct spawner *s;
    int r = apply_new(&apply, err);

    if (r < 0)
        return r;
    /* Where we were given a subtree, limits by it are demanded; where not, they are setrlimit's. */
    if (cgroup_find(NULL, NULL, &cgroup, NULL) == 0)
        r = cgroup_settle(cgroup, err);
    if (r < 0)
        return r;
    s = mem_new(struct spawner);
    s->sock = s->pidfd = -1;
    r = fork_it(apply, cgroup, lock_fd, s, err);
    if (r == 0)
        r = await_ready(s, err);
    if (r < 0) {
        spawner_free(s, 0);
        return r;
    }
    *ret_spawner = s;
    return 0;
}

pid_t spawner_pid(const struct spawner *s)
{
    return s->pid;
}

/* ---- a task's output and end ---- */

static struct task_io *find_task(const struct spawner *s, uint64_t task)
{
    struct task_io *t = s->tasks;

    while (t && t->task != task)
        t = t->next;
    return t;
}

static void close_stream(struct task_io *t, int stream)
{
    if (t->watchers[stream])
        loop_fd_free(t->watchers[stream]);
    t->watchers[stream] = NULL;
    if (t->fds[stream] >= 0)
        (void)close(t->fds[stream]); /* read to its end, or given up */
    t->fds[stream] = -1;
}

static void free_task(struct task_io *t)
{
    struct task_io **at = &t->spawner->tasks;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    close_stream(t, SPAWNER_STDOUT);
    close_stream(t, SPAWNER_STDERR);
    loop_timer_free(t->timer);
    free(t);
}

/* The last word. The task is forgotten before, so that its number may be used again. */
static void finish_task(struct task_io *t)
{
    struct spawner *s = t->spawner;
    const struct spawner_exit ended = t->exit;
    uint64_t task = t->task;

    free_task(t);
    s->ops->exited(task, &ended, s->ctx);
}

/* One piece of output. False when there is none now, or never again. */
static bool read_piece(struct task_io *t, int stream)
{
    struct spawner *s = t->spawner;
    ssize_t n = read(t->fds[stream], s->piece, sizeof s->piece);

    if (n > 0) {
        s->ops->output(t->task, (enum spawner_stream)stream, s->piece, (size_t)n, s->ctx);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(t, stream);
    return false;
}

static void on_stream(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct task_io *t = ctx;
    int stream = watcher == t->watchers[SPAWNER_STDOUT] ? SPAWNER_STDOUT : SPAWNER_STDERR;

    (void)events; /* only LOOP_READ is watched */
    (void)read_piece(t, stream);
    if (t->ended && t->fds[0] < 0 && t->fds[1] < 0)
        finish_task(t);
}

/* Waited long enough for the streams' ends, or there is nothing to wait for. */
static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct task_io *t = ctx;

    (void)timer; /* one-shot */
    for (int stream = 0; stream < 2; stream++)
        for (int i = 0; i < LAST_PIECES && t->fds[stream] >= 0; i++)
            if (!read_piece(t, stream))
                break;
    finish_task(t);
}

static void end_task(struct task_io *t, const struct spawner_exit *ended)
{
    if (t->ended)
        return;
    t->ended = true;
    t->exit = *ended;
    t->exit.error[sizeof t->exit.error - 1] = '\0';
    loop_timer_arm(t->timer, t->fds[0] < 0 && t->fds[1] < 0 ? 0 : DRAIN_MS);
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
    s->ops->gone(why, s->ctx);
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

static void on_news(struct spawner *s, const struct message_news *news)
{
    struct task_io *t = find_task(s, news->task);

    if (!t)
        return; /* given up meanwhile */
    if (news->type == MESSAGE_STARTED)
        s->ops->started(t->task, news->pid, s->ctx);
    else if (news->type == MESSAGE_EXITED)
        end_task(t, &news->exit);
}

static void send_waiting(struct spawner *s)
{
    while (s->queue) {
        int r = fd_send(s->sock, &s->queue->order, sizeof s->queue->order, s->queue->fds,
                        s->queue->fd_count);

        if (r == -EAGAIN || r == -ETOOMANYREFS)
            break;
        drop_waiting(s); /* sent; or the spawner is gone, which shows as EOF */
    }
    loop_fd_set(s->watcher, s->queue ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_sock(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct spawner *s = ctx;

    (void)watcher; /* there is one only */
    for (int i = 0; (events & LOOP_READ) && i < NEWS_A_TURN; i++) {
        struct message_news news;
        ssize_t n = fd_recv(s->sock, &news, sizeof news, NULL, 0);

        if (n == -EAGAIN)
            break;
        if (n <= 0) {
            close_sock(s);
            loop_timer_arm(s->silence, SILENCE_MS);
            return;
        }
        if (n == sizeof news)
            on_news(s, &news);
    }
    if (s->queue)
        send_waiting(s);
}

int spawner_attach(struct spawner *s, struct loop *loop, const struct spawner_ops *ops, void *ctx,
                   struct err *err)
{
    if (s->sock < 0 || s->loop)
        return err_set(err, -EINVAL, "the spawner is gone, or already joined to a loop");
    s->loop = loop;
    s->ops = ops;
    s->ctx = ctx;
    s->watcher = loop_fd_new(loop, s->sock, LOOP_READ, on_sock, s);
    s->death = loop_fd_new(loop, s->pidfd, LOOP_READ, on_death, s);
    s->silence = loop_timer_new(loop, on_silence, s);
    return 0;
}

/* ---- orders ---- */

/* Takes ownership of the descriptors. */
static void give_order(struct spawner *s, const struct message_order *order, const int *fds,
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

static struct task_io *add_task(struct spawner *s, uint64_t task)
{
    struct task_io *t = mem_new(struct task_io);

    t->spawner = s;
    t->task = task;
    t->fds[0] = t->fds[1] = -1;
    t->timer = loop_timer_new(s->loop, on_timer, t);
    t->next = s->tasks;
    s->tasks = t;
    return t;
}

static void fail_task(struct task_io *t, const char *what, int error)
{
    struct spawner_exit failed = { .failed_to_start = true };

    (void)snprintf(failed.error, sizeof failed.error, "%s: %s", what, strerror(-error));
    close_stream(t, SPAWNER_STDOUT);
    close_stream(t, SPAWNER_STDERR);
    end_task(t, &failed);
}

/* A pipe for a stream of the task; returns the end that it writes to. */
static int open_stream(struct task_io *t, enum spawner_stream stream)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    t->fds[stream] = ends[0];
    if (fd_set_nonblock(ends[0]) < 0) {
        (void)close(ends[1]); /* the task gets none */
        return -EIO;
    }
    t->watchers[stream] = loop_fd_new(t->spawner->loop, ends[0], LOOP_READ, on_stream, t);
    return ends[1];
}

static int make_plan_file(const struct plan *plan)
{
    struct buf b = { 0 };
    int fd;

    plan_encode(plan, &b);
    fd = fd_memfile("plan", b.data, b.len);
    buf_done(&b);
    return fd;
}

/* Takes ownership of fds, whose first place is for the plan. */
static void send_start(struct task_io *t, const struct plan *plan, int fds[MESSAGE_FDS])
{
    const struct message_order order = { .type = MESSAGE_START, .task = t->task };

    if (t->spawner->sock < 0) {
        fds[0] = -EPIPE;
        fail_task(t, "the spawner process is gone", -EPIPE);
    } else {
        fds[0] = make_plan_file(plan);
        if (fds[0] < 0)
            fail_task(t, "make a memory file for the plan", fds[0]);
    }
    if (fds[0] >= 0) {
        give_order(t->spawner, &order, fds, MESSAGE_FDS);
        return;
    }
    for (size_t i = 1; i < MESSAGE_FDS; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* not sent */
}

void spawner_start(struct spawner *s, uint64_t task, const struct plan *plan, const void *input,
                   size_t input_len)
{
    struct task_io *t = add_task(s, task);
    int fds[MESSAGE_FDS] = { -1, -1, -1, -1 };

    fds[1] = fd_memfile("input", input, input_len);
    fds[2] = open_stream(t, SPAWNER_STDOUT);
    fds[3] = open_stream(t, SPAWNER_STDERR);
    for (size_t i = 1; i < MESSAGE_FDS; i++) {
        if (fds[i] >= 0)
            continue;
        fail_task(t, "make the pipes of a task", fds[i]);
        for (size_t k = 1; k < MESSAGE_FDS; k++)
            if (fds[k] >= 0)
                (void)close(fds[k]); /* not sent */
        return;
    }
    send_start(t, plan, fds);
}

void spawner_start_with(struct spawner *s, uint64_t task, const struct plan *plan,
                        const int stdio[3])
{
    struct task_io *t = add_task(s, task);
    int fds[MESSAGE_FDS] = { -1, -1, -1, -1 };

    for (size_t i = 0; i < 3; i++) {
        fds[i + 1] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i + 1] < 0) {
            fail_task(t, "copy standard input and output", -errno);
            for (size_t k = 1; k <= i; k++)
                (void)close(fds[k]); /* not sent */
            return;
        }
    }
    send_start(t, plan, fds);
}

void spawner_kill(struct spawner *s, uint64_t task, uint32_t grace_ms)
{
    const struct message_order order = { .type = MESSAGE_KILL, .grace_ms = grace_ms, .task = task };

    if (find_task(s, task))
        give_order(s, &order, NULL, 0);
}

void spawner_pause(struct spawner *s, uint64_t task, bool paused)
{
    struct task_io *t = find_task(s, task);

    for (int stream = 0; t && stream < 2; stream++)
        if (t->watchers[stream])
            loop_fd_set(t->watchers[stream], paused ? 0 : LOOP_READ);
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
    while (s->tasks)
        free_task(s->tasks);
    if (s->pid > 0)
        await_end(s, wait_ms);
    if (s->pidfd >= 0)
        (void)close(s->pidfd); /* it is reaped */
    free(s);
}
