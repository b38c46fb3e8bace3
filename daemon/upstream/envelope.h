/* envelope.h - what we send: {"id","type","payload"} as JSON text. Pure. Freed by the caller.
 * Source: Nairi messages, sections "Envelope and identifiers" and "Agent to server". Ids: a
 * terminal reply's is derived from the message's (ulid_derive(), purpose "reply"), the others' too.
 */
#pragma once
#include "task/progress.h"
#include "task/task.h"
#include <stdint.h>

/* The prefix of an error reply, byte for byte what the server matches. */
#define ENVELOPE_ERROR_PREFIX "nairid encountered error: "

/* job_complete_v1 with that reason, byte for byte what the daemon that we replace says. */
#define ENVELOPE_INACTIVE "Job complete - Thread is inactive"

/* processing_message_v1 */
char *envelope_processing(const char *job_id, const char *task_id, uint32_t attempt);
/* job_complete_v1. used_ms tells this end of the job from a later one. */
char *envelope_complete(const char *job_id, int64_t used_ms, const char *reason);
/* assistant_message_v1, or for TASK_REPLY_ERROR a system_message_v1 whose text gets the prefix.
 * usage: what an answer cost, NULL where it isn't known or not to be told (only our hub knows the
 * member); attachment_ids: with a blank between two, NULL: none; an error carries neither. */
char *envelope_reply(const char *job_id, const char *task_id, enum task_reply_kind kind,
                     const char *text, const struct usage *usage, const char *attachment_ids);
/* agent_progress_v1, with the members that p has. n: a counter that makes the id unique
 * within the attempt. */
char *envelope_progress(const char *job_id, const char *task_id, uint32_t attempt, uint32_t n,
                        const struct progress *p);
