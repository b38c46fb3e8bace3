#include "spawner/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/confine.h"
#include "sandbox/plan.h"
#include "spawner/message.h"
#include "spawner/title.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    CHILDREN_MAX = 1024,
    ORDERS_A_TURN = 16, /* then the children get their turn */
    STUCK_MS = 2000,    /* from the last SIGKILL to the word that it didn't help */
    NEVER = 0,
};

/* One task. It lives until it is reaped and its last news is sent. */
struct child {
    struct child *next;
    uint64_t task;
    struct plan *plan;
    struct apply_task at; /* pid 0: there is no process (any more) */
    uint64_t started_ms;
    uint64_t kill_at_ms;  /* the end of the grace, NEVER for none */
    uint64_t stuck_at_ms; /* when waiting for the reaping has been enough, NEVER for none */
    bool killed;          /* SIGKILL was sent by us */
    bool ended;           /* the program's wait status is in exit */
    bool has_cgroup;
    bool started_due, exited_due, exited_sent;
    struct spawner_exit exit;
};

struct process {
    const struct apply *apply;
    const struct cgroup *cgroup;
    int sock; /* -1: the daemon is gone */
    struct child *children;
    size_t count;
    bool blocked; /* the socket took no more news */
};

/* ---- one child ---- */

static struct child *find_child(struct process *p, uint64_t task)
{
    for (struct child *c = p->children; c; c = c->next)
        if (c->task == task && !c->exited_due && !c->exited_sent)
            return c;
    return NULL;
}

static struct child *add_child(struct process *p, uint64_t task)
{
    struct child *c = mem_new(struct child);

    c->task = task;
    c->at = (struct apply_task){ .pid = 0, .pidfd = -1, .control = -1 };
    c->started_ms = clock_mono_ms();
    c->next = p->children;
    p->children = c;
    p->count++;
    return c;
}

static void close_control(struct child *c)
{
    if (c->at.control >= 0)
        (void)close(c->at.control); /* nothing more is said over it */
    c->at.control = -1;
}

static void free_child(struct child *c)
{
    close_control(c);
    if (c->at.pidfd >= 0)
        (void)close(c->at.pidfd); /* it is reaped */
    plan_free(c->plan);
    free(c);
}

static void fail_child(struct child *c, const char *why)
{
    c->exit.failed_to_start = true;
    (void)snprintf(c->exit.error, sizeof c->exit.error, "%s", why);
}

static void kill_child(struct child *c)
{
    if (c->at.pid == 0)
        return;
    /* Its process 1: the kernel kills all that is in the namespace with it. */
    (void)syscall(SYS_pidfd_send_signal, c->at.pidfd, SIGKILL, NULL, 0); /* ended already: fine */
    c->kill_at_ms = NEVER;
    c->killed = true;
    if (c->stuck_at_ms == NEVER)
        c->stuck_at_ms = clock_mono_ms() + STUCK_MS;
}

static void say(struct child *c, char word)
{
    if (c->at.control < 0 || send(c->at.control, &word, 1, MSG_NOSIGNAL) != 1)
        kill_child(c); /* it doesn't listen */
}

static void end_child(struct child *c, uint32_t grace_ms)
{
    uint64_t at_ms = clock_mono_ms() + grace_ms;

    if (c->at.pid == 0 || c->killed || c->ended)
        return;
    if (grace_ms == 0) {
        kill_child(c);
        return;
    }
    if (c->kill_at_ms == NEVER || at_ms < c->kill_at_ms)
        c->kill_at_ms = at_ms;
    say(c, APPLY_TERM);
}

