#include "sandbox/firm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

size_t firm_len(const char *path, size_t len, const char *dir)
{
    size_t dir_len = strlen(dir);

    return dir_len < len && strncmp(path, dir, dir_len) == 0 && path[dir_len] == '/' ? dir_len
                                                                                     : len;
}

static int resolve(int dir, const char *path, uint64_t rules)
{
    const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = rules };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);

    return fd < 0 ? -errno : (int)fd;
}

static int open_firm(int root, const char *path)
{
    int fd;

    if (root >= 0)
        return resolve(root, path, RESOLVE_IN_ROOT);
    fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int firm_open(int root, const char *path, size_t len)
{
    char part[PATH_MAX];
    AUTO_CLOSE int dir = -1;

    if (path[len] == '\0')
        return open_firm(root, path);
    if (len >= sizeof part)
        return -ENAMETOOLONG;
    memcpy(part, path, len);
    part[len] = '\0';
    dir = open_firm(root, part);
    return dir < 0 ? dir
                   : resolve(dir, path + len + 1,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}
