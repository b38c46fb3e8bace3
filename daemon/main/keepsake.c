#include "main/keepsake.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/publicapi.h"
#include "upstream/parcel.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/filetype.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/utf8.h"

enum { ID_MAX = 64, PART_MAX = 40, SAFE_MAX = 180 };

struct keepsake {
    char *dir;
    int dir_fd, fd;
    char id[ID_MAX + 1];
    char part[PART_MAX]; /* "": none was begun */
    struct parcel parcel;
    struct filetype type;
    struct err fault;
};

int keepsake_open(const char *dir, struct keepsake **ret_keepsake, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct keepsake *k;

    if (fd < 0)
        return err_set(err, -errno, "files can't be saved in '%s': %s; make the directory first",
                       dir, strerror(errno));
    k = mem_new(struct keepsake);
    k->dir = mem_strdup(dir);
    k->dir_fd = fd;
    k->fd = -1;
    *ret_keepsake = k;
    return 0;
}

static void drop(struct keepsake *k)
{
    if (k->fd >= 0)
        (void)close(k->fd); /* kept and complete, or not wanted */
    if (k->part[0])
        (void)unlinkat(k->dir_fd, k->part, 0); /* it has no other name */
    k->fd = -1;
    k->part[0] = '\0';
}

void keepsake_free(struct keepsake *k)
{
    if (!k)
        return;
    drop(k);
    (void)close(k->dir_fd); /* only a place */
    free(k->dir);
    free(k);
}

static int write_file(const void *bytes, size_t len, void *ctx)
{
    struct keepsake *k = ctx;
    int r = fd_write_all(k->fd, bytes, len);

    filetype_feed(&k->type, bytes, len);
    return r < 0 ? err_set(&k->fault, r, "writing to '%s': %s", k->dir, strerror(-r)) : 0;
}

static int take_answer(const char *bytes, size_t len, void *ctx)
{
    struct keepsake *k = ctx;

    return parcel_feed(&k->parcel, bytes, len, &k->fault);
}

int keepsake_fetch(struct keepsake *k, struct publicapi *api, const char *id,
                   void (*fn)(const struct publicapi_answer *answer, void *ctx), void *ctx,
                   struct err *err)
{
    AUTO_FREE char *path = mem_printf("/attachments/%s", id);

    drop(k);
    (void)snprintf(k->id, sizeof k->id, "%s", id);                              /* fits */
    (void)snprintf(k->part, sizeof k->part, ".part.%016" PRIx64, random_u64()); /* fits */
    k->fault = (struct err){ 0 };
    k->type = (struct filetype){ 0 };
    k->fd = openat(k->dir_fd, k->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (k->fd < 0) {
        k->part[0] = '\0';
        return err_set(err, -errno, "files can't be saved in '%s': %s", k->dir, strerror(errno));
    }
    parcel_init(&k->parcel, UINT64_MAX / 4, write_file, k);
    publicapi_download(api, path, take_answer, k, fn, ctx);
    return 0;
}

const char *keepsake_fault(const struct keepsake *k)
{
    return k->fault.code < 0 ? k->fault.text : NULL;
}

/* name as a file's name: what stands behind its last slash, without control characters and without
 * a dot in front; "" where nothing is left. */
static void make_safe(const char *name, char safe[SAFE_MAX])
{
    const char *slash = strrchr(name, '/');
    char line[SAFE_MAX];

    (void)utf8_line(line, sizeof line, slash ? slash + 1 : name);
    (void)snprintf(safe, SAFE_MAX, "%s", line + strspn(line, ". ")); /* as large */
}

/* 0, or -EEXIST where something has that name. */
static int give_name(const struct keepsake *k, const char *name)
{
    return renameat2(k->dir_fd, k->part, k->dir_fd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int keepsake_keep(struct keepsake *k, char name[KEEPSAKE_NAME_MAX], struct err *err)
{
    char safe[SAFE_MAX];
    int r = parcel_end(&k->parcel, &k->fault);

    if (r < 0)
        return err_set(err, r, "the file %s can't be saved: %s", k->id, k->fault.text);
    make_safe(k->parcel.name, safe);
    (void)snprintf(name, KEEPSAKE_NAME_MAX, "%s", safe); /* fits */
    r = name[0] ? give_name(k, name) : -EEXIST;
    if (r == -EEXIST) { /* which names nothing else, unless it was saved before */
        (void)snprintf(name, KEEPSAKE_NAME_MAX, "%s%s%s", k->id, safe[0] ? "-" : "",
                       safe[0] ? safe : filetype_extension(&k->type)); /* fits */
        r = give_name(k, name);
    }
    if (r < 0)
        return err_set(err, r, "the file %s can't be saved in '%s' as '%s': %s", k->id, k->dir,
                       name, strerror(-r));
    k->part[0] = '\0';
    drop(k);
    return 0;
}
