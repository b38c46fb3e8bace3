/* standing.h - where a conversation (a job) stands: the `status` of a job. Pure. Stored by name.
 * Active until the agent completes it or one of its messages fails; another prompt makes it active
 * again. Source: Nairi public API, "Message object", list of job statuses. */
#pragma once

enum standing {
    STANDING_ACTIVE,
    STANDING_COMPLETED,
    STANDING_ERROR,
    STANDING_ABANDONED,
    STANDING_COUNT
};

enum standing_event {
    STANDING_EV_PROMPT,   /* the user wrote */
    STANDING_EV_ANSWER,   /* a message was answered */
    STANDING_EV_FAIL,     /* a message failed */
    STANDING_EV_COMPLETE, /* the agent says that the job is over */
    STANDING_EVENT_COUNT
};

/* 0, or -EPROTO if the table has no such move; *standing is then untouched. */
int standing_step(enum standing *standing, enum standing_event event);
const char *standing_name(enum standing standing);
/* -EINVAL for a name that isn't one. */
int standing_parse(const char *name, enum standing *ret_standing);
