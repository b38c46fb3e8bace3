#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/gauge.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "sandbox/relay.h"
#include "sandbox/scratch.h"
#include "sandbox/survey.h"
#include "sandbox/unpack.h"

enum {
    RELAY_BUSY_MS = 10,  /* how often a file is looked at that grows */
    RELAY_QUIET_MS = 100 /* and one that doesn't */
};
enum {
    WIPE_MS = 1000, /* less than what the spawner takes for being stuck */
    MAKE_MS = 8000,
};
enum {
    PROCESS_1 = 1,    /* counts among the user's processes, not among the program's */
    CPU_SPARE_S = 10, /* for one process by itself, past the time of all: they are measured */
};
enum { STACK_BYTES = 64 * 1024, STACK_GAP = 4096 };

/* A failed send needs no answer: the caller is gone then, and so are we with the next poll. */
static void send_report(int control, const struct apply_report *report)
{
    (void)send(control, report, sizeof *report, MSG_NOSIGNAL);
}

_Noreturn void init_fail(int control, enum apply_stage stage, size_t index, int error)
{
    const struct apply_report report = {
        .kind = APPLY_FAILED, .stage = stage, .index = (uint32_t)index, .error = error
    };

    send_report(control, &report);
    _exit(1);
}

/* ---- the program's side ---- */

int init_limit(unsigned resource, uint64_t most)
{
    struct rlimit have;
    rlim_t n = most;

    if (getrlimit(resource, &have) < 0)
        return -errno;
    if (have.rlim_max != RLIM_INFINITY && have.rlim_max < n)
        n = have.rlim_max; /* a limit of the machine that is lower stays */
    have = (struct rlimit){ .rlim_cur = n, .rlim_max = n };
    return setrlimit(resource, &have) < 0 ? -errno : 0;
}

/* Where the limit counts all of our user's, as nothing sets the task's apart: no less than those
 * that aren't the task's, which is all threads of the machine at the most. The gauge counts the
 * task's own. */
static uint64_t others(const struct plan *plan)
{
    AUTO_CLOSE int fd = -1;
    char text[128];
    const char *slash;
    ssize_t n;
    uint64_t count = 0;

    if (plan->ground.rung != PLAN_RUNG_BARE || plan->as_root)
        return 0;
    fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = '\0';
    slash = strchr(text, '/'); /* proc(5): "0.20 0.18 0.12 1/80 11206" */
    for (; slash && slash[1] >= '0' && slash[1] <= '9'; slash++)
        count = count * 10 + (uint64_t)(slash[1] - '0');
    return count;
}

/* getrlimit(2). RLIMIT_DATA holds
 * for each process by itself; RLIMIT_NPROC counts the processes of this user in this user
 * namespace, which are the task's (kernel 5.14 and later). 0: no limit. */
