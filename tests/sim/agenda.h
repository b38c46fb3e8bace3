/* agenda.h - what is going to happen, ordered by the time at which it does; at the same time in
 * the order in which it was noted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum agenda_what {
    /* of a daemon: side, life; void in another life of it, put off while its machine sleeps */
    AGENDA_TICK,
    AGENDA_FLUSH,  /* the loop turn ends */
    AGENDA_COMMIT, /* the batch on its way is written, or fails */
    AGENDA_CHILD,  /* index, tag: the child's next step */
    AGENDA_ANSWER, /* index: of that request */
    AGENDA_TIMEOUT,
    AGENDA_FEED, /* tag: its realtime channel comes or goes */
    AGENDA_PUSH, /* index, tag: of that channel, a message arrives */
    AGENDA_ROOM, /* its disk is looked at */
    AGENDA_REBOOT,
    AGENDA_START, /* of a daemon that doesn't run */
    /* of the world */
    AGENDA_ARRIVE, /* index: a request reaches the server */
    AGENDA_UNPARK,
    AGENDA_PROMPT, /* index: the message that a user writes */
    AGENDA_STOP,   /* index: the job that a user stops */
    AGENDA_SWEEP,  /* leases end */
    AGENDA_WORD,   /* side: its operator says something */
    AGENDA_IDLE,   /* the server asks a daemon for idle jobs */
    AGENDA_MISHAP,
    AGENDA_HEAL,
    AGENDA_END
};

struct agenda_item {
    uint64_t at_ms;
    uint32_t order;
    enum agenda_what what;
    uint32_t side, life, index, tag;
};

struct agenda {
    struct agenda_item *items; /* a heap */
    size_t len, cap;
    uint32_t order;
};

void agenda_add(struct agenda *a, struct agenda_item item);
/* The next one, taken off; false: there is none. */
bool agenda_take(struct agenda *a, struct agenda_item *ret_item);
void agenda_done(struct agenda *a);
