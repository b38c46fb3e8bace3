/* Files of the host: the view, and ways around it. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static int read_named(struct scene *s, const char *name)
{
    return probe_read_secret(s, scene_get(s, name));
}

/* Files that only the system's own hold; the argument is PATH:WORD. */
static int read_system(struct scene *s, const char *argument)
{
    char path[PATH_SIZE], bytes[65536];
    const char *word = strchr(argument, ':') + 1;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "%.*s", (int)(word - argument - 1), argument);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    n = read(fd, bytes, sizeof bytes);
    (void)close(fd);
    if (n < 0)
        return -errno;
    if (n == 0 || !memmem(bytes, (size_t)n, word, strlen(word)))
        return -ENOMSG;
    scene_say(s, "read %s", path);
    return 0;
}

static int list(struct scene *s, const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    int r = -ENOENT;

    if (!d)
        return -errno;
    while (r < 0 && (entry = readdir(d))) {
        /* the task's own home, and what the harness lets every task see */
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "agent") == 0 ||
            strncmp(entry->d_name, "nairid-test-", 12) == 0)
            continue;
        scene_say(s, "there is %s/%s", path, entry->d_name);
        r = 0;
    }
    (void)closedir(d);
    return r;
}

static int list_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    return *path ? list(s, path) : PROBE_ABSENT;
}

static int append_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    int fd;

    if (!*path)
        return PROBE_ABSENT;
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, "\n", 1) != 1)
        return -errno;
    scene_say(s, "wrote %s", path);
    return 0;
}

static int create_beneath(struct scene *s, const char *name)
{
    const char *folder = scene_get(s, name);
    char path[PATH_SIZE];
    int fd;

    if (!*folder)
        return PROBE_ABSENT;
    (void)snprintf(path, sizeof path, "%s/made-by-a-probe", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    scene_say(s, "made %s", path);
    return 0;
}

static int remove_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    return *path ? probe_verdict(s, unlink(path), "removed it") : PROBE_ABSENT;
}

static int chmod_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    return *path ? probe_verdict(s, chmod(path, 0777), "changed its mode") : PROBE_ABSENT;
}

static int change_times(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    return *path ? probe_verdict(s, utimensat(AT_FDCWD, path, NULL, 0), "touched it")
                 : PROBE_ABSENT;
}

static int watch_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    if (!*path)
        return PROBE_ABSENT;
    return probe_verdict(s, inotify_add_watch(inotify_init1(IN_CLOEXEC), path, IN_ALL_EVENTS),
                         "is told of every access");
}

static int execute_named(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    int r;

    if (!*path)
        return PROBE_ABSENT;
    r = probe_execute(path);
    if (r == 0)
        scene_say(s, "ran %s", path);
    return r;
}

/* ---- by way of links and other names; the workspace is the current directory ---- */

static int by_symlink(struct scene *s, const char *name)
{
    (void)unlink("link");
    if (symlink(scene_get(s, name), "link") < 0)
        return -errno;
    return probe_read_secret(s, "link");
}

static int by_root_link(struct scene *s, const char *name)
{
    char path[PATH_SIZE];

    (void)unlink("rootlink");
    if (symlink("/", "rootlink") < 0)
        return -errno;
    (void)snprintf(path, sizeof path, "rootlink%s", scene_get(s, name));
    return probe_read_secret(s, path);
}

static int by_hard_link(struct scene *s, const char *name)
{
    (void)unlink("hardlink");
    if (link(scene_get(s, name), "hardlink") < 0)
        return -errno;
    return probe_read_secret(s, "hardlink");
}

static int by_rename(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    int r;

    if (!*path)
        return PROBE_ABSENT;
    if (rename(path, "renamed") < 0)
        return -errno;
    r = probe_read_secret(s, "renamed");
    (void)rename("renamed", path);
    return r;
}

