#include "sandbox/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/aside.h"
#include "sandbox/firm.h"
#include "sandbox/plan.h"
#include "util/fd.h"

enum {
    ROOT_BYTES = 4 << 20,    /* directories, links and small files only */
    BYTES_PER_INODE = 16384, /* a private place full of small files must stay bounded too */
};

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* A detached copy of what is there; len: of firm_len(). */
static int copy_tree(int host, const char *path, size_t len)
{
    AUTO_CLOSE int at = firm_open(host, path, len);
    int fd;

    if (at < 0)
        return at;
    fd = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    return fd < 0 ? -errno : fd;
}

static int open_source(int host, const char *path, size_t len)
{
    int fd;

    if (host >= 0 || path[len] != '\0')
        return copy_tree(host, path, len);
    fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    return fd < 0 ? -errno : fd;
}

/* As firm_len(), of a host path or of a place inside: what the plan lets tasks write. */
static size_t firm(const struct plan *plan, const char *path, bool inside)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < plan->step_count; i++) {
        const struct plan_step *s = &plan->steps[i];

        if (s->type == PLAN_STEP_BIND && (s->flags & PLAN_WRITABLE))
            len = firm_len(path, len, inside ? s->target : s->text);
    }
    return len;
}

int tree_keep_host(void)
{
    AUTO_CLOSE int host = open_source(-1, "/", 1), copy = -1;

    if (host < 0)
        return host;
    copy = copy_tree(host, "/", 1);
    return copy < 0 ? copy : TAKE_FD(host);
}

int tree_open(const struct plan *plan, size_t first, int host, int *fds, size_t *ret_step)
{
    int failure = 0;

    for (size_t i = first; i < plan->step_count; i++) {
        const struct plan_step *s = &plan->steps[i];

        fds[i] = -1;
        if (failure < 0 || s->type != PLAN_STEP_BIND ||
            ((s->flags & PLAN_MIRROR) && is_link(s->text)))
            continue;
        fds[i] = open_source(host, s->text, firm(plan, s->text, false));
        if (fds[i] < 0 && !((s->flags & PLAN_OPTIONAL) && fds[i] == -ENOENT)) {
            failure = fds[i];
            *ret_step = i;
        }
        if (fds[i] < 0)
            fds[i] = -1;
    }
    return failure;
}

/* Links are marked as such. A directory changes with each entry, so its time says nothing. */
static struct tree_mark mark_of(const struct plan_step *s)
{
    struct statx st = { 0 };

    if (s->type != PLAN_STEP_BIND ||
        statx(AT_FDCWD, s->text,
              AT_NO_AUTOMOUNT | (s->flags & PLAN_MIRROR ? AT_SYMLINK_NOFOLLOW : 0),
              STATX_TYPE | STATX_INO | STATX_MNT_ID | STATX_CTIME, &st) < 0)
        return (struct tree_mark){ 0 };
    return (struct tree_mark){
        .mount = st.stx_mnt_id,
        .inode = st.stx_ino,
        .major = st.stx_dev_major,
        .minor = st.stx_dev_minor,
        .changed = { .tv_sec = S_ISLNK(st.stx_mode) ? (time_t)st.stx_ctime.tv_sec : 0,
                     .tv_nsec = S_ISLNK(st.stx_mode) ? (long)st.stx_ctime.tv_nsec : 0 },
        .is_there = true,
    };
}

void tree_mark(const struct plan *plan, struct tree_mark *marks)
{
    for (size_t i = 0; i < plan->step_count; i++)
        marks[i] = mark_of(&plan->steps[i]);
}

bool tree_is_as_marked(const struct plan *plan, const struct tree_mark *marks)
{
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct tree_mark now = mark_of(&plan->steps[i]), *then = &marks[i];

        if (now.mount != then->mount || now.inode != then->inode || now.major != then->major ||
            now.minor != then->minor || now.changed.tv_sec != then->changed.tv_sec ||
            now.changed.tv_nsec != then->changed.tv_nsec || now.is_there != then->is_there)
            return false;
    }
    return true;
}

/* The steps' paths, for the calls that work beneath the new root. */
static const char *relative(const struct plan_step *s)
{
    return s->target + 1;
}

/* snprintf(3) isn't async-signal-safe. */
static const char *decimal(char buffer[24], uint64_t n)
{
    char *p = buffer + 23;

    *p = '\0';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return p;
}

