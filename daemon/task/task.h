/* task.h - one message of a job from its arrival to its acknowledgement: the record, and the state
 * machine whose states are what the journal stores (the table in README's "When
 * something fails"). Pure. task->state is written by task_step() alone (and where a record begins,
 * task_restore()). */
#pragma once
#include "task/usage.h"
#include <stdbool.h>
#include <stdint.h>

enum task_state {
    TASK_RECEIVED,  /* on disk, not started */
    TASK_RUNNING,   /* attempt number on disk, a child works */
    TASK_FINISHED,  /* the terminal reply is on disk, with its final id */
    TASK_DELIVERED, /* the server accepted the reply */
    TASK_REFUSED,   /* the server will never accept it */
    TASK_ACKED,     /* done on both sides; a tombstone */
    TASK_GONE,      /* no longer ours, or the tombstone expired: final, never stored */
    TASK_STATE_COUNT
};

enum task_event {
    TASK_EV_START,   /* an attempt begins */
    TASK_EV_RELEASE, /* the attempt was cut short and may run again */
    TASK_EV_FINISH,  /* there is a terminal reply, whatever it says */
    TASK_EV_DELIVER, /* the server took the reply */
    TASK_EV_REFUSE,  /* the server never will */
    TASK_EV_ACK,     /* the server knows that we are done */
    TASK_EV_FORGET,  /* the lease was lost: another daemon answers */
    TASK_EV_EXPIRE,  /* the tombstone's retention is over */
    TASK_EVENT_COUNT
};

enum task_kind { TASK_KIND_START, TASK_KIND_USER }; /* start_conversation_v1, user_message_v1 */
enum task_mode { TASK_MODE_EXECUTE, TASK_MODE_ASK };
enum task_reply_kind { TASK_REPLY_NONE, TASK_REPLY_ASSISTANT, TASK_REPLY_ERROR };

/* All strings are owned, NULL when absent. */
struct task {
    enum task_state state;
    uint64_t seq; /* order of arrival here, never reused; orders messages within a job */
    char *id;     /* processed_message_id: the key for replies and deduplication */
    char *ack_id; /* the poll record's own id, used in the ack path */
    char *job_id;
    enum task_kind kind;
    enum task_mode mode;
    char *prompt; /* payload.message */
    char *system_prompt;
    char *payload;       /* the payload as it came, compact JSON */
    uint64_t fence;      /* the server's lease number, 0: it gives none */
    uint32_t attempt;    /* attempts begun that count */
    int64_t received_ms; /* wall time */
    int64_t updated_ms;  /* wall time of the last state change */
    enum task_reply_kind reply_kind;
    char *reply;    /* text of the terminal reply */
    bool shortened; /* the reply was cut once after 413 or 422 */
    bool cancelled; /* a stop was asked for: survives a restart */
    bool anew;      /* the conversation to go on with was not there: begun again without it */
    /* What its task left is still to be looked at, and the reply to say what was found: how many
     * lives of the daemon have owed that, 0: nothing is owed. Until then the reply isn't sent. */
    uint32_t unsurveyed;
    /* The files that its task left for people are still to be sent: one more than how many of them
     * are dealt with, 0: there are none (any more). Until then the reply isn't sent. */
    uint32_t unsent;
    char *attachment_ids; /* of those that the server has, in order, a blank between two */
    char *unsent_note;    /* of those that can't be sent: a line each */
    bool has_usage;       /* of the attempt that the reply is from */
    struct usage usage;
};

struct task *task_new(void);
void task_free(struct task *t);

/* 0, or -EPROTO if the table has no such move; t is then untouched. */
int task_step(struct task *t, enum task_event ev);
/* Sets the state in which a stored record begins, by its name: for the store only. -EINVAL for a
 * name that no stored state has. */
int task_restore(struct task *t, const char *state_name);
bool task_may(enum task_state state, enum task_event ev);
const char *task_state_name(enum task_state state);
const char *task_event_name(enum task_event ev);
/* Whether the message still wants something of us (anything before ACKED). */
bool task_is_open(const struct task *t);
