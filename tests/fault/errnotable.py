"""Which errno a call can fail with that means: the machine is short of something, or broken.

From the ERRORS sections of the manual pages, as far as ENOSPC, EIO, EMFILE, ENOMEM, EAGAIN and
their kin (ENOBUFS, ENOLCK) go. What a caller's mistake or a hostile file can bring about is tested
elsewhere. None here: no such failure is possible, so there is nothing to inject.
"""

import fnmatch
import subprocess
from errno import (EAGAIN, EIO, EMFILE, EINTR, ENOBUFS, ENOLCK, ENOMEM, ENOSPC, EOPNOTSUPP)

from errnokit import CREATES, EAI_AGAIN, EAI_MEMORY, NONBLOCK, PIPE, REGULAR, SOCKET

F_DUPFD, F_SETLK, F_SETLKW, F_OFD_SETLK, F_DUPFD_CLOEXEC = 0, 6, 7, 37, 1030
EPOLL_CTL_ADD, EPOLL_CTL_MOD = 1, 3
PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_SET_SECCOMP = 24, 47, 22

# name -> errnos, whatever the arguments are
ALWAYS = {
    # memory
    "malloc calloc realloc reallocarray aligned_alloc posix_memalign strdup strndup vasprintf":
        [ENOMEM],
    "mmap mprotect madvise mlock": [ENOMEM, EAGAIN],
    # new descriptors
    "fopen fdopen opendir fdopendir openat2 open_tree fsopen fsmount":
        [EMFILE, ENOMEM],
    "mkostemp": [EMFILE, ENOSPC, EIO],
    "socket socketpair eventfd signalfd timerfd_create memfd_create pidfd_open epoll_create "
    "epoll_create1 landlock_create_ruleset": [EMFILE, ENOMEM],
    "accept accept4": [EMFILE, ENOMEM, EAGAIN],
    "inotify_init1": [EMFILE, ENOMEM],
    "inotify_add_watch": [ENOMEM, ENOSPC],
    "pipe pipe2 dup dup2 dup3": [EMFILE],
    # what hangs on a descriptor
    "fsync fdatasync syncfs": [EIO, ENOSPC],
    "ftruncate": [EIO],
    "fallocate posix_fallocate": [ENOSPC, EIO],
    "getifaddrs getgrgid": [EMFILE, ENOMEM],
    "connect": [EAGAIN, ENOMEM],
    "bind listen": [ENOMEM],
    "getsockname getpeername getsockopt setsockopt": [ENOBUFS],
    "epoll_wait": [EINTR],
    "poll ppoll": [ENOMEM, EINTR],
    "timerfd_settime": [ENOMEM],
    "flock": [ENOLCK],
    "sendfile": [ENOMEM, EIO, EAGAIN],
    "ioctl": [ENOMEM],
    "readdir getdents": [EIO],
    # files
    "rename renameat renameat2 link linkat symlink symlinkat mkdir mkdirat mkdtemp":
        [ENOSPC, EIO, ENOMEM],
    "unlink unlinkat rmdir chmod fchmod fchmodat chown fchown fchownat futimens utimensat":
        [EIO, ENOMEM],
    "stat lstat fstat fstatat statx statfs fstatfs fstatvfs statvfs access faccessat readlink "
    "readlinkat realpath chdir fchdir getxattr chroot": [EIO, ENOMEM],
    "getcwd": [ENOMEM],
    "fflush": [ENOSPC, EIO],
    # mounts, and the walls of a sandbox
    "mount umount2 pivot_root move_mount mount_setattr fsconfig landlock_add_rule "
    "landlock_restrict_self seccomp capset setgroups": [ENOMEM],
    "setresuid setresgid": [ENOMEM, EAGAIN],
    "keyctl": [ENOMEM],
    # processes
    "fork _Fork clone": [EAGAIN, ENOMEM],
    "clone3 unshare": [EAGAIN, ENOMEM, ENOSPC],
    "execve execvpe": [ENOMEM, EIO, EMFILE, EAGAIN],
    "pthread_create": [EAGAIN],
    "getaddrinfo": [EAI_AGAIN, EAI_MEMORY],
    "getrandom": [EAGAIN],
}
ALWAYS = {name: errnos for names, errnos in ALWAYS.items() for name in names.split()}

# These fail for a caller's mistake only, or are waits that nothing interrupts here.
NEVER = set("waitpid wait4 waitid getrlimit setrlimit sethostname capget pidfd_send_signal gettid "
            "getpid".split())


def of_read(kinds):
    if kinds & REGULAR or not kinds & (PIPE | SOCKET):
        found = [EIO]
    else:
        found = [ENOMEM] if kinds & SOCKET else []
    return found + ([EAGAIN] if kinds & NONBLOCK and not kinds & REGULAR else [])


def of_write(kinds):
    if kinds & SOCKET:
        found = [ENOBUFS, ENOMEM]
    else:
        found = [] if kinds & PIPE or kinds & NONBLOCK and not kinds & REGULAR else [ENOSPC, EIO]
    return found + ([EAGAIN] if kinds & NONBLOCK and not kinds & REGULAR else [])


def of_epoll_ctl(what):
    return {EPOLL_CTL_ADD: [ENOMEM, ENOSPC], EPOLL_CTL_MOD: [ENOMEM]}.get(what, [])


