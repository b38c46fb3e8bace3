#include "main/readiness.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

#define SOCKET_NAME "notify.sock"

enum { PATH_MAX_BYTES = sizeof((struct sockaddr_un *)0)->sun_path };

struct readiness {
    int fd;
    struct loop_fd *watcher;
    readiness_fn fn;
    void *ctx;
    char *path;
    char *own_dir; /* to be removed with the socket; NULL: it lies in the state directory */
};

static void on_datagram(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct readiness *r = ctx;
    char text[4096], *rest = text, *line;
    ssize_t n = recv(r->fd, text, sizeof text - 1, MSG_DONTWAIT);

    (void)watcher;
    (void)events;
    if (n <= 0)
        return;
    text[n] = '\0';
    while ((line = strsep(&rest, "\n")))
        if (strcmp(line, "READY=1") == 0) {
            r->fn(r->ctx);
            return;
        }
}

/* Where the socket goes, as r->path. */
static int make_own_path(struct readiness *r, struct err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool fits = runtime && runtime[0] == '/' && strlen(runtime) < PATH_MAX_BYTES / 2;

    r->own_dir = mem_printf("%s/nairid-up-XXXXXX", fits ? runtime : "/tmp");
    if (!mkdtemp(r->own_dir)) {
        int error = err_set(err, -errno, "make '%s': %s", r->own_dir, strerror(errno));

        free(TAKE_PTR(r->own_dir));
        return error;
    }
    r->path = mem_printf("%s/" SOCKET_NAME, r->own_dir);
    return 0;
}

static int make_socket(struct readiness *r, const char *dir, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int error = 0;

    if (strlen(dir) + strlen("/" SOCKET_NAME) < PATH_MAX_BYTES)
        r->path = mem_printf("%s/" SOCKET_NAME, dir);
    else
        error = make_own_path(r, err);
    if (error < 0)
        return error;
    memcpy(address.sun_path, r->path, strlen(r->path) + 1);
    (void)unlink(r->path); /* one that a killed predecessor left; the directory is ours alone */
    r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_set(err, -errno, "make the socket '%s': %s", r->path, strerror(errno));
    return 0;
}

int readiness_new(struct loop *loop, const char *dir, readiness_fn fn, void *ctx,
                  struct readiness **ret_readiness, struct err *err)
{
    struct readiness *r = mem_new(struct readiness);
    int code;

    *r = (struct readiness){ .fd = -1, .fn = fn, .ctx = ctx };
    code = make_socket(r, dir, err);
    if (code < 0) {
        readiness_free(r);
        return code;
    }
    r->watcher = loop_fd_new(loop, r->fd, LOOP_READ, on_datagram, r);
    *ret_readiness = r;
    return 0;
}

const char *readiness_path(const struct readiness *r)
{
    return r->path;
}

void readiness_free(struct readiness *r)
{
    if (!r)
        return;
    loop_fd_free(r->watcher);
    if (r->fd >= 0) {
        (void)close(r->fd);    /* nothing can be lost with it */
        (void)unlink(r->path); /* if that fails the next start does it */
    }
    if (r->own_dir)
        (void)rmdir(r->own_dir); /* best effort: it is empty */
    free(r->path);
    free(r->own_dir);
    free(r);
}
