/* posts.h - polls and posts: commands to requests, answers to events. */
#pragma once
#include "core/core.h"
#include <stdint.h>

struct daemon;
struct posts;
struct upstream_answer;

/* d outlives it. */
struct posts *posts_new(struct daemon *d);
void posts_free(struct posts *p);
/* seq: the number of the poll; wait_ms 0: a plain one. */
void posts_poll(struct posts *p, uint64_t seq, uint32_t wait_ms);
/* What an answer means to the core. */
enum core_answer posts_answer(const struct upstream_answer *a);
/* seq: the message that the post is about. */
void posts_send(struct posts *p, uint64_t seq, enum core_post what);
/* CORE_CMD_SEND_CANCEL */
void posts_send_cancel(struct posts *p, uint64_t seq);
/* number: see core_leaving(). */
void posts_complete(struct posts *p, uint64_t number);
/* What of the server's can't be used, for the log: each text once. */
void posts_complain(struct posts *p, const char *text);
