/* errno_shim.c - makes one call of one call site fail, for errno_test.py.
 *
 * An LD_PRELOAD library. It stands before libc (and AddressSanitizer, whose interceptors it calls
 * on to) at each function that can fail, and tells call sites apart by the return addresses on the
 * stack: that of the call itself, which may be in a library, and those in the program above it. As
 * a sandbox's early life is that of a clone of the same program, this follows it up to execve(2).
 *
 * $ERRNO_SHIM names a file that is mapped, so that nothing here needs a system call that a confined
 * process isn't allowed. Its first page says in text what to do; empty: only list call sites, which
 * is always done, in the pages behind it. The layout is errnokit.py's, too.
 *
 *     FUNCTION ARGUMENT ROLE ERRNO NTH DEPTH     the call to fail: the NTH with this chain
 *     MODULE OFFSET                              DEPTH times, innermost first
 *
 * $ERRNO_SHIM_PROGRAM is the one program that is looked at, $ERRNO_SHIM_VERB, where it is set, the
 * first argument that it then must have. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <unwind.h>

enum {
    MAGIC = 0x6f727265,
    DEPTH_MAX = 6,   /* the call, and frames of the program above it */
    FRAMES_MAX = 96, /* looked at on the way up */
    MODULES_MAX = 96,
    NAME_BYTES = 64,
    ROLE_BYTES = 24,
    SITES_MAX = 16384,
    ORDER_BYTES = 4096,
};

enum kind { /* of the descriptor, or how it was asked for */
            KIND_REGULAR = 1,
            KIND_FOLDER = 2,
            KIND_PIPE = 4,
            KIND_SOCKET = 8,
            KIND_DEVICE = 16,
            KIND_OTHER = 32,
            KIND_NONBLOCK = 64,
            KIND_CREATES = 128,
};

struct frame {
    uint64_t module; /* index into modules */
    uint64_t offset;
};

struct site {
    _Atomic uint64_t key; /* 0: free */
    uint64_t argument;
    uint32_t depth;
    _Atomic uint32_t count;
    _Atomic uint32_t kinds;
    uint32_t ready;
    char function[32];
    char role[ROLE_BYTES];
    struct frame chain[DEPTH_MAX];
};

struct shared {
    char order[ORDER_BYTES];
    uint32_t magic;
    uint32_t module_count;
    _Atomic uint32_t matches; /* of the call to fail */
    _Atomic uint32_t fired;   /* the process that met it */
    _Atomic uint32_t lost;    /* sites that found no place */
    _Atomic uint32_t held;    /* nothing fails, nothing counts */
    char modules[MODULES_MAX][NAME_BYTES];
    struct site sites[SITES_MAX];
};

struct order {
    char function[32];
    uint64_t argument;
    char role[ROLE_BYTES];
    int error;
    unsigned nth;
    unsigned depth;
    uintptr_t chain[DEPTH_MAX];
};

struct module {
    uintptr_t base, from, to;
    char name[NAME_BYTES];
};

static struct shared *shared;              /* NULL: nothing is done */
static struct order order;                 /* .nth == 0: nothing fails */
static bool lists;                         /* call sites are listed */
static struct module modules[MODULES_MAX]; /* the program is the first */
static size_t module_count;
static char role[ROLE_BYTES];
static __thread int inside __attribute__((tls_model("initial-exec")));

/* ---- where a call comes from ---- */

struct trail {
    uintptr_t chain[DEPTH_MAX];
    unsigned depth;
    unsigned seen;
    bool began; /* the call itself was met */
    uintptr_t call;
};

static bool is_program(uintptr_t at)
{
    return at >= modules[0].from && at < modules[0].to;
}

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *argument)
{
    struct trail *t = argument;
    uintptr_t at = _Unwind_GetIP(context);

    if (++t->seen > FRAMES_MAX || t->depth == DEPTH_MAX)
        return _URC_END_OF_STACK;
    if (t->began && is_program(at))
        t->chain[t->depth++] = at;
    t->began |= at == t->call;
    return _URC_NO_REASON;
}

