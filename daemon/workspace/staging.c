#include "workspace/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"
#include "util/strv.h"
#include "workspace/beneath.h"
#include "workspace/treewipe.h"

struct staging {
    char *path;
    bool crossed;
    int fd;                      /* the directory; -1: not opened yet */
    char name[SHELF_NAME_BYTES]; /* of the set; "" for none */
    int set_fd;
    bool has[SHELF_PART_COUNT];
};

struct staging *staging_new(const char *state_dir, bool crossed)
{
    struct staging *s = mem_new(struct staging);

    s->path = mem_printf("%s/" SHELF_FOLDER, state_dir);
    s->crossed = crossed;
    s->fd = s->set_fd = -1;
    return s;
}

void staging_free(struct staging *s)
{
    if (!s)
        return;
    staging_give_up(s);
    if (s->fd >= 0)
        (void)close(s->fd); /* a directory */
    free(s->path);
    free(s);
}

/* -ENOENT where it isn't there. */
static int open_folder(struct staging *s, struct err *err)
{
    if (s->fd >= 0)
        return 0;
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0 || fchmod(s->fd, s->crossed ? 0711 : 0700) < 0) {
        int r = err_set(err, -errno, "open '%s': %s: move it away", s->path, strerror(errno));

        if (s->fd >= 0)
            (void)close(s->fd); /* a directory; the next attempt sets its mode, too */
        s->fd = -1;
        return r;
    }
    return 0;
}

void staging_give_up(struct staging *s)
{
    if (s->set_fd >= 0)
        (void)close(s->set_fd); /* a directory */
    s->set_fd = -1;
    s->name[0] = '\0';
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

int staging_begin(struct staging *s, struct err *err)
{
    uint64_t high = random_u64(), low = random_u64();
    int r;

    staging_give_up(s);
    memset(s->has, 0, sizeof s->has);
    if (s->fd < 0 && mkdir(s->path, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make '%s': %s", s->path, strerror(errno));
    r = open_folder(s, err);
    if (r < 0)
        return r;
    (void)snprintf(s->name, sizeof s->name, SHELF_PREFIX "%016llx%016llx", (unsigned long long)high,
                   (unsigned long long)low);
    s->set_fd = enter(s->fd, s->name);
    return s->set_fd < 0
               ? err_set(err, s->set_fd, "make '%s/%s': %s", s->path, s->name, strerror(-s->set_fd))
               : 0;
}

static int make_file(int dir, const char *name, mode_t mode)
{
    AUTO_CLOSE int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || fchmod(fd, mode) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* The nth name to try. extension: what stays at the end. */
static char *numbered(const char *name, const char *extension, int n)
{
    size_t stem = strlen(name) - strlen(extension);

    return n == 1 ? mem_strdup(name) : mem_printf("%.*s-%d%s", (int)stem, name, n, extension);
}

static int make_file_named(int dir, const char *name, const char *extension)
{
    int fd = make_file(dir, name, 0444);

    for (int n = 2; fd == -EEXIST && extension; n++) {
        AUTO_FREE char *fresh = numbered(name, extension, n);

        fd = make_file(dir, fresh, 0444);
    }
    return fd;
}

int staging_add(struct staging *s, enum shelf_part part, const char *name, const char *extension,
                const void *bytes, size_t len, struct err *err)
{
    bool is_file = part != SHELF_RULES && part != SHELF_SKILLS;
    AUTO_CLOSE int dir = -1, fd = -1;
    int r = 0;

    if (!is_file)
        r = dir = enter(s->set_fd, shelf_part_name(part));
    if (r >= 0)
        r = fd = make_file_named(is_file ? s->set_fd : dir, is_file ? shelf_part_name(part) : name,
                                 extension);
    if (r >= 0)
        r = fd_write_all(fd, bytes, len);
    if (r < 0)
        return err_set(err, r, "write the artifact '%s': %s", name, strerror(-r));
    s->has[part] = true;
    return 0;
}

int staging_add_skill(struct staging *s, const char *name, char **ret_folder, struct err *err)
{
    AUTO_CLOSE int dir = enter(s->set_fd, shelf_part_name(SHELF_SKILLS));
    AUTO_FREE char *folder = mem_strdup(name);
    int r = dir < 0 ? dir : mkdirat(dir, folder, 0755) < 0 ? -errno : 0;

    for (int n = 2; r == -EEXIST; n++) {
        free(folder);
        folder = numbered(name, "", n);
        r = mkdirat(dir, folder, 0755) < 0 ? -errno : 0;
    }
    if (r < 0)
        return err_set(err, r, "make a folder for the skill '%s': %s", name, strerror(-r));
    s->has[SHELF_SKILLS] = true;
    *ret_folder = TAKE_PTR(folder);
    return 0;
}

int staging_open_file(struct staging *s, const char *skill, const char *path, bool is_program,
                      struct err *err)
{
    AUTO_FREE char *whole = mem_printf("%s/%s/%s", shelf_part_name(SHELF_SKILLS), skill, path);
    AUTO_CLOSE int dir = fcntl(s->set_fd, F_DUPFD_CLOEXEC, 3);
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

void staging_drop_skill(struct staging *s, const char *skill)
{
    AUTO_CLOSE int dir = beneath_open(s->set_fd, shelf_part_name(SHELF_SKILLS), O_RDONLY);
    size_t budget = SIZE_MAX;

    /* what can't be removed is shown with the rest: a part of a skill, and harmless */
    if (dir >= 0)
        (void)treewipe(dir, skill, &budget, NULL);
}

int staging_finish(struct staging *s, const char *manifest, char ret_name[SHELF_NAME_BYTES],
                   bool ret_has[SHELF_PART_COUNT], struct err *err)
{
    AUTO_FREE char *file = mem_printf("%s/%s/" SHELF_MANIFEST, s->path, s->name);
    AUTO_FREE char *current = mem_printf("%s/" SHELF_CURRENT, s->path);
    int r = fd_write_file(file, manifest, strlen(manifest), 0600, err);

    if (r == 0 && syncfs(s->fd) < 0)
        r = err_set(err, -errno, "write '%s' to the disk: %s", s->path, strerror(errno));
    if (r == 0)
        r = fd_write_file(current, s->name, strlen(s->name), 0600, err);
    if (r < 0)
        return r;
    memcpy(ret_name, s->name, sizeof s->name);
    memcpy(ret_has, s->has, sizeof s->has);
    staging_give_up(s); /* it isn't ours any more */
    return 0;
}

/* ---- what nobody uses ---- */

static bool is_used(const struct staging *s, const struct strv *used, const char *name)
{
    if (str_eq(s->name, name))
        return true;
    for (size_t i = 0; i < used->len; i++)
        if (str_eq(used->items[i], name))
            return true;
    return false;
}

int staging_sweep(struct staging *s, const struct strv *used, size_t entries)
{
    int fd = open_folder(s, NULL) < 0 ? -1 : openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        r = 0;
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void)close(fd); /* a directory */
    while (dir && r <= 0 && (entry = readdir(dir)) != NULL)
        if (shelf_is_set_name(entry->d_name) && !is_used(s, used, entry->d_name))
            r = treewipe(s->fd, entry->d_name, &entries, NULL);
    return r > 0;
}
