/* holdsync.c - a disk that takes its time: an LD_PRELOAD library whose fdatasync(2) and fsync(2)
 * wait for as long as they are told to. $HOLDSYNC names a file of one page that is mapped, so that
 * nothing here needs a system call that a confined process isn't allowed: its first byte says
 * whether to wait, the second one that somebody does. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, LOOK_MS = 5 };

struct page {
    _Atomic unsigned char hold, waits;
};

static struct page *page; /* NULL: nobody is to wait */

__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv("HOLDSYNC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        (void)close(fd);
    page = at == MAP_FAILED ? NULL : at;
}

static void wait_for_leave(void)
{
    while (page && page->hold) {
        page->waits = 1;
        (void)poll(NULL, 0, LOOK_MS);
    }
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    wait_for_leave();
    return next(fd);
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    wait_for_leave();
    return next(fd);
}
