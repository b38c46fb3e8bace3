#include "workspace/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_without_following(int dir_fd, const char *name, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long fd;

    /* EAGAIN: something was renamed meanwhile, and the kernel could not prove "beneath" */
    do
        fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd < 0 ? -errno : (int)fd;
}

int beneath_open(int dir_fd, const char *name, int flags)
{
    return open_without_following(dir_fd, name, flags | O_DIRECTORY);
}

int beneath_open_file(int dir_fd, const char *name)
{
    return open_without_following(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
}

int beneath_chmod(int fd, mode_t mode)
{
    char path[32];

    /* fchmod() refuses O_PATH; the link in /proc leads to the very inode that is open */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, mode) < 0 ? -errno : 0;
}

void beneath_close(DIR *dir)
{
    if (dir)
        (void)closedir(dir); /* nothing was written through it */
}
