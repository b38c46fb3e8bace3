/* Services of the host: over the internet protocols, straight or by way of a task's proxy, and over
 * local sockets. Each of those that are laid out sends the secret to whoever connects. */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PROXY_PORT = 808, WAIT_S = 4 };

static int make_socket(int family, int type)
{
    const struct timeval wait = { .tv_sec = WAIT_S };
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return fd;
}

static int connect_to(const struct sockaddr *to, socklen_t len, int type)
{
    int fd = make_socket(to->sa_family, type);

    if (fd < 0)
        return fd;
    if (connect(fd, to, len) < 0) {
        int r = -errno;

        (void)close(fd);
        return r;
    }
    return fd;
}

/* As programs take it: inet_aton(3) knows decimal, octal and hexadecimal forms, too. */
static int dial(const char *host, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (inet_aton(host, &v4.sin_addr))
        return connect_to((const struct sockaddr *)&v4, sizeof v4, SOCK_STREAM);
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        return connect_to((const struct sockaddr *)&v6, sizeof v6, SOCK_STREAM);
    return -EDESTADDRREQ; /* a name: for the proxy only */
}

static int take(struct scene *s, int fd, const char *how)
{
    int r = fd < 0 ? fd : probe_read_fd(s, fd);

    if (fd >= 0)
        (void)close(fd);
    if (r == 0)
        scene_say(s, "a service of the host answers%s", how);
    return r;
}

/* before: what stands before HOST:PORT in a request, after: what follows it. */
static int by_proxy(struct scene *s, const char *before, const char *host, uint16_t port,
                    const char *after)
{
    char place[128], request[512];
    int fd = dial("127.0.0.1", PROXY_PORT), len;

    if (fd < 0)
        return fd;
    (void)snprintf(place, sizeof place, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)port);
    len = snprintf(request, sizeof request, "%s%s%s HTTP/1.1\r\nHost: %s\r\n\r\n", before, place,
                   after, place);
    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) < 0)
        return -errno;
    return take(s, fd, " through the proxy");
}

/* Every way to it. The argument is the host; "@name": as the scene has it. */
static int reach(struct scene *s, const char *host)
{
    uint16_t port = (uint16_t)strtoul(scene_get(s, "tcp_port"), NULL, 10);
    int first;

    if (*host == '@')
        host = scene_get(s, host + 1);
    if (!*host || port == 0)
        return PROBE_ABSENT;
    first = take(s, dial(host, port), "");
    if (first == 0 || by_proxy(s, "CONNECT ", host, port, "") == 0 ||
        by_proxy(s, "GET http://", host, port, "/") == 0)
        return 0;
    return first;
}

/* A name before an @ is no host. */
static int reach_user(struct scene *s, const char *host)
{
    uint16_t port = (uint16_t)strtoul(scene_get(s, "tcp_port"), NULL, 10);
    int first = take(s, dial(host, port), "");

    if (first == 0 || by_proxy(s, "CONNECT example.org@", host, port, "") == 0 ||
        by_proxy(s, "GET http://example.org:443@", host, port, "/") == 0)
        return 0;
    return first;
}

static int reach_hub(struct scene *s, const char *argument)
{
    uint16_t port = (uint16_t)strtoul(scene_get(s, "hub_port"), NULL, 10);
    char answer[64];
    int fd;

    (void)argument;
    if (port == 0)
        return PROBE_ABSENT;
    fd = dial("127.0.0.1", port);
    if (fd < 0)
        return fd;
    if (send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) < 0 ||
        recv(fd, answer, sizeof answer, 0) <= 0)
        return -errno;
    scene_say(s, "the control plane answers");
    return 0;
}

/* Connecting a datagram socket sends nothing; it only asks whether there is a way. */
static int has_route(struct scene *s, const char *host)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
    int fd;

    (void)inet_aton(host, &v4.sin_addr);
    fd = connect_to((const struct sockaddr *)&v4, sizeof v4, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    (void)close(fd);
    scene_say(s, "there is a route to %s", host);
    return 0;
}

