/* Processes outside: signals, tracing, their memory, descriptors, priorities. The victim is one
 * that the same user could do all that to. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif

static int signal_named(struct scene *s, const char *name)
{
    pid_t pid = scene_pid(s, name);

    return pid ? probe_verdict(s, kill(pid, 0), "may signal it") : PROBE_ABSENT;
}

/* The other ways to signal; the victim tells of what comes. */
enum way { WAY_KILL, WAY_TGKILL, WAY_QUEUE, WAY_PIDFD, WAY_OWNER };

static long send_by(enum way way, pid_t pid)
{
    siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
    int pipe_fds[2], pidfd;

    switch (way) {
    case WAY_KILL:
        return kill(pid, SIGUSR1);
    case WAY_TGKILL:
        return syscall(SYS_tgkill, pid, pid, SIGUSR1);
    case WAY_QUEUE:
        return syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info);
    case WAY_PIDFD:
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        return pidfd < 0 ? -1 : syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0);
    case WAY_OWNER: /* as the owner of a pipe it is told that there is something to read */
        if (pipe(pipe_fds) < 0 || fcntl(pipe_fds[0], F_SETSIG, SIGUSR1) < 0 ||
            fcntl(pipe_fds[0], F_SETOWN, pid) < 0 || fcntl(pipe_fds[0], F_SETFL, O_ASYNC) < 0)
            return -1;
        return write(pipe_fds[1], "x", 1);
    }
    errno = EINVAL;
    return -1;
}

static int signal_by(struct scene *s, enum way way)
{
    pid_t pid = scene_pid(s, "victim");

    return pid ? probe_verdict(s, send_by(way, pid), "sent it a signal") : PROBE_ABSENT;
}

static int by_kill(struct scene *s, const char *argument)
{
    (void)argument;
    return signal_by(s, WAY_KILL);
}

static int by_tgkill(struct scene *s, const char *argument)
{
    (void)argument;
    return signal_by(s, WAY_TGKILL);
}

static int by_queue(struct scene *s, const char *argument)
{
    (void)argument;
    return signal_by(s, WAY_QUEUE);
}

static int by_pidfd(struct scene *s, const char *argument)
{
    (void)argument;
    return signal_by(s, WAY_PIDFD);
}

static int by_owner(struct scene *s, const char *argument)
{
    (void)argument;
    return signal_by(s, WAY_OWNER);
}

static int trace(struct scene *s, const char *name)
{
    pid_t pid = scene_pid(s, name);

    if (!pid)
        return PROBE_ABSENT;
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
        return -errno;
    (void)waitpid(pid, NULL, __WALL);
    (void)ptrace(PTRACE_DETACH, pid, 0, 0);
    scene_say(s, "traced it");
    return 0;
}

static int seize(struct scene *s, const char *name)
{
    pid_t pid = scene_pid(s, name);

    if (!pid)
        return PROBE_ABSENT;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
        return -errno;
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0)
        (void)waitpid(pid, NULL, __WALL);
    (void)ptrace(PTRACE_DETACH, pid, 0, 0);
    scene_say(s, "traced it");
    return 0;
}

/* Process 1: the sandbox's, or in the control that of a pid namespace. */
static int trace_init(struct scene *s, const char *argument)
{
    (void)argument;
    if (ptrace(PTRACE_SEIZE, 1, 0, 0) < 0)
        return -errno;
    (void)ptrace(PTRACE_DETACH, 1, 0, 0);
    scene_say(s, "traced process 1");
    return 0;
}

/* What a program may do to others of its user's: process 1 watches over it. */
static int limit_init(struct scene *s, const char *argument)
{
    struct rlimit old;

    (void)argument;
    if (prlimit(1, RLIMIT_NOFILE, NULL, &old) < 0)
        return -errno;
    return probe_verdict(s, prlimit(1, RLIMIT_NOFILE, &old, NULL), "set process 1's limit");
}

