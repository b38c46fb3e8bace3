/* What processes share by numbers and names: System V objects, POSIX queues, the kernel's keys. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static int number(const struct scene *s, const char *name)
{
    const char *text = scene_get(s, name);

    return *text ? (int)strtol(text, NULL, 10) : -1;
}

static int memory_by_id(struct scene *s, const char *name)
{
    int id = number(s, name);
    const char *at;

    if (id < 0)
        return PROBE_ABSENT;
    at = shmat(id, NULL, SHM_RDONLY);
    if ((intptr_t)at == -1)
        return -errno;
    if (strcmp(at, scene_secret(s)) != 0)
        return -ENOMSG;
    scene_say(s, "read its shared memory");
    return 0;
}

static int memory_by_key(struct scene *s, const char *name)
{
    int key = number(s, name), id;

    if (key < 0)
        return PROBE_ABSENT;
    id = shmget(key, 0, 0);
    return probe_verdict(s, id, "found its shared memory");
}

static int queue_by_key(struct scene *s, const char *name)
{
    int key = number(s, name);

    return key < 0 ? PROBE_ABSENT : probe_verdict(s, msgget(key, 0), "found its queue");
}

static int queue_peek(struct scene *s, const char *name)
{
    struct {
        long type;
        char text[256];
    } message;
    int id = number(s, name);

    if (id < 0)
        return PROBE_ABSENT;
    return probe_verdict(
        s, msgrcv(id, &message, sizeof message.text, 0, IPC_NOWAIT | MSG_COPY | MSG_NOERROR),
        "read its queue");
}

static int semaphore_by_key(struct scene *s, const char *name)
{
    int key = number(s, name);

    return key < 0 ? PROBE_ABSENT : probe_verdict(s, semget(key, 0, 0), "found its semaphore");
}

static int posix_queue(struct scene *s, const char *name)
{
    const char *path = scene_get(s, name);

    if (!*path)
        return PROBE_ABSENT;
    return probe_verdict(s, mq_open(path, O_RDONLY | O_CLOEXEC), "opened its queue");
}

/* ---- keys ---- */

static long keyctl(int operation, long a, long b, long c, long d)
{
    return syscall(SYS_keyctl, operation, a, b, c, d);
}

static int key_add(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING),
                         "made a key");
}

static int key_request(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, syscall(SYS_request_key, "user", scene_get(s, "key_name"), NULL, 0),
                         "found a key");
}

static int key_session(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0),
                         "has the session's keys");
}

static int key_user(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0, 0),
                         "has the user's keys");
}

static int key_join(struct scene *s, const char *argument)
{
    (void)argument;
    return probe_verdict(s, keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0), "made a keyring");
}

static int key_read(struct scene *s, const char *argument)
{
    int id = number(s, "key_id");
    char bytes[256];

    (void)argument;
    if (id < 0)
        return PROBE_ABSENT;
    /* possession is what gives the right: by way of the user's keyring */
    (void)keyctl(KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_PROCESS_KEYRING, 0, 0);
    return probe_verdict(s, keyctl(KEYCTL_READ, id, (long)bytes, sizeof bytes, 0), "read a key");
}

static int key_describe(struct scene *s, const char *argument)
{
    int id = number(s, "key_id");
    char bytes[256];

    (void)argument;
    if (id < 0)
        return PROBE_ABSENT;
    return probe_verdict(s, keyctl(KEYCTL_DESCRIBE, id, (long)bytes, sizeof bytes, 0),
                         "looked at a key");
}

static const struct probe probes[] = {
    { "ipc-memory-id", memory_by_id, "shm_id" },
    { "ipc-memory-key", memory_by_key, "ipc_key" },
    { "ipc-queue-key", queue_by_key, "ipc_key" },
    { "ipc-queue-read", queue_peek, "msg_id" },
    { "ipc-semaphore-key", semaphore_by_key, "ipc_key" },
    { "ipc-posix-queue", posix_queue, "mqueue" },
    { "key-add", key_add, NULL },
    { "key-request", key_request, NULL },
    { "key-session", key_session, NULL },
    { "key-user", key_user, NULL },
    { "key-join", key_join, NULL },
    { "key-read", key_read, NULL },
    { "key-describe", key_describe, NULL },
};

const struct probe *shared_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