def of_fcntl(command):
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        return [EMFILE]
    return [ENOLCK] if command in (F_SETLK, F_SETLKW, F_OFD_SETLK) else []


def errnos_of(site):
    """What the site's call can fail with; an empty list: with nothing of that kind."""
    name = site.name
    if name in ("read", "pread", "readv", "recv", "recvfrom", "recvmsg"):
        return of_read(site.kinds)
    if name == "preadv2":  # RWF_NOWAIT
        return [EIO, EAGAIN, EOPNOTSUPP]
    if name in ("write", "pwrite", "writev", "send", "sendto", "sendmsg"):
        return of_write(site.kinds)
    if name in ("open", "openat"):
        return [EMFILE, EIO, ENOMEM] + ([ENOSPC] if site.kinds & CREATES else [])
    if name == "fcntl":
        return of_fcntl(site.argument)
    if name == "epoll_ctl":
        return of_epoll_ctl(site.argument)
    if name == "prctl":
        return [ENOMEM] if site.argument in (PR_CAPBSET_DROP, PR_CAP_AMBIENT,
                                             PR_SET_SECCOMP) else []
    if name in NEVER:
        return []
    assert name in ALWAYS, f"errnotable.py doesn't know what {name} can fail with ({site})"
    return ALWAYS[name]


class Exemptions:
    """From a file: FUNCTION ROLE LIBRARY!PLACE, as patterns, # the reason. Call sites that are left
    out; and, after "mute", those whose failure reaches us without its cause."""

    def __init__(self, path):
        self.out, self.mute = [], []
        with open(path) as file:
            for line in file:
                words, _, reason = line.partition(" # ")
                if line.startswith("#") or not line.strip():
                    continue
                words = words.split()
                rows = self.mute if words[0] == "mute" else self.out
                function, role, where = words[-3:]
                assert reason.strip(), line
                rows.append((function, role, where, reason.strip()))

    @staticmethod
    def _find(rows, site):
        where = f"{site.library or ''}!{site.place}"
        for function, role, pattern, reason in rows:
            if fnmatch.fnmatchcase(site.name, function) and fnmatch.fnmatchcase(site.role, role) \
                    and fnmatch.fnmatchcase(where, pattern):
                return reason
        return None

    def reason(self, site):
        return self._find(self.out, site)

    def is_mute(self, site):
        return self._find(self.mute, site) is not None


# What a program of ours takes from a library and errno_shim.c doesn't stand before: such a function
# can't fail for want of anything, or what it does goes through one that is in the table above.
HARMLESS = set("""
    __assert_fail __ctype_b_loc __ctype_tolower_loc __errno_location __isoc99_sscanf __stack_chk_fail __xpg_basename
    _exit abort clearenv clearerr clock_gettime dirfd dirname exit ferror fileno free freeifaddrs getegid
    getenv geteuid getgroups getopt_long getpid getppid getrusage getuid gmtime_r inet_ntop inet_pton
    isatty kill lseek malloc_trim mallopt munmap mbrtowc memchr memcmp memcpy memmem memmove memrchr memset nanosleep qsort setlocale
    setfsgid setfsuid setpgid setsid shutdown sigabbrev_np sigaction sigaddset sigdelset sigdescr_np sigemptyset
    sigfillset sigismember signal sigprocmask snprintf strcasecmp strcasestr strchr strchrnul strcmp
    setpriority bsearch mempcpy stpcpy strcat strcpy strncat strncpy strtok_r strtoll strtoul strtoull
    __ctype_toupper_loc strcspn strerror strlen strncasecmp tolower strncmp strnlen strpbrk strrchr strsep strsignal strspn
    strstr strtod strtol sysconf tcgetattr tcsetattr timegm umask unsetenv vsnprintf wcwidth
    close close_range closedir __cmsg_nxthdr htonl htons ntohl ntohs
    fprintf fputc fputs fwrite printf putc putchar puts vfprintf vprintf
    pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_wait pthread_join
    pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock
    pthread_rwlock_rdlock pthread_rwlock_unlock pthread_rwlock_wrlock pthread_sigmask
""".split())
# Libraries whose own calls are call sites, and what the compiler puts in.
LIBRARIES = ("sqlite3_", "curl_", "yaml_", "cJSON_", "MHD_", "seccomp_", "ev_", "sodium_",
             "crypto_", "randombytes_", "SSL_", "TLS_", "X509_", "PEM_", "BIO_", "ERR_",
             "ares_", "archive_", "sd_", "__asan_", "__ubsan_", "_ITM_", "__gmon_",
             "__cxa_", "__libc_")


def unknown_functions(program, shim):
    """What the program calls that nobody has thought about yet."""
    def names(path, kind):
        done = subprocess.run(["nm", "-D", kind, path], capture_output=True, text=True, check=True)
        return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}

    def plain(name):  # of what a fortified program calls instead
        return name[2:-4] if name.startswith("__") and name.endswith("_chk") else name

    wanted = names(program, "--undefined-only") - names(shim, "--defined-only")
    return sorted(name for name in wanted
                  if plain(name) not in HARMLESS and not name.startswith(LIBRARIES))
