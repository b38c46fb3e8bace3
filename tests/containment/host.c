/* probe --host SECRET FOLDER: what lives outside of the sandbox, on the same machine and as the
 * same user: a process with a secret in its memory, arguments, environment and an open file;
 * services that tell the secret to whoever connects; objects that everybody may open. */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { SERVICES_MAX = 12 };

struct host {
    const char *secret, *folder;
    struct pollfd services[SERVICES_MAX];
    bool is_datagram[SERVICES_MAX];
    size_t count;
    int root; /* handed out to whoever connects */
    int shm, msg, sem;
    char mqueue[64];
};

static void serve(struct host *h, int fd, bool is_datagram)
{
    h->is_datagram[h->count] = is_datagram;
    h->services[h->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* Everybody's address, v4 ones too; on whatever port is free. */
static void open_internet(struct host *h)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
    struct sockaddr_in at4 = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    const struct sockaddr *to = (const struct sockaddr *)&at;
    int off = 0, tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), udp;

    if (tcp < 0 || setsockopt(tcp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
        bind(tcp, to, sizeof at) < 0) { /* a machine without IPv6 */
        tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        len = sizeof at4;
        if (bind(tcp, (const struct sockaddr *)&at4, sizeof at4) < 0)
            return;
    }
    (void)getsockname(tcp, (struct sockaddr *)&at, &len);
    (void)listen(tcp, 64);
    serve(h, tcp, false);
    printf("tcp_port=%u\ntcp_hex=:%04X \n", ntohs(at.sin6_port), ntohs(at.sin6_port));

    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    at4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof at4;
    if (bind(udp, (const struct sockaddr *)&at4, sizeof at4) < 0 ||
        getsockname(udp, (struct sockaddr *)&at4, &len) < 0)
        return;
    serve(h, udp, true);
    printf("udp_port=%u\n", ntohs(at4.sin_port));
}

static void open_local(struct host *h, const char *name, int type, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || len >= sizeof at.sun_path)
        return;
    memcpy(at.sun_path, path, len + 1);
    if (*path == '@')
        at.sun_path[0] = '\0';
    if (bind(fd, (const struct sockaddr *)&at,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path == '@' ? 0 : 1))) <
        0)
        return;
    if (*path != '@')
        (void)chmod(path, 0777);
    if (type == SOCK_STREAM)
        (void)listen(fd, 64);
    serve(h, fd, type == SOCK_DGRAM);
    printf("%s=%s\n", name, path);
}

static void open_locals(struct host *h)
{
    static const struct {
        const char *name, *file;
        int type;
    } paths[] = {
        { "unix_stream", "stream.sock", SOCK_STREAM },    { "docker", "docker.sock", SOCK_STREAM },
        { "bus", "system_bus_socket", SOCK_STREAM },      { "admin", "control.sock", SOCK_STREAM },
        { "unix_datagram", "datagram.sock", SOCK_DGRAM },
    };
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", h->folder, paths[i].file);
        open_local(h, paths[i].name, paths[i].type, path);
    }
    (void)snprintf(path, sizeof path, "@nairid-probe-%d", (int)getpid());
    open_local(h, "abstract_stream", SOCK_STREAM, path);
    (void)snprintf(path, sizeof path, "@nairid-probe-datagram-%d", (int)getpid());
    open_local(h, "abstract_datagram", SOCK_DGRAM, path);
}

static void open_shared(struct host *h)
{
    struct {
        long type;
        char text[64];
    } message = { 1, "hello" };
    int key = 0x6e000000 | (int)getpid();
    struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 64 };
    char *at;

    h->shm = shmget(key, 4096, IPC_CREAT | 0666);
    h->msg = msgget(key, IPC_CREAT | 0666);
    h->sem = semget(key, 1, IPC_CREAT | 0666);
    at = shmat(h->shm, NULL, 0);
    if ((intptr_t)at != -1)
        (void)snprintf(at, 4096, "%s", h->secret);
    (void)msgsnd(h->msg, &message, sizeof message.text, IPC_NOWAIT);
    printf("ipc_key=%d\nshm_key=%d\nshm_id=%d\nmsg_id=%d\n", key, key, h->shm, h->msg);
    (void)snprintf(h->mqueue, sizeof h->mqueue, "/nairid-probe-%d", (int)getpid());
    if (mq_open(h->mqueue, O_RDWR | O_CREAT | O_CLOEXEC, 0666, &attr) >= 0)
        printf("mqueue=%s\n", h->mqueue);
}

