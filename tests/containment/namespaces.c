/* New namespaces, in which one would have every right, and those of others. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint64_t flag;
} kinds[] = {
    { "user", CLONE_NEWUSER },     { "mnt", CLONE_NEWNS },    { "pid", CLONE_NEWPID },
    { "net", CLONE_NEWNET },       { "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },
    { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME },
};

static uint64_t flag_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].flag;
    return 0;
}

static int leave(struct scene *s, const char *name)
{
    return probe_verdict(s, unshare((int)flag_of(name)), "a namespace of its own");
}

static int leave_all(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC),
                         "namespaces with every right");
}

static int born_in(struct scene *s, const char *name)
{
    /* as the bare call, so that libc has no word in it */
    long child = syscall(SYS_clone, flag_of(name) | SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0)
        _exit(0);
    if (child > 0)
        (void)waitpid((pid_t)child, NULL, 0);
    return probe_verdict(s, child, "a child in a namespace of its own");
}

static int born_anew(struct scene *s, const char *name)
{
    struct clone_args args = { .flags = flag_of(name), .exit_signal = SIGCHLD };
    long child = syscall(SYS_clone3, &args, sizeof args);

    if (child == 0)
        _exit(0);
    if (child > 0)
        (void)waitpid((pid_t)child, NULL, 0);
    return probe_verdict(s, child, "a child in a namespace of its own");
}

static int enter_path(struct scene *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return probe_verdict(s, setns(fd, 0), path);
}

static int enter_of(struct scene *s, const char *argument)
{
    char path[64], who[32];
    const char *kind = strchr(argument, ':') + 1;
    pid_t pid;

    (void)snprintf(who, sizeof who, "%.*s", (int)(kind - argument - 1), argument);
    pid = scene_pid(s, who);
    if (!pid)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    return enter_path(s, path);
}

static int open_of_victim(struct scene *s, const char *kind)
{
    char path[64];

    if (!scene_pid(s, "victim"))
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)scene_pid(s, "victim"), kind);
    return probe_verdict(s, open(path, O_RDONLY | O_CLOEXEC), "holds its namespace");
}

static int enter_by_pidfd(struct scene *s, const char *argument)
{
    int fd = (int)syscall(SYS_pidfd_open, getppid(), 0);

    (void)argument;
    if (fd < 0)
        return -errno;
    return probe_verdict(s, setns(fd, CLONE_NEWNET), "entered by a process");
}

static int map_ids(struct scene *s, const char *argument)
{
    char text[64];
    uid_t uid = getuid();
    int fd;

    (void)argument;
    if (unshare(CLONE_NEWUSER) < 0)
        return -errno;
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)snprintf(text, sizeof text, "0 %u 1\n", (unsigned)uid);
    return probe_verdict(s, write(fd, text, strlen(text)), "is root of a user namespace");
}

static int parent_of(struct scene *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return probe_verdict(s, ioctl(fd, NS_GET_PARENT), "holds the parent of its namespace");
}

static int set_host_name(struct scene *s, const char *name)
{
    return probe_verdict(s, sethostname(name, strlen(name)), "named the host");
}

static int set_domain_name(struct scene *s, const char *name)
{
    return probe_verdict(s, setdomainname(name, strlen(name)), "named the domain");
}

static const struct probe probes[] = {
    { "unshare-user", leave, "user" },
    { "unshare-mount", leave, "mnt" },
    { "unshare-pid", leave, "pid" },
    { "unshare-net", leave, "net" },
    { "unshare-ipc", leave, "ipc" },
    { "unshare-uts", leave, "uts" },
    { "unshare-cgroup", leave, "cgroup" },
    { "unshare-time", leave, "time" },
    { "unshare-all", leave_all, NULL },
    { "unshare-map-root", map_ids, NULL },
    { "clone-user", born_in, "user" },
    { "clone-mount", born_in, "mnt" },
    { "clone-pid", born_in, "pid" },
    { "clone-net", born_in, "net" },
    { "clone3-user", born_anew, "user" },
    { "clone3-net", born_anew, "net" },
    { "clone3-time", born_anew, "time" },
    { "setns-own-net", enter_path, "/proc/self/ns/net" },
    { "setns-own-uts", enter_path, "/proc/self/ns/uts" },
    { "setns-init-mount", enter_path, "/proc/1/ns/mnt" },
    { "setns-init-pid", enter_path, "/proc/1/ns/pid" },
    { "setns-pidfd", enter_by_pidfd, NULL },
    { "setns-victim-net", enter_of, "victim:net" },
    { "setns-daemon-mount", enter_of, "daemon:mnt" },
    { "setns-victim-open", open_of_victim, "net" },
    { "setns-pid-parent", parent_of, "/proc/self/ns/pid" },
    { "uts-host-name", set_host_name, "probe" },
    { "uts-domain-name", set_domain_name, "probe" },
};

const struct probe *namespaces_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
