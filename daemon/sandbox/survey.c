#include "sandbox/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "task/leftover.h"
#include "task/planted.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

enum {
    QUEUE_BYTES_MAX = 16 << 20,  /* of directories that wait */
    HASHED_BYTES_MAX = 1 << 20,  /* of a file; beyond, its size and times tell */
    LOOKED_BYTES_MAX = 64 << 10, /* of a file whose contents decide; a longer one counts */
    ENTRIES_A_CLOCK = 64,
    REST_MS = 500, /* for the names that are looked up after all, once the time is over */
    REST_ENTRIES = 1000,
};

/* A directory that waits, in the queue before its path. */
struct waiting {
    size_t len; /* of the path, with the NUL */
    size_t top, git;
    bool package;
};

struct survey {
    enum leftover_place where;
    int root;
    struct buf queue;
    size_t taken; /* of the queue */
    struct buf found;
    uint32_t found_count, entries, gaps;
    uint64_t deadline_ms;
    uint32_t entries_max;
    char *contents; /* HASHED_BYTES_MAX */
};

/* One entry. */
struct entry {
    int dir_fd;
    const char *name, *path; /* the latter relative to the root */
    const struct waiting *dir;
    unsigned char type; /* DT_ */
};

static int open_beneath(int dir_fd, const char *path, int flags)
{
    const struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);

    return fd < 0 ? -errno : (int)fd;
}

/* ---- findings ---- */

static void report(struct survey *s, enum planted_kind kind, const char *path,
                   crypto_generichash_state *print)
{
    struct leftover item = { .kind = kind, .place = s->where };

    (void)crypto_generichash_final(print, item.print, sizeof item.print);
    if (s->found_count < LEFTOVERS_MAX && leftover_add(&s->found, &item, path))
        s->found_count++;
    else
        s->gaps |= LEFTOVERS_FOUND;
}

static void begin_print(crypto_generichash_state *print)
{
    (void)crypto_generichash_init(print, NULL, 0, LEFTOVER_PRINT_BYTES); /* no key: can't fail */
}

static void add_to_print(crypto_generichash_state *print, const void *bytes, size_t len)
{
    (void)crypto_generichash_update(print, bytes, len); /* can't fail */
}

/* What is there counts as it is. */
static void report_plain(struct survey *s, enum planted_kind kind, const char *path, uint64_t what)
{
    crypto_generichash_state print;

    begin_print(&print);
    add_to_print(&print, &what, sizeof what);
    report(s, kind, path, &print);
}

/* What can't be read whole is known by what the kernel says of it, which no task can set. */
static void add_stat(crypto_generichash_state *print, const struct stat *st)
{
    add_to_print(print, &st->st_size, sizeof st->st_size);
    add_to_print(print, &st->st_ino, sizeof st->st_ino);
    add_to_print(print, &st->st_ctim, sizeof st->st_ctim);
}

/* Whether the file is one that counts; its contents go into the print. */
static bool look_into(struct survey *s, const struct planted_row *row, const struct entry *e,
                      const struct stat *st, crypto_generichash_state *print)
{
    AUTO_CLOSE int fd = open_beneath(e->dir_fd, e->name, O_RDONLY | O_NONBLOCK);
    mode_t executable = st->st_mode & 0111;
    ssize_t n = fd < 0 ? fd : fd_read_all(fd, s->contents, HASHED_BYTES_MAX);

    add_to_print(print, &executable, sizeof executable);
    if (n < 0 || n == HASHED_BYTES_MAX) {
        add_stat(print, st);
        return true;
    }
    add_to_print(print, s->contents, (size_t)n);
    return n > LOOKED_BYTES_MAX || planted_is_live(row->look, e->path, s->contents, (size_t)n);
}

