#include "workspace/enclosed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/str.h"
#include "util/ulid.h"
#include "workspace/beneath.h"
#include "workspace/workspace.h"

#define DIRECTORY "attachments"

#define PART_PREFIX ".part."

static bool is_root(void)
{
    return geteuid() == 0;
}

char *enclosed_folder(char folder[ENCLOSED_FOLDER_MAX], const char *message_id)
{
    size_t len = strlen(message_id);
    char id[ULID_ID_MAX];
    bool fits = len >= 1 && len < ENCLOSED_FOLDER_MAX &&
                strspn(message_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                   "_-") == len;

    (void)snprintf(folder, ENCLOSED_FOLDER_MAX, "%s",
                   fits ? message_id : ulid_derive(id, "other", "attachments", message_id));
    return folder;
}

/* As root the job's tasks come as its group, which nobody else is of; else they are who we are, and
 * it is the sandbox that doesn't let them write. */
static int give(int fd, uid_t uid, mode_t mode)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid())
        return -EPERM;
    if (is_root() && st.st_gid != (gid_t)uid &&
        fchownat(fd, "", (uid_t)-1, (gid_t)uid, AT_EMPTY_PATH) < 0)
        return -errno;
    return (st.st_mode & 07777) == mode ? 0 : beneath_chmod(fd, mode);
}

/* A directory of ours beneath another; a descriptor. */
static int enter(int dir_fd, const char *name, uid_t uid)
{
    AUTO_CLOSE int fd = -1;
    int r;

    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = beneath_open(dir_fd, name, O_PATH);
    if (fd < 0)
        return fd;
    r = give(fd, uid, is_root() ? 0750 : 0700);
    return r < 0 ? r : beneath_open(dir_fd, name, O_RDONLY);
}

/* Of a life before, or of an attempt that was given up. */
static void drop_parts(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_PTR(beneath_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void)close(fd); /* nothing was written by it */
    while (dir && (entry = readdir(dir)) != NULL)
        if (str_starts_with(entry->d_name, PART_PREFIX))
            enclosed_drop(folder_fd, entry->d_name);
}

int enclosed_open(const char *root, const char *job_id, const char *message_id, uid_t uid,
                  struct err *err)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, err), top_fd = -1;
    char folder[ENCLOSED_FOLDER_MAX];
    int fd;

    if (job_fd < 0)
        return job_fd;
    top_fd = enter(job_fd, DIRECTORY, uid);
    if (top_fd < 0)
        return err_set(err, top_fd, "make '%s/%s/" DIRECTORY "': %s", root, job_id,
                       strerror(-top_fd));
    fd = enter(top_fd, enclosed_folder(folder, message_id), uid);
    if (fd >= 0)
        drop_parts(fd);
    return fd < 0 ? err_set(err, fd, "make '%s/%s/" DIRECTORY "/%s': %s", root, job_id, folder,
                            strerror(-fd))
                  : fd;
}

bool enclosed_find(int folder_fd, size_t n, char name[ENCLOSED_NAME_MAX], size_t *ret_bytes)
{
    struct stat st;

    for (size_t i = 0; filetype_nth(i); i++) {
        char found[ENCLOSED_NAME_MAX];

        (void)snprintf(found, sizeof found, "attachment_%zu%s", n, filetype_nth(i)); /* fits */
        if (fstatat(folder_fd, found, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            memcpy(name, found, sizeof found);
            *ret_bytes = (size_t)st.st_size;
            return true;
        }
    }
    return false;
}

int enclosed_begin(int folder_fd, uid_t uid, char part[ENCLOSED_PART_MAX])
{
    AUTO_CLOSE int fd = -1;
    int r;

    (void)snprintf(part, ENCLOSED_PART_MAX, PART_PREFIX "%016" PRIx64, random_u64()); /* fits */
    fd = openat(folder_fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = give(fd, uid, is_root() ? 0440 : 0400);
    if (r < 0)
        enclosed_drop(folder_fd, part);
    return r < 0 ? r : TAKE_FD(fd);
}

int enclosed_keep(int folder_fd, const char *part, int fd, size_t n, const char *extension,
                  char name[ENCLOSED_NAME_MAX])
{
    if (fdatasync(fd) < 0)
        return -errno;
    (void)snprintf(name, ENCLOSED_NAME_MAX, "attachment_%zu%s", n, extension); /* fits */
    return renameat(folder_fd, part, folder_fd, name) < 0 ? -errno : 0;
}

void enclosed_drop(int folder_fd, const char *part)
{
    (void)unlinkat(folder_fd, part, 0); /* what stays is removed with the job */
}

char *enclosed_path(const char *root, const char *job_id)
{
    AUTO_CLOSE int job_fd = workspace_job(root, job_id, NULL), fd = -1;

    if (job_fd >= 0)
        fd = beneath_open(job_fd, DIRECTORY, O_PATH);
    return fd >= 0 ? mem_printf("%s/%s/" DIRECTORY, root, job_id) : NULL;
}
