/* phase.h - where a conversation (a job) stands: the `status` of a job. Pure. Stored by name.
 * Active until the agent completes it or one of its messages fails; another prompt makes it active
 * again. Source: Nairi public API, "Message object", list of job statuses. */
#pragma once

enum phase { PHASE_ACTIVE, PHASE_COMPLETED, PHASE_ERROR, PHASE_ABANDONED, PHASE_COUNT };

enum phase_event {
    PHASE_EV_PROMPT,   /* the user wrote */
    PHASE_EV_ANSWER,   /* a message was answered */
    PHASE_EV_FAIL,     /* a message failed */
    PHASE_EV_COMPLETE, /* the agent says that the job is over */
    PHASE_EVENT_COUNT
};

/* 0, or -EPROTO if the table has no such move; *phase is then untouched. */
int phase_step(enum phase *phase, enum phase_event event);
const char *phase_name(enum phase phase);
/* -EINVAL for a name that isn't one. */
int phase_parse(const char *name, enum phase *ret_phase);
