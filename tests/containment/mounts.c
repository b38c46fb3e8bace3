/* Changing the view of the file system. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the system's headers may be. */
enum { CALL_STATMOUNT = 457, CALL_LISTMOUNT = 458, CALL_OPEN_TREE_ATTR = 467 };

static const char *place(void)
{
    (void)mkdir("mountpoint", 0755);
    return "mountpoint";
}

static int mount_type(struct scene *s, const char *type)
{
    return probe_verdict(s, mount("none", place(), type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
                         type);
}

static int mount_overlay(struct scene *s, const char *argument)
{
    (void)argument;
    (void)mount("none", place(), "tmpfs", 0, NULL); /* its upper layer can't lie just anywhere */
    if (chdir(place()) < 0 || mkdir("up", 0755) < 0 || mkdir("work", 0755) < 0)
        return -errno;
    return probe_verdict(
        s, mount("none", "up", "overlay", 0, "lowerdir=/usr,upperdir=up,workdir=work"),
        "laid files over /usr");
}

static int bind(struct scene *s, const char *from)
{
    return probe_verdict(s, mount(from, place(), NULL, MS_BIND, NULL), "bound it");
}

/* The way over a wall that was laid on something: its own files under another name. */
static int bind_over(struct scene *s, const char *onto)
{
    return probe_verdict(s, mount(place(), onto, NULL, MS_BIND, NULL), onto);
}

static int detach(struct scene *s, const char *path)
{
    return probe_verdict(s, umount2(path, MNT_DETACH), "uncovered what is below");
}

static int remount(struct scene *s, const char *path)
{
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL) < 0 &&
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) < 0)
        return -errno;
    scene_say(s, "made it writable");
    return 0;
}

static int set_attributes(struct scene *s, const char *path)
{
    struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

    return probe_verdict(s, mount_setattr(AT_FDCWD, path, 0, &attr, sizeof attr),
                         "made it writable");
}

static int propagate(struct scene *s, const char *path)
{
    return probe_verdict(s, mount(NULL, path, NULL, MS_SHARED, NULL), "made it shared");
}

static int clone_tree(struct scene *s, const char *path)
{
    return probe_verdict(
        s, open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE),
        "copied the tree");
}

static int plain_tree(struct scene *s, const char *path)
{
    return probe_verdict(s, open_tree(AT_FDCWD, path, OPEN_TREE_CLOEXEC), "opened the tree");
}

static int tree_with_attributes(struct scene *s, const char *path)
{
    struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

    return probe_verdict(
        s, syscall(CALL_OPEN_TREE_ATTR, AT_FDCWD, path, OPEN_TREE_CLONE, &attr, sizeof attr),
        "copied the tree, writable");
}

static int move_tree(struct scene *s, const char *path)
{
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);

    if (fd < 0) /* without one, by name */
        return probe_verdict(s, move_mount(AT_FDCWD, "/proc", AT_FDCWD, place(), 0), "moved it");
    return probe_verdict(s, move_mount(fd, "", AT_FDCWD, place(), MOVE_MOUNT_F_EMPTY_PATH),
                         "moved it");
}

static int new_mount(struct scene *s, const char *type)
{
    int fs = fsopen(type, 0);

    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    return probe_verdict(s, fsmount(fs, 0, 0), "made a file system");
}

static int pick(struct scene *s, const char *path)
{
    return probe_verdict(s, fspick(AT_FDCWD, path, 0), "may reconfigure it");
}

static int pivot(struct scene *s, const char *argument)
{
    (void)argument;
    (void)mount(place(), place(), NULL, MS_BIND, NULL);
    if (chdir(place()) < 0)
        return -errno;
    return probe_verdict(s, syscall(SYS_pivot_root, ".", "."), "changed the root");
}

static int change_root(struct scene *s, const char *path)
{
    return probe_verdict(s, chroot(path), "changed the root");
}

/* Out of a chroot with the old directory still open, as it is as old as chroot. */
static int leave_root(struct scene *s, const char *argument)
{
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)argument;
    if (chroot(place()) < 0 || fchdir(here) < 0)
        return -errno;
    for (int i = 0; i < 64; i++)
        (void)chdir("..");
    if (chroot(".") < 0)
        return -errno;
    return probe_read_secret(s, scene_get(s, "other_home"));
}

/* struct mnt_id_req, cachestat(2)'s neighbours: Linux 6.8. */
static int stat_mount(struct scene *s, const char *argument)
{
    struct {
        uint32_t size, spare;
        uint64_t id, param;
    } request = { .size = 24, .id = UINT64_MAX };
    uint64_t ids[64];

    (void)argument;
    return probe_verdict(s, syscall(CALL_LISTMOUNT, &request, ids, COUNT_OF(ids), 0),
                         "listed mounts by number");
}

static int swap_on(struct scene *s, const char *path)
{
    return probe_verdict(s, syscall(SYS_swapon, path, 0), "swapping");
}

static const struct probe probes[] = {
    { "mount-tmpfs", mount_type, "tmpfs" },
    { "mount-ramfs", mount_type, "ramfs" },
    { "mount-proc", mount_type, "proc" },
    { "mount-sysfs", mount_type, "sysfs" },
    { "mount-cgroup", mount_type, "cgroup2" },
    { "mount-devpts", mount_type, "devpts" },
    { "mount-mqueue", mount_type, "mqueue" },
    { "mount-binfmt", mount_type, "binfmt_misc" },
    { "mount-debugfs", mount_type, "debugfs" },
    { "mount-overlay", mount_overlay, NULL },
    { "mount-bind", bind, "/usr" },
    { "mount-bind-over", bind_over, "/usr" },
    { "mount-bind-etc", bind_over, "/etc" },
    { "mount-detach-proc", detach, "/proc" },
    { "mount-detach-usr", detach, "/usr" },
    { "mount-remount", remount, "/usr" },
    { "mount-setattr", set_attributes, "/" },
    { "mount-propagate", propagate, "/" },
    { "mount-tree-clone", clone_tree, "/" },
    { "mount-tree-open", plain_tree, "/" },
    { "mount-tree-attr", tree_with_attributes, "/" },
    { "mount-move", move_tree, "/usr" },
    { "mount-new", new_mount, "tmpfs" },
    { "mount-pick", pick, "/" },
    { "mount-pivot", pivot, NULL },
    { "mount-chroot", change_root, "." },
    { "mount-chroot-leave", leave_root, NULL },
    { "mount-list", stat_mount, NULL },
    { "mount-swapon", swap_on, "none" },
};

const struct probe *mounts_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