/* A detached tmpfs; mode as in chmod(2). */
static int make_tmpfs(uint64_t bytes, unsigned mode, unsigned attributes)
{
    AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    char number[24], octal[6] = { '0', '0', '0', '0', '0', '\0' };
    int fd;

    for (int i = 4; i > 0; i--, mode /= 8)
        octal[i] = (char)('0' + mode % 8);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", decimal(number, bytes), 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes",
                 decimal(number, bytes / BYTES_PER_INODE + 1024), 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", octal, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    return fd < 0 ? -errno : fd;
}

static int place(int mount_fd, int root, const char *target)
{
    if (move_mount(mount_fd, "", root, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* There may be one already, on a read-only file system of the host even. */
static int make_directory(int root, const char *target, mode_t mode)
{
    struct stat st;

    if (mkdirat(root, target, mode) == 0)
        return 0;
    if ((errno == EEXIST || errno == EROFS || errno == EACCES) &&
        fstatat(root, target, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return -errno;
}

static int make_file(int root, const char *target, const char *text, mode_t mode)
{
    AUTO_CLOSE int fd = openat(root, target, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);

    return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int make_mirror(int root, const struct plan_step *s)
{
    char to[PATH_MAX];
    ssize_t len = readlink(s->text, to, sizeof to - 1);

    if (len < 0)
        return errno == ENOENT ? 0 : -errno;
    to[len] = '\0';
    return symlinkat(to, root, relative(s)) < 0 ? -errno : 0;
}

/* The directory name of dir, made if it is missing; a link or a file in its place is renamed.
 * openat2(2): nothing is followed. */
static int enter_directory(int dir, const char *name)
{
    const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    long fd;
    int r;

    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        r = aside_move(dir, name);
        if (r < 0)
            return r;
        if (mkdirat(dir, name, 0755) < 0)
            return -errno;
        fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
    }
    return fd < 0 ? -errno : (int)fd;
}

/* Amid what a task could have written: step by step. Of the last part only a directory will do. */
static int place_amid(int mount_fd, int root, const char *target)
{
    AUTO_CLOSE int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
    int last;

    if (dir < 0)
        return -errno;
    while (*target) {
        char part[NAME_MAX + 1];
        size_t len = strcspn(target, "/");

        if (len == 0 || len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(part, target, len);
        part[len] = '\0';
        last = enter_directory(dir, part);
        if (last < 0)
            return last;
        (void)close(dir); /* it was only a place */
        dir = last;
        target += target[len] == '/' ? len + 1 : len;
    }
    if (move_mount(mount_fd, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* What was replaced since it was opened (rename(2), as ldconfig(8) does it) has no name any more,
 * and can't be mounted: then what is there now, once. */
static int place_file(int root, const struct plan_step *s, int fd, size_t len,
                      struct mount_attr *attr)
{
    AUTO_CLOSE int now = -1;
    int r = place(fd, root, relative(s));

    if (r != -ENOENT)
        return r;
    now = open_source(-1, s->text, len);
    if (now < 0 || mount_setattr(now, "", AT_EMPTY_PATH | AT_RECURSIVE, attr, sizeof *attr) < 0)
        return r;
    return place(now, root, relative(s));
}

/* Where tasks may write, it is there, or isn't what was opened. */
static int place_within(int mount_fd, int root, const char *target, size_t len)
{
    AUTO_CLOSE int at = firm_open(root, target, len);

    if (at < 0)
        return at;
    if (move_mount(mount_fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* at_once: since its path was opened, which leads to the same file system still. */
static int do_bind(const struct plan *plan, int root, const struct plan_step *s, int fd,
                   bool at_once)
{
    /* Private: what is mounted on the host later is none of the task's business. */
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID, .propagation = MS_PRIVATE };
    struct stat st;
    size_t len;
    int r;

    if (fd < 0)
        return s->flags & PLAN_MIRROR ? make_mirror(root, s) : 0;
    if (!(s->flags & PLAN_WRITABLE))
        attr.attr_set |= MOUNT_ATTR_RDONLY;
    if (!(s->flags & PLAN_DEVICE))
        attr.attr_set |= MOUNT_ATTR_NODEV;
    if (s->flags & PLAN_NOEXEC)
        attr.attr_set |= MOUNT_ATTR_NOEXEC;
    if (fstat(fd, &st) < 0 ||
        mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
        return -errno;
    if (s->flags & PLAN_AMID)
        return place_amid(fd, root, relative(s));
    len = firm(plan, s->target, true);
    if (s->target[len] != '\0')
        return place_within(fd, root, s->target, len);
    if (S_ISDIR(st.st_mode)) {
        r = make_directory(root, relative(s), 0755);
        return r < 0 ? r : place(fd, root, relative(s));
    }
    r = faccessat(root, relative(s), F_OK, AT_SYMLINK_NOFOLLOW) == 0
            ? 0
            : make_file(root, relative(s), "", 0444);
    if (r < 0)
        return r;
    return at_once ? place_file(root, s, fd, firm(plan, s->text, false), &attr)
                   : place(fd, root, relative(s));
}

static int do_tmpfs(int root, const struct plan_step *s)
{
    unsigned attributes =
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (s->flags & PLAN_NOEXEC ? MOUNT_ATTR_NOEXEC : 0);
    AUTO_CLOSE int fd = make_tmpfs(s->size_bytes, s->mode, attributes);
    int r = fd < 0 ? fd : make_directory(root, relative(s), 0755);

    return r < 0 ? r : place(fd, root, relative(s));
}

static int do_fs(int root, const struct plan_step *s, const char *type, unsigned attributes)
{
    AUTO_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC), fd = -1;
    int r = make_directory(root, relative(s), 0755);

    if (r < 0)
        return r;
    if (fs < 0 ||
        (s->type == PLAN_STEP_DEVPTS &&
         (fsconfig(fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) < 0 ||
          fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0600", 0) < 0)) ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    return fd < 0 ? -errno : place(fd, root, relative(s));
}

/* keyrings(7): /proc/keys names every key of the user, also to a task that can't use one. */
static int cover_keys(int root, const struct plan_step *s)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                           MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                               .propagation = MS_PRIVATE };
    AUTO_CLOSE int proc = openat(root, relative(s), O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

    if (proc < 0)
        return -errno;
    if (faccessat(proc, "keys", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno; /* a kernel without */
    fd = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return -errno;
    return place(fd, proc, "keys");
}

static int do_proc(int root, const struct plan_step *s)
{
    int r = do_fs(root, s, "proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

    return r < 0 ? r : cover_keys(root, s);
}

static int do_step(const struct plan *plan, const struct plan_step *s, int root, int fd,
                   bool at_once)
{
    switch (s->type) {
    case PLAN_STEP_DIR:
        return make_directory(root, relative(s), (mode_t)s->mode);
    case PLAN_STEP_FILE:
        return make_file(root, relative(s), s->text, (mode_t)s->mode);
    case PLAN_STEP_LINK:
        return symlinkat(s->text, root, relative(s)) < 0 ? -errno : 0;
    case PLAN_STEP_BIND:
        return do_bind(plan, root, s, fd, at_once);
    case PLAN_STEP_TMPFS:
        return do_tmpfs(root, s);
    case PLAN_STEP_PROC:
        return do_proc(root, s);
    case PLAN_STEP_DEVPTS:
        return do_fs(root, s, "devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    case PLAN_STEP_TYPE_COUNT:
        break;
    }
    return -EINVAL;
}

/* The new root comes on top of the old one: "/" is the one place that is always there. From here on
 * it is reached by its descriptor only, as the process's root is still below. */
int tree_begin(int *ret_root)
{
    int fd, r;

    (void)umask(0); /* modes are meant as they stand; there is nobody else here */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    fd = make_tmpfs(ROOT_BYTES, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (fd < 0)
        return fd;
    r = place(fd, AT_FDCWD, "/");
    if (r < 0) {
        (void)close(fd); /* the first failure is the one to report */
        return r;
    }
    *ret_root = fd;
    return 0;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root ends on top of the new one, and "." is it. */
int tree_enter(int root)
{
    if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return -errno;
    return 0;
}

int tree_seal(int root)
{
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

    return mount_setattr(root, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0 ? -errno : 0;
}

int tree_fill(const struct plan *plan, size_t first, const int *fds, int root, size_t *ret_step)
{
    int r = 0;

    for (size_t i = first; r == 0 && i < plan->step_count; i++) {
        *ret_step = i;
        r = do_step(plan, &plan->steps[i], root, fds[i], first == 0);
    }
    return r;
}