static void on_report(struct child *c, const struct apply_report *report)
{
    struct err err;

    switch ((enum apply_kind)report->kind) {
    case APPLY_READY:
        if (apply_map_ids(c->plan, c->at.pid, &err) == 0) {
            say(c, APPLY_GO);
        } else {
            fail_child(c, err.text);
            kill_child(c);
        }
        return;
    case APPLY_STARTED:
        c->started_due = true;
        return;
    case APPLY_FAILED:
        c->exit.failed_to_start = true;
        c->exit.not_found = apply_is_not_found(report);
        apply_describe(c->plan, report, c->exit.error, sizeof c->exit.error);
        return;
    case APPLY_ENDED:
        c->ended = true;
        c->exit.status = report->status;
        c->exit.peak_rss_bytes = report->max_rss_bytes;
        c->exit.wall_ms = clock_mono_ms() - c->started_ms;
        c->kill_at_ms = NEVER;
        c->stuck_at_ms = clock_mono_ms() + STUCK_MS;
        return;
    }
}

static void read_reports(struct child *c)
{
    while (c->at.control >= 0) {
        struct apply_report report;
        ssize_t n = fd_recv(c->at.control, &report, sizeof report, NULL, 0);

        if (n == -EAGAIN)
            return;
        if (n == 0 || (n < 0 && n != -EMSGSIZE))
            close_control(c);
        else if (n == sizeof report)
            on_report(c, &report);
    }
}

/* How it ended where its process 1 had no last word. */
static void judge(struct child *c, int init_status)
{
    if (c->ended || c->exit.failed_to_start)
        return;
    if (c->killed || WIFSIGNALED(init_status))
        c->exit.status = SIGKILL; /* as a wait status */
    else
        fail_child(c, "the sandbox's process 1 ended before the program could start");
}

/* What the cgroup knows of the task, and its end. */
static void leave_cgroup(const struct process *p, struct child *c)
{
    struct cgroup_usage usage;

    if (!c->has_cgroup)
        return;
    cgroup_read(p->cgroup, c->task, &usage);
    c->exit.oom = usage.oom;
    if (usage.peak_bytes > 0)
        c->exit.peak_rss_bytes = usage.peak_bytes;
    c->has_cgroup = cgroup_remove(p->cgroup, c->task) < 0;
}

static void reap_child(const struct process *p, struct child *c)
{
    struct rusage usage;
    int status;

    if (wait4(c->at.pid, &status, WNOHANG, &usage) != c->at.pid)
        return;
    read_reports(c);
    judge(c, status);
    if (c->exit.wall_ms == 0)
        c->exit.wall_ms = clock_mono_ms() - c->started_ms;
    c->exit.cpu_ms = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                     (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    if (c->exit.peak_rss_bytes == 0)
        c->exit.peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    leave_cgroup(p, c);
    c->at.pid = 0;
    c->kill_at_ms = c->stuck_at_ms = NEVER;
    close_control(c);
    if (!c->exited_sent)
        c->exited_due = true;
}

static void check_deadlines(struct child *c, uint64_t now_ms)
{
    if (c->kill_at_ms != NEVER && now_ms >= c->kill_at_ms)
        kill_child(c);
    if (c->stuck_at_ms != NEVER && now_ms >= c->stuck_at_ms) {
        c->stuck_at_ms = NEVER;
        if (!c->exited_sent) {
            judge(c, SIGKILL);
            c->exit.stuck = true;
            c->exited_due = true;
        }
    }
}

/* ---- orders ---- */

static int read_plan(int fd, struct plan **ret_plan, struct err *err)
{
    struct stat st;
    AUTO_FREE char *bytes = NULL;
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        st.st_size > PLAN_BYTES_MAX)
        return err_set(err, -EINVAL, "the order to start a task came without a plan");
    bytes = mem_alloc((size_t)st.st_size);
    do
        n = pread(fd, bytes, (size_t)st.st_size, 0);
    while (n < 0 && errno == EINTR);
    if (n != st.st_size)
        return err_set(err, -EIO, "the plan of a task can't be read");
    return plan_decode(bytes, (size_t)n, ret_plan, err);
}