static void open_keys(const struct host *h)
{
    char name[64];
    long id;

    (void)snprintf(name, sizeof name, "nairid-probe-%d", (int)getpid());
    id = syscall(SYS_add_key, "user", name, h->secret, strlen(h->secret), KEY_SPEC_USER_KEYRING);
    if (id < 0)
        return;
    (void)syscall(SYS_keyctl, KEYCTL_SETPERM, id, 0x3f3f3f3f, 0, 0);
    (void)syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, id, 1200, 0, 0);
    printf("key_name=%s\nkey_id=%ld\n", name, id);
}

static void answer(const struct host *h, int listener)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec data = { (void *)(uintptr_t)h->secret, strlen(h->secret) };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
    struct sockaddr_storage who;
    socklen_t len = sizeof who;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (getsockname(fd, (struct sockaddr *)&who, &len) == 0 && who.ss_family == AF_UNIX) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                     .cmsg_type = SCM_RIGHTS,
                                                     .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &h->root, sizeof h->root);
    }
    (void)sendmsg(fd, &message, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

static void echo(const struct host *h, int fd)
{
    struct sockaddr_storage who;
    socklen_t len = sizeof who;
    char bytes[256];

    if (recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&who, &len) < 0 ||
        who.ss_family != AF_INET)
        return;
    (void)sendto(fd, h->secret, strlen(h->secret), MSG_DONTWAIT, (struct sockaddr *)&who, len);
    (void)sendto(fd, "", 0, MSG_DONTWAIT, (struct sockaddr *)&who, len); /* the end, to a reader */
}

static void live(struct host *h, int signals)
{
    struct pollfd *fds = h->services;
    size_t own = h->count;

    serve(h, signals, false);
    serve(h, STDIN_FILENO, false);
    for (;;) {
        if (poll(fds, h->count, -1) < 0)
            continue;
        for (size_t i = 0; i < own; i++)
            if (fds[i].revents)
                (h->is_datagram[i] ? echo : answer)(h, fds[i].fd);
        if (fds[own].revents) {
            struct signalfd_siginfo info;

            if (read(signals, &info, sizeof info) == sizeof info)
                printf("signal=%u\n", info.ssi_signo);
            fflush(stdout);
        }
        if (fds[own + 1].revents)
            return;
    }
}

static void done(const struct host *h)
{
    (void)shmctl(h->shm, IPC_RMID, NULL);
    (void)msgctl(h->msg, IPC_RMID, NULL);
    (void)semctl(h->sem, 0, IPC_RMID);
    (void)mq_unlink(h->mqueue);
}

static void open_secret_file(const struct host *h)
{
    int fd = memfd_create("secret", 0);

    (void)write(fd, h->secret, strlen(h->secret));
    printf("victim_fd=%d\nvictim=%d\nvictim_address=%llx\n", fd, (int)getpid(),
           (unsigned long long)(uintptr_t)h->secret);
}

int host_run(int argc, char **argv)
{
    struct host h = { .root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    sigset_t set;

    if (argc != 2 || chdir(argv[1]) < 0)
        return 64;
    h.secret = argv[0];
    h.folder = argv[1];
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGIO);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    open_secret_file(&h);
    open_internet(&h);
    open_locals(&h);
    open_shared(&h);
    open_keys(&h);
    printf("ready\n");
    fflush(stdout);
    live(&h, signalfd(-1, &set, SFD_CLOEXEC));
    done(&h);
    return 0;
}
