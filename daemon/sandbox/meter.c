#include "sandbox/meter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTING_BYTES = 4096, BLOCK_BYTES = 512 };

void meter_init(struct meter *m)
{
    m->root_count = m->root = m->depth = 0;
    m->bytes = m->names = 0;
    m->hidden = false;
}

int meter_add(struct meter *m, const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno; /* of an open one it always works */
    m->devices[m->root_count] = st.st_dev;
    m->roots[m->root_count++] = fd;
    return 0;
}

static void add(struct meter *m, const struct stat *st)
{
    uint64_t bytes = (uint64_t)st->st_blocks * BLOCK_BYTES;

    if (bytes < METER_ENTRY_BYTES)
        bytes = METER_ENTRY_BYTES;
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
        bytes /= st->st_nlink; /* all of its names lie on this mount */
    m->bytes = m->bytes > UINT64_MAX - bytes ? UINT64_MAX : m->bytes + bytes;
    m->names++;
}

/* The name is one that the directory listed: no way leads out of it but by a link or a mount. */
static void enter(struct meter *m, int dir, const char *name, dev_t dev)
{
    int fd = -1, error = EMFILE;
    struct stat st;

    if (m->depth < METER_DEPTH) {
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = fd < 0 ? errno : 0;
    }
    if (error == EMFILE)
        m->bytes = UINT64_MAX;
    if (error == EACCES || error == EPERM)
        m->hidden = true;
    if (fd < 0)
        return; /* not for us to read, or gone meanwhile */
    if (fstat(fd, &st) < 0 || st.st_dev != dev) {
        (void)close(fd); /* only opened */
        return;
    }
    m->levels[m->depth].fd = fd;
    m->levels[m->depth++].at = 0;
}

/* One entry of the innermost directory. Returns whether it was entered. */
static bool look(struct meter *m, const struct dirent64 *e)
{
    size_t depth = m->depth;
    int dir = m->levels[depth - 1].fd;
    struct stat st;

    m->levels[depth - 1].at = e->d_off;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
        fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    add(m, &st);
    if (S_ISDIR(st.st_mode))
        enter(m, dir, e->d_name, m->devices[m->root - 1]);
    return m->depth > depth;
}

/* A piece of the innermost directory, and out of it at its end. */
static void read_piece(struct meter *m, size_t *entries)
{
    _Alignas(struct dirent64) char bytes[LISTING_BYTES];
    int dir = m->levels[m->depth - 1].fd;
    ssize_t n = -1;

    if (lseek(dir, m->levels[m->depth - 1].at, SEEK_SET) >= 0)
        n = getdents64(dir, bytes, sizeof bytes);
    if (n <= 0) {
        (void)close(dir); /* only read */
        m->depth--;
        return;
    }
    for (ssize_t at = 0; at<n && * entries> 0;) {
        const struct dirent64 *e = (const struct dirent64 *)(const void *)(bytes + at);

        (*entries)--;
        if (look(m, e))
            return;
        at += e->d_reclen;
    }
}

bool meter_step(struct meter *m, size_t entries)
{
    if (m->depth == 0 && m->root == 0) {
        m->bytes = m->names = 0;
        m->hidden = false;
    }
    while (entries > 0) {
        if (m->depth > 0) {
            read_piece(m, &entries);
        } else if (m->root < m->root_count) {
            m->root++;
            enter(m, m->roots[m->root - 1], ".", m->devices[m->root - 1]);
            entries--;
        } else {
            m->root = 0;
            return true;
        }
    }
    return false;
}
