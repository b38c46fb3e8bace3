/* calls.h - a daemon's polls and posts, as main/posts.c makes them and takes their answers. */
#pragma once
#include "core/core.h"
#include <stdint.h>

struct request;
struct side;
struct sim;
struct task;

void calls_poll(struct sim *sim, struct side *side, uint64_t seq, uint32_t wait_ms);
void calls_complete(struct sim *sim, struct side *side, uint64_t number);
void calls_send(struct sim *sim, struct side *side, uint64_t seq, enum core_post what);
void calls_send_cancel(struct sim *sim, struct side *side, uint64_t seq);
/* What the server says of a message, under that fence; the caller owns it. */
struct task *calls_task(struct sim *sim, struct side *side, uint32_t message, uint64_t fence);
void calls_answered(struct sim *sim, struct side *side, const struct request *r);