static int ask_datagram(struct scene *s, const char *argument)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    int fd;

    (void)argument;
    v4.sin_port = htons((uint16_t)strtoul(scene_get(s, "udp_port"), NULL, 10));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (v4.sin_port == 0)
        return PROBE_ABSENT;
    fd = connect_to((const struct sockaddr *)&v4, sizeof v4, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    if (send(fd, "x", 1, 0) < 0)
        return -errno;
    return take(s, fd, " over UDP");
}

/* ---- local sockets ---- */

/* A name that begins with @ is abstract. */
static socklen_t address_of(const char *path, struct sockaddr_un *ret_to)
{
    size_t len = strlen(path);

    *ret_to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret_to->sun_path, path, len < sizeof ret_to->sun_path ? len : 0);
    if (*path == '@')
        ret_to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path == '@' ? 0 : 1));
}

static int local(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    struct sockaddr_un to;
    socklen_t len = address_of(path, &to);

    if (!*path)
        return PROBE_ABSENT;
    return take(s, connect_to((const struct sockaddr *)&to, len, SOCK_STREAM), " on its socket");
}

static int local_datagram(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    struct sockaddr_un to;
    socklen_t len = address_of(path, &to);
    int fd;

    if (!*path)
        return PROBE_ABSENT;
    fd = connect_to((const struct sockaddr *)&to, len, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    return probe_verdict(s, send(fd, "x", 1, 0), "sent it a datagram");
}

/* A service that hands out a descriptor of the host's root. */
static int take_descriptor(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);
    char byte[256], control[CMSG_SPACE(sizeof(int))];
    struct iovec data = { byte, sizeof byte };
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    struct sockaddr_un to;
    socklen_t len = address_of(path, &to);
    const struct cmsghdr *c;
    int fd, got;

    if (!*path)
        return PROBE_ABSENT;
    fd = connect_to((const struct sockaddr *)&to, len, SOCK_STREAM);
    if (fd < 0)
        return fd;
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&message);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return -ENOMSG;
    memcpy(&got, CMSG_DATA(c), sizeof got);
    return probe_verdict(s, fchdir(got), "was handed a directory of the host");
}

static const struct probe probes[] = {
    { "net-loopback", reach, "127.0.0.1" },
    { "net-loopback-other", reach, "127.9.8.7" },
    { "net-loopback-v6", reach, "::1" },
    { "net-loopback-mapped", reach, "::ffff:127.0.0.1" },
    { "net-loopback-decimal", reach, "2130706433" },
    { "net-loopback-octal", reach, "0177.0.0.1" },
    { "net-loopback-hexadecimal", reach, "0x7f000001" },
    { "net-loopback-short", reach, "127.1" },
    { "net-zero", reach, "0.0.0.0" },
    { "net-zero-v6", reach, "::" },
    { "net-own-address", reach, "@own_address" },
    { "net-name", reach, "@own_name" },
    { "net-userinfo", reach_user, "127.0.0.1" },
    { "net-hub", reach_hub, NULL },
    { "net-udp", ask_datagram, NULL },
    { "net-route", has_route, "192.0.2.1" },
    { "net-route-private", has_route, "10.255.255.1" },
    { "net-metadata", has_route, "169.254.169.254" },
    { "net-multicast", has_route, "224.0.0.251" },
    { "unix-path", local, "unix_stream" },
    { "unix-docker", local, "docker" },
    { "unix-bus", local, "bus" },
    { "unix-admin", local, "admin" },
    { "unix-run", local, "unix_run" },
    { "unix-abstract", local, "abstract_stream" },
    { "unix-datagram", local_datagram, "unix_datagram" },
    { "unix-abstract-datagram", local_datagram, "abstract_datagram" },
    { "unix-descriptor", take_descriptor, "unix_stream" },
    { "unix-abstract-descriptor", take_descriptor, "abstract_stream" },
    { "unix-real-admin", local_datagram, "real_admin" },
};

const struct probe *network_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
