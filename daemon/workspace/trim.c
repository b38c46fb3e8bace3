#include "workspace/trim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/str.h"
#include "workspace/beneath.h"

enum { DEPTH_MAX = 40, BLOCK_BYTES = 512 };

struct trim {
    const struct timespec *since;
    size_t *budget;
    uint64_t freed_bytes;
};

static bool is_fresh(const struct trim *t, const struct statx *st)
{
    if (!(st->stx_mask & STATX_BTIME))
        return false;
    return st->stx_btime.tv_sec != t->since->tv_sec
               ? st->stx_btime.tv_sec > t->since->tv_sec
               : (long)st->stx_btime.tv_nsec > t->since->tv_nsec;
}

static void trim_directory(struct trim *t, int parent_fd, const char *name, int depth);

static void look(struct trim *t, int fd, const char *name, int depth)
{
    struct statx st;

    if (statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
        return;
    if (S_ISDIR(st.stx_mode)) {
        if (depth < DEPTH_MAX)
            trim_directory(t, fd, name, depth + 1);
        return;
    }
    if (!S_ISREG(st.stx_mode) || !is_fresh(t, &st) || unlinkat(fd, name, 0) < 0)
        return;
    if (st.stx_nlink == 1)
        t->freed_bytes += st.stx_blocks * BLOCK_BYTES;
}

static void trim_directory(struct trim *t, int parent_fd, const char *name, int depth)
{
    int fd = beneath_open(parent_fd, name, O_RDONLY);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void)close(fd); /* only opened */
    while (dir && (entry = readdir(dir))) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        if (*t->budget == 0)
            return;
        --*t->budget;
        look(t, fd, entry->d_name, depth);
    }
}

uint64_t trim(int parent_fd, const char *name, const struct timespec *since, size_t *budget)
{
    struct trim t = { .since = since, .budget = budget };

    trim_directory(&t, parent_fd, name, 0);
    return t.freed_bytes;
}
