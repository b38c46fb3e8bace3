#include "sandbox/living.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "util/cleanup.h"

/* A few names: the main thread's, and more than one of the others. */
enum { LISTING_BYTES = 256 };

static const char folder[] = "/task";

bool living_thread(int proc, const char *pid, char path[LIVING_PATH_BYTES])
{
    _Alignas(struct dirent64) char bytes[LISTING_BYTES];
    size_t len = strlen(pid), end = len + strlen(folder);
    AUTO_CLOSE int tasks = -1;
    ssize_t n;

    if (end + 1 >= LIVING_PATH_BYTES)
        return false;
    memcpy(path, pid, len);
    memcpy(path + len, folder, sizeof folder);
    tasks = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (tasks >= 0 && (n = getdents64(tasks, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *e = (const struct dirent64 *)(const void *)(bytes + at);
            size_t name_len = strlen(e->d_name);

            at += e->d_reclen;
            if (e->d_name[0] == '.' || strcmp(e->d_name, pid) == 0 ||
                end + 1 + name_len >= LIVING_PATH_BYTES)
                continue;
            path[end] = '/';
            memcpy(path + end + 1, e->d_name, name_len + 1);
            return true;
        }
    }
    return false;
}
