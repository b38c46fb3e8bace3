/* children.h - the tasks' programs of one daemon, and its spawner: they end in every way, or
 * never. */
#pragma once
#include "core/core.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct side;
struct sim;

/* What a reply says in place of findings; it is in all such words of the core, too. */
#define COULD_NOT_LOOK "nairid could not look"

enum fate {
    FATE_FINE,
    FATE_DONE,       /* its result was seen, and it will end by itself */
    FATE_STATUS,     /* an answer, and a status that isn't 0 */
    FATE_SILENT_END, /* 0, and no answer */
    FATE_BLANK,      /* 0, and an answer of blanks */
    FATE_SIGNAL,
    FATE_OOM,
    FATE_PAST,
    FATE_UNSTARTABLE, /* the sandbox fails */
    FATE_NOT_FOUND,
    FATE_NEVER_STARTS,
    FATE_HANGS,   /* prints nothing more */
    FATE_BABBLES, /* and never ends */
    FATE_OVERFLOWS,
    FATE_DEFIES,     /* TERM; only KILL ends it */
    FATE_FINISHES,   /* its answer, at TERM */
    FATE_LINGERS,    /* after its result, till it is killed */
    FATE_STUCK,      /* something of it can't be killed */
    FATE_UNREPORTED, /* the spawner never says that it ended */
    FATE_COUNT
};

struct child {
    uint64_t seq;
    uint32_t message, attempt;
    enum fate fate;
    bool started, told, killed, over, stuck;
    bool gone;           /* the session that it was to go on with */
    bool final;          /* its result was seen */
    bool surveyed;       /* it is over, and its job held up until what it left was looked at */
    bool survey_due;     /* whose result is still to come */
    const char *note;    /* that it was told of, static; NULL: nothing to say */
    bool failed;         /* that is: it can't be looked at */
    uint32_t lines;      /* still to be printed */
    uint32_t files;      /* it leaves for people */
    uint64_t end_ms;     /* once killed */
    uint32_t index, tag; /* of its step on the agenda */
};

struct children {
    struct child **items; /* of this life of the daemon; owned */
    size_t len, cap;
};

/* The order of attempts.c: starts one, or tells the core that it can't. */
void children_spawn(struct sim *sim, struct side *side, uint64_t seq);
void children_kill(struct sim *sim, struct side *side, uint64_t seq, uint32_t grace_ms);
/* CORE_CMD_SURVEY and CORE_CMD_SETTLE are decided: its job is held up from the one to the other. */
void children_hold(struct sim *sim, struct side *side, uint64_t seq, bool held);
/* And carried out. */
void children_survey(struct sim *sim, struct side *side, uint64_t seq);
void children_settle(struct sim *sim, struct side *side, uint64_t seq, bool keep);
void children_step(struct sim *sim, struct side *side, uint32_t index, uint32_t tag);
/* Where every slot is taken by what can't be killed, somebody restarts the machine. */
void children_notice_stuck(struct sim *sim, const struct side *side);
/* The daemon is gone, and so the spawner ends them all. */
void children_end_all(struct children *c);
void children_done(struct children *c);