static int slow_init(struct scene *s, const char *who)
{
    bool user = *who == 'u';

    return probe_verdict(s, setpriority(user ? PRIO_USER : PRIO_PROCESS, user ? 0 : 1, 1),
                         "made process 1 slower");
}

static int reschedule_init(struct scene *s, const char *argument)
{
    const struct sched_param none = { 0 };

    (void)argument;
    return probe_verdict(s, sched_setscheduler(1, SCHED_BATCH, &none), "rescheduled process 1");
}

static int bind_init(struct scene *s, const char *argument)
{
    cpu_set_t cpus;

    (void)argument;
    if (sched_getaffinity(1, sizeof cpus, &cpus) < 0)
        return -errno;
    return probe_verdict(s, sched_setaffinity(1, sizeof cpus, &cpus),
                         "bound process 1 to processors");
}

static int idle_init(struct scene *s, const char *argument)
{
    (void)argument; /* as below */
    return probe_verdict(s, syscall(SYS_ioprio_set, 1, 1, 3 << 13), "made process 1's I/O idle");
}

static int memory_of_victim(struct scene *s, const char *mode)
{
    uintptr_t at = (uintptr_t)strtoull(scene_get(s, "victim_address"), NULL, 16);
    char bytes[64];
    struct iovec here = { bytes, strlen(scene_secret(s)) },
                 there = { (void *)at, strlen(scene_secret(s)) };
    pid_t pid = scene_pid(s, "victim");

    if (!pid)
        return PROBE_ABSENT;
    if (here.iov_len > sizeof bytes)
        here.iov_len = there.iov_len = sizeof bytes;
    memcpy(bytes, scene_secret(s), here.iov_len);
    if (*mode == 'w')
        return probe_verdict(s, process_vm_writev(pid, &here, 1, &there, 1, 0),
                             "wrote to its memory");
    memset(bytes, 0, sizeof bytes);
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0)
        return -errno;
    if (memcmp(bytes, scene_secret(s), here.iov_len) != 0)
        return -ENOMSG;
    scene_say(s, "read its memory");
    return 0;
}

static int take_descriptor(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");
    int number = (int)strtol(scene_get(s, "victim_fd"), NULL, 10), pidfd, fd, r;

    (void)argument;
    if (!pid)
        return PROBE_ABSENT;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    r = probe_read_fd(s, fd);
    if (r == 0)
        scene_say(s, "took its descriptor %d", number);
    return r;
}

static int compare(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    return pid ? probe_verdict(s, syscall(SYS_kcmp, getpid(), pid, KCMP_FILES, 0, 0),
                               "compared kernel objects")
               : PROBE_ABSENT;
}

static int set_limit(struct scene *s, const char *argument)
{
    struct rlimit old;
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    if (!pid)
        return PROBE_ABSENT;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &old) < 0)
        return -errno;
    return probe_verdict(s, prlimit(pid, RLIMIT_NOFILE, &old, NULL), "set its limit");
}

static int set_nice(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    return pid ? probe_verdict(s, setpriority(PRIO_PROCESS, (id_t)pid, 1), "made it slower")
               : PROBE_ABSENT;
}

static int set_io_priority(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");

    (void)argument; /* who: a process; class 3: idle */
    return pid ? probe_verdict(s, syscall(SYS_ioprio_set, 1, pid, 3 << 13), "made its I/O idle")
               : PROBE_ABSENT;
}

static int set_policy(struct scene *s, const char *argument)
{
    const struct sched_param none = { 0 };
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    return pid ? probe_verdict(s, sched_setscheduler(pid, SCHED_BATCH, &none), "rescheduled it")
               : PROBE_ABSENT;
}

static int set_affinity(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");
    cpu_set_t cpus;

    (void)argument;
    if (!pid)
        return PROBE_ABSENT;
    if (sched_getaffinity(pid, sizeof cpus, &cpus) < 0)
        return -errno;
    return probe_verdict(s, sched_setaffinity(pid, sizeof cpus, &cpus), "bound it to processors");
}

