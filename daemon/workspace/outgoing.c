#include "workspace/outgoing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/beneath.h"
#include "workspace/workspace.h"

#define ASIDE_PREFIX ".out."

enum { ASIDE_MAX = 32 };

static const char *aside_name(char name[ASIDE_MAX], uint64_t seq)
{
    (void)snprintf(name, ASIDE_MAX, ASIDE_PREFIX "%" PRIu64, seq); /* fits */
    return name;
}

/* The task's home, which it may have closed to everybody. */
static int open_home(int job_fd)
{
    AUTO_CLOSE int fd = beneath_open(job_fd, "home", O_PATH);
    struct stat st;
    int r;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    r = (st.st_mode & 0700) == 0700 ? 0 : beneath_chmod(fd, 0700);
    return r < 0 ? r : TAKE_FD(fd);
}

/* Moved, a directory gets another "..": so it must be ours to write. */
static int open_up(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = beneath_open(dir_fd, name, O_PATH);
    int r = fd < 0 ? fd : beneath_chmod(fd, 0700);

    return r < 0 ? r : TAKE_FD(fd);
}

/* Whatever is called so is gone from there afterwards. 1: it is the sweep's. */
static int put_away(const char *root, int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = -1;

    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == ENOTDIR)
        return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
    fd = open_up(dir_fd, name);
    return fd < 0 ? fd : workspace_discard(root, dir_fd, name);
}

/* ---- before an attempt ---- */

/* Leftovers of replies that are through, or that will never be. */
static int put_away_old(const char *root, int job_fd, bool (*keep)(uint64_t seq, void *ctx),
                        void *ctx)
{
    int fd = beneath_open(job_fd, ".", O_RDONLY), swept = 0;
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t seq;

    if (!dir && fd >= 0)
        (void)close(fd); /* only opened */
    while (dir && (entry = readdir(dir)))
        if (str_starts_with(entry->d_name, ASIDE_PREFIX) &&
            (str_to_u64(entry->d_name + strlen(ASIDE_PREFIX), UINT64_MAX, &seq) < 0 ||
             !keep(seq, ctx)))
            swept |= put_away(root, job_fd, entry->d_name) > 0; /* else the next time */
    return swept;
}

int outgoing_begin(const char *root, const char *job_id, uid_t uid,
                   bool (*keep)(uint64_t seq, void *ctx), void *ctx, struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err), home_fd = -1, fd = -1;
    AUTO_FREE char *path = mem_printf("%s/%s/home/" OUTGOING_PLACE, root, job_id);
    int swept, r;

    if (job_fd < 0)
        return job_fd;
    swept = put_away_old(root, job_fd, keep, ctx);
    home_fd = open_home(job_fd);
    if (home_fd < 0)
        return err_set(err, home_fd, "open '%s/%s/home': %s", root, job_id, strerror(-home_fd));
    r = put_away(root, home_fd, OUTGOING_PLACE);
    if (r < 0)
        return err_set(err, r, "empty '%s': %s", path, strerror(-r));
    swept |= r;
    if (mkdirat(home_fd, OUTGOING_PLACE, 0700) < 0)
        return err_set(err, -errno, "make '%s': %s", path, strerror(errno));
    fd = beneath_open(home_fd, OUTGOING_PLACE, O_PATH);
    if (fd < 0)
        return err_set(err, fd, "open '%s': %s", path, strerror(-fd));
    r = workspace_give(fd, uid, path, err);
    return r < 0 ? r : swept;
}

/* ---- after it ---- */

static bool is_empty(int fd)
{
    CLEANUP_PTR(beneath_close) DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        (void)close(fd); /* only opened */
        return false;
    }
    while ((entry = readdir(dir)))
        if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
            return false;
    return true;
}

bool outgoing_is_there(const char *root, const char *job_id)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, NULL), home_fd = -1, up_fd = -1;
    int fd;

    home_fd = job_fd < 0 ? job_fd : open_home(job_fd);
    up_fd = home_fd < 0 ? home_fd : open_up(home_fd, OUTGOING_PLACE);
    fd = up_fd < 0 ? up_fd : beneath_open(up_fd, ".", O_RDONLY);
    return fd < 0 ? fd != -ENOENT : !is_empty(fd); /* taking it finds out what is wrong */
}

int outgoing_gather(const char *root, const char *job_id, uint64_t seq, struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err), home_fd = -1, fd = -1;
    char name[ASIDE_MAX];
    int r;

    if (job_fd < 0)
        return job_fd;
    if (faccessat(job_fd, aside_name(name, seq), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    home_fd = open_home(job_fd);
    fd = home_fd < 0 ? home_fd : open_up(home_fd, OUTGOING_PLACE);
    r = fd < 0 ? fd : renameat2(home_fd, OUTGOING_PLACE, job_fd, name, RENAME_NOREPLACE);
    if (fd >= 0 && r < 0)
        r = -errno;
    if (r == 0 && geteuid() == 0 && fchownat(fd, "", 0, 0, AT_EMPTY_PATH) < 0)
        r = -errno;
    if (r == 0)
        return 0;
    /* else a later attempt's files could be taken for this one's */
    (void)mkdirat(job_fd, name, 0700);
    return err_set(err, r == -ELOOP ? -ENOTDIR : r, "take '%s/%s/home/" OUTGOING_PLACE "': %s",
                   root, job_id, strerror(-r));
}

int outgoing_discard(const char *root, const char *job_id, uint64_t seq)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, NULL);
    char name[ASIDE_MAX];

    return job_fd < 0 ? job_fd : put_away(root, job_fd, aside_name(name, seq));
}