static int place_child(struct process *p, struct child *c, const int *stdio, struct err *err)
{
    AUTO_CLOSE int cgroup = -1;
    struct apply_report report;

    if (p->cgroup) {
        cgroup = cgroup_make(p->cgroup, c->task, c->plan, err);
        if (cgroup < 0)
            return cgroup;
        c->has_cgroup = true;
    }
    if (apply_start(p->apply, c->plan, stdio, cgroup, &c->at, &report) == 0)
        return 0;
    c->at.pid = 0;
    leave_cgroup(p, c);
    apply_describe(c->plan, &report, err->text, sizeof err->text);
    return report.error;
}

static void start_child(struct process *p, struct child *c, const int *fds)
{
    struct err err;

    if (fds[1] < 0 || fds[2] < 0 || fds[3] < 0)
        (void)err_set(&err, -EINVAL, "the order to start a task came without its descriptors");
    else if (p->count > CHILDREN_MAX)
        (void)err_set(&err, -EAGAIN, "there are already %d tasks", CHILDREN_MAX);
    else if (read_plan(fds[0], &c->plan, &err) == 0 && place_child(p, c, fds + 1, &err) == 0)
        return;
    fail_child(c, err.text);
    c->exited_due = true;
}

static void obey(struct process *p, const struct message_order *order, const int *fds)
{
    struct child *c = find_child(p, order->task);

    if (order->type == MESSAGE_START && !c)
        start_child(p, add_child(p, order->task), fds);
    else if (order->type == MESSAGE_KILL && c)
        end_child(c, order->grace_ms);
}

static void lose_daemon(struct process *p)
{
    (void)close(p->sock); /* it is at its end */
    p->sock = -1;
    for (struct child *c = p->children; c; c = c->next)
        kill_child(c);
}

static void read_orders(struct process *p)
{
    for (int i = 0; i < ORDERS_A_TURN && p->sock >= 0; i++) {
        struct message_order order;
        int fds[MESSAGE_FDS];
        ssize_t n = fd_recv(p->sock, &order, sizeof order, fds, MESSAGE_FDS);

        if (n == -EAGAIN)
            return;
        if (n == sizeof order)
            obey(p, &order, fds);
        else if (n == 0 || (n < 0 && n != -EMSGSIZE))
            lose_daemon(p);
        for (size_t k = 0; k < MESSAGE_FDS; k++)
            if (fds[k] >= 0)
                (void)close(fds[k]); /* the task has its own */
    }
}

/* ---- news ---- */

/* False: the socket is full, or gone. */
static bool send_news(struct process *p, const struct child *c, enum message_type type)
{
    struct message_news news;

    memset(&news, 0, sizeof news); /* no stray bytes of ours in the gaps */
    news.type = type;
    news.pid = c->at.pid;
    news.task = c->task;
    if (type == MESSAGE_EXITED)
        news.exit = c->exit;
    if (p->sock < 0)
        return true; /* nobody to tell */
    p->blocked = fd_send(p->sock, &news, sizeof news, NULL, 0) == -EAGAIN;
    return !p->blocked; /* any other failure shows as EOF with the next poll */
}

static void tell(struct process *p)
{
    p->blocked = false;
    for (struct child *c = p->children; c && !p->blocked; c = c->next) {
        if (c->started_due && send_news(p, c, MESSAGE_STARTED))
            c->started_due = false;
        if (c->exited_due && !c->started_due && send_news(p, c, MESSAGE_EXITED)) {
            c->exited_due = false;
            c->exited_sent = true;
        }
    }
}

static void drop_finished(struct process *p)
{
    struct child **at = &p->children;

    while (*at) {
        struct child *c = *at;

        if (c->at.pid != 0 || !c->exited_sent) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        free_child(c);
        p->count--;
    }
}

/* ---- the loop ---- */

static void earlier(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms != NEVER && (*at_ms == NEVER || other_ms < *at_ms))
        *at_ms = other_ms;
}

static int timeout_ms(const struct process *p)
{
    uint64_t next_ms = NEVER, now_ms = clock_mono_ms();

    for (const struct child *c = p->children; c; c = c->next) {
        earlier(&next_ms, c->kill_at_ms);
        earlier(&next_ms, c->stuck_at_ms);
    }
    if (next_ms == NEVER)
        return -1;
    if (next_ms <= now_ms)
        return 0;
    return next_ms - now_ms > 60000 ? 60000 : (int)(next_ms - now_ms);
}

