#include "main/pushes.h"

#include <stdlib.h>

#include "loop/loop.h"
#include "main/daemon.h"
#include "main/posts.h"
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
    bool stop_wanted; /* once it is closed */
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
    const struct core_event idle = { .type = CORE_EV_IDLE };
    const struct core_event ev = { .type = CORE_EV_PUSHED,
                                   .task = push ? TAKE_PTR(push->task) : NULL,
                                   .whole = push && push->whole };

    if (push && push->problem[0])
        posts_complain(p->daemon->posts, push->problem);
    if (push && push->check_idle)
        wire_run(p->daemon, &idle);
    else if (!push || !push->unknown)
        wire_run(p->daemon, &ev);
}

static void on_closed(void *ctx)
{
    const struct pushes *p = ctx;

    if (p->stop_wanted)
        loop_stop(p->daemon->loop);
}

int pushes_new(struct daemon *d, struct pushes **ret_pushes, struct err *err)
{
    static const struct channel_ops ops = { .changed = on_changed,
                                            .pushed = on_pushed,
                                            .closed = on_closed };
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

void pushes_stop_loop(struct pushes *p)
{
    p->stop_wanted = true;
    if (!channel_is_closing(p->channel))
        loop_stop(p->daemon->loop);
}

bool pushes_say(struct pushes *p, const char *envelope)
{
    return channel_say(p->channel, envelope);
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
