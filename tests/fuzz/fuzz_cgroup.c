/* Files of the kernel's cgroup file system, with a line of dashes between: the controllers of our
 * own cgroup, its processes, a task's memory.events and memory.peak. */
#include "support/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/cgroup.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

#define LINE "\n--\n"

static char *fuzz_dir;

static void remove_dir(void)
{
    tempdir_free(fuzz_dir);
}

static const char *directory(void)
{
    if (!fuzz_dir) {
        AUTO_FREE char *task = NULL;

        fuzz_dir = tempdir_new();
        task = mem_printf("%s/nairid.task-7", fuzz_dir);
        FUZZ_CHECK(mkdir(task, 0700) == 0);
        (void)atexit(remove_dir);
    }
    return fuzz_dir;
}

/* The bytes up to the next line of dashes. */
static void put_part(const char *name, const uint8_t **at, size_t *left)
{
    AUTO_FREE char *path = mem_printf("%s/%s", directory(), name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const uint8_t *end = *left > 0 ? memmem(*at, *left, LINE, strlen(LINE)) : NULL;
    size_t len = end ? (size_t)(end - *at) : *left, taken = end ? len + strlen(LINE) : len;

    FUZZ_CHECK(fd >= 0 && fd_write_all(fd, *at, len) == 0);
    *at += taken;
    *left -= taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(cgroup_free) struct cgroup *c = NULL;
    struct cgroup_usage usage = { 0 };
    struct err err = { 0 };
    int r;

    put_part("cgroup.controllers", &data, &size);
    put_part("cgroup.procs", &data, &size);
    put_part("nairid.task-7/memory.events", &data, &size);
    put_part("nairid.task-7/memory.peak", &data, &size);
    r = cgroup_find(directory(), "/", &c, &err);
    if (r < 0) {
        FUZZ_CHECK(r == -EOPNOTSUPP && err.text[0] && !c);
        return 0;
    }
    cgroup_read(c, 7, &usage);
    cgroup_read(c, 8, &usage);
    FUZZ_CHECK(!usage.oom && usage.peak_bytes == 0);
    return 0;
}