/* fds: room for two a child and one. A descriptor of -1 is passed over by poll(2). */
static nfds_t list_fds(const struct process *p, struct pollfd *fds)
{
    nfds_t n = 0;

    fds[n++] =
        (struct pollfd){ .fd = p->sock, .events = (short)(p->blocked ? POLLIN | POLLOUT : POLLIN) };
    for (const struct child *c = p->children; c; c = c->next) {
        fds[n++] = (struct pollfd){ .fd = c->at.control, .events = POLLIN };
        fds[n++] = (struct pollfd){ .fd = c->at.pid ? c->at.pidfd : -1, .events = POLLIN };
    }
    return n;
}

static void turn(struct process *p)
{
    AUTO_FREE struct pollfd *fds = mem_calloc(2 * p->count + 1, sizeof fds[0]);
    nfds_t n = list_fds(p, fds), i = 1;
    uint64_t now_ms;

    if (poll(fds, n, timeout_ms(p)) < 0)
        return; /* EINTR; ENOMEM passes */
    for (struct child *c = p->children; c; c = c->next, i += 2) {
        if (fds[i].revents)
            read_reports(c);
        if (fds[i + 1].revents)
            reap_child(p, c);
    }
    now_ms = clock_mono_ms();
    for (struct child *c = p->children; c; c = c->next)
        check_deadlines(c, now_ms);
    if (fds[0].revents & ~POLLOUT)
        read_orders(p);
    tell(p);
    drop_finished(p);
}

/* ---- becoming it ---- */

/* The daemon decides about signals; the terminal's and the service manager's reach us too. */
static void ignore_signals(void)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE };
    sigset_t none;

    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
        (void)signal(ignored[i], SIG_IGN); /* can't fail for these */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the two descriptors that stay at 3 and 4 and closes all others. */
static int settle(int *sock, int lock_fd, struct err *err)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Copies above the places first, so that neither is overwritten. */
    AUTO_CLOSE int high_sock = fcntl(*sock, F_DUPFD_CLOEXEC, 5);
    AUTO_CLOSE int high_lock = lock_fd < 0 ? -1 : fcntl(lock_fd, F_DUPFD_CLOEXEC, 5);

    if (null < 0 || high_sock < 0 || (lock_fd >= 0 && high_lock < 0) ||
        dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup3(high_sock, 3, O_CLOEXEC) < 0 || (high_lock >= 0 && dup3(high_lock, 4, O_CLOEXEC) < 0))
        return err_set(err, -errno, "arrange the spawner's descriptors: %s", strerror(errno));
    *sock = 3;
    null = high_sock = high_lock = -1; /* closed with all the others */
    if (close_range(lock_fd < 0 ? 4 : 5, ~0u, 0) < 0 || fd_set_nonblock(*sock) < 0)
        return err_set(err, -errno, "close the spawner's descriptors: %s", strerror(errno));
    return 0;
}

_Noreturn void process_run(const struct apply *apply, const struct cgroup *cgroup, int sock,
                           int lock_fd)
{
    struct process p = { .apply = apply, .cgroup = cgroup, .sock = sock };
    struct message_news ready;
    struct err err = { 0 };

    memset(&ready, 0, sizeof ready);
    ready.type = MESSAGE_READY;
    title_set("nairid: spawner");
    (void)setsid(); /* a fork leads no group: can't fail */
    (void)prctl(PR_SET_NAME, "nairid-spawner");
    ignore_signals();
    if (settle(&p.sock, lock_fd, &err) < 0 || confine_spawner(&err) < 0)
        (void)snprintf(ready.exit.error, sizeof ready.exit.error, "%s", err.text);
    if (fd_send(p.sock, &ready, sizeof ready, NULL, 0) < 0 || ready.exit.error[0])
        _exit(1);
    while (p.sock >= 0 || p.children)
        turn(&p);
    _exit(0);
}