static void walk(struct trail *t, const void *call)
{
    memset(t, 0, sizeof *t);
    t->call = t->chain[0] = (uintptr_t)call;
    t->depth = 1;
    (void)_Unwind_Backtrace(on_frame, t);
}

static struct frame frame_of(uintptr_t at)
{
    for (size_t i = 0; i < module_count; i++)
        if (at >= modules[i].from && at < modules[i].to)
            return (struct frame){ .module = i, .offset = at - modules[i].base };
    return (struct frame){ .module = MODULES_MAX, .offset = 0 };
}

/* ---- the list of call sites ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static unsigned kinds_of(int fd)
{
    struct stat st;
    unsigned kinds = 0;
    long flags;

    if (fd < 0 || syscall(SYS_fstat, fd, &st) < 0)
        return 0;
    flags = syscall(SYS_fcntl, fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK))
        kinds |= KIND_NONBLOCK;
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return kinds | KIND_REGULAR;
    case S_IFDIR:
        return kinds | KIND_FOLDER;
    case S_IFIFO:
        return kinds | KIND_PIPE;
    case S_IFSOCK:
        return kinds | KIND_SOCKET;
    case S_IFCHR:
        return kinds | KIND_DEVICE;
    default:
        return kinds | KIND_OTHER;
    }
}

static void list(const char *function, uint64_t argument, unsigned kinds, const struct trail *t)
{
    struct frame chain[DEPTH_MAX];
    uint64_t hash = 0xcbf29ce484222325u;

    memset(chain, 0, sizeof chain);
    for (unsigned i = 0; i < t->depth; i++)
        chain[i] = frame_of(t->chain[i]);
    hash = mix(hash, function, strlen(function));
    hash = mix(hash, &argument, sizeof argument);
    hash = mix(hash, role, strlen(role));
    hash = mix(hash, chain, sizeof chain) | 1;
    for (size_t i = 0; i < SITES_MAX; i++) {
        struct site *s = &shared->sites[(hash + i) % SITES_MAX];
        uint64_t key = 0;

        if (atomic_compare_exchange_strong(&s->key, &key, hash)) {
            s->argument = argument;
            s->depth = t->depth;
            strncpy(s->function, function, sizeof s->function - 1);
            strncpy(s->role, role, sizeof s->role - 1);
            memcpy(s->chain, chain, sizeof chain);
            key = hash;
        }
        if (key != hash)
            continue;
        atomic_fetch_add(&s->count, 1);
        atomic_fetch_or(&s->kinds, kinds);
        return;
    }
    atomic_fetch_add(&shared->lost, 1);
}

/* ---- the call to fail ---- */

static bool is_ordered(const struct trail *t)
{
    if (t->depth < order.depth)
        return false;
    for (unsigned i = 0; i < order.depth; i++)
        if (t->chain[i] != order.chain[i])
            return false;
    return true;
}

/* The errno that this call is to fail with, or 0. */
static int look(const char *function, uint64_t argument, int fd, unsigned kinds, const void *call)
{
    struct trail t;
    bool fails = false;

    if (!shared || inside || atomic_load(&shared->held))
        return 0;
    if (!lists &&
        (order.nth == 0 || order.chain[0] != (uintptr_t)call || order.argument != argument ||
         strcmp(order.function, function) != 0 || strcmp(order.role, role) != 0))
        return 0;
    inside = 1;
    walk(&t, call);
    if (lists)
        list(function, argument, kinds | kinds_of(fd), &t);
    else
        fails = is_ordered(&t) && atomic_fetch_add(&shared->matches, 1) + 1 == order.nth;
    if (fails)
        atomic_store(&shared->fired, (uint32_t)syscall(SYS_getpid));
    inside = 0;
    return fails ? order.error : 0;
}

/* ---- beginning ---- */

static int on_module(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct module *m = &modules[module_count];
    const char *name = strrchr(info->dlpi_name, '/');

    (void)size;
    (void)argument;
    if (module_count == MODULES_MAX)
        return 1;
    name = name ? name + 1 : info->dlpi_name;
    strncpy(m->name, module_count == 0 ? "program" : name, sizeof m->name - 1);
    m->base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        m->from = m->base + p->p_vaddr;
        m->to = m->from + p->p_memsz;
    }
    module_count++;
    return 0;
}

