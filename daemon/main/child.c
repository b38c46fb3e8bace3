#include "main/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/backoff.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/secret.h"
#include "util/strv.h"

enum {
    PAUSE_FIRST_MS = 250,
    PAUSE_CAP_MS = 10 * 1000,
    HEALTHY_MS = 10 * 1000, /* who lived that long begins anew with short pauses */
    LINE_MAX_BYTES = 4096,
    OUTPUT_MAX_BYTES = 64 * 1024,
    EXEC_FAILED = 127, /* as a shell has it */
};

struct child {
    struct loop *loop;
    const char *name;
    const struct child_ops *ops;
    void *ctx;
    pid_t pid; /* 0: not running */
    int pidfd, out;
    struct loop_fd *end, *output;
    struct loop_timer *start, *kill;
    struct backoff backoff;
    uint64_t started_ms;
    struct buf line;
    bool skips; /* the rest of a line that was too long */
};

/* ---- from fork to exec ---- */

/* In the new process: only async-signal-safe calls. out: for its standard output, -1: our stderr.
 */
static void become(char **argv, char **env, int out, int report, pid_t parent)
{
    sigset_t none;
    int null, error;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before that took effect */
        _exit(EXEC_FAILED);
    (void)setpgid(0, 0);
    for (int signo = 1; signo < NSIG; signo++)
        (void)signal(signo, SIG_DFL); /* KILL, STOP and glibc's own refuse, rightly */
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
        dup2(out >= 0 ? out : STDERR_FILENO, STDOUT_FILENO) >= 0) {
        (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        execvpe(argv[0], argv, env);
    }
    error = errno;
    (void)fd_write_all(report, &error, sizeof error);
    _exit(EXEC_FAILED);
}

