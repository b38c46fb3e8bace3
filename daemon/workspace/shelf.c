#include "workspace/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"
#include "workspace/beneath.h"
#include "workspace/treewipe.h"

#define FOLDER   "artifacts"
#define CURRENT  "current"
#define MANIFEST "manifest.json"
#define PREFIX   "set-"

enum { NAME_BYTES = 40, MANIFEST_MAX = 1 << 20 };

static const char *const part_names[SHELF_PART_COUNT] = {
    [SHELF_RULES] = "rules",
    [SHELF_SKILLS] = "skills",
    [SHELF_MCP] = "mcp.json",
};

struct shelf_set {
    char name[NAME_BYTES];
    char *paths[SHELF_PART_COUNT]; /* NULL: it has none */
    size_t users;
    struct shelf_set *next;
};

struct shelf {
    char *path;
    int fd;
    struct shelf_set *sets;    /* that are held or in force */
    struct shelf_set *current; /* among them, or NULL */
    char staged[NAME_BYTES];   /* "" for none */
    int staged_fd;
};

/* ---- sets ---- */

static bool is_set_name(const char *name)
{
    size_t len = strlen(name);

    return len < NAME_BYTES && str_starts_with(name, PREFIX) &&
           strspn(name + strlen(PREFIX), "0123456789abcdef") == len - strlen(PREFIX);
}

static struct shelf_set *set_new(struct shelf *s, const char *name)
{
    struct shelf_set *set = mem_new(struct shelf_set);

    (void)snprintf(set->name, sizeof set->name, "%s", name); /* is_set_name() */
    for (size_t i = 0; i < SHELF_PART_COUNT; i++) {
        char *path = mem_printf("%s/%s/%s", s->path, name, part_names[i]);

        if (access(path, F_OK) == 0)
            set->paths[i] = path;
        else
            free(path);
    }
    set->next = s->sets;
    s->sets = set;
    return set;
}

static void set_free(struct shelf_set *set)
{
    for (size_t i = 0; i < SHELF_PART_COUNT; i++)
        free(set->paths[i]);
    free(set);
}

/* What is neither held nor in force is swept away later. */
static void forget_unused(struct shelf *s)
{
    struct shelf_set **at = &s->sets;

    while (*at) {
        struct shelf_set *set = *at;

        if (set->users > 0 || set == s->current) {
            at = &set->next;
            continue;
        }
        *at = set->next;
        set_free(set);
    }
}

static bool is_used(const struct shelf *s, const char *name)
{
    if (str_eq(s->staged, name))
        return true;
    for (const struct shelf_set *set = s->sets; set; set = set->next)
        if (str_eq(set->name, name))
            return true;
    return false;
}

struct shelf_set *shelf_hold(struct shelf *s)
{
    if (s->current)
        s->current->users++;
    return s->current;
}

void shelf_release(struct shelf *s, struct shelf_set *set)
{
    if (!set)
        return;
    set->users--;
    forget_unused(s);
}

const char *shelf_path(const struct shelf_set *set, enum shelf_part part)
{
    return set->paths[part];
}

/* ---- the directory ---- */

/* The name in the file "current"; "" where there is none that could be a set's. */
static void read_current(const char *path, char name[NAME_BYTES])
{
    AUTO_FREE char *file = mem_printf("%s/" CURRENT, path);
    CLEANUP(buf_done) struct buf b = { 0 };

    name[0] = '\0';
    if (fd_read_file(file, NAME_BYTES - 1, &b, NULL) == 0 && is_set_name(buf_str(&b)))
        (void)snprintf(name, NAME_BYTES, "%s", buf_str(&b));
}