static int move_pages_of(struct scene *s, const char *argument)
{
    void *page = (void *)(uintptr_t)strtoull(scene_get(s, "victim_address"), NULL, 16);
    pid_t pid = scene_pid(s, "victim");
    int status;

    (void)argument;
    return pid ? probe_verdict(s, syscall(SYS_move_pages, pid, 1, &page, NULL, &status, 0),
                               "asked for its pages")
               : PROBE_ABSENT;
}

static int migrate_pages_of(struct scene *s, const char *argument)
{
    unsigned long node = 1;
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    return pid ? probe_verdict(s, syscall(SYS_migrate_pages, pid, 64, &node, &node),
                               "moved its pages")
               : PROBE_ABSENT;
}

static int robust_list_of(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");
    void *head;
    size_t len;

    (void)argument;
    return pid ? probe_verdict(s, syscall(SYS_get_robust_list, pid, &head, &len),
                               "read an address of it")
               : PROBE_ABSENT;
}

static int share_core(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");

    (void)argument; /* 2: PR_SCHED_CORE_SHARE_TO */
    return pid ? probe_verdict(s, prctl(PR_SCHED_CORE, 2, pid, 0, 0), "shares its cookie")
               : PROBE_ABSENT;
}

static int clock_of(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");
    struct timespec used;
    clockid_t id;

    (void)argument;
    if (!pid)
        return PROBE_ABSENT;
    if (clock_getcpuclockid(pid, &id) != 0)
        return -ESRCH;
    return probe_verdict(s, clock_gettime(id, &used), "read its processor time");
}

static int session_of(struct scene *s, const char *argument)
{
    pid_t pid = scene_pid(s, "victim");

    (void)argument;
    return pid ? probe_verdict(s, getsid(pid), "read its session") : PROBE_ABSENT;
}

static const struct probe probes[] = {
    { "kill-victim", by_kill, NULL },
    { "kill-thread", by_tgkill, NULL },
    { "kill-queue", by_queue, NULL },
    { "kill-pidfd", by_pidfd, NULL },
    { "kill-owner", by_owner, NULL },
    { "kill-daemon", signal_named, "daemon" },
    { "kill-spawner", signal_named, "spawner" },
    { "kill-egress", signal_named, "egress" },
    { "kill-other-task", signal_named, "other_task" },
    { "ptrace-attach", trace, "victim" },
    { "ptrace-seize", seize, "victim" },
    { "ptrace-daemon", seize, "daemon" },
    { "ptrace-spawner", seize, "spawner" },
    { "ptrace-other-task", seize, "other_task" },
    { "ptrace-init", trace_init, NULL },
    { "init-limit", limit_init, NULL },
    { "init-nice", slow_init, "process" },
    { "init-nice-user", slow_init, "user" },
    { "init-policy", reschedule_init, NULL },
    { "init-affinity", bind_init, NULL },
    { "init-ionice", idle_init, NULL },
    { "process-vm-read", memory_of_victim, "r" },
    { "process-vm-write", memory_of_victim, "w" },
    { "process-getfd", take_descriptor, NULL },
    { "process-kcmp", compare, NULL },
    { "process-limit", set_limit, NULL },
    { "process-nice", set_nice, NULL },
    { "process-ionice", set_io_priority, NULL },
    { "process-policy", set_policy, NULL },
    { "process-affinity", set_affinity, NULL },
    { "process-move-pages", move_pages_of, NULL },
    { "process-migrate-pages", migrate_pages_of, NULL },
    { "process-robust-list", robust_list_of, NULL },
    { "process-core-cookie", share_core, NULL },
    { "process-clock", clock_of, NULL },
    { "process-session", session_of, NULL },
};

const struct probe *process_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
