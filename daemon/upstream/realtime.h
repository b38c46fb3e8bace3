/* realtime.h - the daemon's end of the realtime channel, as decisions: one event in, a list of
 * commands out. Pure: no clock, no descriptor; time and random bits come with each event.
 * upstream/channel.c carries the commands out.
 *
 * One session: a GET without a session opens it (REALTIME_GET with an empty sid); then one GET is
 * always open, and what there is to say goes by one POST at a time. Once the namespace is joined
 * the channel is up (REALTIME_UP), until anything goes wrong: then both requests are cancelled, and
 * after a wait with jitter it begins anew, for ever. A server that answers as if there were no such
 * channel is asked at its other path, and then left alone for REALTIME_ABSENT_MS.
 * Source: Nairi protocol, realtime channel (3.1 to 3.4); Engine.IO revision 4; Socket.IO revision
 * 5. Upgrades are declined by never asking for one. */
#pragma once
#include "net/http.h"
#include "util/cleanup.h"
#include "util/engineio.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct realtime;

enum {
    REALTIME_PATHS = 2,                    /* places where the channel may be */
    REALTIME_CONNECT_MS = 20 * 1000,       /* from the first request to having joined */
    REALTIME_POST_MS = 20 * 1000,          /* for one POST */
    REALTIME_MARGIN_MS = 15 * 1000,        /* a GET may take that much longer than pings do */
    REALTIME_KEEPALIVE_MS = 2 * 60 * 1000, /* between the application's pings */
    REALTIME_STABLE_MS = 30 * 1000,        /* up for that long, it counts as working */
    REALTIME_GOODBYE_MS = 2 * 1000,        /* for the last POST, and one before it */
    REALTIME_ABSENT_MS = 10 * 60 * 1000,   /* until a server without the channel is asked again */
    REALTIME_BASE_MS = 1000,               /* first wait after a failure */
    REALTIME_CAP_MS = 60 * 1000,
    REALTIME_OUT_MAX = 64 * 1024,        /* bytes that wait to be posted */
    REALTIME_EMPTY_MAX = 20,             /* answers in a row that come at once and say nothing */
    REALTIME_BODY_MAX = 16 * 1024 * 1024 /* of one answer */
};

struct realtime_now {
    uint64_t mono_ms;
    uint32_t entropy; /* any 32 random bits, fresh for each event */
};

/* How a request ended. */
struct realtime_answer {
    enum http_outcome outcome;
    int status;
    const char *body; /* borrowed */
    size_t body_len;
    uint32_t retry_after_ms;
    const char *error; /* a sentence where outcome isn't HTTP_DONE */
};

enum realtime_command_type {
    REALTIME_GET,     /* path, sid ("": a new session), timeout_ms */
    REALTIME_POST,    /* path, sid, text: the body; timeout_ms */
    REALTIME_CANCEL,  /* both requests, where they are in flight */
    REALTIME_UP,      /* joined: what is sent from now on comes */
    REALTIME_DOWN,    /* after an UP: what is sent from now on doesn't */
    REALTIME_MESSAGE, /* text: the one argument of an event cc_message, as JSON */
    REALTIME_MISSED,  /* a poll is to tell the rest: the server says so by an event nairi_poll, an
                          addition of our hub; or something came that couldn't be read */
    REALTIME_NOTE     /* for the log: level, name (static), text */
};

struct realtime_command {
    enum realtime_command_type type;
    size_t path; /* below REALTIME_PATHS */
    char sid[ENGINEIO_SID_MAX + 1];
    uint32_t timeout_ms;
    char *text; /* owned by the list */
    int level;
    const char *name;
};

struct realtime_commands {
    struct realtime_command *items;
    size_t len, cap;
};
void realtime_commands_done(struct realtime_commands *c);

struct realtime *realtime_new(void); /* closed */
void realtime_free(struct realtime *r);
DEFINE_CLEANUP(struct realtime *, realtime_free);

/* Each appends to *commands. Be connected from now on; or say goodbye and stay away. */
void realtime_open(struct realtime *r, const struct realtime_now *now,
                   struct realtime_commands *commands);
void realtime_close(struct realtime *r, const struct realtime_now *now,
                    struct realtime_commands *commands);
/* Sends an event cc_message, whose argument is that JSON text, if the channel is up and takes it;
 * else false. */
bool realtime_say(struct realtime *r, const char *json, const struct realtime_now *now,
                  struct realtime_commands *commands);
/* The GET, or the POST, is over. Not for one that was cancelled. */
void realtime_got(struct realtime *r, const struct realtime_answer *answer,
                  const struct realtime_now *now, struct realtime_commands *commands);
void realtime_posted(struct realtime *r, const struct realtime_answer *answer,
                     const struct realtime_now *now, struct realtime_commands *commands);
/* realtime_deadline() came. */
void realtime_tick(struct realtime *r, const struct realtime_now *now,
                   struct realtime_commands *commands);
/* When the next realtime_tick() is due, or UINT64_MAX. */
uint64_t realtime_deadline(const struct realtime *r);
bool realtime_is_up(const struct realtime *r);
bool realtime_is_closing(const struct realtime *r); /* the goodbye is in flight */
