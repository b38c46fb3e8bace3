/* envelope.h - what we send: {"id","type","payload"} as JSON text. Pure. Freed by the caller.
 * Source: Nairi messages, sections "Envelope and identifiers" and "Agent to server". Ids: a
 * terminal reply's is derived from the message's (ulid_derive(), purpose "reply"), the others' too.
 */
#pragma once
#include "task/task.h"

/* The prefix of an error reply, byte for byte what the server matches. */
#define ENVELOPE_ERROR_PREFIX "nairid encountered error: "

/* processing_message_v1 */
char *envelope_processing(const char *job_id, const char *task_id, uint32_t attempt);
/* assistant_message_v1, or for TASK_REPLY_ERROR a system_message_v1 whose text gets the prefix. */
char *envelope_reply(const char *job_id, const char *task_id, enum task_reply_kind kind,
                     const char *text);
/* agent_progress_v1. type: "text" or "tool_use"; tool and status may be NULL. n: a counter that
 * makes the id unique within the attempt. */
struct envelope_progress {
    const char *type;
    const char *text; /* text_delta for "text", tool_input for "tool_use" */
    const char *tool_name;
    const char *tool_status;
};
char *envelope_progress(const char *job_id, const char *task_id, uint32_t attempt, uint32_t n,
                        const struct envelope_progress *progress);