static int rename_out(struct scene *s, const char *name)
{
    char path[PATH_SIZE];
    int fd = open("mine", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/moved-by-a-probe", scene_get(s, name));
    if (rename("mine", path) < 0)
        return -errno;
    (void)unlink(path);
    scene_say(s, "moved a file to %s", path);
    return 0;
}

/* The argument is a prefix of the path. */
static int by_prefix(struct scene *s, const char *prefix)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof path, "%s%s", prefix, scene_get(s, "other_home"));
    return probe_read_secret(s, path);
}

static int by_descriptor(struct scene *s, const char *up)
{
    char path[PATH_SIZE];
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r;

    (void)snprintf(path, sizeof path, "%s%s", up, scene_get(s, "other_home"));
    fd = openat(here, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = probe_read_fd(s, fd);
    (void)close(fd);
    if (r == 0)
        scene_say(s, "read it from a descriptor's parents");
    return r;
}

#define UP "../../../../../../../../../../../.."

static const struct probe probes[] = {
    { "file-other-home", read_named, "other_home" },
    { "file-ssh-key", read_named, "ssh_key" },
    { "file-agent-key", read_named, "agent_key" },
    { "file-journal", read_named, "journal" },
    { "file-settings", read_named, "settings" },
    { "file-credential", read_named, "credential" },
    { "file-other-workspace", read_named, "other_workspace" },
    { "file-host-tmp", read_named, "host_tmp" },
    { "file-host-vartmp", read_named, "host_vartmp" },
    { "file-host-shm", read_named, "host_shm" },
    { "file-host-run", read_named, "host_run" },
    { "file-real-key", read_named, "real_key" },
    { "file-real-state", list_named, "real_state" },
    { "file-real-jobs", list_named, "real_jobs" },
    { "file-state-list", list_named, "state" },
    { "file-home-list", list_named, "folder" },
    { "file-write-other-workspace", append_named, "other_workspace" },
    { "file-write-journal", append_named, "journal" },
    { "file-write-settings", append_named, "settings" },
    { "file-write-tmp", append_named, "host_tmp" },
    { "file-write-shm", append_named, "host_shm" },
    { "file-write-shown", append_named, "shown" },
    { "file-create-state", create_beneath, "state" },
    { "file-create-shown", create_beneath, "shown_folder" },
    { "file-remove-shown", remove_named, "shown_victim" },
    { "file-chmod-shown", chmod_named, "shown" },
    { "file-times-shown", change_times, "shown" },
    { "file-watch", watch_named, "folder" },
    { "file-execute", execute_named, "program" },
    { "file-accounts", read_system, "/etc/passwd:daemon:" },
    { "file-shadow", read_system, "/etc/shadow:root:" },
    { "file-machine-id", read_system, "/etc/machine-id:\n" },
    { "file-etc-hostname", read_system, "/etc/hostname:\n" },
    { "file-etc-shells", read_system, "/etc/shells:/bin/" },
    { "file-etc-login", read_system, "/etc/login.defs:UID_MIN" },
    { "file-packages", read_system, "/var/lib/dpkg/status:Package:" },
    { "file-list-root-home", list, "/root" },
    { "file-list-boot", list, "/boot" },
    { "file-list-log", list, "/var/log" },
    { "file-list-varlib", list, "/var/lib" },
    { "file-list-cache", list, "/var/cache" },
    { "file-list-run", list, "/run" },
    { "file-list-cron", list, "/etc/cron.daily" },
    { "file-list-profile", list, "/etc/profile.d" },
    { "file-list-homes", list, "/home" },
    { "link-symbolic", by_symlink, "other_home" },
    { "link-symbolic-root", by_root_link, "other_home" },
    { "link-hard", by_hard_link, "other_home" },
    { "link-rename-in", by_rename, "movable" },
    { "link-rename-out", rename_out, "other_folder" },
    { "link-parents", by_prefix, UP },
    { "link-self-root", by_prefix, "/proc/self/root" },
    { "link-self-cwd", by_prefix, "/proc/self/cwd/" UP },
    { "link-thread-root", by_prefix, "/proc/thread-self/root" },
    { "link-descriptor", by_descriptor, UP },
};

const struct probe *files_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
