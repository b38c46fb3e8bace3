/* /proc and /sys: what others' entries tell, and what may be set there. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static int read_of_victim(struct scene *s, const char *entry)
{
    char path[PATH_SIZE];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)scene_pid(s, "victim"), entry);
    return probe_read_secret(s, path);
}

static int root_of_victim(struct scene *s, const char *name)
{
    char path[PATH_SIZE];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/root%s", (int)scene_pid(s, "victim"),
                   scene_get(s, name));
    return probe_read_secret(s, path);
}

static int fd_of_victim(struct scene *s, const char *name)
{
    char path[PATH_SIZE];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)scene_pid(s, "victim"),
                   scene_get(s, name));
    return probe_read_secret(s, path);
}

static int memory_of_victim(struct scene *s, const char *mode)
{
    off_t at = (off_t)strtoull(scene_get(s, "victim_address"), NULL, 16);
    char path[64], bytes[256] = "";
    int fd;

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)scene_pid(s, "victim"));
    fd = open(path, (*mode == 'w' ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0 || pread(fd, bytes, sizeof bytes - 1, at) < 0)
        return -errno;
    if (!strstr(bytes, scene_secret(s)))
        return -ENOMSG;
    if (*mode == 'w' && pwrite(fd, bytes, 1, at) != 1)
        return -errno;
    scene_say(s, "%s", *mode == 'w' ? "wrote to its memory" : "read its memory");
    return 0;
}

static int any_of(struct scene *s, const char *path)
{
    char bytes[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

    if (n < 0)
        return -errno;
    (void)close(fd);
    if (n == 0)
        return -ENODATA;
    scene_say(s, "read %zd bytes of %s", n, path);
    return 0;
}

static int any_of_victim(struct scene *s, const char *entry)
{
    char path[64];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)scene_pid(s, "victim"), entry);
    return any_of(s, path);
}

static int link_of(struct scene *s, const char *path)
{
    char to[256];
    ssize_t n = readlink(path, to, sizeof to - 1);

    if (n < 0)
        return -errno;
    to[n] = '\0';
    scene_say(s, "%s is %s", path, to);
    return 0;
}

static int link_of_victim(struct scene *s, const char *entry)
{
    char path[64];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)scene_pid(s, "victim"), entry);
    return link_of(s, path);
}

static int list(struct scene *s, const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    if (!d)
        return -errno;
    errno = 0;
    while ((entry = readdir(d)))
        count += entry->d_name[0] != '.';
    if (count == 0)
        return errno ? -errno : -ENOENT;
    (void)closedir(d);
    scene_say(s, "%zu entries in %s", count, path);
    return 0;
}

/* Opened only, never written to: some of them act on any byte. */
static int open_to_write(struct scene *s, const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    (void)close(fd);
    scene_say(s, "may write %s", path);
    return 0;
}

static int write_of_victim(struct scene *s, const char *entry)
{
    char path[64];

    if (scene_pid(s, "victim") == 0)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)scene_pid(s, "victim"), entry);
    return open_to_write(s, path);
}

/* A setting of the kernel is given the value that it has. */
static int set_again(struct scene *s, const char *path)
{
    char value[64];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, value, sizeof value);

    if (n < 0 || lseek(fd, 0, SEEK_SET) < 0 || write(fd, value, (size_t)n) < 0)
        return -errno;
    (void)close(fd);
    scene_say(s, "set %s", path);
    return 0;
}

static int find_in(struct scene *s, const char *argument)
{
    char path[64], line[512];
    const char *name = strchr(argument, ':') + 1, *word = scene_get(s, name);
    FILE *f;
    int r = -ENOMSG;

    if (!*word)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "%.*s", (int)(name - argument - 1), argument);
    f = fopen(path, "re");
    if (!f)
        return -errno;
    while (r < 0 && fgets(line, sizeof line, f))
        r = strstr(line, word) ? 0 : -ENOMSG;
    (void)fclose(f);
    if (r == 0)
        scene_say(s, "found %s in %s", word, path);
    return r;
}