/* Returns the pid once the program was executed. */
static pid_t spawn(const struct strv *argv, const struct strv *env, int out, struct err *err)
{
    int report[2], error = 0;
    pid_t parent = getpid(), pid;
    ssize_t n;

    if (pipe2(report, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        become(argv->items, env->items, out, report[1], parent);
    error = pid < 0 ? errno : 0;
    (void)close(report[1]); /* ours: so that EOF means executed */
    n = pid < 0 ? 0 : fd_read_all(report[0], &error, sizeof error);
    (void)close(report[0]); /* read to its end */
    if (pid < 0)
        return err_set(err, -error, "fork: %s", strerror(error));
    if (n == 0)
        return pid;
    (void)waitpid(pid, NULL, 0); /* it exits by itself */
    return err_set(err, error > 0 ? -error : -EIO, "start '%s': %s", argv->items[0],
                   strerror(error));
}

/* ---- its end ---- */

static void child_forget(struct child *c)
{
    loop_fd_free(c->end);
    loop_fd_free(c->output);
    c->end = c->output = NULL;
    if (c->pidfd >= 0)
        (void)close(TAKE_FD(c->pidfd)); /* nothing can be lost with it */
    if (c->out >= 0)
        (void)close(TAKE_FD(c->out)); /* read side */
    loop_timer_stop(c->kill);
    buf_clear(&c->line);
    c->skips = false;
    c->pid = 0;
}

static void on_end(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct child *c = ctx;
    int status = 0;

    (void)watcher;
    (void)events;
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    child_forget(c);
    if (loop_now_ms(c->loop) - c->started_ms >= HEALTHY_MS)
        c->backoff.failures = 0;
    c->ops->ended(c, status, c->ctx);
}

static void on_kill(struct loop_timer *timer, void *ctx)
{
    struct child *c = ctx;

    (void)timer;
    if (c->pid > 0)
        (void)kill(-c->pid, SIGKILL); /* its group; the end comes by the pidfd */
}

/* ---- its output ---- */

static void take_bytes(struct child *c, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && c->pid > 0; i++) {
        if (bytes[i] != '\n') {
            if (c->line.len < LINE_MAX_BYTES)
                buf_append_char(&c->line, bytes[i]);
            else
                c->skips = true;
            continue;
        }
        if (!c->skips)
            c->ops->line(buf_str(&c->line), c->ctx);
        c->skips = false;
        buf_clear(&c->line);
    }
}

static void on_output(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct child *c = ctx;
    char bytes[4096];
    ssize_t n = read(c->out, bytes, sizeof bytes);

    (void)events;
    if (n > 0)
        take_bytes(c, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        loop_fd_set(watcher, 0); /* no more to come */
}

/* ---- the rest ---- */

int child_start(struct child *c, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, env = { 0 };
    int out[2] = { -1, -1 };
    pid_t pid;

    loop_timer_stop(c->start);
    if (c->ops->line && pipe2(out, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    c->ops->prepare(&argv, &env, c->ctx);
    pid = spawn(&argv, &env, out[1], err);
    if (out[1] >= 0)
        (void)close(out[1]); /* the child has its copy */
    if (pid < 0) {
        if (out[0] >= 0)
            (void)close(out[0]); /* nothing was in it */
        return (int)pid;
    }
    (void)setpgid(pid, pid); /* whoever comes first, it or we */
    c->pid = pid;
    c->started_ms = loop_now_ms(c->loop);
    c->out = out[0];
    c->pidfd = pidfd_open(pid, 0);
    if (c->pidfd < 0) {
        int error = errno;

        (void)kill(pid, SIGKILL);    /* it can't be watched */
        (void)waitpid(pid, NULL, 0); /* killed */
        child_forget(c);
        return err_set(err, -error, "pidfd_open: %s", strerror(error));
    }
    c->end = loop_fd_new(c->loop, c->pidfd, LOOP_READ, on_end, c);
    if (c->out >= 0 && fd_set_nonblock(c->out) == 0)
        c->output = loop_fd_new(c->loop, c->out, LOOP_READ, on_output, c);
    return 0;
}

static void on_start(struct loop_timer *timer, void *ctx)
{
    struct child *c = ctx;
    struct err err = { 0 };

    (void)timer;
    if (child_start(c, &err) == 0)
        return;
    fprintf(stderr, "nairid up: %s: %s\n", c->name, err.text);
    c->ops->ended(c, EXEC_FAILED << 8, c->ctx);
}

struct child *child_new(struct loop *loop, const char *name, const struct child_ops *ops, void *ctx)
{
    struct child *c = mem_new(struct child);

    *c = (struct child){
        .loop = loop, .name = name, .ops = ops, .ctx = ctx, .pidfd = -1, .out = -1
    };
    (void)backoff_init(&c->backoff, PAUSE_FIRST_MS, PAUSE_CAP_MS); /* in range */
    c->start = loop_timer_new(loop, on_start, c);
    c->kill = loop_timer_new(loop, on_kill, c);
    return c;
}

uint32_t child_start_later(struct child *c)
{
    uint32_t pause_ms = backoff_next(&c->backoff, random_u32(), 0);

    loop_timer_arm(c->start, pause_ms);
    return pause_ms;
}

bool child_is_alive(const struct child *c)
{
    return c->pid > 0;
}

void child_stop(struct child *c, int signo, uint32_t kill_after_ms)
{
    loop_timer_stop(c->start);
    if (c->pid <= 0)
        return;
    (void)kill(c->pid, signo); /* not reaped yet, so it is still that process */
    loop_timer_arm(c->kill, kill_after_ms);
}

const char *child_name(const struct child *c)
{
    return c->name;
}

const char *child_status_text(char buffer[64], int status)
{
    if (WIFEXITED(status))
        snprintf(buffer, 64, "exit status %d", WEXITSTATUS(status));
    else
        snprintf(buffer, 64, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return buffer;
}

void child_free(struct child *c)
{
    if (!c)
        return;
    if (c->pid > 0) {
        (void)kill(-c->pid, SIGKILL);   /* its group */
        (void)waitpid(c->pid, NULL, 0); /* killed */
    }
    child_forget(c);
    loop_timer_free(c->start);
    loop_timer_free(c->kill);
    buf_done(&c->line);
    free(c);
}

/* Until EOF; -ETIMEDOUT, -EMSGSIZE. */
static int collect_output(int fd, uint64_t deadline_ms, struct buf *output)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now_ms = clock_mono_ms();
        ssize_t n;

        if (now_ms >= deadline_ms || poll(&p, 1, (int)(deadline_ms - now_ms)) == 0)
            return -ETIMEDOUT;
        n = read(fd, buf_reserve(output, 4096), 4096);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        output->len += n > 0 ? (size_t)n : 0;
        if (output->len > OUTPUT_MAX_BYTES)
            return -EMSGSIZE;
    }
}

/* Reaps it; kills it first if it hasn't ended in time. */
static int reap(pid_t pid, uint64_t deadline_ms)
{
    AUTO_CLOSE int pidfd = pidfd_open(pid, 0);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    uint64_t now_ms = clock_mono_ms();
    int status = 0;

    if (pidfd < 0 || now_ms >= deadline_ms || poll(&p, 1, (int)(deadline_ms - now_ms)) <= 0)
        (void)kill(-pid, SIGKILL);  /* its group; it made that before exec */
    (void)waitpid(pid, &status, 0); /* ended or killed */
    return status;
}

int child_collect(const struct strv *argv, const struct strv *env, uint32_t timeout_ms,
                  struct buf *ret_output, struct err *err)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    CLEANUP(buf_done) struct buf output = { 0 };
    int out[2], status, r;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    pid = spawn(argv, env, out[1], err);
    (void)close(out[1]); /* the child has its copy */
    r = pid < 0 ? (int)pid : collect_output(out[0], deadline_ms, &output);
    (void)close(out[0]); /* read to its end, or given up */
    if (pid < 0)
        return r;
    status = reap(pid, r < 0 ? 0 : deadline_ms);
    if (r < 0)
        return err_set(err, r, "'%s' gave no answer: %s", argv->items[0], strerror(-r));
    buf_append(ret_output, buf_str(&output), output.len);
    secret_wipe(output.data, output.cap);
    return status;
}