static void check_file(struct survey *s, const struct planted_row *row, const struct entry *e)
{
    crypto_generichash_state print;
    struct stat st;

    if (fstatat(e->dir_fd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        s->gaps |= LEFTOVERS_UNREAD;
        return;
    }
    if (st.st_mode & (S_ISUID | S_ISGID))
        report_plain(s, PLANTED_SET_ID, e->path, st.st_mode);
    if (!row)
        return;
    begin_print(&print);
    if (look_into(s, row, e, &st, &print))
        report(s, row->kind, e->path, &print);
}

static void check_link(struct survey *s, const struct planted_row *row, const struct entry *e)
{
    char target[LEFTOVER_PATH_MAX];
    ssize_t len = readlinkat(e->dir_fd, e->name, target, sizeof target - 1);
    crypto_generichash_state print;

    if (len < 0) {
        s->gaps |= LEFTOVERS_UNREAD;
        return;
    }
    target[len] = '\0';
    begin_print(&print);
    add_to_print(&print, target, (size_t)len);
    if (row) /* where it leads, the program follows */
        report(s, row->kind, e->path, &print);
    else if (planted_leads_out(e->path, target))
        report(s, PLANTED_LINK, e->path, &print);
}

/* ---- directories ---- */

static void enqueue(struct survey *s, const char *path, const struct waiting *like)
{
    struct waiting w = *like;

    w.len = strlen(path) + 1;
    if (s->queue.len - s->taken + sizeof w + w.len > QUEUE_BYTES_MAX) {
        s->gaps |= LEFTOVERS_ENTRIES;
        return;
    }
    buf_append(&s->queue, &w, sizeof w);
    buf_append(&s->queue, path, w.len);
}

static void check_directory(struct survey *s, const struct entry *e)
{
    struct waiting w = *e->dir;
    size_t inside = strlen(e->path) + 1;

    if (w.git != PLANTED_NOWHERE && strcasecmp(e->path + w.git, "objects") == 0 &&
        planted_is_in_git(e->path))
        return; /* data only, and much of it */
    if (strcasecmp(e->name, ".git") == 0)
        w.git = inside;
    if (str_eq(e->name, "node_modules"))
        w.package = true;
    enqueue(s, e->path, &w);
}

static unsigned char type_of(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? DT_UNKNOWN
                                                               : (unsigned char)IFTODT(st.st_mode);
}

/* Packages ship such files by the dozen, and nobody works there: they are left out, which is said.
 */
static void note_package(struct survey *s, struct planted_place place)
{
    if (!place.package || s->gaps & LEFTOVERS_PACKAGES)
        return;
    place.package = false;
    if (planted_find(&place))
        s->gaps |= LEFTOVERS_PACKAGES;
}

static void check_entry(struct survey *s, struct entry *e)
{
    const struct planted_place place = {
        .path = e->path, .top = e->dir->top, .git = e->dir->git, .package = e->dir->package
    };
    const struct planted_row *row = NULL;

    if (e->type == DT_UNKNOWN)
        e->type = type_of(e->dir_fd, e->name);
    if (planted_is_odd_name(e->name))
        report_plain(s, PLANTED_NAME, e->path, e->type);
    if (s->where == LEFTOVER_WORKSPACE && (e->type == DT_REG || e->type == DT_LNK))
        row = e->type == DT_LNK ? planted_find_link(&place) : planted_find(&place);
    if (!row && s->where == LEFTOVER_WORKSPACE && e->type == DT_REG)
        note_package(s, place);
    switch (e->type) {
    case DT_DIR:
        check_directory(s, e);
        break;
    case DT_REG:
        check_file(s, row, e);
        break;
    case DT_LNK:
        if (s->where == LEFTOVER_WORKSPACE)
            check_link(s, row, e);
        break;
    case DT_CHR:
    case DT_BLK:
        report_plain(s, PLANTED_DEVICE, e->path, e->type);
        break;
    case DT_FIFO:
    case DT_SOCK:
        if (s->where == LEFTOVER_WORKSPACE)
            report_plain(s, e->type == DT_FIFO ? PLANTED_PIPE : PLANTED_SOCKET, e->path, e->type);
        break;
    default:
        s->gaps |= LEFTOVERS_UNREAD;
    }
}

/* What the directory makes of what is in it: a repository's top, or a git directory without the
 * usual name, which git finds by these two. */
static void recognize(int fd, const char *path, struct waiting *w)
{
    size_t inside = *path ? strlen(path) + 1 : 0;

    if (!planted_is_of_top(path + w->top) && faccessat(fd, ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        w->top = inside;
    if (w->git != inside && faccessat(fd, "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
        faccessat(fd, "objects", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        w->git = inside;
}

static bool is_over(struct survey *s)
{
    if (s->entries >= s->entries_max)
        s->gaps |= LEFTOVERS_ENTRIES;
    else if (s->entries % ENTRIES_A_CLOCK == 0 && clock_mono_ms() >= s->deadline_ms)
        s->gaps |= LEFTOVERS_TIME;
    return s->gaps & (LEFTOVERS_ENTRIES | LEFTOVERS_TIME);
}

static void list(struct survey *s, DIR *dir, const char *path, const struct waiting *w)
{
    struct buf full = { 0 };
    const struct dirent *found;
    size_t base;

    buf_append_str(&full, path);
    if (*path)
        buf_append_char(&full, '/');
    base = full.len;
    while (!is_over(s) && (errno = 0, found = readdir(dir)) != NULL) {
        struct entry e = { .dir_fd = dirfd(dir), .name = found->d_name, .dir = w };

        if (str_eq(e.name, ".") || str_eq(e.name, ".."))
            continue;
        s->entries++;
        full.len = base;
        buf_append_str(&full, e.name);
        if (full.len >= LEFTOVER_PATH_MAX) {
            s->gaps |= LEFTOVERS_DEEP;
            continue;
        }
        e.path = full.data;
        e.type = found->d_type;
        check_entry(s, &e);
    }
    if (errno != 0)
        s->gaps |= LEFTOVERS_UNREAD;
    buf_done(&full);
}

static void look_through(struct survey *s, const char *path, struct waiting w)
{
    int fd = open_beneath(s->root, *path ? path : ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir) {
        recognize(fd, path, &w);
        list(s, dir, path, &w);
        (void)closedir(dir); /* it was only read */
        return;
    }
    if (fd >= 0)
        (void)close(fd); /* as little */
    if ((fd == -EACCES || fd == -EXDEV) && *path)
        report_plain(s, PLANTED_LOCKED, path, (uint64_t)-fd);
    else if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP) /* those: it was only asked for */
        s->gaps |= LEFTOVERS_UNREAD;
}

/* Level by level: first in, first out. */
static void walk(struct survey *s)
{
    while (s->taken < s->queue.len && !is_over(s)) {
        struct waiting w;
        AUTO_FREE char *path = NULL;

        memcpy(&w, s->queue.data + s->taken, sizeof w);
        path = mem_strdup(s->queue.data + s->taken + sizeof w);
        s->taken += sizeof w + w.len;
        if (s->taken >= s->queue.len / 2) { /* so that each byte is moved once, about */
            buf_consume(&s->queue, s->taken);
            s->taken = 0;
        }
        look_through(s, path, w);
    }
}

/* ---- what a heap of other files at the top can't hide ---- */

static void look_up(struct survey *s, const char *path, const struct waiting *w)
{
    AUTO_CLOSE int fd = open_beneath(s->root, path, O_PATH | O_NOFOLLOW);
    struct entry e = { .dir_fd = s->root, .name = path, .path = path, .dir = w };
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))) {
        e.type = (unsigned char)IFTODT(st.st_mode);
        check_entry(s, &e);
    }
}

static void look_up_rest(struct survey *s)
{
    static const char *const directories[] = {
        ".git",   ".git/hooks", ".claude", ".claude/hooks", ".github/workflows",
        ".husky", ".vscode",    ".idea",   ".devcontainer", ".opencode",
        ".cursor"
    };
    const struct waiting top = { .git = PLANTED_NOWHERE }, git = { .git = strlen(".git/") };
    const struct planted_row *row;
    uint32_t gaps = s->gaps, entries = s->entries;

    s->deadline_ms = clock_mono_ms() + REST_MS;
    for (size_t i = 0; (row = planted_fixed(i)) != NULL; i++)
        look_up(s, row->pattern, &top);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        s->gaps = 0;
        s->entries = 0;
        s->entries_max = REST_ENTRIES;
        look_through(s, directories[i], i < 2 ? git : top);
        gaps |= s->gaps & (uint32_t) ~(LEFTOVERS_ENTRIES | LEFTOVERS_TIME);
    }
    s->gaps = gaps;
    s->entries = entries;
}

/* ---- the whole ---- */

static void look_at_place(struct survey *s, enum leftover_place where, const char *path)
{
    const struct waiting top = { .git = PLANTED_NOWHERE };

    s->where = where;
    s->queue.len = s->taken = 0;
    s->root = chdir(path) < 0 ? -errno : open_beneath(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
    if (s->root < 0) {
        s->gaps |= LEFTOVERS_UNREAD;
        return;
    }
    enqueue(s, "", &top);
    walk(s);
    if (where == LEFTOVER_WORKSPACE && (s->gaps & (LEFTOVERS_TIME | LEFTOVERS_ENTRIES)))
        look_up_rest(s);
    (void)close(s->root); /* it was only a place */
}

_Noreturn void survey_run(const char *workspace, const char *home)
{
    /* beyond the time that is left to it: a loop that has no end in it is one of ours */
    const struct rlimit cpu = { .rlim_cur = SURVEY_MS / 1000 + 2,
                                .rlim_max = SURVEY_MS / 1000 + 2 };
    struct survey s = { .deadline_ms = clock_mono_ms() + SURVEY_MS,
                        .entries_max = SURVEY_ENTRIES_MAX,
                        .contents = mem_alloc(HASHED_BYTES_MAX) };

    (void)setrlimit(RLIMIT_CPU, &cpu); /* the caller's patience is the other bound */
    leftover_begin(&s.found);
    look_at_place(&s, LEFTOVER_WORKSPACE, workspace);
    look_at_place(&s, LEFTOVER_HOME, home);
    leftover_end(&s.found, s.entries, s.gaps);
    _exit(fd_write_all(STDOUT_FILENO, s.found.data, s.found.len) < 0 ? 1 : 0);
}
