#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/filter.h"
#include "settings/profile.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"

/* One call and what comes of it under a filter: 0 for success, an errno, or ANY where only the
 * filter's two errors would be wrong. */
enum { ANY = -1, NOBODY = 65534 };
/* Besides those of enum filter_kind: a task without debugging. */
enum { STRICT = FILTER_KIND_COUNT };

struct attempt {
    const char *name;
    long call;
    long args[6];
    int want;
};

static struct filter *must_compile(int kind)
{
    struct filter *f = NULL;
    struct err err = { 0 };
    const uint32_t most = PROFILE_CALLS_ALL, strict = most & ~(uint32_t)PROFILE_DEBUGGING;
    uint32_t calls = kind == STRICT ? strict : kind == FILTER_TASK ? most : 0;

    if (filter_new(kind == STRICT ? FILTER_TASK : (enum filter_kind)kind, calls, &f, &err) < 0)
        fail_msg("%s", err.text);
    return f;
}

static int attempt(const struct attempt *a)
{
    long r =
        syscall(a->call, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);

    return r < 0 ? errno : 0;
}

/* Under the filter in a child, as filters can't be left again. Its status. */
static int in_child_of(const struct filter *f, int (*fn)(const void *), const void *arg)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        /* Never as root: a call that a broken filter lets through would do what it says. */
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                               setresuid(NOBODY, NOBODY, NOBODY) < 0))
            _exit(251);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) < 0 || filter_load(f) < 0)
            _exit(250);
        _exit(fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int in_child(int kind, int (*fn)(const void *), const void *arg)
{
    CLEANUP_PTR(filter_free) struct filter *f = must_compile(kind);

    return in_child_of(f, fn, arg);
}

static int do_attempt(const void *arg)
{
    return attempt(arg);
}

static void check(int kind, const struct attempt *attempts, size_t count)
{
    CLEANUP_PTR(filter_free) struct filter *f = must_compile(kind);

    for (size_t i = 0; i < count; i++) {
        int status = in_child_of(f, do_attempt, &attempts[i]), got = WEXITSTATUS(status);

        if (!WIFEXITED(status))
            fail_msg("%s: ended by signal %d", attempts[i].name, WTERMSIG(status));
        if (attempts[i].want == ANY ? got == ENOSYS || got == 250 : got != attempts[i].want)
            fail_msg("%s: %d (%s) instead of %d", attempts[i].name, got, strerror(got),
                     attempts[i].want);
    }
}

#define CALL(name_, want_, ...)                                                                    \
    {                                                                                              \
#name_, SYS_##name_, { __VA_ARGS__ }, want_                                                \
    }

/* ---- tasks ---- */

static void a_task_cannot_make_or_join_namespaces(void **state)
{
    static const struct attempt attempts[] = {
        CALL(unshare, EPERM, CLONE_NEWUSER),
        CALL(unshare, EPERM, 0),
        CALL(setns, EPERM, 0, 0),
        CALL(clone, EPERM, CLONE_NEWUSER | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWNS | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWPID | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWNET | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWIPC | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWUTS | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWCGROUP | SIGCHLD),
        CALL(clone, EPERM, CLONE_NEWUSER | CLONE_NEWPID | CLONE_VFORK | SIGCHLD),
        CALL(clone, EPERM, CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD),
        CALL(close_range, EINVAL, 900, 900, CLOSE_RANGE_UNSHARE),
        CALL(clone3, ENOSYS, 0, 88),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
    check(STRICT, attempts, ARRAY_SIZE(attempts));
}

static void a_task_cannot_touch_mounts_or_the_machine(void **state)
{
    static const struct attempt attempts[] = {
        CALL(mount, EPERM),         CALL(umount2, EPERM),
        CALL(pivot_root, EPERM),    CALL(chroot, EPERM),
        CALL(open_tree, EPERM),     CALL(move_mount, EPERM),
        CALL(fsopen, EPERM),        CALL(fsconfig, EPERM),
        CALL(fsmount, EPERM),       CALL(fspick, EPERM),
        CALL(mount_setattr, EPERM), CALL(sethostname, EPERM),
        CALL(setdomainname, EPERM), CALL(reboot, EPERM),
        CALL(kexec_load, EPERM),    CALL(init_module, EPERM),
        CALL(finit_module, EPERM),  CALL(delete_module, EPERM),
        CALL(swapon, EPERM),        CALL(acct, EPERM),
        CALL(settimeofday, EPERM),  CALL(clock_settime, EPERM),
        CALL(syslog, EPERM, 3),     CALL(vhangup, EPERM),
        CALL(quotactl, EPERM),      CALL(open_by_handle_at, EPERM),
        CALL(fanotify_init, EPERM), CALL(adjtimex, EPERM),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static void a_task_does_not_reach_the_kernels_wide_interfaces(void **state)
{
    static const struct attempt attempts[] = {
        CALL(bpf, EPERM),
        CALL(perf_event_open, EPERM),
        CALL(userfaultfd, EPERM),
        CALL(keyctl, EPERM),
        CALL(add_key, EPERM),
        CALL(request_key, EPERM),
        CALL(io_uring_setup, ENOSYS, 1),
        CALL(io_uring_enter, ENOSYS),
        CALL(io_uring_register, ENOSYS),
        CALL(openat2, ENOSYS, -1, (long)"/", 0, 24),
        { "a call that isn't there yet", 999, { 0 }, ENOSYS },
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static void only_plain_socket_families_are_there(void **state)
{
    static const struct attempt attempts[] = {
        CALL(socket, 0, AF_UNIX, SOCK_STREAM, 0),
        CALL(socket, 0, AF_INET, SOCK_STREAM, 0),
        CALL(socket, 0, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
        CALL(socket, 0, AF_NETLINK, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, AF_NETLINK, SOCK_RAW, 4),  /* SOCK_DIAG */
        CALL(socket, EAFNOSUPPORT, AF_NETLINK, SOCK_RAW, 15), /* KOBJECT_UEVENT */
        CALL(socket, EAFNOSUPPORT, AF_PACKET, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, AF_VSOCK, SOCK_STREAM, 0),
        CALL(socket, EAFNOSUPPORT, AF_ALG, SOCK_SEQPACKET, 0),
        CALL(socket, EAFNOSUPPORT, AF_BLUETOOTH, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, AF_CAN, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, AF_XDP, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, AF_UNSPEC, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, 46, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, 4711, SOCK_RAW, 0),
        /* the kernel looks at 32 bits only, so must the filter */
        CALL(socket, EAFNOSUPPORT, (1L << 32) | AF_PACKET, SOCK_RAW, 0),
        CALL(socket, EAFNOSUPPORT, (1L << 32) | AF_NETLINK, SOCK_RAW, (1L << 32) | 4),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
    check(FILTER_DAEMON, attempts, ARRAY_SIZE(attempts));
}

/* Others load modules of the kernel that few programs use and few people have looked at. */
static void only_well_known_protocols_are_there(void **state)
{
    static const struct attempt attempts[] = {
        CALL(socket, 0, AF_INET, SOCK_STREAM, IPPROTO_TCP),
        CALL(socket, 0, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
        CALL(socket, 0, AF_INET, SOCK_STREAM, (1L << 32) | IPPROTO_TCP),
        CALL(socket, EPROTONOSUPPORT, AF_INET, SOCK_STREAM, 132 /* SCTP */),
        CALL(socket, EPROTONOSUPPORT, AF_INET6, SOCK_STREAM, (1L << 32) | 132),
        CALL(socket, EPROTONOSUPPORT, AF_INET, 6 /* SOCK_DCCP */, 33),
        CALL(socket, EPROTONOSUPPORT, AF_INET, SOCK_DGRAM, 136 /* UDP-Lite */),
        CALL(socket, EPROTONOSUPPORT, AF_INET, SOCK_DGRAM, 115 /* L2TP */),
        CALL(socket, EPROTONOSUPPORT, AF_INET, SOCK_STREAM, 262 /* MPTCP */),
        CALL(socket, EPROTONOSUPPORT, AF_INET, SOCK_RAW, 255),
        CALL(socketpair, EFAULT, AF_UNIX, SOCK_STREAM, 0, 0),
        CALL(socketpair, EAFNOSUPPORT, 30 /* AF_TIPC */, SOCK_STREAM, 0, 0),
        CALL(socketpair, EAFNOSUPPORT, (1L << 32) | AF_INET, SOCK_STREAM, 0, 0),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
    check(FILTER_DAEMON, attempts, ARRAY_SIZE(attempts));
}

static void prctl_is_for_what_a_program_says_of_itself(void **state)
{
    static const struct attempt attempts[] = {
        CALL(prctl, 0, PR_SET_NAME, (long)"name"),
        CALL(prctl, 0, PR_SET_PDEATHSIG, SIGTERM),
        CALL(prctl, 0, PR_SET_NO_NEW_PRIVS, 1),
        CALL(prctl, 0, (1L << 32) | PR_SET_DUMPABLE, 1),
        CALL(prctl, EINVAL, PR_SET_MM, PR_SET_MM_START_CODE, 0, 0, 0),
        CALL(prctl, EINVAL, (1L << 32) | PR_SET_MM, PR_SET_MM_START_CODE, 0, 0, 0),
        CALL(prctl, EINVAL, PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY),
        CALL(prctl, EINVAL, 57 /* PR_SET_IO_FLUSHER */, 1),
        CALL(prctl, EINVAL, 62 /* PR_SCHED_CORE */, 1),
        CALL(prctl, EINVAL, 4711),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
    check(STRICT, attempts, ARRAY_SIZE(attempts));
}

static void terminals_cannot_be_typed_for(void **state)
{
    static const struct attempt attempts[] = {
        CALL(ioctl, EPERM, 0, 0x5412),    CALL(ioctl, EPERM, 0, 0x541c),
        CALL(ioctl, EPERM, 0, 0x541d),    CALL(ioctl, EPERM, 0, (1L << 32) | 0x5412),
        CALL(ioctl, EPERM, 0, 0x5423), /* TIOCSETD, which loads line disciplines */
        CALL(ioctl, EBADF, -1, FIONREAD),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

/* As the numbers are in the kernel's linux/btrfs.h; where there is no btrfs it would be ENOTTY. */
static void no_subvolume_that_nobody_can_empty_is_made(void **state)
{
    static const struct attempt attempts[] = {
        { "create", SYS_ioctl, { -1, 0x5000940e, 0 }, EPERM },
        { "create v2", SYS_ioctl, { -1, 0x50009418, 0 }, EPERM },
        { "snapshot", SYS_ioctl, { -1, 0x50009401, 0 }, EPERM },
        { "snapshot v2", SYS_ioctl, { -1, 0x50009417, 0 }, EPERM },
        { "read-only", SYS_ioctl, { -1, 0x4008941a, 0 }, EPERM },
        { "reflink", SYS_ioctl, { -1, 0x40049409, 0 }, EBADF },
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static void no_set_id_file_can_be_made(void **state)
{
    static const char path[] = "/nonexistent/file";
    static const struct attempt attempts[] = {
        CALL(fchmod, EPERM, -1, 04755),
        CALL(fchmod, EPERM, -1, 02755),
        CALL(fchmod, EBADF, -1, 01755),
        CALL(fchmodat, EPERM, -1, (long)path, 04700),
        CALL(openat, EPERM, -1, (long)path, O_CREAT | O_WRONLY, 04700),
        CALL(openat, ENOENT, -1, (long)path, O_CREAT | O_WRONLY, 0700),
        CALL(mknodat, EPERM, -1, (long)path, S_IFREG | 02755, 0),
#ifdef SYS_chmod
        CALL(chmod, EPERM, (long)path, 06755),
        CALL(open, EPERM, (long)path, O_CREAT | O_WRONLY, 04755),
        CALL(creat, EPERM, (long)path, 04755),
        CALL(mknod, EPERM, (long)path, S_IFREG | 04755, 0),
#endif
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static int lower_core_limit(const void *arg)
{
    struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };

    (void)arg;
    (void)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &(struct rlimit){ 64, 64 }, NULL);
    limit.rlim_cur = limit.rlim_max = 0;
    if (setrlimit(RLIMIT_CORE, &limit) != 0 || /* it says so */
        syscall(SYS_prlimit64, 0, (1L << 32) | RLIMIT_CORE, &limit, NULL) != 0)
        return 1;
#ifdef SYS_setrlimit
    if (syscall(SYS_setrlimit, RLIMIT_CORE, &limit) != 0)
        return 2;
#endif
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 1 || limit.rlim_max == 0)
        return 3; /* but it isn't so */
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 64 ? 0 : 4;
}

static void the_core_limit_stays_where_no_core_is_piped(void **state)
{
    struct rlimit before, one;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_CORE, &before), 0);
    one = (struct rlimit){ .rlim_cur = 1, .rlim_max = before.rlim_max };
    if (before.rlim_max == 0)
        return; /* a machine that allows none has nothing to keep */
    assert_int_equal(setrlimit(RLIMIT_CORE, &one), 0);
    assert_int_equal(in_child(FILTER_TASK, lower_core_limit, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_CORE, &before), 0);
}

/* Our process 1 has the same user, so that the kernel would let the task. */
static void nothing_is_done_to_process_1(void **state)
{
    static const struct attempt attempts[] = {
        { "prlimit", SYS_prlimit64, { 1, RLIMIT_NOFILE, 0, 0 }, EPERM },
        { "upper half", SYS_prlimit64, { (1L << 32) | 1, RLIMIT_NOFILE, 0, 0 }, EPERM },
        { "affinity", SYS_sched_setaffinity, { 1, 0, 0 }, EPERM },
        { "policy", SYS_sched_setscheduler, { 1, SCHED_BATCH, 0 }, EPERM },
        { "parameters", SYS_sched_setparam, { 1, 0 }, EPERM },
        { "attributes", SYS_sched_setattr, { 1, 0, 0 }, EPERM },
        { "nice", SYS_setpriority, { PRIO_PROCESS, 1, 19 }, EPERM },
        { "nice to a user", SYS_setpriority, { PRIO_USER, 0, 19 }, EPERM },
        { "I/O", SYS_ioprio_set, { 1, 1, 3 << 13 }, EPERM },
        { "I/O of a user", SYS_ioprio_set, { 3, 0, 3 << 13 }, EPERM },
        { "one's own limit", SYS_prlimit64, { 0, RLIMIT_NOFILE, 0, 0 }, 0 },
        { "being nice oneself", SYS_setpriority, { PRIO_PROCESS, 0, 19 }, 0 },
        { "one's own I/O", SYS_ioprio_set, { 1, 0, 3 << 13 }, 0 },
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static void personality_stays_what_it_is(void **state)
{
    static const struct attempt attempts[] = {
        CALL(personality, 0, 0xffffffff),
        CALL(personality, 0, ADDR_NO_RANDOMIZE),
        CALL(personality, EPERM, READ_IMPLIES_EXEC),
        CALL(personality, EPERM, PER_LINUX32),
    };

    (void)state;
    check(FILTER_TASK, attempts, ARRAY_SIZE(attempts));
}

static void ones_own_children_can_be_debugged_unless_strict(void **state)
{
    static const struct attempt allowed[] = { CALL(ptrace, 0, PTRACE_TRACEME) };
    static const struct attempt refused[] = { CALL(ptrace, EPERM, PTRACE_TRACEME),
                                              CALL(process_vm_readv, EPERM),
                                              CALL(process_vm_writev, EPERM),
                                              CALL(pidfd_getfd, EPERM) };

    (void)state;
    check(FILTER_TASK, allowed, ARRAY_SIZE(allowed));
    check(STRICT, refused, ARRAY_SIZE(refused));
}

#ifdef __x86_64__
static int call_32_bit(const void *arg)
{
    long r = 20; /* getpid there, writev here */

    (void)arg;
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory");
    return 0;
}

static int call_x32(const void *arg)
{
    (void)arg;
    (void)syscall(0x40000000 | SYS_getpid);
    return 0;
}

static void a_call_in_another_abi_kills(void **state)
{
    static const int kinds[] = { FILTER_TASK, STRICT, FILTER_DAEMON, FILTER_SPAWNER };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int status = in_child(kinds[i], call_32_bit, NULL);

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
        status = in_child(kinds[i], call_x32, NULL);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}
#endif

static int run_program(const void *arg)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", arg, (char *)NULL);
        _exit(99);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 98;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static void programs_work_under_a_tasks_filter(void **state)
{
    static const char *const scripts[] = {
        "echo a | cat | grep -q a && test \"$(seq 3 | sort -r | head -1)\" = 3",
        "python3 -c 'import threading, subprocess, socket; t = threading.Thread(target=print); "
        "t.start(); t.join(); subprocess.run([\"true\"], check=True); socket.socketpair()' "
        ">/dev/null",
        "d=$(mktemp -d) && cd \"$d\" && printf 'int main(void){return 0;}' >a.c && cc a.c && "
        "./a.out && rm -r \"$d\"",
        "d=$(mktemp -d) && cd \"$d\" && export HOME=$d; git init -q . && touch a && git add a && "
        "git -c user.name=a -c user.email=a@b commit -qm a && rm -rf \"$d\"",
    };
    static const int kinds[] = { FILTER_TASK, STRICT };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
            int status = in_child(kinds[k], run_program, scripts[i]);

            if (status != 0)
                fail_msg("status %d of: %s", status, scripts[i]);
        }
}

/* ---- what is told of it ---- */

enum { NUMBERS = 512 };

/* uretprobe and uprobe of x86, which newer kernels let pass every filter, as only what the kernel
 * itself put into a program may make them: whoever else does is ended. */
static bool is_the_kernels_own(int number)
{
#ifdef __x86_64__
    return number == 335 || number == 336;
#else
    return number < 0;
#endif
}

/* Every call that the filter is said to refuse, in one process: it is the same afterwards. */
static int compare(const void *arg)
{
    const struct filter *f = arg;

    for (int number = 0; number < NUMBERS; number++) {
        static const uint64_t patterns[] = { 0, UINT64_MAX };

        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
            const uint64_t a = patterns[i];
            const struct filter_call call = { number, { a, a, a, a, a, a } };
            int error = 0;

            if (is_the_kernels_own(number) || filter_decide(f, &call, &error) != FILTER_REFUSED)
                continue;
            errno = 0;
            if (syscall(number, a, a, a, a, a, a) != (error ? -1 : 0) || errno != error) {
                (void)fprintf(stderr, "call %d with %llx: %d instead of %d\n", number,
                              (unsigned long long)a, errno, error);
                return 1;
            }
        }
    }
    return 0;
}

static void what_the_program_is_said_to_refuse_the_kernel_refuses(void **state)
{
    static const int kinds[] = { FILTER_TASK, STRICT };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        CLEANUP_PTR(filter_free) struct filter *f = must_compile(kinds[i]);

        assert_int_equal(in_child(kinds[i], compare, f), 0);
    }
}

static void a_group_that_a_profile_leaves_out_is_refused_with_a_word(void **state)
{
    CLEANUP_PTR(filter_free) struct filter *f = NULL;
    const struct filter_call msgget = { SYS_msgget, { 0 } }, read = { SYS_read, { 0 } };
    const struct filter_call none = { 4711, { 0 } };
    int error = 0;

    (void)state;
    assert_int_equal(
        filter_new(FILTER_TASK, PROFILE_CALLS_ALL & ~(uint32_t)PROFILE_QUEUES, &f, NULL), 0);
    assert_int_equal(filter_decide(f, &read, &error), FILTER_ALLOWED);
    assert_int_equal(filter_decide(f, &msgget, &error), FILTER_REFUSED);
    assert_int_equal(error, EPERM);
    assert_int_equal(filter_decide(f, &none, &error), FILTER_REFUSED);
    assert_int_equal(error, ENOSYS);
}

static void a_call_is_named_with_the_condition_that_it_meets(void **state)
{
    static const struct {
        struct filter_call call;
        const char *want;
    } cases[] = {
        { { SYS_keyctl, { 0 } }, "keyctl" },
        { { SYS_clone, { CLONE_NEWNET } }, "clone that makes a namespace" },
        { { SYS_clone, { CLONE_VM | CLONE_THREAD } },
          "clone that makes a thread with descriptors of its own" },
        { { SYS_clone, { CLONE_VM | CLONE_THREAD | CLONE_FILES } }, "clone" },
        { { SYS_close_range, { 3, 4, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC } },
          "close_range that gives a thread descriptors of its own" },
        { { SYS_close_range, { 3, 4, CLOSE_RANGE_CLOEXEC } }, "close_range" },
        { { SYS_socket, { AF_NETLINK, SOCK_RAW, 4 } }, "socket of netlink other than route" },
        { { SYS_socket, { AF_INET, SOCK_STREAM, 132 } },
          "socket of a protocol other than TCP, UDP and ICMP" },
        { { SYS_prlimit64, { 0, RLIMIT_CORE, 1ull << 32 } }, "prlimit64 of the core size" },
        { { SYS_prlimit64, { 0, RLIMIT_CORE, 0 } }, "prlimit64" },
        { { 4711, { 0 } }, "call 4711" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buf_done) struct buf b = { 0 };

        filter_name(&cases[i].call, &b);
        assert_string_equal(buf_str(&b), cases[i].want);
    }
}

static int load_second(const void *arg)
{
    return filter_load(arg) < 0 ? errno : 0;
}

static void a_tasks_filter_can_be_loaded_within_the_spawners(void **state)
{
    CLEANUP_PTR(filter_free) struct filter *task = must_compile(FILTER_TASK);

    (void)state;
    assert_int_equal(in_child(FILTER_SPAWNER, load_second, task), 0);
}

/* ---- ourselves ---- */

/* Of two filters the kernel takes the stricter answer, seccomp(2). */
static void the_parts_of_a_tasks_filter_together_answer_as_it_does(void **state)
{
    static const int kinds[] = { FILTER_TASK, STRICT };
    static const uint64_t values[] = { 0, 1, 2, AF_NETLINK, 17, 0x5412, CLONE_NEWUSER, S_ISUID };
    CLEANUP_PTR(filter_free) struct filter *second = filter_second_part();
    size_t taken_away = 0;

    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        CLEANUP_PTR(filter_free) struct filter *whole = must_compile(kinds[k]);
        CLEANUP_PTR(filter_free) struct filter *first = filter_first_part(whole);

        for (int i = 0; i < 600 * (int)ARRAY_SIZE(values); i++) {
            uint64_t v = values[i % (int)ARRAY_SIZE(values)];
            const struct filter_call call = { .number = i / (int)ARRAY_SIZE(values),
                                              .arguments = { v, v, v, v, v, v } };
            int error[3] = { 0 };
            enum filter_answer want = filter_decide(whole, &call, &error[0]),
                               got = filter_decide(first, &call, &error[1]),
                               then = filter_decide(second, &call, &error[2]);

            if (got == FILTER_ALLOWED) {
                taken_away += then != got;
                got = then;
                error[1] = error[2];
            } else {
                assert_int_equal(then, FILTER_ALLOWED);
            }
            assert_int_equal(got, want);
            assert_int_equal(error[1], error[0]);
        }
    }
    assert_true(taken_away > 0);
}

static void the_daemon_cannot_start_programs_or_processes(void **state)
{
    static const struct attempt attempts[] = {
        CALL(execve, EPERM),
        CALL(execveat, EPERM),
        CALL(mount, EPERM),
        CALL(setns, EPERM),
        CALL(unshare, EPERM, 0),
        CALL(setresuid, EPERM, -1, -1, -1),
        CALL(keyctl, EPERM),
        CALL(bpf, EPERM),
#ifdef SYS_fork
        CALL(fork, EPERM),
        CALL(vfork, EPERM),
#endif
        CALL(clone3, ENOSYS, 0, 88),
#ifndef NAIRID_SANITIZED /* where LeakSanitizer needs these */
        CALL(clone, ENOSYS, SIGCHLD),
        CALL(clone, ENOSYS, CLONE_NEWUSER | SIGCHLD),
        CALL(ptrace, EPERM, PTRACE_TRACEME),
        CALL(process_vm_readv, EPERM),
#endif
        CALL(openat2, EINVAL, -1, (long)"/", 0, 1),
        CALL(fsync, EBADF, -1),
        CALL(fchown, EBADF, -1),
        CALL(timerfd_create, 0, 1),
        CALL(eventfd2, 0),
        CALL(epoll_create1, 0),
        CALL(memfd_create, 0, (long)"x", 0),
    };

    (void)state;
    check(FILTER_DAEMON, attempts, ARRAY_SIZE(attempts));
}

static void *be_thread(void *arg)
{
    return arg;
}

static int make_thread(const void *arg)
{
    pthread_t thread;
    void *result = NULL;

    (void)arg;
    if (pthread_create(&thread, NULL, be_thread, &result) != 0)
        return 1;
    (void)pthread_join(thread, &result);
    return result == &result ? 0 : 2;
}

static void the_daemon_can_make_threads(void **state)
{
    (void)state;
    assert_int_equal(in_child(FILTER_DAEMON, make_thread, NULL), 0);
}

static void the_spawner_can_still_build_sandboxes(void **state)
{
    static const struct attempt attempts[] = {
        CALL(mount, ANY),        CALL(fsopen, ANY),        CALL(open_tree, ANY),
        CALL(move_mount, ANY),   CALL(fsmount, ANY),       CALL(pivot_root, ANY),
        CALL(umount2, ANY),      CALL(clone3, ANY),        CALL(execve, ANY),
        CALL(sethostname, ANY),  CALL(mount_setattr, ANY), CALL(unshare, EPERM, 0),
        CALL(setns, EPERM),      CALL(keyctl, EPERM),      CALL(bpf, EPERM),
        CALL(kexec_load, EPERM), CALL(init_module, EPERM), CALL(io_uring_setup, ENOSYS, 1),
    };

    (void)state;
    check(FILTER_SPAWNER, attempts, ARRAY_SIZE(attempts));
}

#ifndef NAIRID_SANITIZED /* which needs more than a survey has */
static void a_survey_can_read_and_nothing_else(void **state)
{
    static const struct attempt attempts[] = {
        CALL(openat2, EINVAL, -1, (long)"/", 0, 1),
        CALL(getdents64, EBADF, -1),
        CALL(readlinkat, ENOENT, -1, (long)"/nothing", (long)"", 1),
        CALL(openat, ENOSYS, -1, (long)"/", 0),
        CALL(socket, ENOSYS, AF_UNIX, SOCK_STREAM, 0),
        CALL(execve, ENOSYS, (long)"/bin/true", 0, 0),
        CALL(unlinkat, ENOSYS, -1, (long)"/nothing", 0),
        CALL(fchmodat, ENOSYS, -1, (long)"/nothing", 0),
        CALL(renameat2, ENOSYS, -1, (long)"/nothing", -1, (long)"/a", 0),
        CALL(ptrace, ENOSYS, PTRACE_TRACEME),
        CALL(mount, ENOSYS),
        CALL(unshare, ENOSYS, 0),
        CALL(prctl, ENOSYS, 0),
        CALL(clone, EPERM, CLONE_NEWUSER | SIGCHLD),
        CALL(bpf, ENOSYS),
    };

    (void)state;
    check(FILTER_SURVEY, attempts, ARRAY_SIZE(attempts));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifndef NAIRID_SANITIZED
        cmocka_unit_test(a_survey_can_read_and_nothing_else),
#endif
        cmocka_unit_test(a_task_cannot_make_or_join_namespaces),
        cmocka_unit_test(a_task_cannot_touch_mounts_or_the_machine),
        cmocka_unit_test(a_task_does_not_reach_the_kernels_wide_interfaces),
        cmocka_unit_test(only_plain_socket_families_are_there),
        cmocka_unit_test(only_well_known_protocols_are_there),
        cmocka_unit_test(prctl_is_for_what_a_program_says_of_itself),
        cmocka_unit_test(what_the_program_is_said_to_refuse_the_kernel_refuses),
        cmocka_unit_test(a_group_that_a_profile_leaves_out_is_refused_with_a_word),
        cmocka_unit_test(a_call_is_named_with_the_condition_that_it_meets),
        cmocka_unit_test(terminals_cannot_be_typed_for),
        cmocka_unit_test(no_subvolume_that_nobody_can_empty_is_made),
        cmocka_unit_test(no_set_id_file_can_be_made),
        cmocka_unit_test(the_core_limit_stays_where_no_core_is_piped),
        cmocka_unit_test(nothing_is_done_to_process_1),
        cmocka_unit_test(personality_stays_what_it_is),
        cmocka_unit_test(ones_own_children_can_be_debugged_unless_strict),
#ifdef __x86_64__
        cmocka_unit_test(a_call_in_another_abi_kills),
#endif
        cmocka_unit_test(programs_work_under_a_tasks_filter),
        cmocka_unit_test(a_tasks_filter_can_be_loaded_within_the_spawners),
        cmocka_unit_test(the_parts_of_a_tasks_filter_together_answer_as_it_does),
        cmocka_unit_test(the_daemon_cannot_start_programs_or_processes),
        cmocka_unit_test(the_daemon_can_make_threads),
        cmocka_unit_test(the_spawner_can_still_build_sandboxes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
