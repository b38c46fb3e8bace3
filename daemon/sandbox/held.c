#include "sandbox/held.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sandbox/living.h"
#include "util/cleanup.h"

enum {
    LISTING_BYTES = 4096,
    BLOCK_BYTES = 512,
    PATH_BYTES = 64,
    STAT_BYTES = 512,
    INFO_BYTES = 256,
    PIECE_ENTRIES = 16 /* which a piece of maps is worth */
};

void held_init(struct held *h, int proc, held_fn is_meant, const void *ctx)
{
    h->proc = proc;
    h->is_meant = is_meant;
    h->ctx = ctx;
    h->device_count = 0;
    h->uid = geteuid();
    h->thorough = h->walking = false; /* seen is emptied when it begins */
    h->fds = h->maps = -1;
}

void held_add(struct held *h, dev_t device)
{
    for (size_t i = 0; i < h->device_count; i++)
        if (h->devices[i] == device)
            return;
    h->devices[h->device_count++] = device;
}

bool held_find_memory(dev_t *ret_device)
{
    int fd = memfd_create("probe", MFD_CLOEXEC);
    struct stat st;
    bool found = fd >= 0 && fstat(fd, &st) == 0;

    if (fd >= 0)
        (void)close(fd); /* nothing is in it */
    if (found)
        *ret_device = st.st_dev;
    return found;
}

/* Whether it was there already. */
static bool mark(struct held *h, const struct stat *st)
{
    uint64_t hash = (st->st_ino ^ ((uint64_t)st->st_dev << 40)) * UINT64_C(0x9e3779b97f4a7c15);
    size_t bit = (size_t)(hash >> 32) % HELD_TABLE_BITS;
    uint8_t mask = (uint8_t)(1u << bit % 8);
    bool was = h->seen[bit / 8] & mask;

    h->seen[bit / 8] |= mask;
    return was;
}

