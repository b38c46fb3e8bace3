#include "workspace/tenants.h"

#include <assert.h>
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
#include "util/random.h"
#include "util/str.h"
#include "workspace/beneath.h"

#define SHARED_NAME "uids"

enum {
    UID_COUNT = PLAN_OWN_UID_MAX - PLAN_JOB_UID_MIN + 1,
    BLOCK = 65536, /* more jobs than anybody keeps; the kernel's list of locks stays short */
    BLOCK_COUNT = UID_COUNT / BLOCK,
};
static_assert(UID_COUNT % BLOCK == 0, "the range is blocks and nothing else");

struct tenant {
    uid_t uid;
    bool seen; /* it is there, as far as is known now */
    bool held; /* by a lock of its own */
    UT_hash_handle hh;
};

struct tenants {
    struct tenant *by_uid;
    bool known;    /* the directory was read to its end */
    int shared_fd; /* -1: nobody else is looked at */
    uid_t home;    /* the first of our block; 0: none */
    uid_t next;    /* of it: told to be the next job's; 0: none */
};

struct tenants *tenants_new(void)
{
    struct tenants *t = mem_new(struct tenants);

    t->shared_fd = -1;
    return t;
}

void tenants_forget(struct tenants *t)
{
    for (struct tenant *one = t->by_uid; one; one = one->hh.next)
        one->seen = false;
    t->known = false;
}

static void drop_unseen(struct tenants *t)
{
    struct tenant *one, *next;

    HASH_ITER (hh, t->by_uid, one, next) {
        if (one->seen)
            continue; /* the lock of one that isn't may stay: it costs the others one uid */
        HASH_DEL(t->by_uid, one);
        free(one);
    }
}

void tenants_free(struct tenants *t)
{
    if (!t)
        return;
    tenants_forget(t);
    drop_unseen(t);
    if (t->shared_fd >= 0)
        (void)close(t->shared_fd); /* and with it goes what it held */
    free(t);
}

static struct tenant *find(const struct tenants *t, uid_t uid)
{
    struct tenant *one = NULL;

    HASH_FIND(hh, t->by_uid, &uid, sizeof uid, one);
    return one;
}

static bool is_taken(const struct tenants *t, uid_t uid)
{
    const struct tenant *one = find(t, uid);

    return one && one->seen;
}

static struct tenant *take(struct tenants *t, uid_t uid)
{
    struct tenant *one = find(t, uid);

    if (!one) {
        one = mem_new(struct tenant);
        one->uid = uid;
        HASH_ADD(hh, t->by_uid, uid, sizeof one->uid, one);
    }
    one->seen = true;
    return one;
}

/* ---- among others ---- */

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = text; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

static bool is_home(const struct tenants *t, uid_t uid)
{
    return t->home != 0 && uid - t->home < BLOCK;
}

/* 0; 1: another one has some of it; a negative errno. */
static int hold(const struct tenants *t, uid_t first, uid_t count)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)count
    };

    if (fcntl(t->shared_fd, F_OFD_SETLK, &range) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? 1 : -errno;
}

static int hold_one(const struct tenants *t, struct tenant *one)
{
    int r = one->held || is_home(t, one->uid) ? 0 : hold(t, one->uid, 1);

    one->held = r == 0;
    return r;
}

static bool has_room(const struct tenants *t, uid_t first)
{
    unsigned taken = 0;

    for (const struct tenant *one = t->by_uid; one; one = one->hh.next)
        taken += one->seen && one->uid - first < BLOCK;
    return taken < BLOCK;
}

/* A block that nobody else has any of: the one that root's name leads to, or the next one. */
static int settle(struct tenants *t, const char *root, struct err *err)
{
    uint64_t begin = hash_of(root);

    for (unsigned i = 0; i < BLOCK_COUNT; i++) {
        uid_t first = (uid_t)(PLAN_JOB_UID_MIN + (begin + i) % BLOCK_COUNT * BLOCK);
        int r = has_room(t, first) ? hold(t, first, BLOCK) : 1;

        if (r < 0)
            return err_set(err, r, "lock a range of user ids: %s", strerror(-r));
        if (r > 0)
            continue;
        t->home = first;
        return 0;
    }
    return err_set(err, -EBUSY, "other daemons have all user ids that there are for jobs");
}

