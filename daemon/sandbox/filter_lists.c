#include "sandbox/filter_lists.h"

#include <errno.h>
#include <linux/btrfs.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sandbox/filter.h"
#include "settings/profile.h"
#include "util/cleanup.h"

enum {
    TASK = 1 << FILTER_TASK,
    DAEMON = 1 << FILTER_DAEMON,
    EGRESS = 1 << FILTER_EGRESS,
    SURVEY = 1 << FILTER_SURVEY,
    SPAWNER = 1 << FILTER_SPAWNER,
    BARE = 1 << FILTER_BARE, /* where these two are, all else is allowed */
    OFFLINE = 1 << FILTER_OFFLINE,
    ALL = TASK | DAEMON | EGRESS | SURVEY | SPAWNER,
#ifdef NAIRID_SANITIZED
    OURS = DAEMON | EGRESS | SURVEY, /* a sanitizer's own needs are many */
    /* LeakSanitizer stops the process by ptrace from a clone of it, at its end */
    DEBUGS_NOBODY = 0,
    DEBUGS_ITSELF = DAEMON | EGRESS,
    THREADS_ONLY = 0,
#else
    OURS = DAEMON,
    DEBUGS_NOBODY = DAEMON,
    DEBUGS_ITSELF = 0,
    THREADS_ONLY = DAEMON,
#endif
};