static bool is_there(const struct shelf *s, const char *set)
{
    AUTO_FREE char *manifest = mem_printf("%s/" MANIFEST, set);

    return faccessat(s->fd, manifest, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* -ENOENT where it isn't there. */
static int open_folder(struct shelf *s, struct err *err)
{
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0 || fchmod(s->fd, geteuid() == 0 ? 0711 : 0700) < 0) {
        int r = err_set(err, -errno, "open '%s': %s: move it away", s->path, strerror(errno));

        if (s->fd >= 0)
            (void)close(s->fd); /* a directory; the next attempt sets its mode, too */
        s->fd = -1;
        return r;
    }
    return 0;
}

int shelf_new(const char *state_dir, struct shelf **ret_shelf, struct err *err)
{
    CLEANUP_PTR(shelf_free) struct shelf *s = mem_new(struct shelf);
    char name[NAME_BYTES];
    int r;

    s->path = mem_printf("%s/" FOLDER, state_dir);
    s->fd = s->staged_fd = -1;
    r = open_folder(s, err);
    if (r < 0 && r != -ENOENT)
        return r;
    read_current(s->path, name);
    if (name[0] && is_there(s, name))
        s->current = set_new(s, name);
    *ret_shelf = TAKE_PTR(s);
    return 0;
}

void shelf_free(struct shelf *s)
{
    if (!s)
        return;
    while (s->sets) {
        struct shelf_set *next = s->sets->next;

        set_free(s->sets);
        s->sets = next;
    }
    if (s->staged_fd >= 0)
        (void)close(s->staged_fd); /* what was begun is swept away at the next start */
    if (s->fd >= 0)
        (void)close(s->fd); /* a directory */
    free(s->path);
    free(s);
}

int shelf_manifest(const char *state_dir, char **ret_text, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/" FOLDER, state_dir), *file = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    char name[NAME_BYTES];
    int r;

    read_current(path, name);
    if (!name[0])
        return -ENOENT;
    file = mem_printf("%s/%s/" MANIFEST, path, name);
    r = fd_read_file(file, MANIFEST_MAX, &b, err);
    if (r == 0)
        *ret_text = buf_steal(&b);
    return r;
}

/* ---- a new set ---- */

void shelf_give_up(struct shelf *s)
{
    if (s->staged_fd >= 0)
        (void)close(s->staged_fd); /* a directory */
    s->staged_fd = -1;
    s->staged[0] = '\0';
}

int shelf_begin(struct shelf *s, struct err *err)
{
    uint64_t high = random_u64(), low = random_u64();
    int r = 0;

    shelf_give_up(s);
    if (s->fd < 0 && mkdir(s->path, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make '%s': %s", s->path, strerror(errno));
    if (s->fd < 0)
        r = open_folder(s, err);
    if (r < 0)
        return r;
    (void)snprintf(s->staged, sizeof s->staged, PREFIX "%016llx%016llx", (unsigned long long)high,
                   (unsigned long long)low);
    if (mkdirat(s->fd, s->staged, 0755) < 0)
        return err_set(err, -errno, "make '%s/%s': %s", s->path, s->staged, strerror(errno));
    s->staged_fd = beneath_open(s->fd, s->staged, O_RDONLY);
    if (s->staged_fd < 0)
        return err_set(err, s->staged_fd, "open '%s/%s': %s", s->path, s->staged,
                       strerror(-s->staged_fd));
    return fchmod(s->staged_fd, 0755) < 0
               ? err_set(err, -errno, "chmod '%s/%s': %s", s->path, s->staged, strerror(errno))
               : 0;
}

/* The directory name of dir, ours alone, made where it is missing. */
static int enter(int dir, const char *name)
{
    int fd;

    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = beneath_open(dir, name, O_RDONLY);
    if (fd >= 0 && fchmod(fd, 0755) < 0) { /* whatever the umask is */
        int r = -errno;

        (void)close(fd); /* a directory */
        return r;
    }
    return fd;
}

static int make_file(int dir, const char *name, mode_t mode)
{
    AUTO_CLOSE int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || fchmod(fd, mode) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int shelf_add(struct shelf *s, enum shelf_part part, const char *name, const void *bytes,
              size_t len, struct err *err)
{
    bool is_file = part == SHELF_MCP;
    AUTO_CLOSE int dir = -1, fd = -1;
    int r = 0;

    if (!is_file)
        r = dir = enter(s->staged_fd, part_names[part]);
    if (r >= 0)
        r = fd = make_file(is_file ? s->staged_fd : dir, is_file ? part_names[part] : name, 0444);
    if (r >= 0)
        r = fd_write_all(fd, bytes, len);
    return r < 0 ? err_set(err, r, "write the artifact '%s': %s", name, strerror(-r)) : 0;
}

int shelf_open_file(struct shelf *s, const char *skill, const char *path, bool is_program,
                    struct err *err)
{
    AUTO_FREE char *whole = mem_printf("%s/%s/%s", part_names[SHELF_SKILLS], skill, path);
    AUTO_CLOSE int dir = fcntl(s->staged_fd, F_DUPFD_CLOEXEC, 3);
    char *part = whole, *slash;
    int next = dir < 0 ? -errno : dir;

    while (next >= 0 && (slash = strchr(part, '/')) != NULL) {
        *slash = '\0';
        next = enter(dir, part);
        (void)close(dir); /* a directory */
        dir = next;
        part = slash + 1;
    }
    if (next >= 0)
        next = make_file(dir, part, is_program ? 0755 : 0644);
    return next < 0
               ? err_set(err, next, "write a file of the skill '%s': %s", skill, strerror(-next))
               : next;
}

bool shelf_has(const struct shelf *s, enum shelf_part part, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", part_names[part], name);

    return faccessat(s->staged_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void shelf_drop_skill(struct shelf *s, const char *skill)
{
    AUTO_CLOSE int dir = beneath_open(s->staged_fd, part_names[SHELF_SKILLS], O_RDONLY);
    size_t budget = SIZE_MAX;

    /* what can't be removed is shown with the rest: a part of a skill, and harmless */
    if (dir >= 0)
        (void)treewipe(dir, skill, &budget, NULL);
}

int shelf_finish(struct shelf *s, const char *manifest, struct err *err)
{
    AUTO_FREE char *file = mem_printf("%s/%s/" MANIFEST, s->path, s->staged);
    AUTO_FREE char *current = mem_printf("%s/" CURRENT, s->path);
    int r = fd_write_file(file, manifest, strlen(manifest), 0600, err);

    if (r == 0 && syncfs(s->fd) < 0)
        r = err_set(err, -errno, "write '%s' to the disk: %s", s->path, strerror(errno));
    return r < 0 ? r : fd_write_file(current, s->staged, strlen(s->staged), 0600, err);
}

void shelf_switch(struct shelf *s)
{
    s->current = set_new(s, s->staged);
    shelf_give_up(s);
    forget_unused(s);
}

/* ---- what nobody uses ---- */

int shelf_sweep(struct shelf *s, size_t entries)
{
    int fd = s->fd < 0 ? -1 : openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void)close(fd); /* a directory */
    while (dir && r <= 0 && (entry = readdir(dir)) != NULL)
        if (is_set_name(entry->d_name) && !is_used(s, entry->d_name))
            r = treewipe(s->fd, entry->d_name, &entries, NULL);
    return r > 0;
}
