#include "main/pushes.h"

#include <stdlib.h>

#include "main/daemon.h"
#include "main/wire.h"
#include "store/store.h"
#include "task/task.h"
#include "upstream/channel.h"
#include "upstream/push.h"
#include "util/cleanup.h"
#include "util/mem.h"

struct pushes {
    struct daemon *daemon;
    struct channel *channel;
};

static void on_changed(bool up, void *ctx)
{
    struct pushes *p = ctx;
    const struct core_event ev = { .type = CORE_EV_CHANNEL, .up = up };

    wire_run(p->daemon, &ev);
}

static void on_pushed(struct push *push, void *ctx)
{
    struct pushes *p = ctx;
    const struct core_event ev = { .type = CORE_EV_PUSHED,
                                   .task = push ? TAKE_PTR(push->task) : NULL,
                                   .whole = push && push->whole };

    wire_run(p->daemon, &ev);
}

int pushes_new(struct daemon *d, struct pushes **ret_pushes, struct err *err)
{
    static const struct channel_ops ops = { .changed = on_changed, .pushed = on_pushed };
    const struct channel_options options = { .url = d->settings.server_url,
                                             .agent_id = d->settings.agent_id,
                                             .instance_id = store_instance_id(d->store),
                                             .repo = d->settings.agent_repo,
                                             .key = d->key.key };
    struct pushes *p = mem_new(struct pushes);
    int r;

    p->daemon = d;
    r = channel_new(d->loop, d->http, &options, &ops, p, &p->channel, err);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret_pushes = p;
    return 0;
}

void pushes_want(struct pushes *p, bool open)
{
    channel_want(p->channel, open);
}

void pushes_key_changed(struct pushes *p)
{
    channel_set_key(p->channel, p->daemon->key.key);
}

void pushes_free(struct pushes *p)
{
    if (!p)
        return;
    channel_free(p->channel);
    free(p);
}
