#include "net/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/mem.h"

struct sockets {
    int *fds;
    size_t len, cap;
};

struct sockets *sockets_new(void)
{
    return mem_new(struct sockets);
}

void sockets_free(struct sockets *s)
{
    if (!s)
        return;
    free(s->fds);
    free(s);
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct sockets_user *user = ctx;
    struct sockets *s = user->sockets;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0) {
        user->error = errno;
        return CURL_SOCKET_BAD;
    }
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->fds = mem_realloc(s->fds, s->cap * sizeof *s->fds);
    }
    s->fds[s->len++] = fd;
    return fd;
}

static int on_close(void *ctx, curl_socket_t fd)
{
    struct sockets *s = ctx;

    for (size_t i = 0; i < s->len; i++)
        if (s->fds[i] == fd) {
            s->fds[i] = s->fds[--s->len];
            break;
        }
    return close(fd);
}

bool sockets_attach(struct sockets *s, CURL *easy, struct sockets_user *user)
{
    *user = (struct sockets_user){ .sockets = s };
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, user) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, s) == CURLE_OK;
}

int sockets_try(void)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : 0;
}

/* 0: of no family that has ports. */
static int local_port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { 0 };
    socklen_t len = sizeof address;

    if (getsockname(fd, &address.any, &len) < 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}

bool sockets_has_unread(const struct sockets *s, int local_port)
{
    char byte;

    for (size_t i = 0; i < s->len; i++)
        if (local_port_of(s->fds[i]) == local_port &&
            recv(s->fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
            return true;
    return false;
}
