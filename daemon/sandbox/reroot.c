#include "sandbox/reroot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

enum { DEPTH_MAX = 4096 };

bool reroot_is_needed(void)
{
    pid_t pid;
    int status = 0;

    if (geteuid() != 0)
        return false;
    pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_unshare, CLONE_NEWUSER) < 0 && errno == EPERM ? 1 : 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 1;
}

/* Whether "." is its own parent, on the same mount: the namespace's root. Negative errno. */
static int is_top(void)
{
    struct statx here, above;

    if (statx(AT_FDCWD, ".", AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID, &here) < 0 ||
        statx(AT_FDCWD, "..", AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID, &above) < 0)
        return -errno;
    return here.stx_ino == above.stx_ino && here.stx_mnt_id == above.stx_mnt_id &&
           here.stx_dev_major == above.stx_dev_major && here.stx_dev_minor == above.stx_dev_minor;
}

/* chroot(2): a process whose working directory lies outside its root can walk up past it. root: a
 * descriptor of the present root. Ends with the namespace's root as ours. */
static int climb_out(int root)
{
    int top = 0;

    /* any directory below will do as the root that we are then outside of */
    if (chroot("/usr") < 0 || fchdir(root) < 0)
        return -errno;
    for (int i = 0; top == 0 && i < DEPTH_MAX; i++) {
        top = is_top();
        if (top == 0 && chdir("..") < 0)
            return -errno;
    }
    if (top <= 0)
        return top < 0 ? top : -ELOOP;
    return chroot(".") < 0 ? -errno : 0;
}

int reroot(void)
{
    AUTO_CLOSE int root = -1, tree = -1;
    int r;

    /* first: a descriptor from before would lead to the namespace that we leave */
    if (syscall(SYS_unshare, CLONE_NEWNS) < 0)
        return -errno;
    root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return -errno;
    r = climb_out(root);
    if (r < 0)
        return r;
    /* private first: nothing of this may reach the namespace that we came from */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        fchdir(tree) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}