static const struct probe probes[] = {
    { "proc-victim-cmdline", read_of_victim, "cmdline" },
    { "proc-victim-environ", read_of_victim, "environ" },
    { "proc-victim-cwd", read_of_victim, "cwd/secret" },
    { "proc-victim-root", root_of_victim, "other_home" },
    { "proc-victim-fd", fd_of_victim, "victim_fd" },
    { "proc-victim-mem-read", memory_of_victim, "r" },
    { "proc-victim-mem-write", memory_of_victim, "w" },
    { "proc-victim-maps", any_of_victim, "maps" },
    { "proc-victim-stat", any_of_victim, "stat" },
    { "proc-victim-status", any_of_victim, "status" },
    { "proc-victim-auxv", any_of_victim, "auxv" },
    { "proc-victim-exe", link_of_victim, "exe" },
    { "proc-victim-ns", link_of_victim, "ns/mnt" },
    { "proc-victim-oom", write_of_victim, "oom_score_adj" },
    { "proc-victim-clear-refs", write_of_victim, "clear_refs" },
    { "proc-victim-coredump", write_of_victim, "coredump_filter" },
    { "proc-init-environ", any_of, "/proc/1/environ" },
    { "proc-init-maps", any_of, "/proc/1/maps" },
    { "proc-init-auxv", any_of, "/proc/1/auxv" },
    { "proc-init-mem", open_to_write, "/proc/1/mem" },
    { "proc-init-root", link_of, "/proc/1/root" },
    { "proc-init-cwd", link_of, "/proc/1/cwd" },
    { "proc-init-exe", link_of, "/proc/1/exe" },
    { "proc-init-fd", list, "/proc/1/fd" },
    { "proc-init-map-files", list, "/proc/1/map_files" },
    { "proc-init-ns", link_of, "/proc/1/ns/user" },
    { "proc-sockets-tcp", find_in, "/proc/net/tcp:tcp_hex" },
    { "proc-sockets-unix", find_in, "/proc/net/unix:unix_stream" },
    { "proc-keys", find_in, "/proc/keys:key_name" },
    { "proc-sysvipc", find_in, "/proc/sysvipc/shm:shm_key" },
    { "proc-kcore", any_of, "/proc/kcore" },
    { "proc-kmsg", any_of, "/proc/kmsg" },
    { "proc-sysrq", open_to_write, "/proc/sysrq-trigger" },
    { "proc-core-pattern", open_to_write, "/proc/sys/kernel/core_pattern" },
    { "proc-modprobe", open_to_write, "/proc/sys/kernel/modprobe" },
    { "proc-binfmt", open_to_write, "/proc/sys/fs/binfmt_misc/register" },
    { "proc-sysctl-net", set_again, "/proc/sys/net/ipv4/ip_forward" },
    { "proc-sysctl-user", set_again, "/proc/sys/user/max_inotify_watches" },
    { "proc-sysctl-ipc", set_again, "/proc/sys/kernel/shmmni" },
    { "proc-sysctl-mqueue", set_again, "/proc/sys/fs/mqueue/queues_max" },
    { "proc-sysctl-vm", open_to_write, "/proc/sys/vm/overcommit_memory" },
    { "sys-class", list, "/sys/class" },
    { "sys-block", list, "/sys/block" },
    { "sys-cgroup", list, "/sys/fs/cgroup" },
    { "sys-net", list, "/sys/class/net" },
    { "sys-security", list, "/sys/kernel/security" },
    { "sys-debug", list, "/sys/kernel/debug" },
    { "sys-tracing", list, "/sys/kernel/tracing" },
    { "sys-uevent-helper", open_to_write, "/sys/kernel/uevent_helper" },
    { "sys-release-agent", open_to_write, "/sys/fs/cgroup/release_agent" },
    { "sys-release-agent-v1", open_to_write, "/sys/fs/cgroup/memory/release_agent" },
    { "sys-cgroup-leave", open_to_write, "/sys/fs/cgroup/cgroup.procs" },
    { "sys-power", open_to_write, "/sys/power/state" },
};

const struct probe *proc_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
