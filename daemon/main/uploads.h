/* uploads.h - the shell side of files that go with a reply: taken from the job's outbox, sent one
 * by one as the core orders it, removed once the reply has their ids on disk. Which of them are
 * done is the core's to know (task.unsent), by numbers that no setting changes (outgoing_next()):
 * one that attachments.max bars by now is passed over, and named in the reply. */
#pragma once
#include <stdint.h>

struct daemon;
struct uploads;

/* d outlives it; its loop is there. */
struct uploads *uploads_new(struct daemon *d);
/* Once nothing of it is in flight any more: after http_free(). */
void uploads_free(struct uploads *u);
/* CORE_CMD_GATHER, CORE_CMD_DISCARD. */
void uploads_gather(struct uploads *u, uint64_t seq);
void uploads_discard(struct uploads *u, uint64_t seq);
/* CORE_CMD_SEND of CORE_POST_UPLOAD: a CORE_EV_SENT follows, whatever comes of it. */
void uploads_send(struct uploads *u, uint64_t seq, uint64_t fence);
