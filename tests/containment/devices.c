/* Devices, and the terminals of people. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

static int open_node(struct scene *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -errno;
    (void)close(fd);
    scene_say(s, "opened %s", path);
    return 0;
}

static int open_two_ways(struct scene *s, const char *path)
{
    return probe_verdict(s, open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), path);
}

static int make_node(struct scene *s, mode_t mode, unsigned major_, unsigned minor_)
{
    (void)unlink("node");
    if (mknod("node", mode | 0666, makedev(major_, minor_)) < 0)
        return -errno;
    (void)unlink("node");
    scene_say(s, "made a device node");
    return 0;
}

static int make_null(struct scene *s, const char *argument)
{
    (void)argument;
    return make_node(s, S_IFCHR, 1, 3);
}

static int make_memory(struct scene *s, const char *argument)
{
    (void)argument;
    return make_node(s, S_IFCHR, 1, 1);
}

static int make_disk(struct scene *s, const char *argument)
{
    (void)argument;
    return make_node(s, S_IFBLK, 8, 0);
}

/* What overlayfs takes for a removed file: the one device node that anybody may make. */
static int make_whiteout(struct scene *s, const char *argument)
{
    (void)argument;
    return make_node(s, S_IFCHR, 0, 0);
}

static int make_interface(struct scene *s, const char *path)
{
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return probe_verdict(s, ioctl(fd, TUNSETIFF, &request), "made a network interface");
}

/* ---- terminals ---- */

static int write_to_terminal(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    int fd;

    if (!*path)
        return PROBE_ABSENT;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    return probe_verdict(s, write(fd, "probe\n", 6), "wrote on somebody's terminal");
}

static int own_terminal(void)
{
    int master = open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY), zero = 0, slave;
    char path[64];
    unsigned number;

    if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0 || ioctl(master, TIOCGPTN, &number) < 0)
        return -errno;
    (void)snprintf(path, sizeof path, "/dev/pts/%u", number);
    slave = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    return slave < 0 ? -errno : slave;
}

/* On standard input if that is a terminal, else on one of its own: it is the call that counts. */
static int type_for_user(struct scene *s, const char *argument)
{
    int fd = STDIN_FILENO;

    (void)argument;
    if (!isatty(fd)) {
        fd = own_terminal();
        if (fd < 0)
            return fd;
        if (setpgid(0, getppid()) < 0) /* setsid(2) is not for leaders of a group */
            return -errno;
        if (setsid() < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
            return -errno;
    }
    return probe_verdict(s, ioctl(fd, TIOCSTI, "x"), "typed for the user");
}

static int paste(struct scene *s, const char *argument)
{
    int fd = isatty(STDIN_FILENO) ? STDIN_FILENO : own_terminal();
    char code = 2;

    (void)argument;
    return fd < 0 ? fd : probe_verdict(s, ioctl(fd, TIOCLINUX, &code), "pasted for the user");
}

static int take_console(struct scene *s, const char *argument)
{
    int fd = isatty(STDIN_FILENO) ? STDIN_FILENO : own_terminal();

    (void)argument;
    return fd < 0 ? fd : probe_verdict(s, ioctl(fd, TIOCCONS), "takes the console's output");
}

/* The controlling terminal of whoever started us. */
static int open_controlling(struct scene *s, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    scene_say(s, "has a controlling terminal");
    return 0;
}

static const struct probe probes[] = {
    { "device-kmsg", open_node, "/dev/kmsg" },
    { "device-mem", open_node, "/dev/mem" },
    { "device-port", open_node, "/dev/port" },
    { "device-sda", open_node, "/dev/sda" },
    { "device-vda", open_node, "/dev/vda" },
    { "device-loop", open_node, "/dev/loop0" },
    { "device-loop-control", open_node, "/dev/loop-control" },
    { "device-fuse", open_two_ways, "/dev/fuse" },
    { "device-kvm", open_two_ways, "/dev/kvm" },
    { "device-tun", open_two_ways, "/dev/net/tun" },
    { "device-tun-interface", make_interface, "/dev/net/tun" },
    { "device-autofs", open_node, "/dev/autofs" },
    { "device-vsock", open_node, "/dev/vsock" },
    { "device-userfaultfd", open_two_ways, "/dev/userfaultfd" },
    { "device-uinput", open_two_ways, "/dev/uinput" },
    { "device-console", open_two_ways, "/dev/console" },
    { "device-tty1", open_two_ways, "/dev/tty1" },
    { "device-vcs", open_node, "/dev/vcs" },
    { "device-dri", open_node, "/dev/dri" },
    { "device-list", open_node, "/dev/mapper" },
    { "device-cpu", open_node, "/dev/cpu" },
    { "mknod-null", make_null, NULL },
    { "mknod-mem", make_memory, NULL },
    { "mknod-disk", make_disk, NULL },
    { "mknod-whiteout", make_whiteout, NULL },
    { "terminal-other", write_to_terminal, "terminal" },
    { "terminal-controlling", open_controlling, "/dev/tty" },
    { "terminal-tiocsti", type_for_user, NULL },
    { "terminal-tioclinux", paste, NULL },
    { "terminal-tioccons", take_console, NULL },
};

const struct probe *devices_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
