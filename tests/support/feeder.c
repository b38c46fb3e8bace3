#include "support/feeder.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/fd.h"
#include "util/mem.h"

struct feeder {
    struct loop *loop;
    int listen_fd, client_fd; /* -1: none */
    unsigned port;
    struct loop_fd *listener, *client;
    const uint8_t *bytes;
    size_t len;
};

static void drop_client(struct feeder *f)
{
    loop_fd_free(f->client);
    f->client = NULL;
    if (f->client_fd >= 0)
        (void)close(f->client_fd); /* it has all that there was */
    f->client_fd = -1;
}

/* What it asks is taken, as bytes left unread would end its connection by a reset. */
static void on_client(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct feeder *f = ctx;
    char bytes[4096];

    (void)events;
    if (read(f->client_fd, bytes, sizeof bytes) <= 0)
        loop_fd_set(watcher, 0);
}

static void on_connection(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct feeder *f = ctx;
    int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    (void)watcher;
    (void)events;
    if (fd < 0)
        return; /* it went away again */
    drop_client(f);
    f->client_fd = fd;
    (void)fd_write_all(fd, f->bytes, f->len); /* one that doesn't take it all is fine too */
    (void)shutdown(fd, SHUT_WR);
    f->client = loop_fd_new(f->loop, fd, LOOP_READ, on_client, f);
}

struct feeder *feeder_new(struct loop *loop)
{
    struct feeder *f = mem_new(struct feeder);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;

    f->loop = loop;
    f->client_fd = -1;
    f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->listen_fd < 0 || bind(f->listen_fd, (struct sockaddr *)&address, len) < 0 ||
        listen(f->listen_fd, 16) < 0 ||
        getsockname(f->listen_fd, (struct sockaddr *)&address, &len) < 0)
        abort(); /* a machine without a loopback */
    f->port = ntohs(address.sin_port);
    f->listener = loop_fd_new(loop, f->listen_fd, LOOP_READ, on_connection, f);
    return f;
}

unsigned feeder_port(const struct feeder *f)
{
    return f->port;
}

void feeder_serve(struct feeder *f, const uint8_t *bytes, size_t len)
{
    drop_client(f);
    f->bytes = bytes;
    f->len = len;
}

void feeder_free(struct feeder *f)
{
    drop_client(f);
    loop_fd_free(f->listener);
    (void)close(f->listen_fd); /* nobody is there any more */
    free(f);
}
