#include "support/ownmounts.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"

static bool write_file(const char *path, const char *text)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0;
}

bool ownmounts_enter(void)
{
    AUTO_FREE char *uid = mem_printf("%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    AUTO_FREE char *gid = mem_printf("%u %u 1", (unsigned)getegid(), (unsigned)getegid());

    if (geteuid() == 0) {
        if (unshare(CLONE_NEWNS) < 0)
            return false;
    } else if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
               !write_file("/proc/self/setgroups", "deny") ||
               !write_file("/proc/self/uid_map", uid) || !write_file("/proc/self/gid_map", gid)) {
        return false;
    }
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}
