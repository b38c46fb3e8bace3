#include "spawner/ipc.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"

/* Any other byte in a bool than 0 and 1 is undefined behaviour to whoever looks at it. */
static bool bools_are_sound(const unsigned char *news)
{
    static const size_t offsets[] = {
        offsetof(struct ipc_news, exit.failed_to_start),
        offsetof(struct ipc_news, exit.not_found),
        offsetof(struct ipc_news, exit.stuck),
        offsetof(struct ipc_news, exit.egress_lost),
        offsetof(struct ipc_news, exit.oom),
        offsetof(struct ipc_news, exit.warm),
    };

    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
        if (news[offsets[i]] > 1)
            return false;
    return true;
}

/* There is one where something failed, and only there. */
static bool failure_is_sound(const unsigned char *news)
{
    uint32_t type;
    int failure;

    memcpy(&type, news + offsetof(struct ipc_news, type), sizeof type);
    memcpy(&failure, news + offsetof(struct ipc_news, exit.failure), sizeof failure);
    if (type == IPC_EXITED && news[offsetof(struct ipc_news, exit.failed_to_start)])
        return err_is_errno(failure);
    return failure == 0 || (type == IPC_READY && err_is_errno(failure));
}

static bool exit_is_sound(const unsigned char *news)
{
    static const size_t error = offsetof(struct ipc_news, exit.error);
    enum limit limit;

    memcpy(&limit, news + offsetof(struct ipc_news, exit.limit), sizeof limit);
    return bools_are_sound(news) && failure_is_sound(news) && (unsigned)limit < LIMIT_COUNT &&
           memchr(news + error, '\0', sizeof((struct spawner_exit){ 0 }).error) != NULL;
}

static bool refusal_is_sound(const unsigned char *news)
{
    struct gateway_word word;

    memcpy(&word, news + offsetof(struct ipc_news, refusal), sizeof word);
    return word.kind == GATEWAY_REFUSED && gateway_word_is_sound(&word);
}

int ipc_read_news(const void *bytes, size_t len, struct ipc_news *ret_news)
{
    const unsigned char *news = bytes;
    uint32_t type;
    bool sound;

    if (len != sizeof *ret_news)
        return -EBADMSG;
    memcpy(&type, news + offsetof(struct ipc_news, type), sizeof type);
    switch (type) {
    case IPC_READY:
    case IPC_STARTED:
    case IPC_EXITED:
        sound = exit_is_sound(news);
        break;
    case IPC_REFUSED:
        sound = refusal_is_sound(news);
        break;
    default:
        sound = false;
    }
    if (!sound)
        return -EBADMSG;
    memcpy(ret_news, bytes, len);
    return 0;
}
