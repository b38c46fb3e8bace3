/* Rights that one has, may gain, or leave behind for others; what was inherited. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <linux/xattr.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* linux/openat2.h; fchmodat2(2) is newer than the system's headers may be. */
enum { CALL_OPENAT2 = 437, CALL_FCHMODAT2 = 452 };

static long status_field(const char *name, int base)
{
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = (long)strtoull(line + strlen(name) + 1, NULL, base);
    if (f)
        (void)fclose(f);
    return value;
}

static int has_capabilities(struct scene *s, const char *set)
{
    long value = status_field(set, 16);

    if (value == 0)
        return -EPERM;
    scene_say(s, "%s is %lx", set, (unsigned long)value);
    return 0;
}

static int raise_capabilities(struct scene *s, const char *argument)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .effective = 1u << CAP_SYS_CHROOT,
                                                .permitted = 1u << CAP_SYS_CHROOT } };

    (void)argument;
    return probe_verdict(s, syscall(SYS_capset, &head, data), "has a capability");
}

static int raise_ambient(struct scene *s, const char *argument)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .effective = 1u << CAP_SYS_CHROOT,
                                                .permitted = 1u << CAP_SYS_CHROOT,
                                                .inheritable = 1u << CAP_SYS_CHROOT } };

    (void)argument;
    (void)syscall(SYS_capset, &head, data);
    return probe_verdict(s, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0),
                         "hands a capability down");
}

static int set_secure_bits(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS), "set secure bits");
}

static int can_gain(struct scene *s, const char *argument)
{
    (void)argument;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
        return -EPERM;
    scene_say(s, "programs may bring rights");
    return 0;
}

static int is_unfiltered(struct scene *s, const char *argument)
{
    (void)argument;
    if (status_field("Seccomp", 10) > 0)
        return -EPERM;
    scene_say(s, "no system call is filtered");
    return 0;
}

static int become_root(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, setresuid(0, 0, 0), "is user 0");
}

static int give_away(struct scene *s, const char *argument)
{
    int fd = open("given", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    (void)argument;
    (void)close(fd);
    return probe_verdict(s, chown("given", 0, 0), "gave a file to user 0");
}

/* A process's effective user, or ours if it can't be seen. */
static uid_t user_of(pid_t pid)
{
    char path[64], line[256];
    unsigned real, effective = (unsigned)getuid();
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
            break;
    if (f)
        (void)fclose(f);
    return effective;
}

/* It waits for a password; meanwhile its user id is seen. */
static int run_set_id(struct scene *s, const char *path)
{
    int input[2], r = -EPERM;
    pid_t child;

    if (access(path, X_OK) < 0 || pipe(input) < 0)
        return -errno;
    child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)dup2(input[0], STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)execl(path, path, NULL);
        _exit(errno);
    }
    for (int i = 0; i < 60 && r < 0 && waitpid(child, NULL, WNOHANG) == 0; i++) {
        (void)poll(NULL, 0, 5);
        r = user_of(child) != getuid() ? 0 : r;
    }
    (void)kill(child, SIGKILL);
    if (r == 0)
        scene_say(s, "%s runs as another user", path);
    return r;
}

/* ---- files that would run as the task's user for others ---- */

static const char *own_file(void)
{
    int fd = open("own", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

    (void)close(fd);
    return "own";
}

static int verdict_on(struct scene *s, const char *path, long r)
{
    struct stat st;

    if (r == -1)
        return -errno;
    if (stat(path, &st) < 0 || (st.st_mode & (S_ISUID | S_ISGID)) == 0)
        return -ENOMSG;
    (void)unlink(path);
    scene_say(s, "made a set-id file");
    return 0;
}

static int set_id_chmod(struct scene *s, const char *argument)
{
    (void)argument;
    return verdict_on(s, own_file(), chmod("own", 04755));
}

static int set_gid_chmod(struct scene *s, const char *argument)
{
    (void)argument;
    return verdict_on(s, own_file(), chmod("own", 02755));
}

static int set_id_fchmod(struct scene *s, const char *argument)
{
    int fd = open(own_file(), O_RDWR | O_CLOEXEC);

    (void)argument;
    return verdict_on(s, "own", fchmod(fd, 04755));
}

static int set_id_fchmodat2(struct scene *s, const char *argument)
{
    (void)argument;
    return verdict_on(s, own_file(), syscall(CALL_FCHMODAT2, AT_FDCWD, "own", 04755, 0));
}

static int set_id_open(struct scene *s, const char *argument)
{
    (void)argument;
    (void)unlink("own");
    return verdict_on(s, "own", open("own", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755));
}

static int set_id_openat2(struct scene *s, const char *argument)
{
    uint64_t how[3] = { O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755, 0 };

    (void)argument;
    (void)unlink("own");
    return verdict_on(s, "own", syscall(CALL_OPENAT2, AT_FDCWD, "own", how, sizeof how));
}

static int set_id_creat(struct scene *s, const char *argument)
{
    (void)argument;
    (void)unlink("own");
    return verdict_on(s, "own", creat("own", 04755));
}

static int set_id_mknod(struct scene *s, const char *argument)
{
    (void)argument;
    (void)unlink("own");
    return verdict_on(s, "own", mknod("own", S_IFREG | 04755, 0));
}

static int file_capability(struct scene *s, const char *argument)
{
    const struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                       .data[0].permitted = 1u << CAP_NET_RAW };

    (void)argument;
    return probe_verdict(s, setxattr(own_file(), XATTR_NAME_CAPS, &data, sizeof data, 0),
                         "gave a file a capability");
}

/* ---- programs from where none may come ---- */