static int set_limits(const struct plan *plan, unsigned *ret_resource)
{
    const struct {
        unsigned resource;
        uint64_t most;
        bool unlimited;
    } limits[] = {
        { RLIMIT_NOFILE, plan->files, plan->files == 0 },
        { RLIMIT_NPROC, plan->pids + (uint64_t)PROCESS_1 + others(plan), plan->pids == 0 },
        { RLIMIT_FSIZE, plan->disk_bytes, plan->disk_bytes == 0 },
        { RLIMIT_DATA, plan->memory_bytes, plan->memory_bytes == 0 },
        { RLIMIT_CPU, plan->cpu_time_ms / 1000 + CPU_SPARE_S, plan->cpu_time_ms == 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        int r = limits[i].unlimited ? 0 : init_limit(limits[i].resource, limits[i].most);

        *ret_resource = limits[i].resource;
        if (r < 0)
            return r;
    }
    return 0;
}

void init_reset_signals(void)
{
    const struct sigaction def = { .sa_handler = SIG_DFL };
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* can't fail with these arguments */
    for (int signo = 1; signo <= SIGRTMAX; signo++)
        (void)sigaction(signo, &def, NULL); /* KILL, STOP and libc's own ones can't be set */
}

static void unblock_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As the task is told; "": it has none. */
static const char *home_of(const struct plan *plan)
{
    static const char name[] = "HOME=";

    for (size_t i = 0; i < plan->env.len; i++)
        if (strncmp(plan->env.items[i], name, strlen(name)) == 0)
            return plan->env.items[i] + strlen(name);
    return "";
}

/* The caller's descriptors lie above 2, so that none of them is overwritten here. */
static int place_stdio(const int stdio[3])
{
    for (int i = 0; i < 3; i++)
        if (dup2(stdio[i], i) < 0)
            return -errno;
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return -errno;
    return 0;
}

/* execvp(3)'s way: the first one that can be executed; EACCES counts only if there is none. */
static int try_programs(const struct plan *plan)
{
    int error = -ENOENT;

    for (size_t i = 0; i < plan->programs.len; i++) {
        (void)execve(plan->programs.items[i], plan->argv.items, plan->env.items);
        if (errno == EACCES)
            error = -EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return -errno;
    }
    return error;
}

/* A process 1 that is no namespace's first must not be ended or stopped by what it is to end. */
static int shield_parent(const struct plan *plan)
{
    return plan->ground.rung == PLAN_RUNG_BARE && !plan_is_ours(plan)
               ? landlock_enter_scopes(landlock_abi())
               : 0;
}

_Noreturn static void be_program(const struct plan *plan, const int stdio[3], int result)
{
    struct apply_report report = { .kind = APPLY_FAILED, .stage = APPLY_STDIO };
    unsigned resource = 0;

    (void)setsid(); /* can't fail: a new process leads no group */
    unblock_signals();
    report.error = place_stdio(stdio);
    if (report.error == 0) {
        report.stage = APPLY_LIMITS;
        report.error = set_limits(plan, &resource);
        report.index = resource;
    }
    if (report.error == 0) {
        report.stage = APPLY_LANDLOCK;
        report.index = (uint32_t)plan->rule_count;
        report.error = shield_parent(plan);
    }
    if (report.error == 0) {
        report.stage = APPLY_DIRECTORY;
        report.error = chdir(plan->directory) < 0 ? -errno : 0;
    }
    (void)umask(022);
    if (report.error == 0 && plan_is_ours(plan)) {
        (void)close_range(3, ~0u, 0); /* as an execve(2) would: what is hostile is read now */
        if (plan->unpack)
            unpack_run();
        survey_run(plan->argv.items[1], plan->argv.items[2]);
    }
    if (report.error == 0) {
        report.stage = APPLY_EXEC;
        report.error = try_programs(plan);
    }
    /* Smaller than PIPE_BUF: it is written whole or not at all. */
    _exit(write(result, &report, sizeof report) == sizeof report ? 127 : 1);
}

struct program {
    const struct plan *plan;
    const int *stdio;
    int result;
};

static int enter_program(void *ctx)
{
    const struct program *p = ctx;

    be_program(p->plan, p->stdio, p->result);
}

/* clone(2): until it runs the program it has our memory while we stand still, as a copy would cost
 * more than all the rest of a start. What runs in place of a program gets one. */
static pid_t start_program(const struct plan *plan, const int stdio[3], int result)
{
    struct program p = { plan, stdio, result };
    /* Its stack is what lies below ours, which nobody uses meanwhile. An array would be as good,
     * but each of its pages would be filled or probed. */
    char *top = (char *)((uintptr_t)__builtin_frame_address(0) / STACK_GAP * STACK_GAP) - STACK_GAP;
    pid_t pid;

    if (!plan_is_ours(plan)) {
        pid = clone(enter_program, top, CLONE_VM | CLONE_VFORK | SIGCHLD, &p);
        ASAN_UNPOISON_MEMORY_REGION(top - STACK_BYTES, STACK_BYTES); /* its frames never ended */
        return pid;
    }
    pid = _Fork();
    if (pid == 0)
        be_program(plan, stdio, result);
    return pid;
}

/* ---- process 1 ---- */

/* Ends what the program left, where the kernel doesn't. As root all of the task's user, which is
 * nobody else's; else all of its Landlock domain, beyond which no signal of ours goes (the spawner
 * has refused to build it where that isn't so). New ones can't escape: a process that is killed
 * can't fork, and whose parent dies becomes our child. */
static void end_others(const struct plan *plan)
{
    if (plan->ground.rung != PLAN_RUNG_BARE)
        return;
    if (plan->as_root && getuid() != plan->outer_uid)
        return; /* it can't be */
    do
        (void)kill(-1, SIGKILL); /* nobody left: fine */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

/* Whether nothing is left to do once all other processes have ended. Without a namespace there may
 * be some that aren't below us. */
static bool is_over_alone(const struct plan *plan)
{
    return plan->ground.rung != PLAN_RUNG_BARE && !*plan->scratch;
}

_Noreturn static void finish(const struct plan *plan)
{
    end_others(plan);
    if (*plan->scratch)
        scratch_wipe(plan->scratch, WIPE_MS);
    _exit(0);
}

/* Waits for all that ended. Returns whether the program did, and how, and whether nobody is left:
 * whoever loses his parent becomes our child. */
static bool reap(pid_t program, int *ret_status, bool *ret_alone)
{
    bool ended = false;
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != program)
            continue;
        *ret_status = status;
        ended = true;
    }
    *ret_alone = pid < 0 && errno == ECHILD;
    return ended;
}