static int open_shared(const char *dir, int *ret_fd, struct err *err)
{
    AUTO_CLOSE int dir_fd = -1, fd = -1;
    struct stat st;

    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make '%s': %s", dir, strerror(errno));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0 || fstat(dir_fd, &st) < 0)
        return err_set(err, -errno, "open '%s': %s", dir, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, -EPERM,
                       "'%s' must belong to user %u, and nobody else may write to it: chown and "
                       "chmod it",
                       dir, (unsigned)geteuid());
    fd = openat(dir_fd, SHARED_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, -errno, "open '%s/" SHARED_NAME "': %s", dir, strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static bool is_ours(uid_t uid)
{
    return uid >= PLAN_OWN_UID_MIN && uid <= PLAN_OWN_UID_MAX;
}

/* A job's, or what is left of one: both of its directories have one owner, but the first of them
 * may be gone already. A negative errno where its uid can't be held. */
static int look_at(struct tenants *t, int root_fd, const char *name)
{
    static const char *const parts[] = { "workspace", "home" };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", name, parts[i]);
        struct tenant *one;
        struct stat st;

        if (fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        one = take(t, st.st_uid);
        /* one that another daemon has: its job will be told */
        return t->shared_fd >= 0 && is_ours(st.st_uid) ? hold_one(t, one) : 0;
    }
    return 0;
}

static int read_root(struct tenants *t, int root_fd, const char *root, struct err *err)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int r = 0;

    if (!dir) {
        int code = -errno;

        if (fd >= 0)
            (void)close(fd); /* the first failure is the one to report */
        return err_set(err, code, "read '%s': %s", root, strerror(-code));
    }
    while (r >= 0 && (errno = 0, entry = readdir(dir)) != NULL)
        if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
            r = look_at(t, root_fd, entry->d_name);
    if (r < 0)
        return err_set(err, r, "lock the user ids of the jobs in '%s': %s", root, strerror(-r));
    if (errno != 0)
        return err_set(err, -errno, "read '%s': %s", root, strerror(errno));
    drop_unseen(t);
    t->known = true;
    return 0;
}

static int read_path(struct tenants *t, const char *root, struct err *err)
{
    AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) /* no job has run yet */
        return errno == ENOENT ? 0 : err_set(err, -errno, "open '%s': %s", root, strerror(errno));
    return read_root(t, fd, root, err);
}

int tenants_share(struct tenants *t, const char *dir, const char *root, struct err *err)
{
    int r = open_shared(dir, &t->shared_fd, err);

    if (r == 0)
        r = settle(t, root, err);
    if (r == 0)
        r = read_path(t, root, err);
    if (r < 0 && t->shared_fd >= 0) {
        (void)close(t->shared_fd);
        t->shared_fd = -1;
        t->home = 0;
    }
    return r;
}

int tenants_claim(struct tenants *t, uid_t uid, struct err *err)
{
    int r = t->shared_fd >= 0 ? hold_one(t, take(t, uid)) : 0;

    if (r > 0)
        return err_set(err, -EBUSY,
                       "the job's files belong to user %u, which another nairid that runs as root "
                       "on this machine has for its jobs just now: stop that one, or begin a new "
                       "conversation",
                       (unsigned)uid);
    return r < 0 ? err_set(err, r, "lock the user id %u: %s", (unsigned)uid, strerror(-r)) : 0;
}

int tenants_have(struct tenants *t, int root_fd, const char *root, uid_t uid, struct err *err)
{
    int r = t->known ? 0 : read_root(t, root_fd, root, err);

    return r < 0 ? r : is_taken(t, uid);
}

uid_t tenants_first_choice(const char *job_id)
{
    return (uid_t)(PLAN_JOB_UID_MIN + hash_of(job_id) % UID_COUNT);
}

/* From there, the next one of count that is free; 0: none is. */
static uid_t pick_among(const struct tenants *t, uid_t first, uid_t count, uint64_t begin)
{
    for (uid_t i = 0; i < count; i++) {
        uid_t uid = first + (uid_t)((begin + i) % count);

        if (!is_taken(t, uid))
            return uid;
    }
    return 0;
}

static bool is_next(const struct tenants *t, uid_t uid)
{
    return uid != 0 && is_home(t, uid) && !is_taken(t, uid);
}

/* By chance: where it began at one place, a job that is gone would soon have an heir. After
 * tenants_forget() it stays the same: the pick finds out whether somebody has it. */
uid_t tenants_next(struct tenants *t)
{
    if (t->home == 0)
        return 0;
    if (!is_next(t, t->next))
        t->next = pick_among(t, t->home, BLOCK, random_u64());
    return t->next;
}

int tenants_pick(struct tenants *t, int root_fd, const char *root, const char *job_id,
                 uid_t *ret_uid, struct err *err)
{
    int r = t->known ? 0 : read_root(t, root_fd, root, err);
    uid_t uid;

    if (r < 0)
        return r;
    /* no file system has as many directories as there are uids */
    if (is_next(t, t->next))
        uid = t->next;
    else
        uid = t->home != 0 ? pick_among(t, t->home, BLOCK, hash_of(job_id))
                           : pick_among(t, PLAN_JOB_UID_MIN, UID_COUNT, hash_of(job_id));
    t->next = 0;
    if (uid == 0) { /* the block is full */
        r = settle(t, root, err);
        if (r < 0)
            return r;
        uid = pick_among(t, t->home, BLOCK, hash_of(job_id));
    }
    (void)take(t, uid);
    *ret_uid = uid;
    return 0;
}
