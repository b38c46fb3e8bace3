#include "sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/err.h"
#include "util/mem.h"

enum {
    STRICT = 1 << FILTER_TASK_STRICT,
    TASK = 1 << FILTER_TASK,
    DAEMON = 1 << FILTER_DAEMON,
    EGRESS = 1 << FILTER_EGRESS,
    SURVEY = 1 << FILTER_SURVEY,
    SPAWNER = 1 << FILTER_SPAWNER,
    TASKS = STRICT | TASK | SPAWNER, /* tasks run within the spawner's filter */
#ifdef NAIRID_SANITIZED
    ALL = TASKS | DAEMON | EGRESS | SURVEY, /* a sanitizer's own needs are many */
    /* LeakSanitizer stops the process by ptrace from a clone of it, at its end */
    DEBUGS_NOBODY = STRICT,
    DEBUGS_ITSELF = DAEMON | EGRESS,
#else
    ALL = TASKS | DAEMON,
    DEBUGS_NOBODY = STRICT | DAEMON,
    DEBUGS_ITSELF = 0,
#endif
};

struct group {
    unsigned kinds;
    const char *names; /* apart by one space; a name that this machine lacks is passed over */
};

/* clang-format off */
static const struct group allowed[] = {
    /* files and directories */
    { ALL, "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat "
           "faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchown fchownat fcntl fdatasync "
           "fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat "
           "getcwd getdents getdents64 getxattr lchown lgetxattr link linkat listxattr llistxattr "
           "lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at newfstatat "
           "open openat pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink "
           "readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat "
           "statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink "
           "unlinkat utime utimensat utimes vmsplice write writev inotify_add_watch inotify_init "
           "inotify_init1 inotify_rm_watch fstatat64 fcntl64 ftruncate64 truncate64 _llseek" },
    /* memory */
    { ALL, "brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap "
           "msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise "
           "process_mrelease remap_file_pages get_mempolicy set_mempolicy mbind "
           "set_mempolicy_home_node" },
    /* waiting and time */
    { ALL, "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl "
           "epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex "
           "futex_waitv getitimer gettimeofday io_cancel io_destroy io_getevents io_pgetevents "
           "io_setup io_submit nanosleep pause poll ppoll pselect6 restart_syscall select setitimer "
           "time timer_create timer_delete timer_getoverrun timer_gettime timer_settime "
           "timerfd_create timerfd_gettime timerfd_settime times" },
    /* who and what one is */
    { ALL, "capget getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid "
           "getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid getuid "
           "ioprio_get ioprio_set prctl prlimit64 rseq set_robust_list get_robust_list "
           "set_tid_address set_thread_area get_thread_area setpriority setrlimit sysinfo uname "
           "arch_prctl sched_get_priority_max sched_get_priority_min sched_getaffinity "
           "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
           "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield" },
    /* signals and the end */
    { ALL, "exit exit_group kill pidfd_open pidfd_send_signal rt_sigaction rt_sigpending "
           "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
           "rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill wait4 waitid waitpid" },
    /* pipes, sockets, queues */
    { ALL, "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv "
           "recvfrom recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair "
           "socket ioctl landlock_add_rule landlock_create_ruleset landlock_restrict_self" },
    { TASKS, "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget "
             "msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget" },
    /* processes, programs, identities (which without capabilities can't become others) */
    { TASKS, "capset clone execve execveat fork vfork seccomp setfsgid setfsuid setgid setgroups "
             "setpgid setregid setresgid setresuid setreuid setsid setuid" },
    /* one's own children: strace, gdb, leak checkers */
    { TASK | SPAWNER, "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
    /* what building a sandbox takes */
    { SPAWNER, "chroot clone3 fsconfig fsmount fsopen mount mount_setattr move_mount open_tree "
               "openat2 pivot_root sethostname umount umount2" },
    { DAEMON, "openat2 seccomp" },
    /* what a proxy of TCP takes, and looking a name up */
    { EGRESS, "accept4 brk clock_gettime clock_nanosleep close connect epoll_create1 epoll_ctl "
              "epoll_pwait epoll_wait eventfd2 exit exit_group fcntl fstat futex getpeername "
              "getpid getrandom getsockname getsockopt gettimeofday ioctl lseek madvise mmap "
              "mprotect mremap munmap newfstatat open openat poll ppoll read readv recv recvfrom "
              "recvmsg restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn sched_yield send "
              "sendmmsg sendmsg sendto setsockopt shutdown sigaltstack socket time timerfd_settime "
              "write writev fcntl64 fstat64 _llseek" },
    /* what reading directories and files takes, and being process 1 */
    { SURVEY, "brk chdir clock_gettime clone close close_range dup2 dup3 exit exit_group faccessat "
              "faccessat2 fcntl fstat futex getdents64 getpid getrlimit getrusage gettid getuid kill "
              "lseek madvise mmap mprotect mremap munmap newfstatat openat2 pipe2 poll ppoll pread64 "
              "prlimit64 read readlinkat recvfrom recvmsg restart_syscall rt_sigaction "
              "rt_sigprocmask rt_sigreturn sched_yield sendto set_robust_list setrlimit setsid "
              "signalfd4 statx umask wait4 write fcntl64 fstat64 fstatat64 _llseek" },
    { DEBUGS_ITSELF, "clone kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
};

/* Known, meant and refused: EPERM says so, where ENOSYS would say that the kernel is old. */
static const struct group refused[] = {
    { STRICT | TASK | DAEMON, "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount "
                              "open_tree pivot_root sethostname umount umount2" },
    { ALL, "acct add_key adjtimex bpf clock_adjtime clock_settime delete_module fanotify_init "
           "fanotify_mark finit_module init_module ioperm iopl kexec_file_load kexec_load keyctl "
           "lookup_dcookie migrate_pages modify_ldt move_pages open_by_handle_at perf_event_open "
           "quotactl quotactl_fd reboot request_key setdomainname setns settimeofday stime swapoff "
           "swapon syslog unshare userfaultfd vhangup" },
    { DEBUGS_NOBODY, "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
    { DAEMON | EGRESS, "execve execveat fork vfork setgroups setresgid setresuid setgid setuid" },
};
/* clang-format on */

struct program {
    struct sock_filter *code;
    unsigned short len;
};

/* Two programs, because libseccomp can't say "all arguments but these" in one; the kernel runs
 * both and takes the stricter answer. */
struct filter {
    struct program lists;
    struct program arguments;
};

static int add(scmp_filter_ctx ctx, uint32_t action, int call, unsigned count,
               const struct scmp_arg_cmp *args)
{
    int r = seccomp_rule_add_array(ctx, action, call, count, args);

    /* -EACCES: the action is the filter's default; -EEXIST: the same rule twice */
    return r == -EACCES || r == -EEXIST ? 0 : r;
}

/* A name's number, or a negative one where this machine has no such call. */
static int call_number(const char *name)
{
    return seccomp_syscall_resolve_name(name);
}

static int add_names(scmp_filter_ctx ctx, uint32_t action, const char *names)
{
    AUTO_FREE char *copy = mem_strdup(names);
    char *rest = copy, *name;

    while ((name = strsep(&rest, " "))) {
        int call = call_number(name), r;

        if (call < 0)
            continue;
        r = add(ctx, action, call, 0, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_groups(scmp_filter_ctx ctx, uint32_t action, const struct group *groups,
                      size_t count, enum filter_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        int r = groups[i].kinds & (1u << kind) ? add_names(ctx, action, groups[i].names) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* Denies call with error where the masked argument has the value. */
static int deny_arg(scmp_filter_ctx ctx, const char *name, int error, unsigned arg, uint64_t mask,
                    uint64_t value)
{
    const struct scmp_arg_cmp cmp = SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value);
    int call = call_number(name);

    return call < 0 ? 0 : add(ctx, SCMP_ACT_ERRNO((uint32_t)error), call, 1, &cmp);
}

/* personality(2): asking, the usual one, and without address randomisation (debuggers). */
static int add_personality(scmp_filter_ctx ctx)
{
    static const uint32_t values[] = { 0, 0xffffffff, 0x0040000 };
    int call = call_number("personality"), r = 0;

    for (size_t i = 0; r == 0 && call >= 0 && i < ARRAY_SIZE(values); i++) {
        const struct scmp_arg_cmp cmp = SCMP_A0_32(SCMP_CMP_EQ, values[i]);

        r = add(ctx, SCMP_ACT_ALLOW, call, 1, &cmp);
    }
    return r;
}

static int fill_lists(scmp_filter_ctx ctx, enum filter_kind kind)
{
    const struct scmp_arg_cmp thread =
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, (scmp_datum_t)CLONE_THREAD);
    int r = add_groups(ctx, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed), kind);

    if (r == 0)
        r = add_groups(ctx, SCMP_ACT_ERRNO(EPERM), refused, ARRAY_SIZE(refused), kind);
    if (r == 0)
        r = add_personality(ctx);
    if (r == 0 && kind == FILTER_DAEMON && DEBUGS_ITSELF == 0)
        r = add(ctx, SCMP_ACT_ALLOW, call_number("clone"), 1, &thread);
    return r;
}

static int deny_namespaces(scmp_filter_ctx ctx)
{
    static const uint64_t flags[] = { CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++)
        r = deny_arg(ctx, "clone", EPERM, 0, flags[i], flags[i]);
    return r;
}

static bool is_allowed_family(enum filter_kind kind, uint32_t family)
{
    if (family == AF_INET || family == AF_INET6)
        return true;
    return kind != FILTER_EGRESS && (family == AF_UNIX || family == AF_NETLINK);
}

/* socket(2): local, internet and route netlink (getaddrinfo asks it for addresses) are left. The
 * families that reach the machine's other parts (vsock, packet, bluetooth, kernel crypto) aren't.
 */
static int deny_sockets(scmp_filter_ctx ctx, enum filter_kind kind)
{
    const uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    const struct scmp_arg_cmp beyond = SCMP_A0_32(SCMP_CMP_GE, AF_MAX);
    const struct scmp_arg_cmp netlink[] = { SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK),
                                            SCMP_A2_32(SCMP_CMP_NE, 0 /* NETLINK_ROUTE */) };
    int call = call_number("socket"), r = add(ctx, action, call, 1, &beyond);

    for (uint32_t family = 0; r == 0 && family < AF_MAX; family++) {
        const struct scmp_arg_cmp cmp = SCMP_A0_32(SCMP_CMP_EQ, family);

        if (!is_allowed_family(kind, family))
            r = add(ctx, action, call, 1, &cmp);
    }
    return r < 0 ? r : add(ctx, action, call, ARRAY_SIZE(netlink), netlink);
}

/* A set-id file that a task leaves behind would run as the task's user for anyone on the host. */
static int deny_set_id(scmp_filter_ctx ctx)
{
    static const struct {
        const char *name;
        unsigned arg;
    } modes[] = { { "chmod", 1 }, { "fchmod", 1 }, { "fchmodat", 2 }, { "creat", 1 },
                  { "open", 2 },  { "openat", 3 }, { "mknod", 1 },    { "mknodat", 2 } };
    static const uint64_t bits[] = { S_ISUID, S_ISGID };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(modes); i++)
        for (size_t j = 0; r == 0 && j < ARRAY_SIZE(bits); j++)
            r = deny_arg(ctx, modes[i].name, EPERM, modes[i].arg, bits[j], bits[j]);
    return r;
}

/* core(5): no core is written, nor piped to a handler outside, while the limit is 1; a task could
 * still lower it to 0, with which it is piped. Programs that try are told that all is well. */
static int keep_core_limit(scmp_filter_ctx ctx)
{
    const scmp_datum_t low = 0xffffffff; /* which is all that the kernel looks at */
    const struct scmp_arg_cmp old[] = { SCMP_A0(SCMP_CMP_MASKED_EQ, low, RLIMIT_CORE) };
    const struct scmp_arg_cmp new[] = { SCMP_A1(SCMP_CMP_MASKED_EQ, low, RLIMIT_CORE),
                                        SCMP_A2(SCMP_CMP_NE, 0) };
    int r = call_number("setrlimit") < 0
                ? 0
                : add(ctx, SCMP_ACT_ERRNO(0), call_number("setrlimit"), ARRAY_SIZE(old), old);

    return r < 0 ? r : add(ctx, SCMP_ACT_ERRNO(0), call_number("prlimit64"), ARRAY_SIZE(new), new);
}

static int fill_arguments(scmp_filter_ctx ctx, enum filter_kind kind)
{
    /* ioctl_tty(2), ioctl_console(2): input typed for the user, text pasted, output taken over */
    static const uint64_t ioctls[] = { 0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */,
                                       0x541d /* TIOCCONS */ };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ioctls); i++)
        r = deny_arg(ctx, "ioctl", EPERM, 1, 0xffffffff, ioctls[i]);
    if (r == 0 && (kind == FILTER_TASK || kind == FILTER_TASK_STRICT || kind == FILTER_SURVEY))
        r = deny_namespaces(ctx);
    if (r == 0 && (kind == FILTER_TASK || kind == FILTER_TASK_STRICT))
        r = keep_core_limit(ctx);
    if (r == 0)
        r = deny_sockets(ctx, kind);
    return r < 0 ? r : deny_set_id(ctx);
}