/* ---- what is there ---- */

static int open_aside(const char *root, const char *job_id, uint64_t seq, struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err);
    char name[ASIDE_MAX];
    int fd;

    if (job_fd < 0)
        return job_fd;
    fd = beneath_open(job_fd, aside_name(name, seq), O_RDONLY);
    return fd < 0 ? err_set(err, fd, "open '%s/%s/%s': %s", root, job_id, name, strerror(-fd)) : fd;
}

static const char *why_not(const struct stat *st, uint64_t max_bytes)
{
    if (S_ISDIR(st->st_mode))
        return "a directory: only files are sent, so make an archive of it";
    if (S_ISLNK(st->st_mode))
        return "a link: only files are sent, so copy what it points to";
    if (!S_ISREG(st->st_mode))
        return "no ordinary file";
    if (st->st_mode & (S_ISUID | S_ISGID))
        return "its mode says set-user-ID or set-group-ID";
    if (st->st_nlink != 1)
        return "it has another name elsewhere (a hard link), so copy it instead";
    if (st->st_size <= 0)
        return "it is empty";
    if ((uint64_t)st->st_size > max_bytes)
        return "it is larger than attachments.max";
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct outgoing_file *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void look(int dir_fd, struct outgoing_file *file, uint64_t max_bytes)
{
    struct stat st;

    if (fstatat(dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        file->number = OUTGOING_NO_NUMBER;
        file->why_not = "it can't be looked at";
        return;
    }
    file->bytes = S_ISREG(st.st_mode) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    file->number = why_not(&st, UINT64_MAX) ? OUTGOING_NO_NUMBER : 0;
    file->why_not = why_not(&st, max_bytes);
}

static void read_names(DIR *dir, struct outgoing_list *l)
{
    const struct dirent *entry;

    l->files = mem_calloc(OUTGOING_LOOK_MAX, sizeof l->files[0]);
    while ((entry = readdir(dir))) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        l->cut = l->len == OUTGOING_LOOK_MAX;
        if (l->cut)
            return;
        l->files[l->len++].name = mem_strdup(entry->d_name);
    }
}

/* Of what max_bytes has no say in: a file keeps its number when the setting changes. */
static void number_files(struct outgoing_list *l)
{
    uint32_t next = 0;

    for (size_t i = 0; i < l->len; i++)
        if (l->files[i].number != OUTGOING_NO_NUMBER)
            l->files[i].number = next++;
}

/* The first ones go. */
static void keep_bounds(struct outgoing_list *l, uint64_t max_bytes)
{
    uint64_t left = max_bytes * OUTGOING_TOTAL_FACTOR;
    size_t count = 0;

    for (size_t i = 0; i < l->len; i++) {
        struct outgoing_file *file = &l->files[i];

        if (file->why_not)
            continue;
        if (count == OUTGOING_FILES_MAX)
            file->why_not = "one reply takes 10 files, so make an archive of them";
        else if (file->bytes > left)
            file->why_not = "the files of one reply may come to four times attachments.max";
        if (file->why_not)
            continue;
        count++;
        left -= file->bytes;
    }
}

int outgoing_read(const char *root, const char *job_id, uint64_t seq, uint64_t max_bytes,
                  struct outgoing_list *ret, struct err *err)
{
    int fd = open_aside(root, job_id, seq, err);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct outgoing_list l = { 0 };

    if (fd < 0)
        return fd;
    if (!dir) {
        int code = -errno;

        (void)close(fd); /* the first failure is the one to report */
        return err_set(err, code, "read the files that are to be sent: %s", strerror(-code));
    }
    read_names(dir, &l);
    for (size_t i = 0; i < l.len; i++)
        look(fd, &l.files[i], max_bytes);
    if (l.len > 0)
        qsort(l.files, l.len, sizeof l.files[0], by_name);
    number_files(&l);
    keep_bounds(&l, max_bytes);
    *ret = l;
    return 0;
}

struct outgoing_turn outgoing_next(const struct outgoing_list *l, uint32_t done)
{
    struct outgoing_turn turn = { .number = OUTGOING_NO_NUMBER };

    for (size_t i = 0; i < l->len; i++) {
        const struct outgoing_file *file = &l->files[i];

        if (file->why_not || file->number < done)
            continue;
        turn.more = turn.file != NULL;
        if (turn.more)
            break;
        turn.file = file;
        turn.number = file->number;
    }
    return turn;
}

void outgoing_list_done(struct outgoing_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        free(l->files[i].name);
    free(l->files);
    *l = (struct outgoing_list){ 0 };
}

int outgoing_open(const char *root, const char *job_id, uint64_t seq,
                  const struct outgoing_file *file, struct err *err)
{
    AUTO_CLOSE int dir_fd = open_aside(root, job_id, seq, err), fd = -1;
    struct stat st;

    if (dir_fd < 0)
        return dir_fd;
    fd = beneath_open_file(dir_fd, file->name);
    if (fd < 0)
        return err_set(err, fd, "it can't be read: %s", strerror(-fd));
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "it can't be looked at: %s", strerror(errno));
    if (why_not(&st, UINT64_MAX) || (uint64_t)st.st_size != file->bytes)
        return err_set(err, -ESTALE, "it has changed");
    return TAKE_FD(fd);
}
