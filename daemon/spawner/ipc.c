#include "spawner/ipc.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"

/* Any other byte in a bool than 0 and 1 is undefined behaviour to whoever looks at it. */
static bool bools_are_sound(const unsigned char *news)
{
    static const size_t offsets[] = {
        offsetof(struct ipc_news, exit.failed_to_start),
        offsetof(struct ipc_news, exit.not_found),
        offsetof(struct ipc_news, exit.stuck),
        offsetof(struct ipc_news, exit.oom),
    };

    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
        if (news[offsets[i]] > 1)
            return false;
    return true;
}

int ipc_read_news(const void *bytes, size_t len, struct ipc_news *ret_news)
{
    static const size_t error = offsetof(struct ipc_news, exit.error);
    const unsigned char *news = bytes;
    uint32_t type;

    if (len != sizeof *ret_news || !bools_are_sound(news) ||
        !memchr(news + error, '\0', sizeof ret_news->exit.error))
        return -EBADMSG;
    memcpy(&type, news + offsetof(struct ipc_news, type), sizeof type);
    if (type != IPC_READY && type != IPC_STARTED && type != IPC_EXITED)
        return -EBADMSG;
    memcpy(ret_news, bytes, len);
    return 0;
}
