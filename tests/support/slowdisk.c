/* slowdisk.c - a disk that takes its time: an LD_PRELOAD library whose calls wait for as long as
 * they are told to. $SLOWDISK names a file of one page that is mapped, so that nothing here needs a
 * system call that a confined process isn't allowed. Its first byte says which calls are to wait,
 * the second one is set once one does; slowdisk.py is the other side. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, LOOK_MS = 5 };
enum { SYNC = 1, KNOWN = 2 }; /* fdatasync and fsync; opening what is known of a job's files */

struct page {
    _Atomic unsigned char held, waits;
};

static struct page *page; /* NULL: nobody is to wait */

__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv("SLOWDISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        (void)close(fd);
    page = at == MAP_FAILED ? NULL : at;
}

static void wait_for_leave(unsigned what)
{
    while (page && page->held & what) {
        page->waits = 1;
        (void)poll(NULL, 0, LOOK_MS);
    }
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    wait_for_leave(SYNC);
    return next(fd);
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    wait_for_leave(SYNC);
    return next(fd);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    int (*next)(int, const char *, int, ...) =
        (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
    unsigned mode;
    va_list ap;

    va_start(ap, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    if (strcmp(path, ".known") == 0 && !(flags & O_CREAT))
        wait_for_leave(KNOWN);
    return next(dir_fd, path, flags, mode);
}