/* libseccomp writes its program to a descriptor only. */
static int take_code(scmp_filter_ctx ctx, struct program *ret_program)
{
    AUTO_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    size_t size;
    int r;

    if (fd < 0)
        return -errno;
    r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    size = (size_t)st.st_size;
    if (size == 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -EMSGSIZE;
    ret_program->code = mem_alloc(size);
    ret_program->len = (unsigned short)(size / sizeof(struct sock_filter));
    return pread(fd, ret_program->code, size, 0) == (ssize_t)size ? 0 : -EIO;
}

static int compile(enum filter_kind kind, uint32_t default_action,
                   int (*fill)(scmp_filter_ctx ctx, enum filter_kind kind),
                   struct program *ret_program)
{
    scmp_filter_ctx ctx = seccomp_init(default_action);
    int r;

    if (!ctx)
        return -ENOMEM;
    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a chain */
    if (r == 0) /* or every failure of a system call would be ECANCELED */
        r = seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
    if (r == 0)
        r = fill(ctx, kind);
    if (r == 0)
        r = take_code(ctx, ret_program);
    seccomp_release(ctx);
    return r;
}

int filter_new(enum filter_kind kind, struct filter **ret_filter, struct err *err)
{
    CLEANUP_PTR(filter_free) struct filter *f = mem_new(struct filter);
    int r = compile(kind, SCMP_ACT_ERRNO(ENOSYS), fill_lists, &f->lists);

    if (r == 0)
        r = compile(kind, SCMP_ACT_ALLOW, fill_arguments, &f->arguments);
    if (r < 0)
        return err_set(err, r, "the system call filter can't be compiled: %s", strerror(-r));
    *ret_filter = TAKE_PTR(f);
    return 0;
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    free(f->lists.code);
    free(f->arguments.code);
    free(f);
}

static int load(const struct program *p)
{
    struct sock_fprog prog = { .len = p->len, .filter = p->code };

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        return -errno;
    return 0;
}

int filter_load(const struct filter *f)
{
    int r = load(&f->arguments); /* first: the lists may not allow to load a second one */

    return r < 0 ? r : load(&f->lists);
}
