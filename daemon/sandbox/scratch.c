#include "sandbox/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/aside.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"

enum { LISTING_BYTES = 4096 };

/* getdents64(2) */
struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

struct emptying {
    int top;
    uint64_t until_ms;
    uint64_t moved;   /* counts, for names */
    uint64_t changes; /* of the current pass */
};

/* Of directories only: through a link it would be another's. What can't be changed shows later. */
static void take_rights(int parent, const char *name)
{
    struct stat st;
    int chmod_result = -1;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        chmod_result = fchmodat(parent, name, 0700, 0);
    (void)chmod_result;
}

/* By its owner, who may have taken the rights to it away. */
static int open_directory(int parent, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags), chmod_result;

    if (fd < 0 && errno == EACCES) {
        take_rights(parent, name);
        fd = openat(parent, name, flags);
    }
    if (fd < 0)
        return -errno;
    chmod_result = fchmod(fd, 0700); /* or nothing in it could be removed, which shows then */
    (void)chmod_result;
    return fd;
}

/* The name is one that nothing there has, which the kernel sees to. */
static void move_up(struct emptying *e, int dir, const char *name)
{
    /* moving changes its "..", for which it must be writable; where it isn't, renaming says so */
    take_rights(dir, name);
    for (int tries = 0; tries < 64; tries++) {
        char fresh[20] = { 0 };
        uint64_t n = e->moved++;

        for (size_t i = 0; i < 16; i++, n /= 16)
            fresh[i] = "0123456789abcdef"[n % 16];
        if (renameat2(dir, name, e->top, fresh, RENAME_NOREPLACE) == 0) {
            e->changes++;
            return;
        }
        if (errno != EEXIST)
            return;
    }
}

static void empty(struct emptying *e, int dir, bool is_top);

/* A directory that isn't empty: at the top it is emptied, elsewhere moved there, so that depth
 * costs nothing. */
static void remove_entry(struct emptying *e, int dir, const char *name, bool is_top)
{
    bool gone = unlinkat(dir, name, 0) == 0 || unlinkat(dir, name, AT_REMOVEDIR) == 0;

    if (!gone && is_top && (errno == ENOTEMPTY || errno == EEXIST)) {
        AUTO_CLOSE int fd = open_directory(dir, name);

        if (fd >= 0)
            empty(e, fd, false);
        gone = unlinkat(dir, name, AT_REMOVEDIR) == 0;
    } else if (!gone && !is_top) {
        move_up(e, dir, name);
    }
    e->changes += gone;
}

static void empty(struct emptying *e, int dir, bool is_top)
{
    _Alignas(struct entry) char listing[LISTING_BYTES];
    long len;

    while ((len = syscall(SYS_getdents64, dir, listing, sizeof listing)) > 0) {
        for (long at = 0; at < len;) {
            const struct entry *entry = (const void *)(listing + at);

            at += entry->bytes;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                continue;
            if (clock_mono_ms() >= e->until_ms)
                return;
            remove_entry(e, dir, entry->name, is_top);
        }
    }
}

/* Passes over the top until one finds nothing to change. 0 or a negative errno. */
static int empty_all(int top, uint32_t most_ms)
{
    struct emptying e = { .top = top, .until_ms = clock_mono_ms() + most_ms };

    do {
        e.changes = 0;
        if (lseek(top, 0, SEEK_SET) < 0)
            return -errno;
        empty(&e, top, true);
        if (clock_mono_ms() >= e.until_ms)
            return -ETIMEDOUT;
    } while (e.changes > 0);
    return 0;
}

static int make_brief(int top, const char *brief)
{
    AUTO_CLOSE int fd = -1;

    if (!*brief)
        return 0;
    fd = openat(top, SCRATCH_BRIEF, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    return fd < 0 ? -errno : fd_write_all(fd, brief, strlen(brief));
}

int scratch_make(const char *path, const char *brief, uint32_t most_ms)
{
    AUTO_CLOSE int top = -1;
    int r;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    top = open_directory(AT_FDCWD, path);
    if ((top == -ELOOP || top == -ENOTDIR) && unlink(path) == 0 && mkdir(path, 0700) == 0)
        top = open_directory(AT_FDCWD, path); /* an earlier task put something else there */
    if (top < 0)
        return top;
    r = empty_all(top, most_ms);
    if (r < 0)
        return r;
    if (mkdirat(top, SCRATCH_TMP, 0700) < 0 || mkdirat(top, SCRATCH_HOME, 0700) < 0)
        return -errno;
    return make_brief(top, brief);
}

void scratch_wipe(const char *path, uint32_t most_ms)
{
    AUTO_CLOSE int top = open_directory(AT_FDCWD, path);

    if (top >= 0)
        (void)empty_all(top, most_ms);
}

/* The directory name of dir. makes: it is made where it is missing, and what is no directory in its
 * place is moved aside. */
static int enter(int dir, const char *name, bool makes)
{
    int fd, r;

    if (makes && mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = open_directory(dir, name);
    if (!makes || (fd != -ELOOP && fd != -ENOTDIR))
        return fd;
    r = aside_move(dir, name);
    if (r == 0 && mkdirat(dir, name, 0755) < 0)
        r = -errno;
    return r < 0 ? r : open_directory(dir, name);
}

/* Where the last part of path is, which *ret_name becomes; step by step from the base on. */
static int open_above(size_t base_len, const char *path, bool makes, const char **ret_name)
{
    char part[PATH_MAX];
    const char *slash;
    int dir;

    if (base_len >= sizeof part)
        return -ENAMETOOLONG;
    memcpy(part, path, base_len);
    part[base_len] = '\0';
    dir = open(part, O_PATH | O_DIRECTORY | O_CLOEXEC);
    path += base_len + 1;
    while (dir >= 0 && (slash = strchr(path, '/')) != NULL) {
        size_t len = (size_t)(slash - path);
        int next = -ENAMETOOLONG;

        if (len < sizeof part) {
            memcpy(part, path, len);
            part[len] = '\0';
            next = enter(dir, part, makes);
        }
        (void)close(dir); /* it was only a place */
        if (next < 0)
            return next;
        dir = next;
        path = slash + 1;
    }
    *ret_name = path;
    return dir < 0 ? -errno : dir;
}

/* How much of path isn't the task's. */
static size_t base_of(const char *home, const char *path)
{
    size_t len = strlen(home);

    if (len > 1 && strncmp(path, home, len) == 0 && path[len] == '/')
        return len;
    return (size_t)(strrchr(path, '/') - path); /* a path of a plan begins with one */
}

int scratch_link(const char *home, const char *path, const char *target)
{
    const char *name = "";
    AUTO_CLOSE int dir = open_above(base_of(home, path), path, *target != '\0', &name);
    struct stat st;
    int r;

    if (dir < 0)
        return *target ? dir : 0; /* there is none to be removed */
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
        unlinkat(dir, name, 0) < 0)
        return -errno;
    if (!*target || symlinkat(target, dir, name) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    r = aside_move(dir, name);
    return r == 0 && symlinkat(target, dir, name) < 0 ? -errno : r;
}