static int copy_self(int to)
{
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (from < 0 || to < 0 || fstat(from, &st) < 0 ||
        sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
        return -errno;
    return 0;
}

static int run_memory(struct scene *s, const char *argument)
{
    int fd = memfd_create("program", 0), r = copy_self(fd);
    char path[64];

    (void)argument;
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = probe_execute(path);
    if (r == 0)
        scene_say(s, "ran a program that no file holds");
    return r;
}

static int run_shared(struct scene *s, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755), r = copy_self(fd);

    if (fd >= 0)
        (void)close(fd);
    if (r < 0)
        return r;
    r = probe_execute(path);
    (void)unlink(path);
    if (r == 0)
        scene_say(s, "ran %s", path);
    return r;
}

/* ---- what was inherited ---- */

static int keeps_descriptor(struct scene *s, const char *name)
{
    const char *text = scene_get(s, name);
    int fd = (int)strtol(text, NULL, 10), r;

    if (!*text)
        return PROBE_ABSENT;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    r = probe_read_fd(s, fd);
    if (r == 0)
        scene_say(s, "descriptor %d is open", fd);
    return r;
}

static int keeps_directory(struct scene *s, const char *name)
{
    const char *text = scene_get(s, name);

    return *text
               ? probe_verdict(s, fchdir((int)strtol(text, NULL, 10)), "is in a directory outside")
               : PROBE_ABSENT;
}

static int keeps_any(struct scene *s, const char *argument)
{
    (void)argument; /* the scene's, and what we opened, are closed at exec */
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && !(flags & FD_CLOEXEC)) {
            scene_say(s, "descriptor %d is open", fd);
            return 0;
        }
    }
    return -EBADF;
}

static int keeps_environment(struct scene *s, const char *argument)
{
    (void)argument;
    for (char **e = environ; *e; e++) {
        if (strstr(*e, scene_secret(s))) {
            scene_say(s, "%.*s is in the environment", (int)strcspn(*e, "="), *e);
            return 0;
        }
    }
    return -ENOMSG;
}

static int keeps_signals(struct scene *s, const char *argument)
{
    (void)argument;
    if (status_field("SigIgn", 16) == 0)
        return -ENOMSG;
    scene_say(s, "signals are ignored since before");
    return 0;
}

static int drop_core_limit(struct scene *s, const char *argument)
{
    struct rlimit limit = { 0, 0 };

    (void)argument; /* with 0 a core still goes to a pipe in core_pattern: a root process outside */
    (void)setrlimit(RLIMIT_CORE, &limit);
    if (getrlimit(RLIMIT_CORE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur == 1)
        return -EPERM;
    scene_say(s, "a crash would be told outside");
    return 0;
}

/* Whom the kernel kills when memory is short: others before us. */
static int outlive_others(struct scene *s, const char *argument)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

    (void)argument;
    if (fd < 0 || pwrite(fd, "0", 1, 0) != 1)
        return -errno;
    if (pread(fd, text, sizeof text - 1, 0) < 0)
        return -errno;
    scene_say(s, "its score is %ld", strtol(text, NULL, 10));
    return 0;
}

static int real_time(struct scene *s, const char *argument)
{
    const struct sched_param most = { .sched_priority = 1 };

    (void)argument;
    return probe_verdict(s, sched_setscheduler(0, SCHED_FIFO, &most), "runs before all others");
}

static int raise_limit(struct scene *s, const char *argument)
{
    struct rlimit limit;

    (void)argument;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_max++;
    return probe_verdict(s, setrlimit(RLIMIT_NOFILE, &limit), "raised its hard limit");
}

static int be_faster(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, setpriority(PRIO_PROCESS, 0, -5), "runs before others");
}

static const struct probe probes[] = {
    { "rights-capabilities", has_capabilities, "CapEff" },
    { "rights-bounding", has_capabilities, "CapBnd" },
    { "rights-capset", raise_capabilities, NULL },
    { "rights-ambient", raise_ambient, NULL },
    { "rights-securebits", set_secure_bits, NULL },
    { "rights-gain", can_gain, NULL },
    { "rights-unfiltered", is_unfiltered, NULL },
    { "rights-root", become_root, NULL },
    { "rights-give-away", give_away, NULL },
    { "rights-real-time", real_time, NULL },
    { "rights-hard-limit", raise_limit, NULL },
    { "rights-nice", be_faster, NULL },
    { "rights-core-limit", drop_core_limit, NULL },
    { "rights-oom-score", outlive_others, NULL },
    { "setid-su", run_set_id, "/bin/su" },
    { "setid-passwd", run_set_id, "/usr/bin/passwd" },
    { "setid-chmod", set_id_chmod, NULL },
    { "setid-chmod-group", set_gid_chmod, NULL },
    { "setid-fchmod", set_id_fchmod, NULL },
    { "setid-fchmodat2", set_id_fchmodat2, NULL },
    { "setid-open", set_id_open, NULL },
    { "setid-openat2", set_id_openat2, NULL },
    { "setid-creat", set_id_creat, NULL },
    { "setid-mknod", set_id_mknod, NULL },
    { "setid-capability", file_capability, NULL },
    { "run-memory", run_memory, NULL },
    { "run-shared-memory", run_shared, "/dev/shm/probe-program" },
    { "inherit-file", keeps_descriptor, "leaked_file" },
    { "inherit-directory", keeps_directory, "leaked_directory" },
    { "inherit-any", keeps_any, NULL },
    { "inherit-environment", keeps_environment, NULL },
    { "inherit-signals", keeps_signals, NULL },
};

const struct probe *rights_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
