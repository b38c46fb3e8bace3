/* Sockets of every family: each is a part of the kernel, and some are ways out. */
#include "probe.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef AF_MCTP
#define AF_MCTP 45
#endif

enum {
    FAMILIES = 64, /* the kernel has fewer, */
    NETLINKS = 32, /* and of netlink as many: MAX_LINKS */
};

static const struct {
    const char *name;
    int family, type, protocol;
} kinds[] = {
    { "packet", AF_PACKET, SOCK_RAW, 0 },
    { "packet-datagram", AF_PACKET, SOCK_DGRAM, 0 },
    { "vsock", AF_VSOCK, SOCK_STREAM, 0 },
    { "alg", AF_ALG, SOCK_SEQPACKET, 0 },
    { "xdp", AF_XDP, SOCK_RAW, 0 },
    { "bluetooth", AF_BLUETOOTH, SOCK_RAW, 1 },
    { "key", AF_KEY, SOCK_RAW, 2 },
    { "can", AF_CAN, SOCK_RAW, 1 },
    { "tipc", AF_TIPC, SOCK_SEQPACKET, 0 },
    { "rds", AF_RDS, SOCK_SEQPACKET, 0 },
    { "kcm", AF_KCM, SOCK_SEQPACKET, 0 },
    { "qipcrtr", AF_QIPCRTR, SOCK_DGRAM, 0 },
    { "smc", AF_SMC, SOCK_STREAM, 0 },
    { "mctp", AF_MCTP, SOCK_DGRAM, 0 },
    { "ppp", AF_PPPOX, SOCK_STREAM, 0 },
    { "llc", AF_LLC, SOCK_STREAM, 0 },
    { "raw", AF_INET, SOCK_RAW, IPPROTO_ICMP },
    { "raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
    { "raw-all", AF_INET, SOCK_RAW, IPPROTO_RAW },
    { "ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
    { "sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP },
    { "dccp", AF_INET, 6 /* SOCK_DCCP */, IPPROTO_DCCP },
    { "mptcp", AF_INET, SOCK_STREAM, IPPROTO_MPTCP },
    { "udplite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE },
    { "l2tp", AF_INET, SOCK_DGRAM, 115 },
    { "netlink-usersock", AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK },
    { "netlink-firewall", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER },
    { "netlink-diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG },
    { "netlink-xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM },
    { "netlink-audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT },
    { "netlink-uevent", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT },
    { "netlink-generic", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC },
    { "netlink-crypto", AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO },
    { "netlink-connector", AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR },
    { "netlink-selinux", AF_NETLINK, SOCK_RAW, NETLINK_SELINUX },
    { "netlink-scsi", AF_NETLINK, SOCK_RAW, NETLINK_SCSITRANSPORT },
};

static int make(struct scene *s, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return probe_verdict(
                s, socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol),
                "made a socket");
    return PROBE_ABSENT;
}

static int make_pair(struct scene *s, const char *argument)
{
    int pair[2];

    (void)argument;
    return probe_verdict(s, socketpair(AF_TIPC, SOCK_SEQPACKET, 0, pair), "made two sockets");
}

static bool has_made(int family, int type, int protocol)
{
    int pair[2], fd = socket(family, type | SOCK_CLOEXEC, protocol);

    if (fd < 0 && socketpair(family, type | SOCK_CLOEXEC, protocol, pair) == 0) {
        (void)close(pair[1]);
        fd = pair[0];
    }
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* Of all families but those that a task may use; some want a protocol. */
static int make_any_family(struct scene *s, const char *argument)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET };
    int made = 0, last = 0;

    (void)argument;
    for (int family = 0; family < FAMILIES; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
            continue;
        for (size_t i = 0; i < COUNT_OF(types); i++) {
            for (int protocol = 0; protocol <= (family == AF_KEY ? 2 : 1); protocol++) {
                if (!has_made(family, types[i], protocol))
                    continue;
                made++;
                last = family;
            }
        }
    }
    if (made == 0)
        return -EAFNOSUPPORT;
    scene_say(s, "made %d sockets, the last one of family %d", made, last);
    return 0;
}

/* Of netlink's, all but the one for routes. */
static int make_any_netlink(struct scene *s, const char *argument)
{
    (void)argument;
    for (int protocol = NETLINK_ROUTE + 1; protocol < NETLINKS; protocol++) {
        if (has_made(AF_NETLINK, SOCK_RAW, protocol)) {
            scene_say(s, "made a netlink socket of protocol %d", protocol);
            return 0;
        }
    }
    return -EPROTONOSUPPORT;
}

static int make_any_raw(struct scene *s, const char *argument)
{
    static const int families[] = { AF_INET, AF_INET6 };

    (void)argument;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        for (int protocol = 1; protocol <= IPPROTO_RAW; protocol++) {
            if (has_made(families[i], SOCK_RAW, protocol)) {
                scene_say(s, "made a raw socket of protocol %d", protocol);
                return 0;
            }
        }
    }
    return -EPERM;
}

/* Something that a task could change in the network with the right to: a new interface. */
static int add_link(struct scene *s, const char *type)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
        struct rtattr link, kind;
        char name[8];
    } request = {
        .head = { .nlmsg_len = sizeof request,
                  .nlmsg_type = RTM_NEWLINK,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK },
        .link = { .rta_len = sizeof request.link + sizeof request.kind + sizeof request.name,
                  .rta_type = IFLA_LINKINFO },
        .kind = { .rta_len = sizeof request.kind + sizeof request.name,
                  .rta_type = IFLA_INFO_KIND },
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    memcpy(request.name, type, strlen(type) + 1);
    if (fd < 0 || send(fd, &request, sizeof request, 0) < 0 ||
        recv(fd, &answer, sizeof answer, 0) < (ssize_t)sizeof answer.head)
        return -errno;
    if (answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error < 0)
        return answer.error.error;
    scene_say(s, "made a network interface");
    return 0;
}

/* Whether there is a network interface besides the loopback. */
static int find_link(struct scene *s, const char *argument)
{
    const struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } request = { .head = { .nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
    union {
        struct nlmsghdr head;
        char bytes[32768];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ssize_t len;

    (void)argument;
    if (fd < 0 || send(fd, &request, sizeof request, 0) < 0)
        return -errno;
    len = recv(fd, &answer, sizeof answer, 0);
    if (len < 0)
        return -errno;
    for (struct nlmsghdr *h = &answer.head; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
        const struct ifinfomsg *info = NLMSG_DATA(h);

        if (h->nlmsg_type == RTM_NEWLINK && info->ifi_index > 1 && (info->ifi_flags & 1)) {
            scene_say(s, "interface %d is up", info->ifi_index);
            return 0;
        }
    }
    return -ENODEV;
}

#define FAMILY(name)                                                                               \
    {                                                                                              \
        "socket-" name, make, name                                                                 \
    }

static const struct probe probes[] = {
    FAMILY("packet"),
    FAMILY("packet-datagram"),
    FAMILY("vsock"),
    FAMILY("alg"),
    FAMILY("xdp"),
    FAMILY("bluetooth"),
    FAMILY("key"),
    FAMILY("can"),
    FAMILY("tipc"),
    FAMILY("rds"),
    FAMILY("kcm"),
    FAMILY("qipcrtr"),
    FAMILY("smc"),
    FAMILY("mctp"),
    FAMILY("ppp"),
    FAMILY("llc"),
    FAMILY("raw"),
    FAMILY("raw6"),
    FAMILY("raw-all"),
    FAMILY("ping"),
    FAMILY("sctp"),
    FAMILY("dccp"),
    FAMILY("mptcp"),
    FAMILY("udplite"),
    FAMILY("l2tp"),
    FAMILY("netlink-usersock"),
    FAMILY("netlink-firewall"),
    FAMILY("netlink-diag"),
    FAMILY("netlink-xfrm"),
    FAMILY("netlink-audit"),
    FAMILY("netlink-uevent"),
    FAMILY("netlink-generic"),
    FAMILY("netlink-crypto"),
    FAMILY("netlink-connector"),
    FAMILY("netlink-selinux"),
    FAMILY("netlink-scsi"),
    { "socket-any-family", make_any_family, NULL },
    { "socket-any-netlink", make_any_netlink, NULL },
    { "socket-any-raw", make_any_raw, NULL },
    { "socket-pair-tipc", make_pair, NULL },
    { "socket-link-dummy", add_link, "dummy" },
    { "socket-link-veth", add_link, "veth" },
    { "socket-interfaces", find_link, NULL },
};

const struct probe *sockets_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