/* Whether descriptors wait in a socket: "scm_fds: 3", Linux 5.6 and later. */
static bool has_in_flight(const struct held *h, const char *name)
{
    static const char folder[] = "../fdinfo/", field[] = "\nscm_fds: ";
    char path[PATH_BYTES], text[INFO_BYTES];
    AUTO_CLOSE int fd = -1;
    const char *at;
    ssize_t n;

    if (strlen(name) + sizeof folder > sizeof path)
        return false; /* no number is as long */
    memcpy(path, folder, sizeof folder);
    memcpy(path + sizeof folder - 1, name, strlen(name) + 1);
    fd = openat(h->fds, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false; /* it is gone */
    text[n] = '\0';
    at = strstr(text, field);
    return at && at[sizeof field - 1] != '0';
}

/* A descriptor by its number, which nobody can have made a path of. */
static void look(struct held *h, const char *name)
{
    struct stat st;
    bool counts = false;

    if (fstatat(h->fds, name, &st, 0) < 0)
        return;
    if (S_ISSOCK(st.st_mode))
        h->hidden = h->hidden || has_in_flight(h, name);
    if (!S_ISREG(st.st_mode) || st.st_nlink > 0 || st.st_uid != h->uid)
        return;
    for (size_t i = 0; i < h->device_count; i++)
        counts = counts || st.st_dev == h->devices[i];
    if (!counts || mark(h, &st))
        return;
    h->bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
    h->files++;
}

static bool is_number(const char *name)
{
    return name[0] >= '0' && name[0] <= '9';
}

/* Nobody but root may look at the descriptors that the dead don't have: proc_pid_stat(5). */
static bool is_dead(const struct held *h, const char path[PATH_BYTES])
{
    char text[STAT_BYTES];
    AUTO_CLOSE int fd = openat(h->proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *name_end;

    if (n <= 0)
        return true; /* it is gone */
    text[n] = '\0';
    name_end = strrchr(text, ')');
    return name_end && (strncmp(name_end, ") Z", 3) == 0 || strncmp(name_end, ") X", 3) == 0);
}

/* Where it can't be read, whether that is because nobody is there any more. */
static bool open_fds(struct held *h, const char *whose)
{
    char path[PATH_BYTES];
    size_t len = strlen(whose);

    if (len + sizeof "/stat" > sizeof path)
        return true; /* no number is as long */
    memcpy(path, whose, len);
    memcpy(path + len, "/fd", sizeof "/fd");
    h->fds = openat(h->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->fds >= 0 || errno == ENOENT || errno == ESRCH)
        return true; /* or it has ended */
    memcpy(path + len, "/stat", sizeof "/stat");
    return is_dead(h, path);
}

static void enter(struct held *h, const char *pid)
{
    char path[LIVING_PATH_BYTES];

    if (!h->is_meant(pid, h->ctx))
        return;
    if (!open_fds(h, pid) ||
        (h->fds < 0 && living_thread(h->proc, pid, path) && !open_fds(h, path)))
        h->hidden = true;
}

/* A piece of the descriptors, and out of them at their end. */
static void read_fds(struct held *h, size_t *entries)
{
    _Alignas(struct dirent64) char bytes[LISTING_BYTES];
    ssize_t n = getdents64(h->fds, bytes, sizeof bytes);

    if (n <= 0) {
        h->hidden = h->hidden || (n < 0 && errno != ENOENT && errno != ESRCH);
        if (h->thorough)
            h->maps = openat(h->fds, "../maps", O_RDONLY | O_CLOEXEC);
        memset(&h->line, 0, sizeof h->line);
        (void)close(h->fds); /* only read */
        h->fds = -1;
        return;
    }
    for (ssize_t at = 0; at < n;) {
        const struct dirent64 *e = (const struct dirent64 *)(const void *)(bytes + at);

        if (is_number(e->d_name))
            look(h, e->d_name);
        *entries -= *entries > 0; /* a piece is looked at whole */
        at += e->d_reclen;
    }
}

/* proc_pid_maps(5): "ADDRESSES PERMISSIONS OFFSET MAJOR:MINOR INODE   PATH (deleted)". */
static void read_letter(struct held *h, char c)
{
    enum { DEVICE = 3, INODE = 4 };
    static const char removed[] = " (deleted)";

    if (c == '\n') {
        for (size_t i = 0; i < h->device_count && h->line.matched == sizeof removed - 1; i++)
            h->hidden = h->hidden || h->devices[i] == makedev(h->line.major, h->line.minor);
        memset(&h->line, 0, sizeof h->line);
        return;
    }
    h->line.matched = h->line.matched < sizeof removed - 1 && c == removed[h->line.matched]
                          ? h->line.matched + 1
                          : c == removed[0];
    if (h->line.field == DEVICE && c == ':') {
        h->line.major = h->line.minor;
        h->line.minor = 0;
    } else if (c == ' ' && h->line.field <= INODE) {
        h->line.field++;
    } else if (h->line.field == DEVICE) {
        h->line.minor = h->line.minor * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
}

/* A piece of it, and out of it at its end. */
static void read_maps(struct held *h, size_t *entries)
{
    char bytes[LISTING_BYTES];
    ssize_t n = read(h->maps, bytes, sizeof bytes);

    *entries -= *entries < PIECE_ENTRIES ? *entries : (size_t)PIECE_ENTRIES;
    for (ssize_t i = 0; i < n; i++)
        read_letter(h, bytes[i]);
    if (n > 0)
        return;
    (void)close(h->maps); /* only read */
    h->maps = -1;
}

/* The next process. Returns false when there is none any more. */
static bool find_next(struct held *h, size_t *entries)
{
    _Alignas(struct dirent64) char bytes[LISTING_BYTES];
    ssize_t n = -1;

    if (lseek(h->proc, h->at, SEEK_SET) >= 0)
        n = getdents64(h->proc, bytes, sizeof bytes);
    if (n <= 0)
        return false;
    for (ssize_t at = 0; at<n && * entries> 0 && h->fds < 0;) {
        const struct dirent64 *e = (const struct dirent64 *)(const void *)(bytes + at);

        (*entries)--;
        h->at = e->d_off;
        if (is_number(e->d_name))
            enter(h, e->d_name);
        at += e->d_reclen;
    }
    return true;
}

bool held_step(struct held *h, size_t entries)
{
    if (!h->walking) {
        memset(h->seen, 0, sizeof h->seen);
        h->bytes = h->files = 0;
        h->hidden = false;
        h->at = 0;
        h->walking = true;
    }
    while (entries > 0) {
        if (h->fds >= 0)
            read_fds(h, &entries);
        else if (h->maps >= 0)
            read_maps(h, &entries);
        else if (!find_next(h, &entries))
            h->walking = false;
        if (!h->walking)
            return true;
    }
    return false;
}