/* A word of the caller's; false at EOF. */
static bool obey(int control, pid_t program)
{
    char word;
    ssize_t n = recv(control, &word, sizeof word, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (n > 0 && word == APPLY_TERM) {
        (void)kill(-program, SIGTERM); /* nobody left in the group: fine */
        (void)kill(-program, SIGCONT); /* one that is stopped would not hear it */
    }
    return true;
}

static uint64_t cpu_us(const struct rusage *usage)
{
    return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* over: what is left is our own end, which nobody has to wait for. */
static void report_end(int control, int status, bool over)
{
    struct apply_report report = { .kind = APPLY_ENDED, .status = status, .index = over };
    struct rusage ours, theirs;

    if (getrusage(RUSAGE_CHILDREN, &theirs) == 0 && getrusage(RUSAGE_SELF, &ours) == 0) {
        report.bytes = (uint64_t)theirs.ru_maxrss * 1024;
        report.cpu_ms = (cpu_us(&theirs) + cpu_us(&ours)) / 1000;
    }
    send_report(control, &report);
}

/* All that the program left in its file, as fast as it is read; then there is no more. */
static void relay_rest(struct relay *relay, int control, pid_t program)
{
    struct pollfd fds[] = { { .fd = control, .events = POLLIN },
                            { .fd = relay->out, .events = POLLOUT } };

    while (relay_pass(relay))
        if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[0].revents && !obey(control, program))
            return;
}

/* What the task uses up, where that is news, and the limit that it has gone past. */
static void report_use(int control, struct gauge *gauge)
{
    enum limit limit = gauge_step(gauge);
    uint64_t names =
        gauge->names_used > gauge->names_first ? gauge->names_used - gauge->names_first : 0;
    const struct apply_report use = { .kind = APPLY_USE,
                                      .index = gauge->tree_hides,
                                      .status = names > INT32_MAX ? INT32_MAX : (int32_t)names,
                                      .bytes = gauge->tree_used > gauge->tree_first
                                                   ? gauge->tree_used - gauge->tree_first
                                                   : 0 };
    const struct apply_report past = { .kind = APPLY_PAST, .index = limit };

    if (gauge->tree_news)
        send_report(control, &use);
    gauge->tree_news = false;
    if (limit != LIMIT_NONE)
        send_report(control, &past);
}

static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* Waits for news; a file has none to give, so it is looked at, more often while it grows. False:
 * it can't wait, and what it can't watch must not go on. */
static bool wait_for_news(struct pollfd fds[3], struct relay *relay, const struct gauge *gauge)
{
    off_t before = relay->at;
    bool full = relay->out >= 0 && relay_pass(relay);
    int wait_ms = relay->at != before ? RELAY_BUSY_MS : RELAY_QUIET_MS;

    if (relay->out < 0 || full)
        wait_ms = -1;
    fds[2].fd = full ? relay->out : -1;
    if (poll(fds, 3, sooner(wait_ms, gauge_wait_ms(gauge))) >= 0)
        return true;
    fds[0].revents = fds[1].revents = 0;
    return errno == EINTR || errno == ENOMEM; /* every signal is blocked: a debugger's stop */
}

_Noreturn static void watch(const struct plan *plan, int control, int signals, pid_t program,
                            struct relay *relay, struct gauge *gauge)
{
    struct pollfd fds[] = { { .fd = control, .events = POLLIN },
                            { .fd = signals, .events = POLLIN },
                            { .fd = -1, .events = POLLOUT } };
    int status = 0;
    bool alone;

    for (;;) {
        if (!wait_for_news(fds, relay, gauge))
            finish(plan);
        if (fds[1].revents) {
            struct signalfd_siginfo info;

            /* The news is that there is some; what it is, waitpid(2) knows better. */
            if (read(signals, &info, sizeof info) > 0 && reap(program, &status, &alone)) {
                relay_rest(relay, control, program);
                report_end(control, status, alone && is_over_alone(plan));
                finish(plan);
            }
        }
        if (fds[0].revents && !obey(control, program))
            finish(plan);
        report_use(control, gauge);
    }
}

/* The result pipe is closed by execve(2): nothing in it says that the program runs. */
static void await_exec(const struct plan *plan, int result, int control)
{
    struct apply_report report;
    ssize_t n;

    do
        n = read(result, &report, sizeof report);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        report = (struct apply_report){ .kind = APPLY_STARTED };
    else if (n != sizeof report)
        init_fail(control, APPLY_INIT, 0, -EIO);
    send_report(control, &report);
    if (report.kind != APPLY_STARTED)
        finish(plan);
    (void)close(result); /* it was only to read from */
}

_Noreturn void init_run(const struct plan *plan, const int stdio[3], int control, bool limited)
{
    int result[2], signals, places[3] = { stdio[0], stdio[1], stdio[2] };
    struct relay relay = { .file = -1, .out = -1 };
    /* Large: what isn't touched of it costs nothing, but on our stack it would. */
    struct gauge *gauge =
        mmap(NULL, sizeof *gauge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigset_t all;
    pid_t program;
    int r = 0;

    (void)sigfillset(&all);
    signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (gauge == MAP_FAILED || signals < 0 || pipe2(result, O_CLOEXEC) < 0)
        init_fail(control, APPLY_INIT, 0, -errno);
    if (*plan->scratch)
        r = scratch_make(plan->scratch, plan->brief, MAKE_MS);
    for (size_t i = 0; r == 0 && i + 1 < plan->links.len; i += 2)
        r = scratch_link(home_of(plan), plan->links.items[i], plan->links.items[i + 1]);
    if (r < 0)
        init_fail(control, APPLY_SCRATCH, 0, r);
    if (plan->stdout_file) /* not in /tmp, which tasks fill now and then */
        r = relay_open(&relay, *plan->scratch ? plan->scratch : "/dev/shm", stdio[1]);
    if (r < 0)
        init_fail(control, APPLY_STDIO, 0, r);
    if (plan->stdout_file)
        places[1] = relay.file;
    gauge_init(gauge, plan, limited);
    program = start_program(plan, places, result[1]);
    if (program < 0)
        init_fail(control, APPLY_INIT, 0, -errno);
    (void)close(result[1]);
    for (int i = 0; i < 3; i++)
        if (stdio[i] != relay.out)
            (void)close(
                stdio[i]); /* the other end must see EOF when the program is done with them */
    await_exec(plan, result[0], control);
    watch(plan, control, signals, program, &relay, gauge);
}
