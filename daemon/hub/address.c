#include "hub/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"

enum { BACKLOG = 512 };

static int refuse(struct err *err, const char *text)
{
    return err_set(err, -EINVAL,
                   "'%s' is no address to listen on: want HOST:PORT with a numeric HOST, as in "
                   "127.0.0.1:8420, [::1]:8420 or 0.0.0.0:8420",
                   text);
}

static void set_v4(struct address *a, struct in_addr host, uint16_t port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host };

    memcpy(&a->sa, &sin, sizeof sin);
    a->len = sizeof sin;
}

static void set_v6(struct address *a, struct in6_addr host, uint16_t port)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
                                 .sin6_port = htons(port),
                                 .sin6_addr = host };

    memcpy(&a->sa, &sin6, sizeof sin6);
    a->len = sizeof sin6;
}

int address_parse(const char *text, struct address *ret_address, struct err *err)
{
    const char *colon = strrchr(text, ':');
    const char *port_text = colon ? colon + 1 : text;
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    struct in_addr v4 = { .s_addr = htonl(INADDR_LOOPBACK) };
    struct in6_addr v6;
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;

    if (host_len >= sizeof host || str_to_u64(port_text, UINT16_MAX, &port) < 0)
        return refuse(err, text);
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    *ret_address = (struct address){ 0 };
    if (host_len > 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host[host_len - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6) != 1)
            return refuse(err, text);
        set_v6(ret_address, v6, (uint16_t)port);
        return 0;
    }
    if (host_len > 0 && !str_eq(host, "localhost") && inet_pton(AF_INET, host, &v4) != 1)
        return refuse(err, text);
    set_v4(ret_address, v4, (uint16_t)port);
    return 0;
}

bool address_is_loopback(const struct address *a)
{
    struct sockaddr_in sin;
    struct sockaddr_in6 sin6;

    if (a->sa.ss_family == AF_INET) {
        memcpy(&sin, &a->sa, sizeof sin);
        return ntohl(sin.sin_addr.s_addr) >> 24 == 127;
    }
    memcpy(&sin6, &a->sa, sizeof sin6);
    return IN6_IS_ADDR_LOOPBACK(&sin6.sin6_addr);
}

const char *address_text(const struct address *a, char buffer[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in sin;
    struct sockaddr_in6 sin6;

    if (a->sa.ss_family == AF_INET) {
        memcpy(&sin, &a->sa, sizeof sin);
        (void)inet_ntop(AF_INET, &sin.sin_addr, host, sizeof host); /* the buffer is long enough */
        snprintf(buffer, ADDRESS_TEXT_MAX, "%s:%u", host, (unsigned)ntohs(sin.sin_port));
    } else {
        memcpy(&sin6, &a->sa, sizeof sin6);
        (void)inet_ntop(AF_INET6, &sin6.sin6_addr, host, sizeof host); /* as above */
        snprintf(buffer, ADDRESS_TEXT_MAX, "[%s]:%u", host, (unsigned)ntohs(sin6.sin6_port));
    }
    return buffer;
}

int address_listen(struct address *a, int *ret_fd, struct err *err)
{
    AUTO_CLOSE int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char text[ADDRESS_TEXT_MAX];
    int on = 1;

    address_text(a, text);
    if (fd < 0)
        return err_set(err, -errno, "make a socket for %s: %s", text, strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 || listen(fd, BACKLOG) < 0) {
        int code = -errno;

        return err_set(err, code, "listen on %s: %s%s", text, strerror(-code),
                       code == -EADDRINUSE ? "; another program has that port, name another one "
                                             "with --listen (port 0: any free one)"
                                           : "");
    }
    a->len = sizeof a->sa;
    if (getsockname(fd, (struct sockaddr *)&a->sa, &a->len) < 0)
        return err_set(err, -errno, "read the address of %s: %s", text, strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}