static bool read_order(const char *text)
{
    int used = 0;

    if (sscanf(text, "%31s %" SCNu64 " %23s %d %u %u\n%n", order.function, &order.argument,
               order.role, &order.error, &order.nth, &order.depth, &used) != 6 ||
        order.depth > DEPTH_MAX)
        return false;
    for (unsigned i = 0; i < order.depth; i++) {
        char name[NAME_BYTES];
        uint64_t offset;
        size_t k = 0;

        text += used;
        if (sscanf(text, "%63s %" SCNu64 "\n%n", name, &offset, &used) != 2)
            return false;
        while (k < module_count && strcmp(modules[k].name, name) != 0)
            k++;
        if (k == module_count)
            return false;
        order.chain[i] = modules[k].base + offset;
    }
    return true;
}

static void set_role(const char *name)
{
    memset(role, 0, sizeof role);
    for (size_t i = 0; name[i] && i < sizeof role - 1; i++)
        role[i] = name[i] == ' ' ? '_' : name[i];
}

/* In a new process, which is somebody else from here. */
static void fork_role(void)
{
    if (strlen(role) < sizeof role - 1)
        role[strlen(role)] = '>';
}

/* glibc gives a library's constructors what main() is given. */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *path = getenv("ERRNO_SHIM"), *program = getenv("ERRNO_SHIM_PROGRAM");
    const char *verb = getenv("ERRNO_SHIM_VERB");
    struct shared *map;
    int fd;

    if (!path || !program || strcmp(program, program_invocation_short_name) != 0 ||
        (verb && (argc < 2 || strcmp(verb, argv[1]) != 0)))
        return;
    inside = 1;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    map = (struct shared *)syscall(SYS_mmap, NULL, sizeof *map, PROT_READ | PROT_WRITE, MAP_SHARED,
                                   fd, 0);
    if (fd < 0 || map == MAP_FAILED) {
        fprintf(stderr, "errno_shim: '%s' can't be mapped\n", path);
        _exit(111);
    }
    (void)syscall(SYS_close, fd);
    (void)dl_iterate_phdr(on_module, NULL);
    set_role(program_invocation_short_name);
    lists = map->order[0] == '\0';
    if (!lists && !read_order(map->order)) {
        fprintf(stderr, "errno_shim: '%s' holds no order that this program can follow\n", path);
        _exit(111);
    }
    for (size_t i = 0; i < module_count; i++)
        memcpy(map->modules[i], modules[i].name, NAME_BYTES);
    map->module_count = (uint32_t)module_count;
    map->magic = MAGIC;
    shared = map;
    inside = 0;
}

/* ---- the functions ---- */

#define CALL __builtin_return_address(0)

/* The function that stands behind ours. */
#define NEXT(name)                                                                                 \
    static __typeof__(name) *_Atomic next_;                                                        \
    __typeof__(name) *next = next_;                                                                \
                                                                                                   \
    if (!next) {                                                                                   \
        inside++;                                                                                  \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);                                        \
        inside--;                                                                                  \
        next_ = next;                                                                              \
    }

