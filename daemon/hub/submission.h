/* submission.h - what agents send: POST /api/agents/messages and the ack.
 * Idempotent: an envelope whose id is stored already, a second terminal reply to one message, and
 * progress of a message that is answered are 200 and not stored; so is what has a type that isn't
 * known here, and the end of a job that somebody has written to meanwhile. What progress says of
 * one tool (tool_use_id) takes the place of what the same kind said of it before. A terminal reply
 * is an assistant message, or a system message that begins with MESSAGE_ERROR_PREFIX. Source: Nairi
 * agents API, endpoints 7 and 8, and messages, "Agent to server". */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct call;
struct model;

enum {
    SUBMISSION_PROGRESS_MAX = 200,             /* rows kept for a message: the newest */
    SUBMISSION_PROGRESS_BYTES_MAX = 256 << 10, /* of one of them */
    SUBMISSION_ID_MAX = 128,
    SUBMISSION_TEXT_MAX = 1 << 20, /* bytes of a reply; more is 413 */
    SUBMISSION_SYSTEM_MAX = 1000,  /* system messages of a conversation; more aren't stored */
};

/* Handlers. */
int submission_post(struct call *c, struct model *m);
int submission_ack(struct call *c, struct model *m);

/* Whether the body is a progress message, which needs no flush of the disk. */
bool submission_is_progress(const char *body, size_t len);
