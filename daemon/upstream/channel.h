/* channel.h - the realtime channel on the loop: carries out what upstream/realtime.h decides.
 * It brings messages; whether and when it is wanted, and what becomes of a message, is decided
 * elsewhere. Requests have the four headers of the protocol; the key is in no log.
 * Source: Nairi protocol, realtime channel, 3.1 and 3.2: the path is /socket.io/ on the server's
 * host, whatever path server.url has; or /socketio/ beneath that. */
#pragma once
#include "util/cleanup.h"
#include <stdbool.h>

struct channel;
struct err;
struct http;
struct loop;
struct push;
struct secret;

struct channel_options {
    const char *url;         /* server.url */
    const char *agent_id;    /* X-AGENT-ID; NULL: not sent */
    const char *instance_id; /* X-CCAGENT-ID */
    const char *repo;        /* X-CCAGENT-REPO, "github.com/owner/name"; NULL: sent empty */
    struct secret *key;      /* borrowed until channel_free() or channel_set_key() */
};

struct channel_ops {
    void (*changed)(bool up, void *ctx);
    /* A message, whose task may be taken; NULL: something was missed that a poll will tell. A
     * problem in it isn't logged yet. */
    void (*pushed)(struct push *push, void *ctx);
    void (*closed)(void *ctx); /* after channel_want(false): the goodbye is over */
};

/* Made closed. -EINVAL where the URL or an id can't be sent. */
int channel_new(struct loop *loop, struct http *http, const struct channel_options *options,
                const struct channel_ops *ops, void *ctx, struct channel **ret_channel,
                struct err *err);
void channel_set_key(struct channel *c, struct secret *key);
/* Opens it and keeps it open, or closes it. */
void channel_want(struct channel *c, bool open);
/* Sends an envelope, if the channel is up; else false. Best effort: nobody tells what became of it.
 */
bool channel_say(struct channel *c, const char *envelope);
bool channel_is_closing(const struct channel *c); /* a goodbye is on its way */
void channel_free(struct channel *c);             /* cancels what is in flight, without callbacks */
DEFINE_CLEANUP(struct channel *, channel_free);