/* fails: what is returned, errno set */
#define FAIL(name, argument, fd, kinds, fails)                                                     \
    int error_ = look(#name, (uint64_t)(argument), fd, kinds, CALL);                               \
                                                                                                   \
    if (error_) {                                                                                  \
        errno = error_;                                                                            \
        return fails;                                                                              \
    }

#define WRAP(type, fails, name, fd, kinds, parameters, arguments)                                  \
    type name parameters                                                                           \
    {                                                                                              \
        NEXT(name)                                                                                 \
        FAIL(name, 0, fd, kinds, fails)                                                            \
        return next arguments;                                                                     \
    }

/* int FUNCTION(...), -1 where it fails, nothing to say about a descriptor */
#define PLAIN(name, parameters, arguments) WRAP(int, -1, name, -1, 0, parameters, arguments)

#define DONTWAIT(flags) ((flags)&MSG_DONTWAIT ? (unsigned)KIND_NONBLOCK : 0U)
#define CREATES(flags)  ((flags) & (O_CREAT | O_TMPFILE) ? (unsigned)KIND_CREATES : 0U)

/* What fortified programs and libraries call instead; no header names it. */
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off64_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
int __vasprintf_chk(char **, int, const char *, va_list);
pid_t _Fork(void);

/* clang-format off */

/* memory */
WRAP(void *, NULL, malloc, -1, 0, (size_t size), (size))
WRAP(void *, NULL, calloc, -1, 0, (size_t count, size_t size), (count, size))
WRAP(void *, NULL, realloc, -1, 0, (void *old, size_t size), (old, size))
WRAP(void *, NULL, reallocarray, -1, 0, (void *old, size_t count, size_t size), (old, count, size))
WRAP(void *, NULL, aligned_alloc, -1, 0, (size_t align, size_t size), (align, size))
WRAP(char *, NULL, strdup, -1, 0, (const char *s), (s))
WRAP(char *, NULL, strndup, -1, 0, (const char *s, size_t len), (s, len))
PLAIN(vasprintf, (char **to, const char *format, va_list ap), (to, format, ap))
PLAIN(__vasprintf_chk, (char **to, int flag, const char *format, va_list ap), (to, flag, format, ap))
WRAP(void *, MAP_FAILED, mmap, fd, 0, (void *at, size_t len, int prot, int flags, int fd, off_t offset), (at, len, prot, flags, fd, offset))
WRAP(void *, MAP_FAILED, mmap64, fd, 0, (void *at, size_t len, int prot, int flags, int fd, off64_t offset), (at, len, prot, flags, fd, offset))
PLAIN(mprotect, (void *at, size_t len, int prot), (at, len, prot))
PLAIN(madvise, (void *at, size_t len, int advice), (at, len, advice))
PLAIN(mlock, (const void *at, size_t len), (at, len))

/* descriptors */
WRAP(ssize_t, -1, read, fd, 0, (int fd, void *to, size_t len), (fd, to, len))
WRAP(ssize_t, -1, __read_chk, fd, 0, (int fd, void *to, size_t len, size_t room), (fd, to, len, room))
WRAP(ssize_t, -1, pread, fd, 0, (int fd, void *to, size_t len, off_t at), (fd, to, len, at))
WRAP(ssize_t, -1, pread64, fd, 0, (int fd, void *to, size_t len, off64_t at), (fd, to, len, at))
WRAP(ssize_t, -1, __pread_chk, fd, 0, (int fd, void *to, size_t len, off_t at, size_t room), (fd, to, len, at, room))
WRAP(ssize_t, -1, __pread64_chk, fd, 0, (int fd, void *to, size_t len, off64_t at, size_t room), (fd, to, len, at, room))
WRAP(ssize_t, -1, readv, fd, 0, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, -1, preadv2, fd, 0, (int fd, const struct iovec *v, int n, off_t at, int flags), (fd, v, n, at, flags))
WRAP(ssize_t, -1, write, fd, 0, (int fd, const void *from, size_t len), (fd, from, len))
WRAP(ssize_t, -1, pwrite, fd, 0, (int fd, const void *from, size_t len, off_t at), (fd, from, len, at))
WRAP(ssize_t, -1, pwrite64, fd, 0, (int fd, const void *from, size_t len, off64_t at), (fd, from, len, at))
WRAP(ssize_t, -1, writev, fd, 0, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, -1, sendfile, to, 0, (int to, int fd, off_t *at, size_t n), (to, fd, at, n))
WRAP(ssize_t, -1, sendfile64, to, 0, (int to, int fd, off64_t *at, size_t n), (to, fd, at, n))
WRAP(int, -1, fsync, fd, 0, (int fd), (fd))
WRAP(int, -1, syncfs, fd, 0, (int fd), (fd))
WRAP(int, -1, fdatasync, fd, 0, (int fd), (fd))
WRAP(int, -1, ftruncate, fd, 0, (int fd, off_t len), (fd, len))
WRAP(int, -1, ftruncate64, fd, 0, (int fd, off64_t len), (fd, len))
WRAP(int, -1, fallocate, fd, 0, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
WRAP(int, error_, posix_fallocate, fd, 0, (int fd, off_t at, off_t len), (fd, at, len))
WRAP(int, error_, posix_fallocate64, fd, 0, (int fd, off64_t at, off64_t len), (fd, at, len))
PLAIN(dup, (int fd), (fd))
PLAIN(dup2, (int fd, int to), (fd, to))
PLAIN(dup3, (int fd, int to, int flags), (fd, to, flags))
PLAIN(pipe, (int ends[2]), (ends))
PLAIN(pipe2, (int ends[2], int flags), (ends, flags))
PLAIN(eventfd, (unsigned n, int flags), (n, flags))
PLAIN(inotify_init1, (int flags), (flags))
PLAIN(inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))
PLAIN(signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
PLAIN(timerfd_create, (clockid_t clock, int flags), (clock, flags))
PLAIN(timerfd_settime, (int fd, int flags, const struct itimerspec *to, struct itimerspec *old), (fd, flags, to, old))
PLAIN(memfd_create, (const char *name, unsigned flags), (name, flags))
PLAIN(pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
PLAIN(epoll_create, (int n), (n))
PLAIN(epoll_create1, (int flags), (flags))
PLAIN(epoll_wait, (int fd, struct epoll_event *ev, int n, int ms), (fd, ev, n, ms))
PLAIN(poll, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms))
PLAIN(__poll_chk, (struct pollfd *fds, nfds_t n, int ms, size_t room), (fds, n, ms, room))
PLAIN(ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *s), (fds, n, t, s))
WRAP(int, -1, flock, fd, 0, (int fd, int what), (fd, what))

/* sockets */
PLAIN(socket, (int family, int type, int protocol), (family, type, protocol))
PLAIN(socketpair, (int family, int type, int protocol, int pair[2]), (family, type, protocol, pair))
WRAP(int, -1, accept, fd, 0, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(int, -1, accept4, fd, 0, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
WRAP(int, -1, connect, fd, 0, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
PLAIN(bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
PLAIN(listen, (int fd, int n), (fd, n))
PLAIN(getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
PLAIN(getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
PLAIN(getsockopt, (int fd, int level, int name, void *value, socklen_t *n), (fd, level, name, value, n))
PLAIN(getifaddrs, (struct ifaddrs **to), (to))
PLAIN(setsockopt, (int fd, int level, int name, const void *value, socklen_t n), (fd, level, name, value, n))
WRAP(ssize_t, -1, send, fd, DONTWAIT(flags), (int fd, const void *from, size_t len, int flags), (fd, from, len, flags))
WRAP(ssize_t, -1, sendto, fd, DONTWAIT(flags), (int fd, const void *from, size_t len, int flags, const struct sockaddr *a, socklen_t n), (fd, from, len, flags, a, n))
WRAP(ssize_t, -1, sendmsg, fd, DONTWAIT(flags), (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, -1, recv, fd, DONTWAIT(flags), (int fd, void *to, size_t len, int flags), (fd, to, len, flags))
WRAP(ssize_t, -1, __recv_chk, fd, DONTWAIT(flags), (int fd, void *to, size_t len, size_t room, int flags), (fd, to, len, room, flags))
WRAP(ssize_t, -1, recvfrom, fd, DONTWAIT(flags), (int fd, void *to, size_t len, int flags, struct sockaddr *a, socklen_t *n), (fd, to, len, flags, a, n))
WRAP(ssize_t, -1, __recvfrom_chk, fd, DONTWAIT(flags), (int fd, void *to, size_t len, size_t room, int flags, struct sockaddr *a, socklen_t *n), (fd, to, len, room, flags, a, n))
WRAP(ssize_t, -1, recvmsg, fd, DONTWAIT(flags), (int fd, struct msghdr *m, int flags), (fd, m, flags))

/* files */
WRAP(int, -1, __open_2, -1, 0, (const char *path, int flags), (path, flags))
WRAP(int, -1, __open64_2, -1, 0, (const char *path, int flags), (path, flags))
WRAP(int, -1, __openat_2, -1, 0, (int at, const char *path, int flags), (at, path, flags))
WRAP(int, -1, __openat64_2, -1, 0, (int at, const char *path, int flags), (at, path, flags))
WRAP(FILE *, NULL, fopen, -1, CREATES(mode[0] == 'r' ? 0 : O_CREAT), (const char *path, const char *mode), (path, mode))
WRAP(FILE *, NULL, fopen64, -1, CREATES(mode[0] == 'r' ? 0 : O_CREAT), (const char *path, const char *mode), (path, mode))
WRAP(FILE *, NULL, fdopen, -1, 0, (int fd, const char *mode), (fd, mode))
PLAIN(fflush, (FILE *file), (file))
PLAIN(mkostemp, (char *path, int flags), (path, flags))
PLAIN(mkostemp64, (char *path, int flags), (path, flags))
WRAP(char *, NULL, mkdtemp, -1, 0, (char *path), (path))
PLAIN(rename, (const char *from, const char *to), (from, to))
PLAIN(renameat, (int at, const char *from, int at2, const char *to), (at, from, at2, to))
PLAIN(renameat2, (int at, const char *from, int at2, const char *to, unsigned flags), (at, from, at2, to, flags))
PLAIN(link, (const char *from, const char *to), (from, to))
PLAIN(linkat, (int at, const char *from, int at2, const char *to, int flags), (at, from, at2, to, flags))
PLAIN(symlink, (const char *to, const char *path), (to, path))
PLAIN(symlinkat, (const char *to, int at, const char *path), (to, at, path))
PLAIN(unlink, (const char *path), (path))
PLAIN(unlinkat, (int at, const char *path, int flags), (at, path, flags))
PLAIN(rmdir, (const char *path), (path))
PLAIN(mkdir, (const char *path, mode_t mode), (path, mode))
PLAIN(mkdirat, (int at, const char *path, mode_t mode), (at, path, mode))
PLAIN(chmod, (const char *path, mode_t mode), (path, mode))
PLAIN(fchmod, (int fd, mode_t mode), (fd, mode))
PLAIN(fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags))
PLAIN(chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
PLAIN(fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
PLAIN(fchownat, (int at, const char *path, uid_t uid, gid_t gid, int flags), (at, path, uid, gid, flags))
PLAIN(futimens, (int fd, const struct timespec t[2]), (fd, t))
PLAIN(utimensat, (int at, const char *path, const struct timespec t[2], int flags), (at, path, t, flags))
PLAIN(stat, (const char *path, struct stat *st), (path, st))
PLAIN(stat64, (const char *path, struct stat64 *st), (path, st))
PLAIN(lstat, (const char *path, struct stat *st), (path, st))
PLAIN(lstat64, (const char *path, struct stat64 *st), (path, st))
WRAP(int, -1, fstat, fd, 0, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, fstat64, fd, 0, (int fd, struct stat64 *st), (fd, st))
PLAIN(fstatat, (int at, const char *path, struct stat *st, int flags), (at, path, st, flags))
PLAIN(fstatat64, (int at, const char *path, struct stat64 *st, int flags), (at, path, st, flags))
PLAIN(statx, (int at, const char *path, int flags, unsigned mask, struct statx *st), (at, path, flags, mask, st))
PLAIN(fstatfs, (int fd, struct statfs *st), (fd, st))
WRAP(ssize_t, -1, getdents64, -1, 0, (int fd, void *to, size_t len), (fd, to, len))
PLAIN(statfs, (const char *path, struct statfs *st), (path, st))
PLAIN(fstatvfs, (int fd, struct statvfs *st), (fd, st))
PLAIN(statvfs, (const char *path, struct statvfs *st), (path, st))
PLAIN(access, (const char *path, int mode), (path, mode))
PLAIN(faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
PLAIN(chdir, (const char *path), (path))
PLAIN(fchdir, (int fd), (fd))
PLAIN(chroot, (const char *path), (path))
WRAP(char *, NULL, getcwd, -1, 0, (char *to, size_t len), (to, len))
WRAP(char *, NULL, realpath, -1, 0, (const char *path, char *to), (path, to))
WRAP(ssize_t, -1, readlink, -1, 0, (const char *path, char *to, size_t len), (path, to, len))
WRAP(ssize_t, -1, __readlink_chk, -1, 0, (const char *path, char *to, size_t len, size_t room), (path, to, len, room))
WRAP(ssize_t, -1, readlinkat, -1, 0, (int at, const char *path, char *to, size_t len), (at, path, to, len))
WRAP(ssize_t, -1, getxattr, -1, 0, (const char *path, const char *name, void *to, size_t len), (path, name, to, len))
WRAP(DIR *, NULL, opendir, -1, 0, (const char *path), (path))
WRAP(DIR *, NULL, fdopendir, -1, 0, (int fd), (fd))
WRAP(struct dirent *, NULL, readdir, -1, 0, (DIR *dir), (dir))
WRAP(struct dirent64 *, NULL, readdir64, -1, 0, (DIR *dir), (dir))

/* mounts */
PLAIN(mount, (const char *what, const char *at, const char *type, unsigned long flags, const void *data), (what, at, type, flags, data))
PLAIN(umount2, (const char *at, int flags), (at, flags))
PLAIN(open_tree, (int at, const char *path, unsigned flags), (at, path, flags))
PLAIN(move_mount, (int from, const char *path, int to, const char *path2, unsigned flags), (from, path, to, path2, flags))
PLAIN(mount_setattr, (int at, const char *path, unsigned flags, struct mount_attr *a, size_t len), (at, path, flags, a, len))
PLAIN(fsopen, (const char *type, unsigned flags), (type, flags))
PLAIN(fsmount, (int fd, unsigned flags, unsigned attributes), (fd, flags, attributes))
PLAIN(fsconfig, (int fd, unsigned what, const char *key, const void *value, int aux), (fd, what, key, value, aux))
WRAP(struct group *, NULL, getgrgid, -1, 0, (gid_t id), (id))
PLAIN(sethostname, (const char *name, size_t len), (name, len))

/* processes and the rest */
PLAIN(execve, (const char *path, char *const argv[], char *const env[]), (path, argv, env))
PLAIN(execvpe, (const char *path, char *const argv[], char *const env[]), (path, argv, env))
PLAIN(setrlimit, (__rlimit_resource_t what, const struct rlimit *to), (what, to))
PLAIN(getrlimit, (__rlimit_resource_t what, struct rlimit *to), (what, to))
PLAIN(waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
PLAIN(wait4, (pid_t pid, int *status, int flags, struct rusage *usage), (pid, status, flags, usage))
PLAIN(waitid, (idtype_t type, id_t id, siginfo_t *info, int flags), (type, id, info, flags))
WRAP(ssize_t, -1, getrandom, -1, 0, (void *to, size_t len, unsigned flags), (to, len, flags))
WRAP(int, error_, pthread_create, -1, 0, (pthread_t *thread, const pthread_attr_t *a, void *(*fn)(void *), void *argument), (thread, a, fn, argument))

/* clang-format on */

int posix_memalign(void **to, size_t align, size_t size)
{
    NEXT(posix_memalign)
    FAIL(posix_memalign, 0, -1, 0, error_)
    return next(to, align, size);
}

/* Its failures are numbers of its own, which the order names. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **to)
{
    NEXT(getaddrinfo)
    FAIL(getaddrinfo, 0, -1, 0, error_)
    return next(host, port, hints, to);
}

pid_t fork(void)
{
    NEXT(fork)
    FAIL(fork, 0, -1, 0, -1)
    pid_t pid = next();

    if (pid == 0)
        fork_role();
    return pid;
}

pid_t _Fork(void)
{
    NEXT(_Fork)
    FAIL(_Fork, 0, -1, 0, -1)
    pid_t pid = next();

    if (pid == 0)
        fork_role();
    return pid;
}

/* With CLONE_VM | CLONE_VFORK, as process 1 starts a program: who is somebody else then has our
 * memory for as long as this takes. */
int clone(int (*fn)(void *), void *stack, int flags, void *argument, ...)
{
    char mine[ROLE_BYTES];
    int pid;

    NEXT(clone)
    FAIL(clone, 0, -1, 0, -1)
    memcpy(mine, role, sizeof mine);
    fork_role();
    pid = next(fn, stack, flags, argument);
    memcpy(role, mine, sizeof mine);
    return pid;
}

#define OPEN(name, before_parameters, before_arguments)                                            \
    int name(before_parameters int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        mode_t mode;                                                                               \
                                                                                                   \
        NEXT(name)                                                                                 \
        FAIL(name, 0, -1, CREATES(flags), -1)                                                      \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
        return next(before_arguments flags, mode);                                                 \
    }
#define PATH          const char *path,
#define AT_PATH       int at, const char *path,
#define COMMA_PATH    path,
#define COMMA_AT_PATH at, path,
OPEN(open, PATH, COMMA_PATH)
OPEN(open64, PATH, COMMA_PATH)
OPEN(openat, AT_PATH, COMMA_AT_PATH)
OPEN(openat64, AT_PATH, COMMA_AT_PATH)

/* Only a lock that is taken can fail, not one that is given back. */
static uint64_t fcntl_kind(int command, const void *argument)
{
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK;

    if (locks && ((const struct flock *)argument)->l_type == F_UNLCK)
        return (uint64_t)command | 1 << 16;
    return (uint64_t)command;
}

int epoll_ctl(int fd, int what, int on, struct epoll_event *ev)
{
    NEXT(epoll_ctl)
    FAIL(epoll_ctl, what, -1, 0, -1)
    return next(fd, what, on, ev);
}

#define FCNTL(name)                                                                                \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        va_list ap;                                                                                \
        void *argument;                                                                            \
                                                                                                   \
        va_start(ap, command);                                                                     \
        argument = va_arg(ap, void *);                                                             \
        va_end(ap);                                                                                \
        NEXT(name)                                                                                 \
        FAIL(name, fcntl_kind(command, argument), fd, 0, -1)                                       \
        return next(fd, command, argument);                                                        \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *argument;

    NEXT(ioctl)
    FAIL(ioctl, request, fd, 0, -1)
    va_start(ap, request);
    argument = va_arg(ap, void *);
    va_end(ap);
    return next(fd, request, argument);
}

int prctl(int option, ...)
{
    unsigned long a[4];
    va_list ap;

    NEXT(prctl)
    FAIL(prctl, (unsigned)option, -1, 0, -1)
    va_start(ap, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(ap, unsigned long);
    va_end(ap);
    if (option == PR_SET_NAME && shared && !inside)
        set_role((const char *)a[0]);
    return next(option, a[0], a[1], a[2], a[3]);
}

/* "syscall" for one that isn't here: errnotable.py then asks for it. */
static const char *syscall_name(long number)
{
    static const struct {
        long number;
        const char *name;
    } names[] = {
        { SYS_capget, "capget" },
        { SYS_capset, "capset" },
        { SYS_clone3, "clone3" },
        { SYS_getdents64, "getdents64" },
        { SYS_gettid, "gettid" },
        { SYS_keyctl, "keyctl" },
        { SYS_landlock_add_rule, "landlock_add_rule" },
        { SYS_landlock_create_ruleset, "landlock_create_ruleset" },
        { SYS_landlock_restrict_self, "landlock_restrict_self" },
        { SYS_move_mount, "move_mount" },
        { SYS_open_tree, "open_tree" },
        { SYS_openat2, "openat2" },
        { SYS_pidfd_open, "pidfd_open" },
        { SYS_pidfd_send_signal, "pidfd_send_signal" },
        { SYS_pivot_root, "pivot_root" },
        { SYS_seccomp, "seccomp" },
        { SYS_setgroups, "setgroups" },
        { SYS_setresgid, "setresgid" },
        { SYS_setresuid, "setresuid" },
        { SYS_unshare, "unshare" },
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number)
            return names[i].name;
    return "syscall";
}

long syscall(long number, ...)
{
    long a[6], result;
    va_list ap;
    int error;

    NEXT(syscall)
    error = look(syscall_name(number), (uint64_t)number, -1, 0, CALL);
    if (error) {
        errno = error;
        return -1;
    }
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0 && number == SYS_clone3)
        fork_role();
    return result;
}