/* clang-format off */
static const struct filter_group allowed[] = {
    /* files and directories */
    { OURS, PROFILE_FILES,
      "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat "
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
    { OURS, PROFILE_MEMORY,
      "brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap "
      "msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise "
      "process_mrelease remap_file_pages get_mempolicy set_mempolicy mbind "
      "set_mempolicy_home_node" },
    /* waiting and time */
    { OURS, PROFILE_WAITING,
      "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl "
      "epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex "
      "futex_waitv getitimer gettimeofday io_cancel io_destroy io_getevents io_pgetevents "
      "io_setup io_submit nanosleep pause poll ppoll pselect6 restart_syscall select setitimer "
      "time timer_create timer_delete timer_getoverrun timer_gettime timer_settime "
      "timerfd_create timerfd_gettime timerfd_settime times" },
    /* who and what one is */
    { OURS, PROFILE_SELF,
      "capget getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid "
      "getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid getuid "
      "ioprio_get ioprio_set prctl prlimit64 rseq set_robust_list get_robust_list "
      "set_tid_address set_thread_area get_thread_area setpriority setrlimit sysinfo uname "
      "arch_prctl personality sched_get_priority_max sched_get_priority_min sched_getaffinity "
      "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
      "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield" },
    /* signals and the end */
    { OURS, PROFILE_SIGNALS,
      "exit exit_group kill pidfd_open pidfd_send_signal rt_sigaction rt_sigpending "
      "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
      "rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill wait4 waitid waitpid" },
    /* pipes and sockets */
    { OURS, PROFILE_SOCKETS,
      "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv "
      "recvfrom recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair "
      "socket ioctl landlock_add_rule landlock_create_ruleset landlock_restrict_self" },
    /* System V and POSIX queues */
    { 0, PROFILE_QUEUES,
      "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget "
      "msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget" },
    /* processes, programs, identities (which without capabilities can't become others) */
    { 0, PROFILE_PROGRAMS,
      "capset clone execve execveat fork vfork seccomp setfsgid setfsuid setgid setgroups "
      "setpgid setregid setresgid setresuid setreuid setsid setuid" },
    /* one's own children: strace, gdb, leak checkers */
    { 0, PROFILE_DEBUGGING,
      "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
    /* what building a sandbox takes */
    { SPAWNER, 0,
      "chroot clone3 fsconfig fsmount fsopen mount mount_setattr move_mount open_tree "
      "openat2 pivot_root sethostname umount umount2" },
    { DAEMON, 0, "openat2 seccomp" },
    /* what a proxy of TCP takes, and looking a name up */
    { EGRESS, 0,
      "accept4 brk clock_gettime clock_nanosleep close connect epoll_create1 epoll_ctl "
      "epoll_pwait epoll_wait eventfd2 exit exit_group fcntl fstat futex getpeername "
      "getpid getrandom getsockname getsockopt gettimeofday ioctl lseek madvise mmap "
      "mprotect mremap munmap newfstatat open openat poll ppoll read readv recv recvfrom "
      "recvmsg restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn sched_yield send "
      "sendmmsg sendmsg sendto setsockopt shutdown sigaltstack socket time timerfd_settime "
      "write writev fcntl64 fstat64 _llseek" },
    /* what reading directories and files takes, and being process 1 */
    { SURVEY, 0,
      "brk chdir clock_gettime clone close close_range dup2 dup3 exit exit_group faccessat "
      "faccessat2 fcntl fstat futex getdents64 getpid getrlimit getrusage gettid getuid kill "
      "lseek madvise mmap mprotect mremap munmap newfstatat openat2 pipe2 poll ppoll pread64 "
      "prlimit64 read readlinkat recvfrom recvmsg restart_syscall rt_sigaction "
      "rt_sigprocmask rt_sigreturn sched_yield sendto set_robust_list setrlimit setsid "
      "signalfd4 statx umask wait4 write fcntl64 fstat64 fstatat64 _llseek" },
    { THREADS_ONLY, 0, "clone" },
    { DEBUGS_ITSELF, 0,
      "clone kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
};

static const struct filter_group refused[] = {
    { TASK | DAEMON, 0,
      "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root "
      "sethostname umount umount2" },
    { TASK | OURS | SPAWNER, 0,
      "acct add_key adjtimex bpf clock_adjtime clock_settime delete_module fanotify_init "
      "fanotify_mark finit_module init_module ioperm iopl kexec_file_load kexec_load keyctl "
      "lookup_dcookie migrate_pages modify_ldt move_pages open_by_handle_at perf_event_open "
      "quotactl quotactl_fd reboot request_key setdomainname setns settimeofday stime swapoff "
      "swapon syslog unshare userfaultfd vhangup" },
    { BARE, 0,
      "mq_open mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl "
      "shmdt shmget" },
    { DEBUGS_NOBODY, 0, "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace" },
    { DAEMON | EGRESS, 0, "execve execveat fork vfork setgroups setresgid setresuid setgid setuid" },
};
/* clang-format on */

/* ---- arguments ---- */

/* linux/prctl.h of newer kernels than the one whose headers we may be built with. */
enum { MDWE_SET = 65, MDWE_GET = 66, MERGE_SET = 67, MERGE_GET = 68, GET_AUXV = 0x41555856 };

/* prctl(2): what a program may say about itself. The rest moves the marks of its memory, which
 * other tools believe (PR_SET_MM), or is for machine checks, file systems in user space, core
 * scheduling. */
static const uint32_t prctls[] = {
    PR_SET_PDEATHSIG,
    PR_GET_PDEATHSIG,
    PR_GET_DUMPABLE,
    PR_SET_DUMPABLE,
    PR_GET_KEEPCAPS,
    PR_SET_KEEPCAPS,
    PR_GET_TIMING,
    PR_SET_TIMING,
    PR_SET_NAME,
    PR_GET_NAME,
    PR_GET_SECCOMP,
    PR_SET_SECCOMP,
    PR_CAPBSET_READ,
    PR_CAPBSET_DROP,
    PR_GET_TSC,
    PR_SET_TSC,
    PR_GET_SECUREBITS,
    PR_SET_SECUREBITS,
    PR_SET_TIMERSLACK,
    PR_GET_TIMERSLACK,
    PR_MCE_KILL_GET,
    PR_SET_CHILD_SUBREAPER,
    PR_GET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_TID_ADDRESS,
    PR_SET_THP_DISABLE,
    PR_GET_THP_DISABLE,
    PR_CAP_AMBIENT,
    PR_SVE_SET_VL,
    PR_SVE_GET_VL,
    PR_GET_SPECULATION_CTRL,
    PR_SET_SPECULATION_CTRL,
    PR_PAC_RESET_KEYS,
    PR_SET_TAGGED_ADDR_CTRL,
    PR_GET_TAGGED_ADDR_CTRL,
    PR_SET_SYSCALL_USER_DISPATCH,
    PR_PAC_SET_ENABLED_KEYS,
    PR_PAC_GET_ENABLED_KEYS,
    MDWE_SET,
    MDWE_GET,
    MERGE_SET,
    MERGE_GET,
    PR_SET_VMA,
    PR_SET_PTRACER,
    GET_AUXV,
};

static const uint32_t namespaces[] = { CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                       CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };
static const uint32_t threads[] = { CLONE_THREAD };
/* What such a thread has open nobody sees in the process's /proc/PID/fd (sandbox/held.h). */
static const uint32_t loners[] = { CLONE_THREAD | CLONE_FILES, CLONE_THREAD };
static const uint32_t parting[] = { CLOSE_RANGE_UNSHARE };
/* personality(2): asking, the usual one, and without address randomisation (debuggers). */
static const uint32_t personalities[] = { 0, 0xffffffff, 0x0040000 };
/* ioctl_tty(2), ioctl_console(2): input typed for the user, line disciplines (kernel modules), text
 * pasted, output taken over. */
static const uint32_t ioctls[] = { 0x5412 /* TIOCSTI */, 0x5423 /* TIOCSETD */,
                                   0x541c /* TIOCLINUX */, 0x541d /* TIOCCONS */ };
/* btrfs-subvolume(8): anybody may make one where he may make a directory, and mark it read-only, in
 * which nobody removes a file any more, root neither. */
static const uint32_t subvolumes[] = { BTRFS_IOC_SUBVOL_CREATE, BTRFS_IOC_SUBVOL_CREATE_V2,
                                       BTRFS_IOC_SNAP_CREATE, BTRFS_IOC_SNAP_CREATE_V2,
                                       BTRFS_IOC_SUBVOL_SETFLAGS };
/* Local, internet and route netlink, which getaddrinfo(3) asks for addresses. Other families reach
 * the machine's other parts: vsock, packet, bluetooth, the kernel's cryptography. */
static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
static const uint32_t internet[] = { AF_INET, AF_INET6 };
static const uint32_t local[] = { AF_UNIX };
static const uint32_t route[] = { 0 /* NETLINK_ROUTE */ };
/* Any, ICMP (or PF_UNIX's own 1), TCP, UDP, ICMPv6. Others load modules that few have looked at. */
static const uint32_t protocols[] = { 0, 1, 6, 17, 58 };
/* A bit of S_IFBLK, too, and of nothing else that can be made. */
static const uint32_t device[] = { S_IFCHR };
/* A set-id file that a task leaves behind would run as the task's user for anyone on the host. */
static const uint32_t set_id[] = { S_ISUID | S_ISGID };
/* core(5): no core is written, nor piped to a handler outside, while the limit is 1; a task could
 * still lower it to 0, with which it is piped. Programs that try are told that all is well. */
static const uint32_t core_limit[] = { RLIMIT_CORE };
/* Ours, which measures the task and ends it, and has the same user: without a file that it may open
 * it would see nothing, and behind all others it would come too late. */
static const uint32_t init[] = { 1 };
static const uint32_t users[] = { PRIO_USER }, io_users[] = { 3 /* IOPRIO_WHO_USER */ };

/* Without namespaces the machine's sockets and processes are there. Landlock knows nothing of
 * sockets with a path, and of processes only signals and debugging. A pair of datagram sockets can
 * be told of another peer. */
static const uint32_t datagrams[] = { SOCK_DGRAM, SOCK_DGRAM | SOCK_CLOEXEC,
                                      SOCK_DGRAM | SOCK_NONBLOCK,
                                      SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK };
static const uint32_t oneself[] = { 0 };
static const uint32_t process[] = { PRIO_PROCESS }, io_process[] = { 1 /* IOPRIO_WHO_PROCESS */ };

#define VALUES(list) .values = (list), .value_count = ARRAY_SIZE(list)
#define ALWAYS       .guard = -1

/* clang-format off */
static const struct filter_check checks[] = {
    { TASK | SURVEY, "clone", "that makes a namespace", FILTER_ANY_BIT, 0, EPERM, VALUES(namespaces), ALWAYS },
    { TASK, "clone", "that makes a thread with descriptors of its own", FILTER_OF_BITS, 0, EPERM,
      VALUES(loners), ALWAYS },
    { TASK, "close_range", "that gives a thread descriptors of its own", FILTER_ANY_BIT, 2, EINVAL,
      VALUES(parting), ALWAYS },
    { THREADS_ONLY, "clone", "that makes a process", FILTER_NO_BIT, 0, ENOSYS, VALUES(threads), ALWAYS },
    { ALL, "socket", "of a family other than unix, inet, inet6 and netlink", FILTER_NONE_OF, 0,
      EAFNOSUPPORT, VALUES(families), ALWAYS },
    { EGRESS, "socket", "of a family other than inet and inet6", FILTER_NONE_OF, 0, EAFNOSUPPORT,
      VALUES(internet), ALWAYS },
    { ALL, "socket", "of netlink other than route", FILTER_NONE_OF, 2, EAFNOSUPPORT, VALUES(route),
      .guard = 0, .guard_value = AF_NETLINK },
    { ALL, "socket", "of a protocol other than TCP, UDP and ICMP", FILTER_NONE_OF, 2, EPROTONOSUPPORT,
      VALUES(protocols), ALWAYS },
    { ALL, "socketpair", "of a family other than unix", FILTER_NONE_OF, 0, EAFNOSUPPORT,
      VALUES(local), ALWAYS },
    { ALL, "ioctl", "TIOCSTI, TIOCSETD, TIOCLINUX or TIOCCONS", FILTER_ANY_OF, 1, EPERM,
      VALUES(ioctls), ALWAYS },
    { TASK, "ioctl", "that makes a btrfs subvolume, or marks one", FILTER_ANY_OF, 1, EPERM,
      VALUES(subvolumes), ALWAYS },
    { TASK, "prctl", "of an option that isn't about the program itself", FILTER_NONE_OF, 0, EINVAL,
      VALUES(prctls), ALWAYS },
    { ALL, "personality", "other than Linux's own", FILTER_NONE_OF, 0, EPERM, VALUES(personalities),
      ALWAYS },
    { TASK, "setrlimit", "of the core size", FILTER_ANY_OF, 0, 0, VALUES(core_limit), ALWAYS },
    { TASK, "prlimit64", "of the core size", FILTER_NOT_ZERO, 2, 0, .guard = 1,
      .guard_value = RLIMIT_CORE },
    { TASK, "prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler",
      "of process 1", FILTER_ANY_OF, 0, EPERM, VALUES(init), ALWAYS },
    { TASK, "setpriority ioprio_set", "of process 1", FILTER_ANY_OF, 1, EPERM, VALUES(init), ALWAYS },
    { TASK, "setpriority", "of a whole user", FILTER_ANY_OF, 0, EPERM, VALUES(users), ALWAYS },
    { TASK, "ioprio_set", "of a whole user", FILTER_ANY_OF, 0, EPERM, VALUES(io_users), ALWAYS },
    { ALL, "chmod fchmod creat mknod", "with a set-id mode", FILTER_ANY_BIT, 1, EPERM, VALUES(set_id),
      ALWAYS },
    { ALL, "fchmodat open mknodat", "with a set-id mode", FILTER_ANY_BIT, 2, EPERM, VALUES(set_id),
      ALWAYS },
    /* Overlayfs's mark of a removed file anybody may make, and Linux 6.1 past Landlock, too. */
    { TASK, "mknod", "of a device", FILTER_ANY_BIT, 1, EPERM, VALUES(device), ALWAYS },
    { TASK, "mknodat", "of a device", FILTER_ANY_BIT, 2, EPERM, VALUES(device), ALWAYS },
    { ALL, "openat", "with a set-id mode", FILTER_ANY_BIT, 3, EPERM, VALUES(set_id), ALWAYS },
    { BARE, "socket", "of the machine's own", FILTER_ANY_OF, 0, EAFNOSUPPORT, VALUES(local), ALWAYS },
    { BARE, "socketpair", "of datagrams", FILTER_ANY_OF, 1, EAFNOSUPPORT, VALUES(datagrams), ALWAYS },
    { BARE, "prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler",
      "of another process", FILTER_NONE_OF, 0, EPERM, VALUES(oneself), ALWAYS },
    { BARE, "setpriority", "of more than a process", FILTER_NONE_OF, 0, EPERM, VALUES(process), ALWAYS },
    { BARE, "ioprio_set", "of more than a process", FILTER_NONE_OF, 0, EPERM, VALUES(io_process),
      ALWAYS },
    { BARE, "setpriority ioprio_set", "of another process", FILTER_NONE_OF, 1, EPERM, VALUES(oneself),
      ALWAYS },
    { OFFLINE, "socket", "of the internet", FILTER_ANY_OF, 0, EAFNOSUPPORT, VALUES(internet), ALWAYS },
};
/* clang-format on */

const struct filter_group *filter_lists_allowed(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(allowed);
    return allowed;
}

const struct filter_group *filter_lists_refused(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(refused);
    return refused;
}

const struct filter_check *filter_lists_checks(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(checks);
    return checks;
}
