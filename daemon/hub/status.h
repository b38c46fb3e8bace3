/* status.h - where a message stands. Pure.
 * A user's message is queued, pending while an agent has it, then completed or failed for good;
 * replies and progress are born completed. Stored and shown by name.
 * Source: Nairi public API, "Message object". */
#pragma once
#include <stdbool.h>

enum status { STATUS_QUEUED, STATUS_PENDING, STATUS_COMPLETED, STATUS_FAILED, STATUS_COUNT };

enum status_event {
    STATUS_EV_HAND,   /* an agent gets it, or says that it works on it */
    STATUS_EV_ANSWER, /* an assistant message came */
    STATUS_EV_FAIL,   /* an error came, or the hub itself gave up */
    STATUS_EVENT_COUNT
};

/* 0, or -EPROTO if the table has no such move; *status is then untouched. */
int status_step(enum status *status, enum status_event event);
bool status_is_final(enum status status);
const char *status_name(enum status status);
/* -EINVAL for a name that isn't one. */
int status_parse(const char *name, enum status *ret_status);
