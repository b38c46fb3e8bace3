#include "workspace/treewipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/random.h"
#include "util/str.h"
#include "workspace/beneath.h"

struct wipe {
    int top_fd;
    size_t *budget;
    int fault; /* first failure of the current pass */
};

/* What is done to each entry of a directory. may_be_file: false where the listing says that it is a
 * directory, which spares a call. Returns 0, or 1 to stop. */
typedef int (*entry_fn)(struct wipe *w, int dir_fd, const char *name, bool may_be_file);

static void note(struct wipe *w, int fault)
{
    if (w->fault == 0)
        w->fault = fault;
}

/* O_PATH first: it needs no permission on the directory itself, which may be of mode 000. */
static int open_to_empty(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = beneath_open(dir_fd, name, O_PATH);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((st.st_mode & 0700) != 0700) {
        int r = beneath_chmod(fd, 0700);

        if (r < 0)
            return r;
    }
    return beneath_open(fd, ".", O_RDONLY);
}

/* One pass over the entries of the directory, until fn says stop. Takes fd over. */
static int each_entry(struct wipe *w, int fd, entry_fn fn)
{
    CLEANUP_PTR(beneath_close) DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        note(w, -errno);
        (void)close(fd);
        return 0;
    }
    while ((errno = 0, entry = readdir(dir)) != NULL) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        if (*w->budget == 0)
            return 1;
        if (fn(w, fd, entry->d_name, entry->d_type != DT_DIR) != 0)
            return 1;
    }
    if (errno != 0)
        note(w, -errno);
    return 0;
}

/* Whether it is gone: anything but a directory, or an empty one. */
static bool remove_simple(struct wipe *w, int dir_fd, const char *name, bool may_be_file,
                          int *ret_fault)
{
    int r = unlinkat(dir_fd, name, may_be_file ? 0 : AT_REMOVEDIR);

    if (r < 0 && may_be_file && errno == EISDIR)
        r = unlinkat(dir_fd, name, AT_REMOVEDIR);
    *ret_fault = r < 0 ? -errno : 0;
    if (r == 0)
        --*w->budget;
    return r == 0;
}

/* Moving a directory changes its "..", so it must be writable to us. Nobody can guess the new
 * name, so none lies in wait there. */
static int move_to_top(struct wipe *w, int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = open_to_empty(dir_fd, name);
    char fresh[24];

    if (fd < 0)
        return fd;
    (void)snprintf(fresh, sizeof fresh, "%016" PRIx64, random_u64());
    if (renameat2(dir_fd, name, w->top_fd, fresh, RENAME_NOREPLACE) < 0)
        return -errno;
    --*w->budget;
    return 0;
}

static int on_inner_entry(struct wipe *w, int dir_fd, const char *name, bool may_be_file)
{
    int fault;

    if (remove_simple(w, dir_fd, name, may_be_file, &fault))
        return 0;
    if (fault == -ENOTEMPTY || fault == -EEXIST)
        fault = move_to_top(w, dir_fd, name);
    /* EMLINK, ENOSPC: the top is full of directories, and less so in the next pass */
    if (fault < 0)
        note(w, fault);
    return 0;
}

static int on_top_entry(struct wipe *w, int top_fd, const char *name, bool may_be_file)
{
    int fault, fd;

    if (remove_simple(w, top_fd, name, may_be_file, &fault))
        return 0;
    if (fault != -ENOTEMPTY && fault != -EEXIST) {
        note(w, fault);
        return 0;
    }
    fd = open_to_empty(top_fd, name);
    if (fd < 0) {
        note(w, fd);
        return 0;
    }
    if (each_entry(w, fd, on_inner_entry) != 0 || *w->budget == 0)
        return 1;
    if (!remove_simple(w, top_fd, name, false, &fault))
        note(w, fault);
    return 0;
}

/* Passes over the top until it is empty, or one changes nothing. Returns 1 if the budget is out. */
static int empty_top(struct wipe *w)
{
    size_t before;

    do {
        int fd = beneath_open(w->top_fd, ".", O_RDONLY);

        if (fd < 0)
            return fd;
        before = *w->budget;
        w->fault = 0;
        if (each_entry(w, fd, on_top_entry) != 0)
            return 1;
    } while (*w->budget != before);
    return w->fault;
}

int treewipe(int parent_fd, const char *name, size_t *budget, struct err *err)
{
    AUTO_CLOSE int top_fd = open_to_empty(parent_fd, name);
    struct wipe w = { .top_fd = top_fd, .budget = budget };
    int r;

    if (top_fd < 0)
        return err_set(err, top_fd, "open it: %s", strerror(-top_fd));
    r = empty_top(&w);
    if (r == 0 && *budget == 0)
        return 1;
    if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
        r = -errno;
    if (r == 0)
        --*budget;
    if (r == -EXDEV || r == -EBUSY)
        return err_set(err, r, "a file system is mounted in it: unmount that");
    if (r < 0)
        return err_set(err, r, "something in it can't be removed: %s", strerror(-r));
    return r;
}
