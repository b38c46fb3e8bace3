#include "store/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

#define LOCK_NAME    "nairid.lock"
#define RESERVE_NAME "reserve"

/* ---- the directory ---- */

static int sync_parent(const char *path, size_t len)
{
    AUTO_FREE char *parent = mem_strndup(path, len);
    AUTO_CLOSE int fd = -1;
    char *slash = strrchr(parent, '/');

    if (slash)
        slash[slash == parent ? 1 : 0] = '\0';
    fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* The first len bytes of path, as a directory. */
static int make_one(const char *path, size_t len, struct err *err)
{
    AUTO_FREE char *part = mem_strndup(path, len);
    int error;

    if (mkdir(part, 0700) == 0) {
        /* Best effort: there are directories that can't be opened or synced, and where the entry
         * is lost with the power, so is a journal that nobody was promised anything from yet. */
        (void)sync_parent(path, len);
        return 0;
    }
    if (errno == EEXIST)
        return 0;
    error = -errno;
    if (err_set_machine(err, error, "make the directory", part) < 0)
        return error;
    return err_set(err, error,
                   "make the directory '%s': %s; make '%s' yourself (mode 0700, owned by user %u), "
                   "or name another state directory with --state",
                   part, strerror(-error), path, (unsigned)geteuid());
}

static int make_all(const char *path, struct err *err)
{
    size_t len = strlen(path);
    int r = 0;

    while (len > 1 && path[len - 1] == '/')
        len--;
    for (size_t i = 1; i < len && r == 0; i++)
        if (path[i] == '/' && path[i - 1] != '/')
            r = make_one(path, i, err);
    return r < 0 ? r : make_one(path, len, err);
}

static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "stat '%s': %s", path, strerror(errno));
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM,
                       "the state directory '%s' belongs to user %u, and nairid runs as user %u: "
                       "run it as that user, or name another directory with --state",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, -EPERM,
                       "others may write to the state directory '%s' (mode %04o), and so change "
                       "what nairid does: chmod 0700 it, or name another directory with --state",
                       path, (unsigned)(st.st_mode & 07777));
    return 0;
}

int statedir_open(const char *dir, char **ret_path, int *ret_fd, struct err *err)
{
    AUTO_FREE char *path = NULL;
    AUTO_CLOSE int fd = -1;
    int r;

    if (str_is_empty(dir))
        return err_set(err, -EINVAL, "the state directory's name is empty: name one with --state");
    r = make_all(dir, err);
    if (r < 0)
        return r;
    path = realpath(dir, NULL);
    fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    r = fd < 0 ? -errno : 0;
    if (err_set_machine(err, r, "open the state directory", dir) < 0)
        return r;
    if (r < 0)
        return err_set(err, r,
                       "open the state directory '%s': %s; it must be a directory of user %u, or "
                       "name another one with --state",
                       dir, strerror(-r), (unsigned)geteuid());
    r = check_owner(fd, path, err);
    if (r < 0)
        return r;
    *ret_path = TAKE_PTR(path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* ---- the lock ---- */

static int held_by_another(int fd, const char *path, struct err *err)
{
    char text[24] = { 0 };
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    uint64_t pid = 0;

    if (n > 0)
        text[strcspn(text, "\n")] = '\0';
    if (n <= 0 || str_to_u64(text, INT32_MAX, &pid) < 0 || pid == 0)
        return err_set(err, -EWOULDBLOCK, "another nairid uses the state directory '%s'", path);
    /* The spawner keeps a duplicate of the lock until its last task is gone. */
    if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        return err_set(err, -EWOULDBLOCK,
                       "the state directory '%s' is still held for process %s: that nairid has "
                       "ended, and its spawner is ending its tasks; try again in some seconds",
                       path, text);
    return err_set(err, -EWOULDBLOCK,
                   "another nairid uses the state directory '%s': process %s; stop that one, or "
                   "name another directory with --state",
                   path, text);
}

int statedir_lock(int dir_fd, const char *path, int *ret_fd, struct err *err)
{
    AUTO_CLOSE int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int len, error = fd < 0 ? -errno : 0;
    char text[24];

    if (err_set_machine(err, error, "open '" LOCK_NAME "' in", path) < 0)
        return error;
    if (error < 0)
        return err_set(err, error,
                       "open '%s/" LOCK_NAME "': %s; user %u must be able to write there, or name "
                       "another state directory with --state",
                       path, strerror(-error), (unsigned)geteuid());
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return held_by_another(fd, path, err);
        if (errno != EINTR)
            return err_set(err, -errno, "lock '%s/" LOCK_NAME "': %s", path, strerror(errno));
    }
    /* Only for the reader of a message: where the disk is full, the lock holds all the same. */
    len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0)
        (void)fd_write_all(fd, text, (size_t)len);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* ---- the reserve ---- */

static bool has_room(int dir_fd)
{
    struct statvfs fs;

    if (fstatvfs(dir_fd, &fs) < 0)
        return false;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= 2 * (uint64_t)STATEDIR_RESERVE_BYTES;
}

bool statedir_reserve_make(int dir_fd)
{
    AUTO_CLOSE int fd = -1;
    struct stat st;

    if (fstatat(dir_fd, RESERVE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        st.st_size == STATEDIR_RESERVE_BYTES &&
        (uint64_t)st.st_blocks * 512 >= STATEDIR_RESERVE_BYTES)
        return true;
    if (!has_room(dir_fd))
        return false;
    fd = openat(dir_fd, RESERVE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (posix_fallocate(fd, 0, STATEDIR_RESERVE_BYTES) != 0) {
        (void)unlinkat(dir_fd, RESERVE_NAME, 0); /* what it got is worth more as free space */
        return false;
    }
    return true;
}

bool statedir_reserve_release(int dir_fd)
{
    AUTO_CLOSE int fd =
        openat(dir_fd, RESERVE_NAME, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    /* Cut and not removed: a full directory then needs no new entry to make it again. */
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    return ftruncate(fd, 0) == 0;
}
