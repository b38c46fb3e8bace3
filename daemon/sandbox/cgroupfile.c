#include "sandbox/cgroupfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

enum { PROCS_MAX = 64 * 1024 }; /* bytes of a list; the rest another time */

int cgroupfile_read(const char *dir, const char *name, char text[CGROUPFILE_MAX])
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = fd_read_all(fd, text, CGROUPFILE_MAX - 1);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    return 0;
}

int cgroupfile_write(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroupfile_limit(const char *dir, const char *name, uint64_t n)
{
    AUTO_FREE char *text = mem_printf("%" PRIu64, n);

    return n == 0 ? 0 : cgroupfile_write(dir, name, text);
}

bool cgroupfile_has_word(const char *list, char separator, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == separator) && (at[len] == '\0' || at[len] == separator))
            return true;
    return false;
}

uint64_t cgroupfile_number(const char *text, const char *name)
{
    size_t len = strlen(name);
    uint64_t n = 0;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            (void)sscanf(line + len + 1, "%" SCNu64, &n); /* no number: 0 */
    }
    return n;
}

bool cgroupfile_kill(const char *dir)
{
    AUTO_FREE char *path = mem_printf("%s/cgroup.procs", dir);
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool any = false;
    char *rest, *line;
    ssize_t n;

    if (fd < 0)
        return false;
    n = fd_read_all(fd, buf_reserve(&b, PROCS_MAX), PROCS_MAX);
    if (n <= 0)
        return false;
    b.len = (size_t)n;
    b.data[n] = '\0';
    rest = b.data;
    while ((line = strsep(&rest, "\n"))) {
        uint64_t pid;

        if (*line == '\0' || str_to_u64(line, INT32_MAX, &pid) < 0)
            continue;
        any = true;
        if (pid > 1)                         /* 0: in a pid namespace that we don't see */
            (void)kill((pid_t)pid, SIGKILL); /* ended already: fine */
    }
    return any;
}
