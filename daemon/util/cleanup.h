/* cleanup.h - release at scope exit, and visible hand-over.
 * AUTO_FREE char *s = NULL;   freed when s leaves scope
 * AUTO_CLOSE int fd = -1;     closed when fd leaves scope, if >= 0
 * CLEANUP(buf_done) struct buf b = { 0 };   calls buf_done(&b)
 * CLEANUP_PTR(json_free) struct json *j = NULL;   needs DEFINE_CLEANUP(struct json *, json_free)
 * TAKE_PTR(p), TAKE_FD(fd): the value, with the variable reset so that nothing is released.
 * Only memory and descriptors are released this way; never a process, lock or file. */
#pragma once
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn)     __attribute__((cleanup(fn)))
#define CLEANUP_PTR(fn) __attribute__((cleanup(cleanup_##fn)))
#define DEFINE_CLEANUP(type, fn)                                                                   \
    static inline void cleanup_##fn(type *p)                                                       \
    {                                                                                              \
        fn(*p);                                                                                    \
    }                                                                                              \
    struct cleanup_##fn##_needs_semicolon

static inline void cleanup_free_mem(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing useful can be done about a failed close here */
}

#define AUTO_FREE  CLEANUP(cleanup_free_mem)
#define AUTO_CLOSE CLEANUP(cleanup_close_fd)

#define TAKE_PTR(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
