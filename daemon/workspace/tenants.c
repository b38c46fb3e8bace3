#include "workspace/tenants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/beneath.h"

enum { UID_COUNT = PLAN_OWN_UID_MAX - PLAN_JOB_UID_MIN + 1 };

struct tenant {
    uid_t uid;
    UT_hash_handle hh;
};

struct tenants {
    struct tenant *by_uid;
    bool known; /* the directory was read to its end */
};

struct tenants *tenants_new(void)
{
    return mem_new(struct tenants);
}

void tenants_forget(struct tenants *t)
{
    struct tenant *one, *next;

    HASH_ITER (hh, t->by_uid, one, next) {
        HASH_DEL(t->by_uid, one);
        free(one);
    }
    t->known = false;
}

void tenants_free(struct tenants *t)
{
    if (!t)
        return;
    tenants_forget(t);
    free(t);
}

static bool is_taken(const struct tenants *t, uid_t uid)
{
    struct tenant *one = NULL;

    HASH_FIND(hh, t->by_uid, &uid, sizeof uid, one);
    return one != NULL;
}

static void take(struct tenants *t, uid_t uid)
{
    struct tenant *one;

    if (is_taken(t, uid))
        return;
    one = mem_new(struct tenant);
    one->uid = uid;
    HASH_ADD(hh, t->by_uid, uid, sizeof one->uid, one);
}

/* A job's, or what is left of one: both of its directories have one owner, but the first of them
 * may be gone already. */
static void look_at(struct tenants *t, int root_fd, const char *name)
{
    static const char *const parts[] = { "workspace", "home" };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", name, parts[i]);
        struct stat st;

        if (fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            take(t, st.st_uid);
            return;
        }
    }
}

static int read_root(struct tenants *t, int root_fd, const char *root, struct err *err)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        int code = -errno;

        if (fd >= 0)
            (void)close(fd); /* the first failure is the one to report */
        return err_set(err, code, "read '%s': %s", root, strerror(-code));
    }
    while ((errno = 0, entry = readdir(dir)) != NULL)
        if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
            look_at(t, root_fd, entry->d_name);
    if (errno != 0)
        return err_set(err, -errno, "read '%s': %s", root, strerror(errno));
    t->known = true;
    return 0;
}

int tenants_have(struct tenants *t, int root_fd, const char *root, uid_t uid, struct err *err)
{
    int r = t->known ? 0 : read_root(t, root_fd, root, err);

    return r < 0 ? r : is_taken(t, uid);
}

/* FNV-1a. */
uid_t tenants_first_choice(const char *job_id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = job_id; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return (uid_t)(PLAN_JOB_UID_MIN + hash % UID_COUNT);
}

int tenants_pick(struct tenants *t, int root_fd, const char *root, const char *job_id,
                 uid_t *ret_uid, struct err *err)
{
    uid_t uid = tenants_first_choice(job_id);
    int r = t->known ? 0 : read_root(t, root_fd, root, err);

    if (r < 0)
        return r;
    while (is_taken(t, uid)) /* no file system has as many directories as there are uids */
        uid = uid == PLAN_OWN_UID_MAX ? PLAN_JOB_UID_MIN : uid + 1;
    take(t, uid);
    *ret_uid = uid;
    return 0;
}
